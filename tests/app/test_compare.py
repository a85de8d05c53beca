"""serenade compare: the table in every format, on stdout or in a file."""

import json

import pytest

from serenade.app.main import main


@pytest.fixture
def runs(make_run):
    return [str(make_run("a", skill=0.5)), str(make_run("b", noise_seed=3))]


@pytest.mark.parametrize(
    ("table_format", "start"),
    [("text", "metric"), ("markdown", "| metric |"), ("latex", "% needs"), ("csv", "metric,"), ("json", "{")],
)
def test_table_is_written_to_stdout(runs, table_format, start, capsys):
    assert main(["compare", *runs, "--format", table_format]) == 0
    assert capsys.readouterr().out.startswith(start)


def test_json_holds_everything(runs, capsys):
    assert main(["compare", *runs, "-f", "json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    assert set(comparison["metrics"]) == {"wa", "ua", "macro_f1", "weighted_f1", "micro_f1"}
    assert comparison["b"]["name"] == "b"


def test_table_goes_to_a_file(runs, tmp_path, capsys):
    out = tmp_path / "new" / "table.md"
    assert main(["compare", *runs, "-f", "markdown", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert str(out) in shown.err
    assert out.read_text().startswith("| metric |")


def test_other_utterances_are_an_error_that_names_the_way_out(runs, make_run, capsys):
    other = str(make_run("c", speakers=2))
    assert main(["compare", runs[0], other]) == 2
    assert "add --common" in capsys.readouterr().err
    assert main(["compare", runs[0], other, "--common"]) == 0
    assert "12 utterances were tested in only one of the runs" in " ".join(capsys.readouterr().out.split())


def test_misspelt_format_is_refused_before_the_work(tmp_path, capsys):
    assert main(["compare", str(tmp_path), str(tmp_path), "-f", "latx"]) == 2
    assert "Did you mean 'latex'?" in capsys.readouterr().err
