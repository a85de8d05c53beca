"""Drawings say what the summary says."""

import re
import xml.etree.ElementTree as ET

import pytest

from serenade.experiments.summary import summarise
from serenade.reports.figures import (
    class_colour,
    confusion_figure,
    curves_figure,
    interval_figure,
    map_figure,
    reliability_figure,
)


@pytest.fixture
def summary(make_run):
    return summarise(make_run(skill=1.0, embedding_dim=6))


def elements(svg, name):
    return [element for element in ET.fromstring(svg).iter() if element.tag == name]


def test_confusion_prints_row_shares(summary):
    svg = confusion_figure([[3, 1, 0], [0, 4, 0], [2, 0, 0]], ("angry", "happy", "sad"))
    numbers = [e.text for e in elements(svg, "text") if "number" in e.get("class")]
    assert numbers == ["75", "25", "·", "·", "100", "·", "100", "·", "·"]
    tips = [e.text for e in elements(svg, "title")]
    assert tips[1] == "angry called happy: 1.0 of 4 (25.0%)"


def test_confusion_of_a_class_never_tested_is_empty():
    svg = confusion_figure([[3, 1], [0, 0]], ("angry", "happy"))
    assert [e.text for e in elements(svg, "text") if "number" in e.get("class")] == ["75", "25", "·", "·"]


def test_bars_of_the_reliability_diagram_stand_at_accuracy_and_confidence():
    calibration = {
        "edges": [0, 0.5, 1],
        "counts": [0, 10],
        "confidence": [None, 0.9],
        "accuracy": [None, 0.6],
    }
    boxes = {e.get("class"): e for e in elements(reliability_figure(calibration), "rect")}
    assert float(boxes["bar"].get("height")) == pytest.approx(0.6 * 220)  # right
    assert float(boxes["gap"].get("height")) == pytest.approx(0.3 * 220)  # promised besides
    assert float(boxes["bar"].get("y")) == pytest.approx(float(boxes["gap"].get("y")) + 0.3 * 220, abs=0.02)


def test_map_has_a_mark_for_every_utterance_and_rings_for_the_wrong_ones(summary):
    panel = summary["maps"]["panels"][0]
    marks = elements(map_figure(panel, summary["labels"]), "circle")
    assert len(marks) == 12
    wrong = sum(t != p for t, p in zip(panel["truth"], panel["predicted"], strict=True))
    assert sum(mark.get("fill") == "none" for mark in marks) == wrong
    assert all(0 <= float(mark.get("cx")) <= 232 and 0 <= float(mark.get("cy")) <= 232 for mark in marks)


def test_curves_show_the_named_series_only_where_there_are_epochs(summary):
    svg = curves_figure(summary["curves"], {"selection/ua": "UA", "selection/wa": "WA", "nothing": "no"}, "score")
    assert len([e for e in elements(svg, "path") if "curve" in e.get("class")]) == 2
    assert curves_figure(summary["curves"], {"nothing": "no"}, "score") is None
    assert curves_figure({"epochs": [1], "series": {"a": {}}}, {"a": "a"}, "score") is None


def test_names_of_many_curves_stay_inside_the_drawing():
    values = {"mean": [1.0, 2.0], "low": [1.0, 2.0], "high": [1.0, 2.0]}
    names = {f"losses/{n}": f"loss {n}" for n in range(7)}  # as many as an adversarial system has
    svg = curves_figure({"epochs": [1, 2], "series": dict.fromkeys(names, values)}, names, "loss")
    width, height = map(float, ET.fromstring(svg).get("viewBox").split()[2:])
    told = [e for e in elements(svg, "text") if (e.text or "").startswith("loss ")]
    assert len({(e.get("x"), e.get("y")) for e in told}) == 7
    assert all(0 <= float(e.get("x")) <= width - 60 and 0 < float(e.get("y")) < height for e in told)


def test_curve_with_gaps_and_one_value_is_drawn():
    series = {"mean": [1.0, None, 1.0], "low": [1.0, None, 1.0], "high": [1.0, None, 1.0]}
    svg = curves_figure({"epochs": [1, 2, 3], "series": {"a": series}}, {"a": "a"}, "loss")
    assert "nan" not in svg
    curve = next(e for e in elements(svg, "path") if "curve" in e.get("class"))
    assert len(re.findall(r"[ML]", curve.get("d"))) == 2


def test_interval_scale_places_mean_interval_and_chance():
    pooled = {"mean": 0.75, "low": 0.5, "high": 0.9, "per_seed": [0.7, 0.8]}
    svg = interval_figure(pooled, 0.25)
    mean = next(e for e in elements(svg, "circle") if e.get("class") == "mean")
    assert float(mean.get("cx")) == pytest.approx(4 + 0.75 * 232)
    box = next(e for e in elements(svg, "rect") if e.get("class") == "interval")
    assert float(box.get("width")) == pytest.approx(0.4 * 232)
    assert len(elements(interval_figure({**pooled, "low": None, "high": None}, None), "line")) == 0


def test_classes_have_colours_of_their_own():
    labels = ["angry", "x", "sad", "y", "happy"]
    assert len({class_colour(label, labels) for label in labels}) == 5
    assert class_colour("sad", labels) == class_colour("sad", ["sad", "happy"])
