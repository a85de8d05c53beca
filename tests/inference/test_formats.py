"""What the output formats look like, and that they can be read back by others."""

import csv
import io
import json
from collections.abc import Sequence

import pytest

from serenade.core.records import Prediction
from serenade.inference import FORMATS
from serenade.inference.formats import RowWriter

LABELS = ("angry", "happy", "sad")


def row(file: str | None, label: str = "happy", start_s: float = 0.0) -> Prediction:
    scores = {name: 0.7 if name == label else 0.15 for name in LABELS}
    return Prediction(file, start_s, start_s + 1.2344, label, scores[label], scores)


def written(format_name: str, rows: Sequence[Prediction]) -> str:
    stream = io.StringIO()
    kind: type[RowWriter] = FORMATS.resolve(format_name)
    with kind(stream, LABELS) as writer:
        for prediction in rows:
            writer.write(prediction)
    return stream.getvalue()


def test_table() -> None:
    lines = written("table", [row("a.wav"), row("b\n\x1b[2J.wav", "sad", 61.0)]).splitlines()
    assert lines == [
        "emotion  angry  happy   sad     start       end  file",
        "happy     0.15   0.70  0.15      0.00      1.23  a.wav",
        r"sad       0.15   0.15  0.70     61.00     62.23  b\n\x1b[2J.wav",
    ]


def test_json_lines() -> None:
    first, second = map(json.loads, written("jsonl", [row("ä.wav"), row(None)]).splitlines())
    assert first == {
        "file": "ä.wav",
        "start": 0.0,
        "end": 1.234,
        "speaker": None,
        "label": "happy",
        "score": 0.7,
        "uncertain": False,
        "scores": {"angry": 0.15, "happy": 0.7, "sad": 0.15},
    }
    assert second["file"] is None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_is_one_array(count: int) -> None:
    rows = json.loads(written("json", [row(f"{i}.wav") for i in range(count)]))
    assert [r["file"] for r in rows] == [f"{i}.wav" for i in range(count)]


def test_json_is_complete_also_after_an_interruption() -> None:
    stream = io.StringIO()

    def interrupted() -> None:
        with FORMATS.resolve("json")(stream, LABELS) as writer:
            writer.write(row("a.wav"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(json.loads(stream.getvalue())) == 1


def test_csv() -> None:
    header, first, second = csv.reader(io.StringIO(written("csv", [row('a, "b".wav'), row(None)])))
    assert header == ["file", "start", "end", "speaker", "label", "score", "uncertain", *LABELS]
    assert first == ['a, "b".wav', "0.0", "1.234", "", "happy", "0.7", "false", "0.15", "0.7", "0.15"]
    assert second[0] == ""


def test_hugging_face() -> None:
    one = json.loads(written("hf", [row("a.wav", "sad")]))
    assert [entry["label"] for entry in one] == ["sad", "angry", "happy"]
    assert one[0] == {"label": "sad", "score": 0.7}
    assert json.loads(written("hf", [row("a.wav", "sad")] * 3)) == [one] * 3
    assert json.loads(written("hf", [])) == []


@pytest.mark.parametrize("format_name", ["json", "jsonl"])
def test_a_name_that_is_not_utf8_survives_json(format_name: str) -> None:
    name = b"\xff\xe4.wav".decode("utf-8", "surrogateescape")
    text = written(format_name, [row(name)])
    text.encode("utf-8")  # the output is valid UTF-8
    read = json.loads(text)
    assert (read[0] if format_name == "json" else read)["file"] == name
