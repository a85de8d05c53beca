"""What is long and loud enough to be scored: tensors and arrays alike."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from serenade.core.errors import AudioError
from serenade.signal.audio import SAMPLE_RATE

__all__ = ["SHORTEST_S", "SILENCE", "Level", "peak_of"]

SHORTEST_S = 0.1  # half a syllable
SILENCE = 1e-4  # -80 dB below full scale: under the noise of any microphone, above the dither of a 16-bit file

S = TypeVar("S", bound=Any)


class Level:
    """Watches a stream go by: how long it was and how loud."""

    samples: int
    """So many went by."""
    peak: float
    """The largest magnitude among them."""

    def __init__(self) -> None:
        self.samples = 0
        self.peak = 0.0

    def watch(self, blocks: Iterable[S]) -> Iterator[S]:
        """The same blocks, (n,) each."""
        for block in blocks:
            self.samples += len(block)
            self.peak = max(self.peak, peak_of(block))
            yield block

    def require_speech(self) -> None:
        """Refuse what holds no speech.

        Raises:
            AudioError: it is empty, too short or silent.
        """
        length_s = self.samples / SAMPLE_RATE
        if self.samples == 0:
            raise AudioError("the recording is empty, it holds no samples", reason="empty")
        if length_s < SHORTEST_S:
            raise AudioError(
                "the recording is too short",
                reason="empty",
                found=f"{length_s:.4f} s",
                expected=f"at least {SHORTEST_S} s of speech",
            )
        if self.peak < SILENCE:
            raise AudioError(
                "the recording is silent", reason="silent", found=f"no sample above {SILENCE:g} of full scale"
            )


def peak_of(samples: Any) -> float:
    """The largest magnitude of samples (n,), a tensor or an array; 0 of nothing."""
    return float(abs(samples).max()) if len(samples) else 0.0
