"""Sound for pages: small files that browsers play."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serenade.reports.page import Clip

__all__ = ["encode"]


def encode(samples: Any, sample_rate: int) -> "Clip":
    """Samples (T,) as a file that browsers play."""
    from serenade.reports.page import Clip
    from serenade.signal.compression import SoundFile

    file = SoundFile(sample_rate)
    file.add(samples)
    return Clip(file.finish(), file.mime)
