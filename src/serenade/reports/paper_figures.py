"""The models of a table side by side: their confusion matrices and the maps of their embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serenade.core.errors import MissingExtraError
from serenade.core.files import write_bytes
from serenade.reports.figures import class_colour, confusion_figure, map_figure
from serenade.reports.raster import svg_to_png
from serenade.reports.svg import circle, panels, text

__all__ = ["PaperFigure", "paper_figures", "write_pictures"]

_COLUMNS = 4
_LEGEND_WIDTH = 112.0
_MAP_WIDTH = 232.0


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """A figure of a table.

    Args:
        name: of its file, without a suffix.
        caption: what it shows and how to read it.
        figure: an SVG element.
    """

    name: str
    caption: str
    figure: str


def paper_figures(document: Mapping[str, Any]) -> list[PaperFigure]:
    """Confusion matrices and maps of embeddings of the models that are finished, for every part of the data.

    A map is of the test utterances of one fold and the first seed, the first fold that all models have a map of: every
    fold has a network of its own, whose axes mean nothing in another's.

    Args:
        document: from `experiments.paper_tables.read_table`.
    """
    figures = []
    for part in dict.fromkeys(cell["part"] for cell in document["cells"]):
        cells = [c for c in document["cells"] if c["part"] == part and c["summary"] is not None]
        if cells:
            figures += [_confusions(document, part, cells), *_maps(document, part, cells)]
    return figures


def _confusions(document: Mapping[str, Any], part: str, cells: Sequence[Mapping[str, Any]]) -> PaperFigure:
    drawn = [(c["model"], confusion_figure(c["summary"]["confusion"], c["summary"]["labels"])) for c in cells]
    caption = f"{_where(document, part)}Confusion matrices: per cent of the true class, all folds and seeds together."
    figure = panels(drawn, columns=_COLUMNS, label="Confusion matrices of all models, rows true, columns predicted")
    return PaperFigure(_name(document, part, "confusion"), caption, figure)


def _maps(document: Mapping[str, Any], part: str, cells: Sequence[Mapping[str, Any]]) -> list[PaperFigure]:
    mapped = [cell for cell in cells if cell.get("maps")]
    of_folds = [{panel["fold"]: panel for panel in cell["maps"]["panels"]} for cell in mapped]
    shared = [fold for fold in (of_folds[0] if of_folds else {}) if all(fold in folds for folds in of_folds)]
    if not shared:
        return []
    fold, labels = shared[0], cells[0]["summary"]["labels"]
    drawn = [(c["model"], map_figure(folds[fold], labels)) for c, folds in zip(mapped, of_folds, strict=True)]
    caption = (
        f"{_where(document, part)}Embeddings by {mapped[0]['maps']['method']}, one dot per test utterance of fold "
        f"{fold}, seed {mapped[0]['maps']['seed']}. Colour: true class. Ring: called something else. Distances between "
        "far groups mean nothing."
    )
    figure = panels(
        drawn, columns=_COLUMNS, label="Maps of the embeddings of all models", below=_legend(labels, len(drawn))
    )
    return [PaperFigure(_name(document, part, "embeddings"), caption, figure)]


def _legend(labels: Sequence[str], maps: int) -> list[str]:
    """The colours of the classes, in lines as long as a row of maps."""
    in_line = max(2, int(min(maps, _COLUMNS) * _MAP_WIDTH // _LEGEND_WIDTH))
    lines = [labels[start : start + in_line] for start in range(0, len(labels), in_line)]
    return ["".join(_entry(place, label, labels) for place, label in enumerate(line)) for line in lines]


def _entry(place: int, label: str, labels: Sequence[str]) -> str:
    x = 8 + place * _LEGEND_WIDTH
    return circle(x, 8, 4.5, fill=class_colour(label, labels)) + text(x + 10, 12, label, class_="tick")


def _where(document: Mapping[str, Any], part: str) -> str:
    return "" if document["fact"] is None else f"{document['fact']} {part}: "


def _name(document: Mapping[str, Any], part: str, kind: str) -> str:
    named = "" if document["fact"] is None else "-" + "".join(c if c.isalnum() else "-" for c in part)
    return f"{document['table']}{named}-{kind}"


def write_pictures(figures: Sequence[PaperFigure], out: Path) -> list[Path]:
    """The figures as PNG; none without Pillow, which only PNG needs."""
    written = []
    for figure in figures:
        try:
            picture = svg_to_png(figure.figure)
        except MissingExtraError:
            return []
        written.append(out / f"{figure.name}.png")
        write_bytes(written[-1], picture)
    return written
