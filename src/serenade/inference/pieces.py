"""From a recording to the pieces that are scored (the whole of it, or windows), each cut into segments.

What holds no speech is refused (`serenade.inference.levels`), so that no emotion is made up for it; of a windowed
recording the last bit is left out where it is too short, and a silent window gets no row.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from serenade.core.errors import UsageError
from serenade.inference.levels import SHORTEST_S, SILENCE, Level, peak_of
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.segments import SegmentSettings, stream_segments

__all__ = ["Chunk", "Windows", "cut_windows", "read_pieces", "read_whole", "segments_of"]


@dataclass(frozen=True, slots=True)
class Windows:
    """How a long recording is divided.

    Args:
        window_s: length of a window.
        hop_s: from the start of one to the start of the next; None puts them side by side.

    Raises:
        UsageError: a length that is not positive, or windows too short to hear anything in.
    """

    window_s: float
    hop_s: float | None = None

    def __post_init__(self) -> None:
        if not self.window_s >= SHORTEST_S:
            raise UsageError("the window is too short", found=f"{self.window_s} s", expected=f"{SHORTEST_S} s or more")
        if self.hop_s is not None and not self.hop_s * SAMPLE_RATE >= 1:
            raise UsageError("the hop must be positive", found=f"{self.hop_s} s")

    @property
    def samples(self) -> tuple[int, int]:
        """Window and hop in samples."""
        hop_s = self.window_s if self.hop_s is None else self.hop_s
        return round(self.window_s * SAMPLE_RATE), round(hop_s * SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some segments of a piece.

    Args:
        segments: (n, T) waveforms; n may be 0.
        span_s: start and end of the piece if it ends here, else None.
    """

    segments: Tensor
    span_s: tuple[float, float] | None


def read_pieces(
    blocks: Iterable[Tensor], settings: SegmentSettings | None, windows: Windows | None, *, group: int
) -> Iterator[Chunk]:
    """The segments of every piece of a recording, piece by piece.

    Args:
        blocks: consecutive stretches of the waveform, each (n,) at 16 kHz.
        settings: how a piece is cut; None for not at all, the piece is one segment.
        windows: None for one piece, the whole recording.
        group: at most this many segments in a chunk.

    Raises:
        AudioError: nothing in the recording can be scored.
    """
    level = Level()
    checked = level.watch(blocks)
    if windows is None:
        for segments in segments_of(checked, settings, group):
            yield Chunk(segments, None)
        level.require_speech()
        yield Chunk(torch.empty(0, 0), (0.0, level.samples / SAMPLE_RATE))
        return
    pieces = 0
    for start, samples in cut_windows(checked, *windows.samples):
        if len(samples) < SHORTEST_S * SAMPLE_RATE or peak_of(samples) < SILENCE:
            continue
        pieces += 1
        for segments in segments_of([samples], settings, group):
            yield Chunk(segments, None)
        yield Chunk(torch.empty(0, 0), (start / SAMPLE_RATE, (start + len(samples)) / SAMPLE_RATE))
    if pieces == 0:
        level.require_speech()


def read_whole(blocks: Iterable[Tensor]) -> Tensor:
    """The whole recording (T,).

    Args:
        blocks: consecutive stretches of the waveform, each (n,) at 16 kHz.

    Raises:
        AudioError: nothing in it can be scored.
    """
    level = Level()
    held = list(level.watch(blocks))
    level.require_speech()
    return torch.cat(held)


def segments_of(blocks: Iterable[Tensor], settings: SegmentSettings | None, group: int) -> Iterator[Tensor]:
    """The segments of one piece.

    Args:
        blocks: consecutive stretches of the piece.
        settings: how it is cut; None for not at all: one (1, T).
        group: most segments in one yield.
    """
    if settings is not None:
        yield from stream_segments(blocks, settings, group=group)
        return
    held = list(blocks)
    if held:
        yield torch.cat(held).unsqueeze(0)  # (1, T)


def cut_windows(blocks: Iterable[Tensor], window: int, hop: int) -> Iterator[tuple[int, Tensor]]:
    """Windows of a stream: (first sample, samples).

    All are full but the last, which ends where the recording ends; no window lies wholly inside the one before it.
    """
    held, first, start = torch.empty(0), 0, 0  # `held` begins at sample `first`; the next window at `start`
    covered = 0
    for block in blocks:
        held = torch.cat([held, block])
        while start + window <= first + len(held):
            yield start, held[start - first : start - first + window]
            covered, start = start + window, start + hop
            skipped = min(start - first, len(held))
            held, first = held[skipped:], first + skipped
    end = first + len(held)
    if start < end and covered < end:
        yield start, held[start - first :]
