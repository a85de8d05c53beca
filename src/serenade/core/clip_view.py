"""What a model of clips looked at: the kept cells over faces and spectrogram, the attention over words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ClipView"]


@dataclass(frozen=True, slots=True)
class ClipView:
    """A clip as MESM saw it.

    Args:
        file: as the user gave it.
        label: the most probable class.
        faces: (M, H, W, 3) uint8; M is 0 where there are none.
        face_times_s: (M,) when each was seen.
        pieces: (S, F, L) mel power of the pieces of sound, lowest band first.
        piece_s: length of a piece.
        kept: of ``face`` and ``audio``, as far as they are there: (M or S, H, W) bool for each block, each inside the
            one before; of the audio in the orientation of `pieces`.
        words: in order; empty where there are none.
        attention: (W,) shares of the words, which sum to 1.
    """

    file: str
    label: str
    faces: "NDArray[np.uint8]"
    face_times_s: "NDArray[np.float64]"
    pieces: "NDArray[np.float32]"
    piece_s: float
    kept: Mapping[str, tuple["NDArray[np.bool_]", ...]]
    words: tuple[str, ...]
    attention: "NDArray[np.float32]"

    def shares(self) -> dict[str, list[float]]:
        """Share of the cells that each block has kept, by modality."""
        return {name: [float(mask.mean()) for mask in masks] for name, masks in self.kept.items()}
