"""EmoBox lists as a corpus: labels through the map, folds from the folders, recordings from wherever they lie."""

import json
from collections import Counter
from pathlib import Path

import pytest
from tests.corpora.format_trees import emobox_line, make_emobox, write_lines
from tests.corpora.trees import fingerprint

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER
from serenade.corpora import CORPORA, emodb, read_corpus
from serenade.corpora.emobox import CORPUS, list_files
from serenade.signal.audio import examine


def test_a_list_is_read_from_its_folder_or_file(tmp_path: Path) -> None:
    folder = make_emobox(tmp_path)
    listing = read_corpus("emobox", folder, examine=examine)
    assert listing.left_out == ()
    first = listing.utterances[0]
    assert (first.id, first.audio) == ("mini-1", tmp_path / "downloads" / "mini" / "wav" / "1.wav")
    assert (first.speaker, first.group, first.extra) == (UNKNOWN_SPEAKER, None, {"dataset": "mini"})
    assert [u.emotion for u in listing.utterances] == ["angry", "neutral", "bored", "angry"]
    assert list_files(folder / "mini.jsonl") == list_files(folder)


def test_folds_are_those_in_which_an_utterance_is_tested(tmp_path: Path) -> None:
    assert [u.fold for u in list_files(make_emobox(tmp_path)).utterances] == ["1", "2", "1", "2"]


def test_the_lists_of_one_fold_are_the_split(tmp_path: Path) -> None:
    listing = list_files(make_emobox(tmp_path, folds=1))
    assert [(u.split, u.fold) for u in listing.utterances] == [("test", None), ("train", None)] * 2


def test_what_a_list_says_besides_is_read(tmp_path: Path) -> None:
    folder = make_emobox(tmp_path, folds=0)
    line = {**emobox_line("1", "anger"), "speaker": "s1", "gender": "F", "language": "de", "text": "Nein.", "age": 31}
    write_lines(folder / "mini.jsonl", [line])
    (utterance,) = list_files(folder).utterances
    assert (utterance.speaker, utterance.gender, utterance.language, utterance.text) == ("s1", "female", "de", "Nein.")
    assert utterance.extra == {"dataset": "mini", "age": "31"}


def test_recordings_may_lie_elsewhere_without_their_first_folders(tmp_path: Path) -> None:
    folder = make_emobox(tmp_path / "emobox")
    (tmp_path / "emobox" / "downloads" / "mini" / "wav").rename(tmp_path / "sounds")
    with pytest.raises(CorpusError, match=r"none of 4.*mini-1 \(line 1\) names downloads/mini/wav/1\.wav"):
        list_files(folder)
    listing = list_files(Path(f"{folder}#audio={tmp_path / 'sounds'}"))
    assert listing.utterances[0].audio == tmp_path / "sounds" / "1.wav"


def test_a_missing_recording_is_reported(tmp_path: Path) -> None:
    folder = make_emobox(tmp_path)
    (tmp_path / "downloads" / "mini" / "wav" / "2.wav").unlink()
    (item,) = read_corpus("emobox", folder, examine=examine).left_out
    assert item.reason == "missing"
    assert item.where.endswith("downloads/mini/wav/2.wav")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"key": "a"', r"not JSON: .*mini\.jsonl, line 2\. Found: .*column 12"),
        ("[1]", r"not a JSON object: .*line 2\. Found: \[1\]"),
        ('{"key": "a", "emo": "sad"}', r"no 'wav': .*line 2\. Found: key, emo\. Expected: key, dataset, wav and emo"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    folder = make_emobox(tmp_path)
    first = json.dumps(emobox_line("1", "anger"))
    (folder / "mini.jsonl").write_bytes(f"\ufeff{first}\r\n{text}\r\n".encode())
    with pytest.raises(CorpusError, match=message):
        list_files(folder)


def test_rows_that_cannot_be_used_are_left_out(tmp_path: Path) -> None:
    folder = make_emobox(tmp_path)
    lines = [emobox_line("1", "anger"), emobox_line("1", "neutral"), emobox_line("2", "weird"), emobox_line("3", "sad")]
    write_lines(folder / "mini.jsonl", lines)
    listing = list_files(folder)
    assert [u.id for u in listing.utterances] == ["mini-1", "mini-3"]  # sad is not in the map, but known
    found = {item.where: (item.reason, item.detail) for item in listing.left_out}
    assert found["mini-1 (line 2)"][0] == "duplicate"
    assert "labelled angry there and neutral here" in found["mini-1 (line 2)"][1]
    assert found["mini-2 (line 3)"] == ("unknown label", "weird, which label_map.json does not have")


def test_a_broken_map_is_named(tmp_path: Path) -> None:
    folder = make_emobox(tmp_path)
    (folder / "label_map.json").write_text("[1, 2]")
    with pytest.raises(CorpusError, match=r"label map cannot be read: .*label_map\.json"):
        list_files(folder)


def test_wrong_folders_are_explained(tmp_path: Path) -> None:
    folder = make_emobox(tmp_path)
    with pytest.raises(CorpusError, match=rf"lies in {folder}: give that folder"):
        list_files(folder / "fold_1")
    write_lines(folder / "a.jsonl", [emobox_line("1", "anger")])
    write_lines(folder / "b.jsonl", [emobox_line("1", "anger")])
    assert len(list_files(folder).utterances) == 4  # the list that is called as its folder
    (folder / "mini.jsonl").unlink()
    with pytest.raises(CorpusError, match=r"several lists: .*Found: a\.jsonl, b\.jsonl\. Give the file, such as"):
        list_files(folder)


def test_reading_leaves_the_lists_alone(tmp_path: Path) -> None:
    folder = make_emobox(tmp_path / "emobox")
    before = fingerprint(tmp_path / "emobox")
    read_corpus("emobox", folder, examine=examine)
    assert fingerprint(tmp_path / "emobox") == before


def test_real_list_of_emodb_agrees_with_its_own_reader(shared: Path) -> None:
    lists = shared / "corpora" / "emobox-splits" / "data" / "emodb"
    recordings = shared / "corpora" / "emodb"
    listing = list_files(Path(f"{lists}#audio={recordings}"))
    assert listing.left_out == ()
    assert Counter(u.emotion for u in listing.utterances) == dict(emodb.CORPUS.expected)
    assert {u.fold for u in listing.utterances} == {"1", "2", "3", "4", "5"}
    own = {u.audio: (f"emodb-{u.id}", u.emotion) for u in emodb.list_files(recordings).utterances}
    assert {u.audio: (u.id, u.emotion) for u in listing.utterances if u.audio in own} == own


def test_real_lists_of_other_corpora_open_on_copies_in_another_layout(shared: Path) -> None:
    for name, folder, count in (("ravdess", "ravdess", 1440), ("turevdb", "turev-db", 1735)):
        lists = shared / "corpora" / "emobox-splits" / "data" / name
        listing = list_files(Path(f"{lists}#audio={shared / 'corpora' / folder}"))
        assert len(listing.utterances) == count
        assert all(u.audio.exists() for u in listing.utterances)


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("emobox") is CORPUS


def test_keys_of_the_folds_that_the_list_lacks_are_told(tmp_path: Path) -> None:
    folder = make_emobox(tmp_path)
    lines = (folder / "mini.jsonl").read_text().splitlines(keepends=True)
    (folder / "mini.jsonl").write_text("".join(lines[:-1]))
    assert [(item.where, item.reason, item.detail) for item in list_files(folder).left_out] == [
        ("mini-4", "missing", "in the lists of the folds, but not in mini.jsonl")
    ]
