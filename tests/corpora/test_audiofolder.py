"""Hugging Face's audiofolder: metadata in every form, or folders that are classes."""

import json
from pathlib import Path

import pytest
from tests.corpora.format_trees import make_audiofolder, write_lines
from tests.corpora.trees import fingerprint, write_sound

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.audiofolder import CORPUS, list_files
from serenade.signal.audio import examine

ROWS = ("file_name,label,speaker_id,text,mood", "data/1.wav,anger,s1,Stop that!,bad", "data/2.wav,joy,s2,,")


def test_metadata_tell_everything(tmp_path: Path) -> None:
    root = make_audiofolder(tmp_path, ROWS)
    write_sound(root / "data" / "unnamed.wav")
    listing = read_corpus("audiofolder", root, examine=examine)
    assert listing.left_out == ()
    first, second = listing.utterances
    assert (first.id, first.audio) == ("data/1.wav", tmp_path / "data" / "1.wav")
    assert (first.emotion, first.speaker, first.text, first.extra) == ("angry", "s1", "Stop that!", {"mood": "bad"})
    assert (second.emotion, second.text, second.split) == ("happy", None, None)


def test_parts_have_metadata_of_their_own(tmp_path: Path) -> None:
    root = make_audiofolder(make_audiofolder(tmp_path, ROWS, part="train"), ROWS, part="eval")
    assert {u.id: u.split for u in list_files(root).utterances} == {
        "eval/data/1.wav": "test",
        "eval/data/2.wav": "test",
        "train/data/1.wav": "train",
        "train/data/2.wav": "train",
    }


def test_jsonl_and_parquet_say_the_same_as_csv(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (the extra data)")
    import pyarrow

    root = make_audiofolder(tmp_path, ROWS)
    expected = list_files(root)
    (root / "metadata.csv").unlink()
    names = ROWS[0].split(",")
    values = [dict(zip(names, (cell or None for cell in row.split(",")), strict=True)) for row in ROWS[1:]]
    write_lines(root / "metadata.jsonl", values)
    assert list_files(root) == expected
    (root / "metadata.jsonl").unlink()
    parquet.write_table(pyarrow.Table.from_pylist(values), root / "metadata.parquet")
    assert list_files(root) == expected


def test_folders_are_classes_where_there_are_no_metadata(tmp_path: Path) -> None:
    for name in ("train/angry/1.wav", "train/Happiness/2.wav", "test/angry/3.flac", "test/4.wav"):
        write_sound(tmp_path / name)
    (tmp_path / "README.md").write_text("x")
    listing = list_files(tmp_path)
    assert [(u.id, u.emotion, u.split, u.speaker) for u in listing.utterances] == [
        ("test/angry/3.flac", "angry", "test", UNKNOWN_SPEAKER),
        ("train/Happiness/2.wav", "happy", "train", UNKNOWN_SPEAKER),
        ("train/angry/1.wav", "angry", "train", UNKNOWN_SPEAKER),
    ]
    assert {item.where: item.reason for item in listing.left_out} == {
        "README.md": "other material",
        "test/4.wav": "no label",
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_any_encoding_and_ends_of_line(tmp_path: Path, encoding: str) -> None:
    root = make_audiofolder(tmp_path, ROWS)
    (root / "metadata.csv").write_bytes("file_name,label,text\r\ndata/1.wav,sad,Größe\r\n".encode(encoding))
    (utterance,) = list_files(root).utterances
    assert (utterance.emotion, utterance.text) == ("sad", "Größe")


def test_copies_in_another_format_open(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_audiofolder(tmp_path, ROWS)
    (root / "data" / "1.wav").unlink()
    write_sound(root / "data" / "1.flac")
    assert list_files(root).utterances[0].audio == root / "data" / "1.flac"
    assert "1 recording taken from a copy of another format" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filname,label\ndata/1.wav,sad\n", r"no column 'file'.*metadata\.csv, line 1\. Found: filname, label"),
        ("file_name,label\ndata/1.wav\n", r"another number of cells.*line 2"),
        ("file_name,label\nelse/9.wav,sad\n", r"none of 1 recording.*names else/9\.wav"),
        ("file_name,label\n", r"names no recording"),
    ],
)
def test_broken_metadata_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    root = make_audiofolder(tmp_path, ROWS)
    (root / "metadata.csv").write_text(text)
    with pytest.raises(CorpusError, match=message):
        list_files(root)


def test_a_line_without_a_file_is_named(tmp_path: Path) -> None:
    root = make_audiofolder(tmp_path, ROWS)
    (root / "metadata.csv").unlink()
    write_lines(root / "metadata.jsonl", [{"file_name": "data/1.wav"}, {"label": "sad"}])
    with pytest.raises(CorpusError, match=r"no 'file_name': .*metadata\.jsonl, line 2\. Found: label"):
        list_files(root)


def test_rows_that_cannot_be_used_are_left_out(tmp_path: Path) -> None:
    root = make_audiofolder(tmp_path, ROWS)
    text = "file_name,label\ndata/1.wav,happy\ndata/1.wav,sad\n,sad\ndata/2.wav,hapy\n"
    (root / "metadata.csv").write_text(text)
    found = {item.where: item.reason for item in list_files(root).left_out}
    assert found == {
        "data/1.wav (metadata.csv, line 3)": "duplicate",
        "(metadata.csv, line 4)": "missing",
        "data/2.wav (metadata.csv, line 5)": "unknown label",
    }


def test_a_wrong_folder_is_refused(tmp_path: Path) -> None:
    root = make_audiofolder(tmp_path / "hub", ROWS)
    with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
        list_files(root / "data")


def test_reading_leaves_the_folder_alone(tmp_path: Path) -> None:
    root = make_audiofolder(tmp_path / "hub", ROWS)
    before = fingerprint(root)
    read_corpus("audiofolder", root, examine=examine)
    assert fingerprint(root) == before


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("audiofolder") is CORPUS


NUMBERED = ("file_name,label,sex", "data/1.wav,0,1", "data/2.wav,2,0", "data/3.wav,-1,1", "data/4.wav,7,1")
CARD = """\
---
license: mit
dataset_info:
- config_name: default
  features:
  - name: audio
    dtype: audio
  - name: label
    dtype:
      class_label:
        names:
          '0': anger
          '1': joy
          '2': sadness
  - name: sex
    dtype:
      class_label:
        names: {'0': female, '1': male}
---
# A card
"""
LABEL = {"names": ["anger", "joy", "sadness"], "_type": "ClassLabel"}
FEATURES = {
    "features": {
        "audio": {"_type": "Audio"},
        "label": LABEL,
        "sex": {"num_classes": 2, "names": ["female", "male"], "id": None, "_type": "ClassLabel"},
    }
}


def numbered(root: Path, beside: str) -> Path:
    """Metadata with class numbers, whose names stand in one of the places that `datasets` knows."""
    make_audiofolder(root, NUMBERED)
    if beside == "README.md":
        (root / beside).write_text(CARD)
    elif beside == "dataset_infos.json":
        (root / beside).write_text(json.dumps({"default": FEATURES}))
    elif beside == "dataset_info.json":
        (root / beside).write_text(json.dumps(FEATURES))
    elif beside == "metadata.parquet":
        pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow (the extra data)")
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (the extra data)")
        files, labels, sexes = zip(*(row.split(",") for row in NUMBERED[1:]), strict=True)
        table = pyarrow.table({"file_name": files, "label": [*map(int, labels)], "sex": [*map(int, sexes)]})
        told = {"huggingface": json.dumps({"info": FEATURES})}
        parquet.write_table(table.replace_schema_metadata(told), root / beside)
        (root / "metadata.csv").unlink()
    return root


@pytest.mark.parametrize("beside", ["README.md", "dataset_infos.json", "dataset_info.json", "metadata.parquet"])
def test_class_numbers_are_read_by_their_names(tmp_path: Path, beside: str) -> None:
    if beside == "README.md":
        pytest.importorskip("yaml", reason="needs PyYAML (the extra data)")
    listing = list_files(numbered(tmp_path, beside))
    assert [(u.id, u.emotion, u.gender) for u in listing.utterances] == [
        ("data/1.wav", "angry", "male"),
        ("data/2.wav", "sad", "female"),
        ("data/3.wav", None, "male"),
    ]
    (item,) = listing.left_out
    assert (item.where.split()[0], item.reason) == ("data/4.wav", "unknown label")
    assert item.detail == f"7, which {beside} does not name; it has 0 anger, 1 joy, 2 sadness"


def test_class_numbers_without_names_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_audiofolder(tmp_path, ("file_name,label", "1.wav,0", "2.wav,5"))
    (root / "README.md").write_text("---\nlicense: mit\n---\n")
    assert [u.emotion for u in list_files(root).utterances] == ["0", "5"]
    assert "the labels are numbers (0, 5) and nothing names them: copy the dataset's README.md" in caplog.text


def test_names_that_cannot_be_read_or_contradict_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="needs PyYAML (the extra data)")
    root = numbered(tmp_path, "README.md")
    other = {"features": {"label": LABEL | {"names": ["joy", "anger", "sadness"]}}}
    (root / "dataset_info.json").write_text(json.dumps(other))
    with pytest.raises(CorpusError, match=r"'label' contradict each other.*README\.md.*dataset_info\.json: joy, anger"):
        list_files(root)
    (root / "dataset_info.json").write_text("{")
    with pytest.raises(CorpusError, match=r"not JSON.*dataset_info\.json"):
        list_files(root)
    (root / "dataset_info.json").unlink()
    (root / "README.md").write_text(CARD.replace("license: mit", "license: [mit"))
    with pytest.raises(CorpusError, match=r"not YAML.*README\.md"):
        list_files(root)
