"""Outputs are not overwritten by accident, survive a full disk, and are continued where they stopped."""

import sys
from pathlib import Path

import pytest

from serenade.core.errors import StorageError, UnknownNameError, UsageError
from serenade.core.records import Prediction
from serenade.inference.outputs import choose_format, finished_files, open_output

LABELS = ("happy", "sad")


def row(file: str, start_s: float = 0.0) -> Prediction:
    return Prediction(file, start_s, start_s + 1, "sad", 0.75, {"happy": 0.25, "sad": 0.75})


def write(format_name: str, out: Path, rows: list[Prediction], *, resumed: bool = False) -> None:
    with open_output(format_name, out, LABELS, resumed=resumed) as writer:
        for prediction in rows:
            writer.write(prediction)


@pytest.mark.parametrize("format_name", ["csv", "jsonl"])
@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_an_output_cut_anywhere_is_continued_to_the_whole(format_name: str, cut: int, tmp_path: Path) -> None:
    # names with a line break, a comma, quotes and bytes that are not UTF-8
    names = ["a.wav", 'b\n"c", d.wav', b"\xff.wav".decode("utf-8", "surrogateescape"), "e.wav"]
    rows = [row(name, start) for name in names for start in (0.0, 1.0)]
    whole, part = tmp_path / "whole", tmp_path / "part"
    write(format_name, whole, rows)
    part.write_bytes(whole.read_bytes()[: -cut or None])
    finished = finished_files(format_name, part, LABELS)
    # the files taken for finished are the first ones, and never the last one in the output
    assert finished == set(names[: len(finished)])
    assert len(finished) < len(names)
    write(format_name, part, [r for r in rows if r.file not in finished], resumed=True)
    assert part.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("format_name", ["csv", "jsonl"])
def test_what_is_not_there_yet_is_begun(format_name: str, tmp_path: Path) -> None:
    out, fresh = tmp_path / "deep" / "out", tmp_path / "fresh"
    assert finished_files(format_name, out, LABELS) == set()
    write(format_name, out, [row("a.wav")], resumed=True)
    write(format_name, fresh, [row("a.wav")])
    assert out.read_bytes() == fresh.read_bytes()


@pytest.mark.parametrize("format_name", ["csv", "jsonl"])
def test_an_output_of_another_model_is_not_continued(format_name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(format_name, out, [row("a.wav"), row("b.wav")])
    before = out.read_bytes()
    with pytest.raises(UsageError, match="made by another model or is not one of ours"):
        finished_files(format_name, out, ("angry", "sad"))
    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("format_name", ["csv", "jsonl"])
def test_a_file_of_something_else_is_not_continued(format_name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("my thesis\n")
    with pytest.raises(UsageError, match="is not one of ours"):
        finished_files(format_name, out, LABELS)
    assert out.read_text() == "my thesis\n"


def test_only_formats_of_lines_are_continued(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only CSV and JSONL"):
        finished_files("json", tmp_path / "out.json", LABELS)


def test_an_output_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("precious")
    with pytest.raises(UsageError, match="the output exists already"), open_output("csv", out, LABELS):
        pass
    assert out.read_text() == "precious"
    with open_output("csv", out, LABELS, overwrite=True):
        pass
    assert out.read_text() == "file,start,end,speaker,label,score,uncertain,happy,sad\n"


def test_a_full_disk_is_named() -> None:
    with pytest.raises(StorageError, match="cannot write, the disk is full: /dev/full"):
        write("csv", Path("/dev/full"), [row("a.wav")])


def test_the_format_is_told_by_the_suffix() -> None:
    assert choose_format(None, None) == "table"
    assert choose_format(None, Path("x.CSV")) == "csv"
    assert choose_format(None, Path("x.jsonl")) == "jsonl"
    assert choose_format("hf", Path("x.json")) == "hf"
    with pytest.raises(UnknownNameError, match="Did you mean 'jsonl'"):
        choose_format("josnl", None)
    with pytest.raises(UnknownNameError, match=r"parquet.*serenade timeline"):
        choose_format("eaf", None)
    for name in ("/dev/stdout", "x.txt"):
        assert choose_format(None, Path(name)) == "table"
    with pytest.raises(UsageError, match=r"stands for no format: x\.xlsx\. Expected: \.csv"):
        choose_format(None, Path("x.xlsx"))


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_place_where_no_file_can_be_is_named() -> None:
    with pytest.raises(StorageError, match=r"cannot write, there can be no file here: /proc/x\.csv"):
        write("csv", Path("/proc/x.csv"), [row("a.wav")])
