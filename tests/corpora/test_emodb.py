"""EMO-DB: names are read right, nothing is lost silently, and a root one level off is named."""

import csv
import errno
import os
from collections import Counter
from pathlib import Path

import pytest
from tests.corpora.trees import fingerprint, make_emodb, write_sound

from serenade.core.errors import CorpusError
from serenade.core.labels import EMOTIONS, canonical_emotion
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.emodb import CORPUS, list_files
from serenade.signal.audio import examine


def reasons(root: Path) -> dict[str, str]:
    return {item.where: item.reason for item in list_files(root).left_out}


def test_a_name_tells_everything(tmp_path: Path) -> None:
    root = make_emodb(tmp_path, ["16a07Fb"])
    (utterance,) = list_files(root).utterances
    assert utterance.id == "16a07Fb"
    assert utterance.audio == root / "wav" / "16a07Fb.wav"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("16", "female", "happy")
    assert (utterance.language, utterance.sentence, utterance.group) == ("de", "a07", None)
    assert utterance.text == "In sieben Stunden wird es soweit sein."
    assert utterance.extra == {"version": "b", "age": "31"}


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        (
            "erkennung.txt",
            "Nr.\tSatz\terkannt\tnat\u00fcrlich\r\n7 \u00a0\t03a01Wa.wav\t95,00 \t90,00\u00a0\r\n",
            "latin-1",
        ),
        ("perception.tsv", "stem\trecognised_percent\tnatural_percent\n03a01Wa\t95.00\t90.00\n", "utf-8"),
        ("perception.tsv", "stem\trecognised_percent\tnatural_percent\n03a01Wa\t95.00\t90.00\n", "utf-8-sig"),
    ],
    ids=["original", "UTF-8", "BOM"],
)
def test_what_listeners_said_is_known_where_it_is_there(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    root = make_emodb(tmp_path, ["03a01Wa", "03a01Nc"])
    (root / "erkennung.txt").unlink()
    (root / name).write_bytes(text.encode(encoding))
    found = {u.id: u.extra for u in list_files(root).utterances}
    assert found["03a01Wa"] == {"version": "a", "age": "31", "recognised_percent": "95", "natural_percent": "90"}
    assert found["03a01Nc"] == {"version": "c", "age": "31"}


def test_broken_lines_of_listeners_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_emodb(tmp_path, ["03a01Wa"])
    (root / "erkennung.txt").write_text("Nr.\tSatz\n1\t03a01Wa.wav\t950,00\t1\n2\tnothing\n3\t03a01Wa.wav\t5,5,0\t1\n")
    (utterance,) = list_files(root).utterances
    assert "recognised_percent" not in utterance.extra
    assert [f"line {number}" in caplog.text for number in (1, 2, 3, 4)] == [False, True, True, True]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".WAV"])
def test_container_does_not_matter(tmp_path: Path, suffix: str) -> None:
    root = make_emodb(tmp_path, ["03a01Wa", "03a01Nc"], suffix=suffix)
    assert [u.id for u in list_files(root).utterances] == ["03a01Nc", "03a01Wa"]


def test_letters_are_the_german_ones(tmp_path: Path) -> None:
    root = make_emodb(tmp_path, [f"03a01{letter}a" for letter in "WLEAFTN"])
    found = {u.id[5]: u.emotion for u in list_files(root).utterances}
    german = {"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness"}
    assert found == {**{letter: canonical_emotion(word) for letter, word in german.items()}, "N": "neutral"}
    assert set(found.values()) <= set(EMOTIONS)


def test_what_is_no_recording_of_it_is_reported(tmp_path: Path) -> None:
    root = make_emodb(tmp_path, ["03a01Wa", "03a01Xa", "04a01Wa", "03a03Wa", "hello"])
    (root / "wav" / "notes.txt").write_text("x")
    (root / "wav" / "._03a01Wa.wav").write_bytes(b"a Mac's shadow file")
    assert reasons(root) == {
        "wav/03a01Xa.wav": "unknown label",
        "wav/04a01Wa.wav": "unreadable name",
        "wav/03a03Wa.wav": "unreadable name",
        "wav/hello.wav": "unreadable name",
        "wav/notes.txt": "other material",
    }


def test_one_name_in_two_containers_is_one_utterance(tmp_path: Path) -> None:
    root = make_emodb(make_emodb(tmp_path, ["03a01Wa"]), ["03a01Wa"], suffix=".flac")
    listing = list_files(root)
    assert [u.audio.name for u in listing.utterances] == ["03a01Wa.flac"]
    assert [(item.where, item.reason) for item in listing.left_out] == [("wav/03a01Wa.wav", "duplicate")]


def test_a_root_one_level_off_is_named(tmp_path: Path) -> None:
    root = make_emodb(tmp_path / "EmoDB", ["03a01Wa"])
    (root / "silb").mkdir()
    for wrong in (root / "wav", root / "silb", tmp_path):
        with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
            list_files(wrong)


def test_no_corpus_near_is_said_without_a_guess(tmp_path: Path) -> None:
    write_sound(tmp_path / "deep" / "er" / "x.wav")
    with pytest.raises(CorpusError, match=r"Found: er/\. Expected: a folder wav/") as caught:
        list_files(tmp_path / "deep")
    assert caught.value.hint is None


def test_an_absent_root_names_its_neighbour(tmp_path: Path) -> None:
    make_emodb(tmp_path / "emodb", ["03a01Wa"])
    with pytest.raises(CorpusError, match=r"not there.*Did you mean .*emodb"):
        list_files(tmp_path / "emobd")


def test_a_folder_that_may_not_be_entered_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_emodb(tmp_path, ["03a01Wa"])
    (root / "wav" / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: str | Path) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CorpusError, match=r"cannot be read: .*wav/locked\. Found: Permission denied"):
        read_corpus("emodb", root, examine=examine)


def test_a_file_as_root_is_refused(tmp_path: Path) -> None:
    root = make_emodb(tmp_path, ["03a01Wa"])
    with pytest.raises(CorpusError, match="this is a file"):
        list_files(root / "erkennung.txt")


def test_reading_leaves_the_corpus_alone(tmp_path: Path) -> None:
    root = make_emodb(tmp_path / "emodb", ["03a01Wa", "08b10Tc"])
    before = fingerprint(root)
    listing = read_corpus("emodb", root, examine=examine)
    assert [u.id for u in listing.utterances] == ["03a01Wa", "08b10Tc"]
    assert fingerprint(root) == before


def test_real_corpus_agrees_with_its_own_table(shared: Path) -> None:
    root = shared / "corpora" / "emodb"
    listing = read_corpus("emodb", root, examine=examine)
    with (root / "files.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["path"].startswith("wav/")]
    sexes = {"m": "male", "f": "female"}
    expected = {
        Path(row["path"]).stem: (row["speaker"], sexes[row["sex"]], canonical_emotion(row["emotion"]), row["text"])
        for row in rows
    }
    assert {u.id: (u.speaker, u.gender, u.emotion, u.text) for u in listing.utterances} == expected
    assert listing.left_out == ()
    seconds = {Path(row["path"]).stem: float(row["seconds"]) for row in rows}
    assert all(u.duration_s == pytest.approx(seconds[u.id], abs=0.0006) for u in listing.utterances)
    assert sum(u.duration_s or 0 for u in listing.utterances) / 60 == pytest.approx(22.7, abs=0.05)
    counted = Counter(u.emotion for u in listing.utterances)
    assert counted == {**CORPUS.expected, "disgusted": 9}  # the other 37 are cut short and lie elsewhere


def test_real_listeners_recognised_what_was_published(shared: Path) -> None:
    root = shared / "corpora" / "emodb"
    with (root / "perception.tsv").open(encoding="utf-8", newline="") as file:
        rows = {row["stem"]: row for row in csv.DictReader(file, delimiter="\t")}
    utterances = list_files(root).utterances
    assert len(utterances) == 498
    for utterance in utterances:
        for name in ("recognised_percent", "natural_percent"):
            assert float(utterance.extra[name]) == float(rows[utterance.id][name])
    assert min(float(u.extra["recognised_percent"]) for u in utterances) >= 80


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("emodb") is CORPUS
    assert sum(CORPUS.expected.values()) == 535
    assert CORPUS.commercial_use is True
