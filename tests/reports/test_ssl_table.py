"""The table of the eleven experiments: published cells as the contract has them, ours as the summaries say."""

import re
from pathlib import Path
from typing import Any

import pytest

from serenade.experiments.ssl_tables import EXPERIMENTS
from serenade.reports.published import published_experiments
from serenade.reports.ssl_table import ssl_table, write_ssl_table
from serenade.reports.tables import Bounds, Figure


def specified(shared: Path) -> dict[int, list[str]]:
    """The cells of section 9's table by number."""
    text = (shared / "specs" / "ssl_upstream_downstream.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (1\.A|1\.B|2) \| (\d+) \| (.+) \|$", text, flags=re.MULTILINE)
    return {int(number): [group, *rest.split(" | ")] for group, number, rest in rows}


def test_published_figures_and_marks_are_those_of_the_contract(shared: Path) -> None:
    rows = specified(shared)
    assert set(rows) == set(published_experiments()) == set(EXPERIMENTS)
    for number, published in published_experiments().items():
        wacc, uacc = (cell.replace("*", "") for cell in rows[number][-2:])
        assert [f"{published.wa:.2f}" in wacc, f"{published.ua:.2f}" in uacc] == [True, True]
        assert [name in published.uncertain for name in ("wa", "ua")] == ["(?)" in wacc, "(?)" in uacc]
        assert [f"{value:.2f}" in wacc for value in published.other.values()] == [True] * len(published.other)
        assert rows[number][0] == EXPERIMENTS[number].group


def test_what_is_run_is_what_the_contract_lists(shared: Path) -> None:
    for number, (_, kind, upstream, tuned, _, aggregator, down, _, _) in specified(shared).items():
        experiment = EXPERIMENTS[number]
        assert (experiment.input, experiment.upstream, experiment.aggregator) == (kind, upstream, aggregator)
        assert (tuned == "no") == (not experiment.fine_tuned)
        assert (down == "yes") == (not experiment.single)


def summary(wa: float, **changes: Any) -> dict[str, Any]:
    metric = {"pooled": {"mean": wa, "low": wa - 0.1, "high": wa + 0.1}, "fold_mean": {"mean": wa, "std_folds": 0.02}}
    return {
        "metrics": {"wa": metric, "ua": metric},
        "data": {"tested": 1234, "speakers": 10},
        "split": {"name": "superb", "folds": 5, "leaky": None},
        "corpus_titles": ["IEMOCAP"],
        "labels": ["angry", "sad"],
        "seeds": [0],
        "notes": ["a note"],
        "synthetic": False,
        "protocol": None,
        "state": {"complete": True},
        "versions": {"serenade": "1"},
        **changes,
    }


def row(number: int, **changes: Any) -> dict[str, Any]:
    experiment = EXPERIMENTS[number]
    names = ("number", "group", "input", "upstream", "parts", "fine_tuned", "aggregator", "single", "run")
    return {
        **{name: getattr(experiment, name) for name in names},
        "skipped": None,
        "summary": None,
        "averaged": [],
        **changes,
    }


@pytest.fixture
def document() -> dict[str, Any]:
    tried = [{"fold": "f", "seed": 0, "best": 0.7, "mean": 0.72}]
    rows = [
        row(1, summary=summary(0.5)),
        row(7, skipped="no HuBERT is given (--hubert FOLDER)"),
        row(8),
        row(11, summary=summary(0.6, notes=["a note", "another"]), averaged=tried),
    ]
    return {"rows": rows, "joint": False, "upstreams": {"fbank": "filter-bank"}}


def test_a_row_says_what_was_run_and_what_is_published(document: dict[str, Any]) -> None:
    table = ssl_table(document)
    first, skipped, open_row, fused = (dict(zip(table.columns, cells, strict=True)) for cells in table.rows)
    assert first["WACC"] == Figure(50.0, 2.0)
    assert first["95 % interval"] == Bounds(40.0, 60.0)
    assert [first[name] for name in ("FT", "AVG up", "AVG down", "published WACC")] == ["yes", "no", "no", "74.09"]
    assert skipped["upstream"] == "HuBERT + wav2vec 2.0, early (not run)"
    assert skipped["published WACC"] == "77.07 or 77.36 (?)"
    assert open_row["upstream"] == "HuBERT & wav2vec 2.0, late (not begun)"
    assert [fused[name] for name in ("input", "FT", "AVG up", "AVG down")] == ["speech + text", "BERT", "BERT", "yes"]


def test_notes_are_said_once(document: dict[str, Any]) -> None:
    notes = ssl_table(document).notes
    assert "a note" in notes
    assert "Experiment 11: another" in notes
    assert "Not run: experiment 7: no HuBERT is given (--hubert FOLDER)." in notes
    assert "Validation WA of the best epoch and of the average, mean over folds: experiment 11 70.0 and 72.0." in notes
    assert sum("IEMOCAP: 1,234 test utterances" in note for note in notes) == 1


def test_all_forms_are_written(document: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    written = write_ssl_table(document, tmp_path)
    assert [path.name for path in written] == ["ssl.md", "ssl.tex", "ssl.csv", "ssl.html"]
    assert "77.07 or 77.36 (?)" in (tmp_path / "ssl.md").read_text(encoding="utf-8")
