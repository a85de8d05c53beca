"""Sound made small for pages: files that browsers play."""

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

__all__ = ["SoundFile"]

_MP3_QUALITY = 0.6  # of libsndfile, 0 best to 1 smallest: about 5 kB a second at 16 kHz, no worse to the ear for speech
_FORMATS = (("MP3", "audio/mpeg"), ("OGG", "audio/ogg"), ("WAV", "audio/wav"))


class SoundFile:
    """A file that browsers play, MP3 where libsndfile can write it; made of blocks, so that only the file is held.

    Args:
        sample_rate: of the blocks, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        kind, self.mime = next(pair for pair in _FORMATS if pair[0] in soundfile.available_formats())
        options = {"compression_level": _MP3_QUALITY} if kind == "MP3" else {}
        self._buffer = io.BytesIO()
        self._file = soundfile.SoundFile(self._buffer, "w", sample_rate, 1, format=kind, **options)

    def add(self, samples: NDArray[np.float32]) -> None:
        """Write the next (n,) samples."""
        self._file.write(samples)

    def finish(self) -> bytes:
        """The bytes of the file."""
        self._file.close()
        return self._buffer.getvalue()
