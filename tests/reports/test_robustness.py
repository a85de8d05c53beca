"""The table, drawing and page of conditions, from a document made by hand."""

import re
from pathlib import Path
from typing import Any

import pytest

from serenade.reports.page import Clip
from serenade.reports.robustness import Sample, robustness_table, sweep_figure, sweeps_of, write_robustness
from serenade.reports.tables import Bounds, Figure


def condition(text: str, ua: float, **more: Any) -> dict[str, Any]:
    sweep, _, value = text.partition(":")
    metric = {"mean": ua, "std": 0.01, "low": ua - 0.05, "high": ua + 0.05}
    return {
        "text": text, "kind": "noise" if value else "clean", "sweep": sweep if value else None,
        "value": float(value) if value else None, "metrics": {"ua": metric, "wa": metric}, "tested": 1200,
        "left_out": {},
        "change": {"difference": ua - 0.8, "low": -0.3, "high": -0.1, "p": 0.002} if value else None, **more,
    }  # fmt: skip


def run(name: str, *conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "system": name, "corpora": ["emodb"], "labels": ["a", "b", "c", "d"], "seeds": 3,
            "split": "loso", "leaky": None, "protocol": None, "synthetic": False, "complete": True, "notes": [],
            "conditions": list(conditions), **more}  # fmt: skip


def document(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"format": 1, "about": ["Noise: of DEMAND."], "runs": list(runs)}


SWEPT = (condition("clean", 0.8), condition("noise:0", 0.4), condition("noise:10", 0.6))


def test_a_row_says_what_a_condition_costs() -> None:
    table = robustness_table(document(run("glam", *SWEPT)))
    assert [row[:2] for row in table.rows] == [("glam", "clean"), ("", "noise:0"), ("", "noise:10")]
    clean, noisy, _ = table.rows
    assert noisy[2:] == ("1,200", Figure(40.0, 1.0), Bounds(pytest.approx(35.0), 45.0), Figure(40.0, 1.0),
                         Figure(-40.0, signed=True), Bounds(-30.0, -10.0, True), "0.002")  # fmt: skip
    assert clean[6].text() == "–"  # type: ignore[union-attr]


def test_leaky_runs_and_lost_recordings_are_told() -> None:
    made = document(run("glam", *SWEPT, condition("telephone", 0.7, left_out={"silent": 3}), leaky="speakers shared"))
    table = robustness_table(made)
    assert table.rows[0][0] == "glam (LEAKY)"
    notes = " ".join(table.notes)
    assert "glam is LEAKY: speakers shared" in notes
    assert "glam, telephone: left out 3 silent" in notes
    assert "Noise: of DEMAND." in notes


def test_a_sweep_is_drawn_in_order_with_clean_at_its_quiet_end() -> None:
    made = document(run("glam", SWEPT[0], SWEPT[2], SWEPT[1]), run("mhcnn", *SWEPT))
    assert sweeps_of(made) == ["noise"]
    figure = sweep_figure(made, "noise")
    ticks = {label: float(x) for x, label in re.findall(r'<text x="([\d.]+)"[^>]*>(0|10|clean)<', figure)}
    assert ticks["10"] < ticks["clean"]
    first = re.findall(r'<path d="M([^"]+)"', figure)[0]
    heights = [float(y) for y in re.findall(r"[\d.]+ ([\d.]+)", first)]
    assert heights == sorted(heights, reverse=True)  # the better the ratio, the higher on the page
    assert ">glam<" in figure
    assert ">mhcnn<" in figure


def test_one_value_is_no_sweep() -> None:
    assert sweeps_of(document(run("glam", SWEPT[0], SWEPT[1]))) == []


def test_page_holds_everything_and_loads_nothing(tmp_path: Path) -> None:
    samples = [Sample("noise:0", "<u1>", Clip(b"abc", "audio/mpeg"))]
    written = write_robustness(document(run("glam", *SWEPT), run("mhcnn", *SWEPT)), tmp_path, samples)
    assert [path.name for path in written] == ["conditions.md", "conditions.csv", "noise.svg", "conditions.html"]
    page = written[-1].read_text()
    assert "&lt;u1&gt;" in page
    assert "data:audio/mpeg;base64,YWJj" in page
    assert not re.search(r"(?:src|href)=.https?:", page)
    lines = written[1].read_text().splitlines()
    assert len(lines) == 1 + 6
    assert all(line.startswith(("glam,", "mhcnn,")) for line in lines[1:])
