"""A split for other tools: what is written can be read back, or says what it cannot hold."""

import csv
import io
import json
from pathlib import Path

import pytest
from tests.evaluation.iemocap import iemocap
from tests.evaluation.people import crowd

from serenade.core.errors import SplitError
from serenade.core.records import Utterance
from serenade.evaluation.split_export import FORMATS, export_split
from serenade.evaluation.split_files import SplitDocument, make_document
from serenade.evaluation.splits import SplitSettings, make_split, parse_split
from serenade.evaluation.superb import permutation


def document_of(utterances: list[Utterance], text: str = "loso") -> SplitDocument:
    settings = parse_split(text)
    return make_document(make_split(utterances, settings), utterances, settings, [Path("/data")])


def write(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def test_emobox_lists_come_back(tmp_path: Path) -> None:
    people = crowd(5)
    document = document_of(people)
    folder = write(tmp_path / "table", export_split(document, "emobox"))
    again = make_split(people, SplitSettings(kind="emobox", path=folder))
    parts = [(fold.train, fold.validation, fold.test) for fold in document.split.folds]
    assert [(fold.train, fold.validation, fold.test) for fold in again.folds] == parts
    assert again.notes == ()
    names = json.loads((folder / "folds.json").read_text())
    assert [names[fold.name] for fold in again.folds] == [fold.name for fold in document.split.folds]


def test_emobox_words_are_emoboxs() -> None:
    words = {"angry": "Angry", "bored": "Boredom", "disgusted": "Disgust", "fearful": "Fear", "surprised": "Surprise"}
    classes = [*words, "joyous"]
    people = [u.with_(emotion=classes[place % len(classes)]) for place, u in enumerate(crowd(4, 12))]
    files = export_split(document_of(people), "emobox")
    assert json.loads(files["label_map.json"]) == {**words, "joyous": "Joyous"}
    row = json.loads(files["table.jsonl"].splitlines()[0])
    assert row == {
        "key": "table-s01-000",
        "dataset": "table",
        "wav": "s01-000.wav",
        "type": "raw",
        "task": "category",
        "emo": "angry",
    }


def test_id_lists_come_back(tmp_path: Path) -> None:
    people = crowd(5)
    document = document_of(people)
    folder = write(tmp_path, export_split(document, "ids"))
    for fold in document.split.folds:
        (again,) = make_split(people, SplitSettings(kind="mesm", path=folder / fold.name)).folds
        assert (again.train, again.validation, again.test) == (fold.train, fold.validation, fold.test)
    assert "speaker-s01/valid.txt" not in export_split(document_of(people, "loso:0"), "ids")


def test_table_has_every_part_of_every_fold() -> None:
    people = crowd(6)
    document = document_of(people, "nested:2")
    rows = list(csv.DictReader(io.StringIO(export_split(document, "csv")["folds.csv"])))
    fold = document.split.folds[2]
    assert [r["id"] for r in rows if (r["fold"], r["part"]) == (fold.name, "test")] == list(fold.test)
    inner = fold.inner[1]
    assert [r["id"] for r in rows if (r["fold"], r["part"]) == (f"{fold.name}/{inner.name}", "train")] == list(
        inner.train
    )
    assert {(r["start"], r["end"]) for r in rows} == {("", "")}
    by_id = {u.id: u for u in people}
    assert all((r["speaker"], r["emotion"]) == (by_id[r["id"]].speaker, by_id[r["id"]].emotion) for r in rows)


def test_superb_lists_give_superbs_own_validation() -> None:
    """What its toolkit draws from the written pool is the validation part of the split."""
    utterances = iemocap((60, 50, 40, 50, 60))
    document = document_of(utterances, "superb")
    files = export_split(document, "superb")
    assert sorted(files)[:2] == ["Session1/test_meta_data.json", "Session1/train_meta_data.json"]
    for number, fold in enumerate(document.split.folds, start=1):
        pool = json.loads(files[f"Session{number}/train_meta_data.json"])
        assert pool["labels"] == {"neu": 0, "hap": 1, "ang": 2, "sad": 3}
        names = [Path(row["path"]).stem for row in pool["meta_data"]]
        order = permutation(len(names))
        drawn = [names[place] for place in order[int(0.8 * len(names)) :]]
        assert sorted(drawn) == list(fold.validation)
        test = json.loads(files[f"Session{number}/test_meta_data.json"])["meta_data"]
        assert sorted(Path(row["path"]).stem for row in test) == list(fold.test)
        assert {row["speaker"] for row in test} == {f"Ses0{number}F", f"Ses0{number}M"}


def test_superb_lists_of_another_corpus_have_its_classes() -> None:
    people = [u.with_(emotion={"sad": "bored"}.get(str(u.emotion), u.emotion)) for u in crowd(4)]
    labels = json.loads(export_split(document_of(people), "superb")["speaker-s01/train_meta_data.json"])["labels"]
    assert labels == {"angry": 0, "bored": 1, "happy": 2, "neutral": 3}


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of audformat with the newest pandas
def test_audformat_tables_can_be_read(tmp_path: Path) -> None:
    audformat = pytest.importorskip("audformat", reason="needs the package audformat")
    people = [u.with_(start_s=1.25, end_s=62.5 if place else None) for place, u in enumerate(crowd(4))]
    document = document_of(people)
    files = export_split(document, "audformat")
    assert set(files) >= {f"db.speaker-s01.{part}.csv" for part in ("train", "dev", "test")}
    table = audformat.utils.read_csv(write(tmp_path, files) / "db.speaker-s01.test.csv")
    assert table.index.names == ["file", "start", "end"]
    assert table.index.get_level_values("start")[0].total_seconds() == 1.25
    assert str(table.index.get_level_values("end")[0]) == "NaT"
    assert table.index.get_level_values("end")[1].total_seconds() == 62.5


def test_audformat_tables_are_filewise_where_recordings_are_whole() -> None:
    lines = export_split(document_of(crowd(4)), "audformat")["db.speaker-s02.test.csv"].splitlines()
    assert lines[0] == "file,emotion,speaker"
    assert lines[1].endswith("s02-000.wav,angry,s02")
    assert len(lines) == 9


def test_time_deltas_are_written_as_pandas_reads_them() -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    people = [
        u.with_(start_s=start) for u, start in zip(crowd(3, 2), (0.1, 59.9999, 3600, 90061.5, 1e-6, 12), strict=True)
    ]
    text = "".join(
        export_split(document_of(people, "loso:0"), "audformat")[f"db.speaker-s0{n}.test.csv"] for n in (1, 2, 3)
    )
    starts = [row.split(",")[1] for row in text.splitlines() if not row.startswith("file")]
    assert [pandas.Timedelta(start).total_seconds() for start in starts] == [0.1, 59.9999, 3600, 90061.5, 1e-6, 12]


@pytest.mark.parametrize("kind", ["emobox", "superb"])
def test_what_a_format_cannot_hold_is_refused(kind: str) -> None:
    with pytest.raises(SplitError, match=rf"format {kind} has no place.*inner folds in speaker-s01.*csv, ids"):
        export_split(document_of(crowd(6), "nested:2"), kind)
    pieces = [u.with_(start_s=1.0) for u in crowd(4)]
    with pytest.raises(SplitError, match=rf"format {kind} has no place.*the stretch s01-000"):
        export_split(document_of(pieces), kind)


@pytest.mark.parametrize("kind", FORMATS)
def test_names_of_folds_do_not_lead_out_of_the_folder(kind: str) -> None:
    people = [u.with_(speaker=f"../../{u.speaker}") for u in crowd(4)]
    assert all(".." not in Path(path).parts for path in export_split(document_of(people), kind))
