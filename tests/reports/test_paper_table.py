"""The tables of papers, assembled from hand-made runs, against figures computed by hand."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from serenade.core.files import read_json
from serenade.experiments.results import read_results
from serenade.experiments.summary import summary_of
from serenade.reports.paper_table import paper_csv, paper_table, write_paper_table
from serenade.reports.published import published_rows
from serenade.reports.tables import Bounds, Figure

RunMaker = Callable[..., Path]


def by_hand(run: Path) -> dict[str, tuple[float, float]]:
    """Mean and deviation over seeds, in per cent."""
    values: dict[str, list[float]] = {"WA": [], "UA": [], "macro F1": [], "weighted F1": []}
    for seed in (0, 1):
        records = [read_json(path) for path in sorted(run.glob(f"jobs/*-seed{seed}/record.json"))]
        scores = [score for record in records for score in record["scores"]]
        truth = [score["truth"] for score in scores]
        called = [records[0]["labels"][int(np.argmax(score["probabilities"]))] for score in scores]
        values["WA"].append(accuracy_score(truth, called))
        values["UA"].append(balanced_accuracy_score(truth, called))
        values["macro F1"].append(f1_score(truth, called, average="macro"))
        values["weighted F1"].append(f1_score(truth, called, average="weighted"))
    return {name: (100 * np.mean(v), 100 * np.std(v, ddof=1)) for name, v in values.items()}


def document(runs: dict[tuple[str, str], Path | None], **about: Any) -> dict[str, Any]:
    cells = [
        {
            "part": part, "model": model, "run": f"{part}/{model.lower()}",
            "summary": None if run is None else summary_of(read_results(run), maps=False),
        }
        for (part, model), run in runs.items()
    ]  # fmt: skip
    return {"table": "main", "fact": None, "pipeline": "one pipeline", "corpora": ["emodb"], **about, "cells": cells}


def rows_of(table: Any, kind: str) -> list[tuple[Any, ...]]:
    return [row for row in table.rows if str(row[2]).startswith(kind)]


def test_our_figures_are_those_computed_by_hand(make_run: RunMaker) -> None:
    run = make_run("glam")
    table = paper_table(document({("all", "GLAM"): run}), [])
    (row,) = table.rows
    assert row[:5] == ("EMO-DB", "GLAM", "ours", "loso", "2")
    found = dict(zip(table.columns[5:], row[5:], strict=True))
    assert list(found) == list(by_hand(run)) == ["WA", "UA", "macro F1", "weighted F1"]
    for name, (mean, std) in by_hand(run).items():
        assert isinstance(found[name], Figure)
        assert (found[name].mean, found[name].std) == pytest.approx((mean, std))


def test_published_figures_stand_below_ours_where_the_data_are_the_same(make_run: RunMaker) -> None:
    runs = {("improvised", "GLAM"): make_run("a", corpus="iemocap"), ("all", "GLAM"): make_run("b", corpus="iemocap")}
    table = paper_table(document(runs, fact="part", corpora=["iemocap"]), published_rows("main"))
    kinds = [(row[0], row[2]) for row in table.rows]
    assert kinds == [
        ("IEMOCAP, improvised", "ours"),
        ("IEMOCAP, improvised", "published (LEAKY)"),
        ("IEMOCAP, improvised", "published (LEAKY)"),
        ("IEMOCAP, all", "ours"),
        ("IEMOCAP, all", "published (LEAKY)"),
        ("IEMOCAP, all", "published (LEAKY)"),
        ("IEMOCAP, scripted", "published (LEAKY)"),
        ("IEMOCAP, scripted", "published (LEAKY)"),
    ]
    assert table.rows[1][5] == Figure(81.18, 1.47)


def test_published_figures_of_other_data_and_models_stand_apart(make_run: RunMaker) -> None:
    table = paper_table(document({("all", "GLAM"): make_run()}), published_rows("main"))
    assert table.rows[0][0] == "EMO-DB"
    assert {row[0] for row in table.rows[1:]} == {f"IEMOCAP, {part}" for part in ("improvised", "scripted", "all")}
    assert {row[1] for row in table.rows} == {"GLAM"}


def test_quoted_figures_are_marked_as_quoted_and_have_no_f1(make_run: RunMaker) -> None:
    made = document({("all", "CNN_TF_GAP"): make_run()}, table="attention-pooling")
    table = paper_table(made, published_rows("attention-pooling"))
    assert len(rows_of(table, "quoted")) == 4
    (gap,) = rows_of(table, "published")
    assert gap[5:] == (Figure(71.35), Figure(67.54), Figure(None), Figure(None))
    assert "LEAKY" not in " ".join(str(row[2]) for row in table.rows)


def test_leaky_and_unfinished_rows_and_cells_not_begun_are_marked(make_run: RunMaker) -> None:
    runs = {
        ("all", "GLAM"): make_run("a", leaky="the test part picks the epoch"),
        ("all", "MHCNN"): make_run("b", missing=[("01", 1)]),
        ("all", "AACNN"): None,
    }
    table = paper_table(document(runs), [])
    assert [row[2] for row in table.rows] == ["ours (LEAKY)", "ours (unfinished)", "ours (not begun)"]
    assert table.rows[2][5:] == (Figure(None),) * 4
    notes = " ".join(table.notes)
    assert "all/glam: Ours is LEAKY: the test part picks the epoch" in notes
    assert "Not finished: all/mhcnn, all/aacnn." in notes


def test_what_differs_from_the_paper_is_said(make_run: RunMaker) -> None:
    notes = " ".join(paper_table(document({("all", "GLAM"): make_run()}), published_rows("main")).notes)
    assert "weighted F1 under the name micro F1" in notes
    assert "names of classes are permuted" in notes
    assert "Ours: one pipeline." in notes
    assert "Table 1; random 80/20 by turn, epoch picked on the test part. LEAKY" in notes
    assert "EMO-DB: 36 utterances of 3 speakers, 3 classes (angry, neutral, sad)." in notes


def test_intervals_are_those_of_the_summary(make_run: RunMaker) -> None:
    made = document({("all", "GLAM"): make_run()})
    pooled = made["cells"][0]["summary"]["metrics"]["ua"]["pooled"]
    row = paper_table(made, [], intervals=True).rows[1]
    assert row[2] == "95% interval"
    assert row[6] == Bounds(100 * pooled["low"], 100 * pooled["high"])


def test_csv_has_a_row_for_each_figure(make_run: RunMaker) -> None:
    run = make_run()
    made = document({("all", "GLAM"): run, ("all", "AACNN"): None})
    rows = list(csv.DictReader(paper_csv(made, published_rows("main")).splitlines()))
    ours = {row["metric"]: row for row in rows if row["figures"] == "ours"}
    assert set(ours) == {"wa", "ua", "macro_f1", "weighted_f1", "micro_f1"}
    assert float(ours["ua"]["mean"]) == pytest.approx(by_hand(run)["UA"][0], rel=1e-5)
    assert float(ours["ua"]["std"]) == pytest.approx(by_hand(run)["UA"][1], rel=1e-5)
    published = [row for row in rows if row["figures"] == "published"]
    assert len(published) == 2 * 2 * 3 * 4  # protocols x models x parts x metrics
    assert all(row["leaky"] != "no" for row in published)


def test_table_and_figures_are_written_and_the_page_loads_nothing(make_run: RunMaker, tmp_path: Path) -> None:
    made = document({("all", "GLAM"): make_run(leaky="random")})
    written = write_paper_table(made, published_rows("main"), tmp_path / "out", intervals=True)
    tables, figures = ["main.md", "main.tex", "main.csv", "main.html"], ["main-confusion.svg", "main-confusion.png"]
    assert [path.name for path in written] == tables + figures
    page = written[3].read_text()
    assert "81.2 ± 1.5" in page
    assert '<p class="alarm"><b>LEAKY' in page
    assert not re.search(r"(?:src|href)=.https?:", page)
    assert r"$81.2 \pm 1.5$" in written[1].read_text()
    assert "| EMO-DB | GLAM | ours (LEAKY) | loso | 2 |" in written[0].read_text()
