"""What happens to sound before a network: reading, segments, front ends, normalisation."""

from typing import Any

from serenade.core.names import NameTable

__all__ = ["FRONT_ENDS"]

FRONT_ENDS: NameTable[Any] = NameTable(
    "front end",
    [
        ("mfcc", "serenade.signal.features:Mfcc"),
        ("log_mel", "serenade.signal.features:LogMel"),
        ("filter_bank", "serenade.signal.features:FilterBank"),
        ("spectrogram", "serenade.signal.features:Spectrogram"),
    ],
)
