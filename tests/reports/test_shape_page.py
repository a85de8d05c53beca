"""Drawings, page and CSV of the filter-shape study."""

import csv
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from serenade.reports.shape_page import CAVEAT, shape_csv, shape_figure, write_study

LABELS = ["angry", "sad"]


def spread(mean: float | None) -> dict[str, float | None]:
    return {"mean": mean, "std": None}


def point(value: int, wa: float, angry: float | None, *, complete: bool = True) -> dict[str, Any]:
    recall = {"angry": spread(angry), "sad": spread(0.25)}
    return {
        "value": value, "run": f"{value}x2", "seeds": 1, "complete": complete, "wa": spread(wa), "ua": spread(0.5),
        "recall": recall,
    }  # fmt: skip


@pytest.fixture
def study() -> dict[str, Any]:
    head = {
        "corpus_titles": ["EMO-DB"], "synthetic": False, "protocol": None, "seeds": [0], "versions": {"serenade": "1"},
        "split": {"name": "loso", "leaky": None}, "leaks": {"findings": []}, "notes": [],
        "state": {"complete": True, "done": 1, "jobs": 1},
    }  # fmt: skip
    points = [point(2, 0.5, 0.75), point(10, 0.625, None, complete=False)]
    panels = [{"axis": "height", "held": 2, "unit": "10 Hz", "points": points}]
    return {"head": head, "labels": LABELS, "panels": panels, "unfinished": ["10x2"]}


def test_csv_holds_every_figure_in_per_cent(study: dict[str, Any]) -> None:
    rows = list(csv.DictReader(shape_csv(study).splitlines()))
    assert [(row["value"], row["WA"], row["recall angry"], row["recall sad"]) for row in rows] == [
        ("2", "50", "75", "25"),
        ("10", "62.5", "", "25"),
    ]
    assert [row["complete"] for row in rows] == ["yes", "no"]


def test_drawing_has_a_dot_for_every_known_figure_at_its_place(study: dict[str, Any]) -> None:
    root = ElementTree.fromstring(shape_figure(study["panels"][0], LABELS))
    tips = [title.text for title in root.iter("title")]
    assert tips == ["WA, 2: 50.0 %", "WA, 10: 62.5 %", "angry, 2: 75.0 %", "sad, 2: 25.0 %", "sad, 10: 25.0 %"]
    wa = [circle for circle in root.iter("circle") if circle.get("class") == "dot-of wa"]
    (x2, y2), (x10, y10) = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in wa]
    assert x2 < x10
    assert y2 > y10, "higher accuracy is drawn higher"


def test_published_curves_are_drawn_only_when_asked_for(study: dict[str, Any]) -> None:
    panel = study["panels"][0]
    assert "published" not in shape_figure(panel, LABELS)
    drawn = shape_figure(panel, LABELS, published=True)
    assert "published (IEMOCAP)" in drawn
    assert drawn.count("stroke-dasharray") == 4 + 1  # WA, neutral, angry, sad, and the legend


def test_files_stand_alone(study: dict[str, Any], tmp_path: Path) -> None:
    written = write_study(study, tmp_path, published=False)
    assert [path.name for path in written] == ["filter-height.svg", "filter-shapes.csv", "filter-shapes.html"]
    drawing = ElementTree.parse(tmp_path / "filter-height.svg").getroot()
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    page = (tmp_path / "filter-shapes.html").read_text()
    assert CAVEAT.split(",")[0] in page
    assert "Not finished or not begun: 10x2" in page
    assert not re.search(r"(?:src|href)=.https?:", page)
