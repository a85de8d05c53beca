"""What happens to sound before a network: reading, segments, front ends, normalisation."""

from typing import Any

from serenade.core.names import NameTable

__all__ = ["DETECTORS", "FRONT_ENDS", "SIGNAL_VERSION"]

SIGNAL_VERSION = 1
"""Raise it when reading, cutting or a front end gives other numbers: features cached before are computed anew."""

FRONT_ENDS: NameTable[Any] = NameTable(
    "front end",
    [
        ("mfcc", "serenade.signal.features:Mfcc"),
        ("log_mel", "serenade.signal.features:LogMel"),
        ("filter_bank", "serenade.signal.features:FilterBank"),
        ("spectrogram", "serenade.signal.features:Spectrogram"),
        ("mu_law", "serenade.signal.features:MuLawSpectrogram"),
    ],
)

DETECTORS: NameTable[Any] = NameTable(
    "voice activity detector",
    [
        ("silero", "serenade.signal.voice_activity:SileroDetector"),
        ("webrtc", "serenade.signal.voice_activity:WebRtcDetector"),
        ("energy", "serenade.signal.voice_activity:EnergyDetector"),
        ("none", "serenade.signal.voice_activity:EverythingDetector"),
    ],
)
