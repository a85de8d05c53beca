"""Sound for pages: small files that browsers play."""

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serenade.reports.page import Clip

__all__ = ["encode"]

_MP3_QUALITY = 0.6  # of libsndfile, 0 best to 1 smallest: about 5 kB a second at 16 kHz, no worse to the ear for speech
_FORMATS = (("MP3", "audio/mpeg"), ("OGG", "audio/ogg"), ("WAV", "audio/wav"))


def encode(samples: Any, sample_rate: int) -> "Clip":
    """Samples (T,) as a file that browsers play: MP3 where libsndfile can write it."""
    import soundfile

    from serenade.reports.page import Clip

    kind, mime = next(pair for pair in _FORMATS if pair[0] in soundfile.available_formats())
    options = {"compression_level": _MP3_QUALITY} if kind == "MP3" else {}
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format=kind, **options)
    return Clip(buffer.getvalue(), mime)
