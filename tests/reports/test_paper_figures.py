"""Models side by side: what stands where, and that the picture shows what the drawing says."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from serenade.experiments.results import read_results
from serenade.experiments.summary import summary_of
from serenade.reports.paper_figures import paper_figures
from serenade.reports.raster import standalone_svg, svg_to_png
from serenade.reports.svg import drawing, panels, rect

RunMaker = Callable[..., Path]
RED, BLUE = (255, 0, 0), (0, 0, 255)


def square(colour: str) -> str:
    return drawing(40, 30, [rect(10, 5, 20, 20, fill=colour)], label=colour)


def test_drawings_stand_in_rows_where_the_picture_shows_them() -> None:
    titled = [("a", square("#ff0000")), ("b", square("#0000ff")), ("c", square("#ff0000"))]
    figure = panels(titled, columns=2, label="all")
    assert 'viewBox="0 0 106 134"' in figure  # 2 x 40 + 26, 2 x (30 + 24) + 26
    picture = Image.open(io.BytesIO(svg_to_png(figure, scale=1.0))).convert("RGB")
    assert picture.size == (106, 134)
    centres = {"a": (20, 39), "b": (86, 39), "c": (20, 119)}
    assert {name: picture.getpixel(place) for name, place in centres.items()} == {"a": RED, "b": BLUE, "c": RED}
    assert picture.getpixel((86, 119)) == (255, 255, 255)


def cell(run: Path, model: str, folds: list[str]) -> dict[str, Any]:
    panel = {"perplexity": 3.0, "x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 0.5], "truth": [0, 1, 2], "predicted": [0, 1, 1]}
    maps = {"method": "t-SNE", "seed": 0, "panels": [{"fold": fold, **panel} for fold in folds]}
    return {"part": "all", "model": model, "run": model, "summary": summary_of(read_results(run), maps=False),
            "maps": maps if folds else None}  # fmt: skip


def document(*cells: dict[str, Any], fact: str | None = None) -> dict[str, Any]:
    return {"table": "main", "fact": fact, "cells": list(cells)}


def test_maps_are_of_the_first_fold_that_all_models_have(make_run: RunMaker) -> None:
    run = make_run()
    figures = paper_figures(document(cell(run, "GLAM", ["01", "02", "03"]), cell(run, "MHCNN", ["02", "03"])))
    assert [figure.name for figure in figures] == ["main-confusion", "main-embeddings"]
    assert "fold 02, seed 0" in figures[1].caption
    drawn = figures[1].figure
    assert drawn.count("angry called") == 0
    assert drawn.count("sad called neutral") == 2  # one ring in each map
    places = {title: float(x) for x, title in re.findall(r'<text x="([\d.]+)"[^>]*>(GLAM|MHCNN)<', drawn)}
    assert places["MHCNN"] - places["GLAM"] == 232 + 26


def test_a_model_without_maps_has_its_confusions(make_run: RunMaker) -> None:
    run = make_run()
    (figure,) = paper_figures(document(cell(run, "GLAM", [])))
    assert figure.name == "main-confusion"
    confusion = summary_of(read_results(run), maps=False)["confusion"]
    shares = [f"{100 * value / sum(row):.0f}" for row in confusion for value in row if value / sum(row) >= 0.005]
    shown = re.findall(r'class="number \w+"[^>]*>(\d+)<', figure.figure)
    assert shown == shares


def test_every_part_has_files_of_its_own(make_run: RunMaker) -> None:
    run = make_run()
    cells = [{**cell(run, "GLAM", []), "part": part} for part in ("very strong", "all")]
    names = [figure.name for figure in paper_figures(document(*cells, fact="intensity"))]
    assert names == ["main-very-strong-confusion", "main-all-confusion"]


def test_models_not_begun_are_left_out(make_run: RunMaker) -> None:
    assert paper_figures(document({"part": "all", "model": "GLAM", "run": "x", "summary": None, "maps": None})) == []


@pytest.mark.parametrize("classes", [3, 9])
def test_the_legend_breaks_its_line(make_run: RunMaker, classes: int) -> None:
    run = make_run()
    one = cell(run, "GLAM", ["01"])
    one["summary"]["labels"] = [f"class{place}" for place in range(classes)]
    one["summary"]["confusion"] = [[1.0] * classes] * classes
    figure = paper_figures(document(one))[1].figure
    width = float(re.findall(r'viewBox="0 0 ([\d.]+)', figure)[0])
    assert all(float(x) < width for x in re.findall(r'<text x="([\d.]+)"', figure))
    assert standalone_svg(figure).count(">class") >= classes
