"""The case study of MESM as a drawing: kept cells of its blocks over face and spectrogram, attention over words."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serenade.core.clip_view import ClipView
from serenade.core.files import write_text
from serenade.reports.heatmaps import data_uri
from serenade.reports.paper_figures import PaperFigure, write_pictures
from serenade.reports.raster import standalone_svg
from serenade.reports.svg import drawing, image, rect, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["clip_figure", "write_clip_view"]

_COLUMNS = 6  # faces and pieces shown, evenly over the clip
_FACE = 84.0
_PIECE = (84.0, 126.0)
_GAP = 6.0
_LEFT = 78.0
_RED = (214, 40, 40)
_OPACITY = 0.5
_WORDS_IN_ROW = 6


def clip_figure(view: ClipView) -> str:
    """Rows: the faces, then with the kept cells of each block in red; the same of the sound; the words as bars."""
    parts, top = [text(2, 16, f"{Path(view.file).name}: {view.label}", class_="label")], 30.0
    if "face" in view.kept:
        top = _rows(parts, top, "face", view.faces, view.kept["face"], (_FACE, _FACE), view.face_times_s)
    if "audio" in view.kept:
        times = view.piece_s * np.arange(len(view.pieces), dtype=np.float64)
        flipped = tuple(mask[:, ::-1] for mask in view.kept["audio"])
        top = _rows(parts, top, "sound", _grey(view.pieces)[:, ::-1], flipped, _PIECE, times)
    if view.words:
        top = _bars(parts, top, view)
    return drawing(_LEFT + _COLUMNS * (_PIECE[0] + _GAP), top + 8, parts, label="What the model looked at")


def _grey(pieces: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    """(S, F, L, 3): decibels, white for the quietest, 60 dB below the loudest or less."""
    decibels = 10 * np.log10(np.maximum(pieces, 1e-12))
    loudest = decibels.max(initial=-120.0)
    tones = 255 * (1 - ((decibels - loudest + 60) / 60).clip(0, 1))
    return np.repeat(tones[..., None], 3, axis=3).round().astype(np.uint8)


def _rows(
    parts: list[str],
    top: float,
    name: str,
    pictures: "NDArray[np.uint8]",
    kept: tuple["NDArray[np.bool_]", ...],
    size: tuple[float, float],
    times_s: "NDArray[np.float64]",
) -> float:
    """A row without and one for each block; where the next may begin."""
    chosen = np.unique(np.linspace(0, len(pictures) - 1, _COLUMNS).round().astype(int)).tolist()
    rows = [(name, pictures), *((f"block {n}", _red(pictures, mask)) for n, mask in enumerate(kept, start=1))]
    for title, shown in rows:
        parts.append(text(_LEFT - 8, top + size[1] / 2, title, class_="tick", text_anchor="end"))
        for column, number in enumerate(chosen):
            parts.append(image(_LEFT + column * (size[0] + _GAP), top, *size, data_uri(shown[number])))
        top += size[1] + _GAP
    for column, number in enumerate(chosen):
        middle = _LEFT + column * (size[0] + _GAP) + size[0] / 2
        parts.append(text(middle, top + 10, f"{times_s[number]:.1f} s", class_="tick", text_anchor="middle"))
    return top + 26


def _red(pictures: "NDArray[np.uint8]", mask: "NDArray[np.bool_]") -> "NDArray[np.uint8]":
    mixed = pictures + _OPACITY * (np.array(_RED) - pictures.astype(np.float64))
    return np.where(mask[..., None], mixed, pictures).round().astype(np.uint8)


def _bars(parts: list[str], top: float, view: ClipView) -> float:
    """Words in rows, a bar as high as its share below each."""
    highest = float(view.attention.max())
    for place, (word, share) in enumerate(zip(view.words, view.attention.tolist(), strict=True)):
        row, column = divmod(place, _WORDS_IN_ROW)
        x, y = _LEFT + column * (_PIECE[0] + _GAP), top + 62 * row
        parts.append(text(x + _PIECE[0] / 2, y + 12, word[:12], class_="tick", text_anchor="middle"))
        height = 30 * share / highest
        parts.append(rect(x + 22, y + 50 - height, 40, height, fill="#3559c7", tip=f"{word}: {share:.2f}"))
        parts.append(text(x + _PIECE[0] / 2, y + 61, f"{share:.2f}", class_="tick", text_anchor="middle"))
    parts.append(text(_LEFT - 8, top + 40, "words", class_="tick", text_anchor="end"))
    return top + 62 * (1 + (len(view.words) - 1) // _WORDS_IN_ROW) + 8


def write_clip_view(view: ClipView, out: Path) -> list[Path]:
    """Write the drawing as SVG and PNG, and the shares kept and the words' attention as JSON.

    Returns:
        What was written; no PNG where Pillow is not installed.

    Raises:
        StorageError: the disk is full or refuses.
    """
    stem = Path(view.file).stem
    figure = PaperFigure(f"{stem}-looked-at", "What the model looked at.", clip_figure(view))
    words = [[word, share] for word, share in zip(view.words, view.attention.tolist(), strict=True)]
    about = {"file": view.file, "label": view.label, "kept": view.shares(), "words": words}
    texts = {f"{figure.name}.svg": standalone_svg(figure.figure), f"{figure.name}.json": json.dumps(about, indent=1)}
    for file, content in texts.items():
        write_text(out / file, f"{content}\n")
    return [*(out / file for file in texts), *write_pictures([figure], out)]
