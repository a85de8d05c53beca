"""The tables of MTL-AUG as people and programs read them: hand-made runs, and documents made by hand."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from serenade.core.files import read_json, write_json
from serenade.experiments.mtl_rows import MTL_TABLES
from serenade.experiments.mtl_tables import read_mtl_table
from serenade.reports.mtl_table import mtl_table, ordering_table, write_mtl_table
from serenade.reports.published import unread_tables
from serenade.reports.tables import Bounds, Figure, to_latex

RunMaker = Callable[..., Path]


def by_hand(run: Path) -> dict[str, list[float]]:
    """UA over speakers (here folds), pooled UA and WA of both repeats, in per cent."""
    values: dict[str, list[float]] = {"UA": [], "pooled UA": [], "WA": []}
    for seed in (0, 1):
        folds = []
        for path in sorted(run.glob(f"jobs/*-seed{seed}/record.json")):
            record = read_json(path)
            truth = [score["truth"] for score in record["scores"]]
            folds.append((truth, [record["labels"][np.argmax(s["probabilities"])] for s in record["scores"]]))
        whole = [name for truth, _ in folds for name in truth], [name for _, said in folds for name in said]
        values["UA"].append(100 * float(np.mean([balanced_accuracy_score(*fold) for fold in folds])))
        values["pooled UA"].append(100 * balanced_accuracy_score(*whole))
        values["WA"].append(100 * accuracy_score(*whole))
    return values


@pytest.fixture
def within(make_run: RunMaker, tmp_path: Path) -> Path:
    """A table on two corpora, one of them the paper's; not all of it is run."""
    make_run("within/iemocap/stl", skill=0.5, noise_seed=1, speakers=5, corpus="iemocap")
    make_run("within/iemocap/mtl-aug", speakers=5, corpus="iemocap")
    make_run("within/emodb/stl", skill=2.0, leaky="speakers are shared", missing=[("01", 1)])
    rows = [
        ("iemocap", "stl", None), ("iemocap", "mtl-aug", None), ("iemocap", "mtl-aug-semi", "no unlabelled speech"),
        ("emodb", "stl", None), ("emodb", "mtl-aug", None), ("emodb", "mtl-aug-semi", "no unlabelled speech"),
    ]  # fmt: skip
    cells = [
        {"corpora": [corpus], "name": name, "title": name, "run": None if why else f"within/{corpus}/{name}",
         "skipped": why, "notes": []}
        for corpus, name, why in rows
    ]  # fmt: skip
    write_json(tmp_path / "within.json", {"format": 1, "table": "within", "stem": "within", "cells": cells,
                                          "bench": None})  # fmt: skip
    return tmp_path


def test_figures_are_those_computed_by_hand(within: Path) -> None:
    table = mtl_table(read_mtl_table(within, "within"))
    found = dict(zip(table.columns, table.rows[0], strict=True))
    assert (found["data"], found["model"], found["repeats"]) == ("IEMOCAP", "stl", "2")
    for name, values in by_hand(within / "within/iemocap/stl").items():
        figure = found[name]
        assert isinstance(figure, Figure)
        assert (figure.mean, figure.std) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    interval = found["95 % interval"]
    assert isinstance(interval, Bounds)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < np.mean(by_hand(within / "within/iemocap/stl")["pooled UA"]) < interval.high


def test_marks_skipped_and_unread_cells_are_told(within: Path) -> None:
    table = mtl_table(read_mtl_table(within, "within"))
    models = [(row[0], row[1], row[-1]) for row in table.rows]
    assert models == [
        ("IEMOCAP", "stl", "not known"),
        ("IEMOCAP", "mtl-aug", "could not be read"),
        ("IEMOCAP", "mtl-aug-semi (not run)", "could not be read"),
        ("EMO-DB", "stl (LEAKY, unfinished)", "not published"),
        ("EMO-DB", "mtl-aug (not begun)", "not published"),
        ("EMO-DB", "mtl-aug-semi (not run)", "not published"),
    ]
    notes = " ".join(table.notes)
    assert "Not run: mtl-aug-semi on IEMOCAP, EMO-DB: no unlabelled speech." in notes
    assert "within/emodb/stl: LEAKY: speakers are shared. The figures are too high." in notes
    assert "Not finished: within/emodb/mtl-aug, within/emodb/stl." in notes
    assert "Table 2 (iemocap, msp-improv): four systems with dimensional attributes lowest" in notes


def test_no_published_figure_is_made_up() -> None:
    for table in MTL_TABLES:
        assert unread_tables(table) != []
        for unread in unread_tables(table):
            assert not any(character.isdigit() for character in unread.order)


def test_orderings_are_told_in_words(within: Path) -> None:
    table = ordering_table(read_mtl_table(within, "within"))
    assert [(row[0], row[1], row[2], row[-1]) for row in table.rows] == [
        ("T1", "IEMOCAP", "mtl-aug > stl", "holds"),
        ("T1", "EMO-DB", "mtl-aug > stl", "not tested: mtl-aug not run"),
        ("T2", "IEMOCAP", "mtl-aug-semi > mtl-aug", "not tested: mtl-aug-semi not run"),
        ("T2", "EMO-DB", "mtl-aug-semi > mtl-aug", "not tested: mtl-aug-semi, mtl-aug not run"),
    ]
    first = by_hand(within / "within/iemocap/mtl-aug")["UA"], by_hand(within / "within/iemocap/stl")["UA"]
    difference = table.rows[0][3]
    assert isinstance(difference, Figure)
    assert difference.mean == pytest.approx(np.mean(first[0]) - np.mean(first[1]))
    assert difference.signed
    assert table.rows[0][6] == "0.50", "two repeats, both better: half of all signs are as one-sided"
    notes = " ".join(table.notes)
    assert "2 repeats allow no p below 0.50: too few for any p below 0.05, which needs 6." in notes
    assert "T1: holds in 1 of 2, not tested in 1 of 2." in notes


def test_directions_are_arrows_in_every_format(within: Path) -> None:
    document = read_mtl_table(within, "within")
    across = {**document, "rows": [{**row, "titles": ["EMO-DB", "RAVDESS"]} for row in document["rows"]]}
    table = mtl_table(across)
    assert table.rows[0][0] == "EMO-DB → RAVDESS"
    assert r"EMO-DB $\rightarrow$ RAVDESS" in to_latex(table)


def test_everything_is_written(within: Path) -> None:
    written = write_mtl_table(read_mtl_table(within, "within"), within)
    assert [path.name for path in written] == [
        f"within{end}" for end in (".md", ".tex", ".csv", "-orderings.csv", ".html")
    ]
    assert all(path.is_file() for path in written)
    page = (within / "within.html").read_text()
    for words in ("<b>LEAKY:</b>", "Which orderings hold", "could not be read", "mtl-aug &gt; stl"):
        assert words in page
    orderings = list(csv.DictReader((within / "within-orderings.csv").read_text().splitlines()))
    assert [line["p"] for line in orderings] == ["0.5", "", "", ""]
    lines = list(csv.DictReader((within / "within.csv").read_text().splitlines()))
    assert lines[0]["run"] == "within/iemocap/stl"
    assert float(lines[0]["UA"]) == pytest.approx(np.mean(by_hand(within / "within/iemocap/stl")["UA"]), abs=1e-3)
    assert lines[2]["not run"] == "no unlabelled speech"
    assert lines[3]["leaky"] == "yes"
    assert lines[3]["complete"] == "no"


# ------------------------------------------------------------------------------------------------ conditions


def row(name: str, text: str, ua: float) -> dict[str, Any]:
    sweep, _, value = text.partition(":")
    figure = {"mean": ua, "std": 0.01, "low": ua - 0.05, "high": ua + 0.05}
    kind = "clean" if not value else "noise" if sweep == "noise" else "features"
    return {
        "data": ["emodb"], "titles": ["EMO-DB"], "name": name, "title": name, "run": f"within/emodb/{name}",
        "condition": {"text": text, "kind": kind, "sweep": sweep if value else None,
                      "value": float(value) if value else None},
        "skipped": None, "notes": [],
        "head": {"labels": ["a", "b"], "corpora": ["emodb"], "split": "loso", "leaky": None, "protocol": None,
                 "synthetic": False, "complete": True, "version": "0"},
        "figures": {"ua_speakers": {**figure, "std_speakers": 0.1}, "ua": figure, "wa": figure, "repeats": 3,
                    "speakers": 10, "tested": 535},
    }  # fmt: skip


def under(conditions: Sequence[str], noise: str | None = None) -> dict[str, Any]:
    rows = [row(name, text, ua) for text in ("clean", *conditions) for name, ua in (("stl", 0.4), ("mtl-aug", 0.6))]
    bench = {"conditions": ["clean", *conditions], "noise": noise, "environments": [], "content": "x"}
    return {"table": "noise" if noise else "attacks", "stem": "noise" if noise else "attacks", "bench": bench,
            "rows": rows, "orderings": []}  # fmt: skip


def test_conditions_have_a_column_and_say_what_they_are_made_of() -> None:
    table = mtl_table(under(["noise:0", "noise:10"], noise="demand"))
    assert [row[:3] for row in table.rows[2:4]] == [("EMO-DB", "noise:0", "stl"), ("EMO-DB", "noise:0", "mtl-aug")]
    notes = " ".join(table.notes)
    assert "recordings of demand" in notes
    assert "white box" not in notes
    assert "white box" in " ".join(mtl_table(under(["fgsm:0.1"])).notes)


def test_every_sweep_is_drawn_with_all_models(tmp_path: Path) -> None:
    written = write_mtl_table(under(["fgsm:0.02", "fgsm:0.1", "bim:0.02", "bim:0.1"]), tmp_path)
    drawn = [path.name for path in written if path.suffix == ".svg"]
    assert drawn == ["fgsm-emodb.svg", "bim-emodb.svg"]
    figure = (tmp_path / "fgsm-emodb.svg").read_text()
    for words in ("stl: 40.0 %", "mtl-aug: 60.0 %", "guessing"):
        assert words in figure
    assert "EMO-DB, bim: pooled UA of all models" in (tmp_path / "attacks.html").read_text()
