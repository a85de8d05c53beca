"""Upstreams: what turns an utterance into frames; most are networks trained beforehand, without emotions.

`serenade.systems.upstreams.named_upstream` opens any of them by its name or folder.
"""

from collections.abc import Callable
from pathlib import Path

from serenade.core.names import NameTable
from serenade.models.upstreams.upstream import Upstream

__all__ = ["UPSTREAMS", "full_name"]

UPSTREAMS: NameTable[Callable[[], Upstream]] = NameTable(
    "upstream",
    [
        ("filter-bank", "serenade.models.upstreams.acoustic:filter_bank"),
        ("filter-bank-superb", "serenade.models.upstreams.acoustic:superb"),
        ("log-mel", "serenade.models.upstreams.acoustic:log_mel"),
        ("mfcc", "serenade.models.upstreams.acoustic:mfcc"),
        ("functionals", "serenade.models.upstreams.acoustic:statistics"),
        ("egemaps", "serenade.models.upstreams.acoustic:opensmile_egemaps"),
        ("compare", "serenade.models.upstreams.acoustic:opensmile_compare"),
    ],
)
"""Those that need no folder."""


def full_name(name: str | Path) -> str:
    """The name as it can be read from any folder later: folders become absolute."""
    return str(name) if str(name) in UPSTREAMS else str(Path(name).absolute())
