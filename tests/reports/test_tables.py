"""Tables: the figures of the summary, every format, and no number without its mark."""

import csv

import pytest

from serenade.core.errors import UnknownNameError
from serenade.experiments.comparison import compare
from serenade.experiments.summary import summarise
from serenade.reports.tables import TABLE_FORMATS, Figure, comparison_table, p_text, result_table


def test_text_table_shows_pooled_interval_fold_mean_and_chance(make_run):
    summary = summarise(make_run("glam-emodb", seeds=2, skill=1.0))
    lines = result_table([summary]).splitlines()
    ua = summary["metrics"]["ua"]
    assert lines[2].split()[:4] == ["glam-emodb", "loso", "2", "pooled"]
    assert f"{100 * ua['pooled']['mean']:.1f} ± {100 * ua['pooled']['std']:.1f}" in lines[2]
    assert f"{100 * ua['pooled']['low']:.1f} to {100 * ua['pooled']['high']:.1f}" in lines[3]
    assert f"{100 * ua['fold_mean']['mean']:.1f} ± {100 * ua['fold_mean']['std_folds']:.1f}" in lines[4]
    assert lines[5].split() == ["chance,", "3", "classes", "always", "angry", "33.3", "33.3"]
    assert len({len(line) for line in lines[1:5]}) == 1  # columns stand below each other


def test_one_speaker_leaves_out_the_interval_and_one_seed_the_spread(make_run):
    text = result_table([summarise(make_run(speakers=1, seeds=1))])
    assert "95% interval" not in text
    assert " ± " not in text.split("\n\n")[0]


@pytest.mark.parametrize("table_format", list(TABLE_FORMATS))
def test_leaky_synthetic_and_unfinished_are_marked_in_every_format(make_run, table_format):
    bad = make_run("bad", leaky="random turns", corpus="synthetic", missing=[("01", 0)])
    text = result_table([summarise(bad)], table_format)
    if table_format == "csv":
        row = next(csv.DictReader(text.splitlines()))
        assert (row["leaky"], row["synthetic"], row["complete"]) == ("random turns", "yes", "no")
    else:
        assert "bad (LEAKY, synthetic, unfinished)" in text
        assert "bad is LEAKY: random turns." in text
    comparison = comparison_table(compare(bad, bad, common=True), table_format)
    assert "A: bad (LEAKY, synthetic, unfinished)" in comparison


def test_csv_has_all_metrics_in_full(make_run):
    summary = summarise(make_run(seeds=2, skill=1.0))
    rows = list(csv.DictReader(result_table([summary], "csv").splitlines()))
    assert [row["metric"] for row in rows] == ["wa", "ua", "macro_f1", "weighted_f1", "micro_f1"]
    for row in rows:
        figures = summary["metrics"][row["metric"]]
        assert float(row["pooled"]) == pytest.approx(100 * figures["pooled"]["mean"], rel=1e-5)
        assert float(row["interval low"]) == pytest.approx(100 * figures["pooled"]["low"], rel=1e-5)
        assert float(row["fold mean std"]) == pytest.approx(100 * figures["fold_mean"]["std_folds"], rel=1e-5)


def test_markdown_and_latex_escape_names(make_run):
    summary = summarise(make_run("a_b|c&d"))
    markdown = result_table([summary], "markdown").splitlines()
    assert "a_b\\|c&d" in markdown[2]
    assert {line.replace("\\|", "").count("|") for line in markdown[:5]} == {9}
    latex = result_table([summary], "latex")
    assert r"a\_b|c\&d" in latex
    rows = [line for line in latex.splitlines() if line.endswith("\\\\")]
    assert {line.replace(r"\&", "").count("&") for line in rows} == {7}
    assert r"95\% interval" in latex


def test_comparison_shows_difference_interval_and_p(make_run):
    a, b = make_run("a", skill=0.2), make_run("b", skill=3.0, noise_seed=2)
    result = compare(a, b)
    text = comparison_table(result)
    row = result["metrics"]["ua"]
    line = next(line for line in text.splitlines() if line.startswith("UA"))
    assert f"+{100 * row['difference']:.1f}" in line
    assert p_text(row["p"]) in line
    assert "3 speakers allow no p below 0.25" in " ".join(text.split())
    assert "Wilcoxon" not in text  # three folds are too few
    backwards = comparison_table(compare(b, a))
    assert f"−{100 * row['difference']:.1f}" in backwards
    rows = list(csv.DictReader(comparison_table(result, "csv").splitlines()))
    assert float(rows[1]["95% interval low"]) == pytest.approx(100 * row["low"], rel=1e-5)


def test_figures_and_p_values_as_people_read_them():
    assert Figure(79.26, 1.24).text() == "79.3 ± 1.2"
    assert Figure(-0.56, signed=True).text() == "−0.6"
    assert Figure(0.4, signed=True).text() == "+0.4"
    assert Figure(None).text() == "–"
    assert [p_text(p) for p in (None, 0.00001, 0.0123, 0.5)] == ["–", "< 0.0001", "0.012", "0.50"]


def test_unknown_format_names_the_nearest(make_run):
    with pytest.raises(UnknownNameError, match="Did you mean 'latex'"):
        result_table([summarise(make_run())], "latx")
