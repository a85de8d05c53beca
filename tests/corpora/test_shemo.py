"""ShEMO: letters of the name, the two tables of words, and what is wrong with each."""

import json
import logging
from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_shemo
from tests.corpora.trees import write_bytes

from serenade.core.errors import CorpusError
from serenade.core.records import Utterance
from serenade.corpora.shemo import CORPUS, list_files


def first(root: Path) -> Utterance:
    return list_files(root).utterances[0]


def test_name_and_table_tell_everything(tmp_path: Path) -> None:
    utterance = first(make_shemo(tmp_path))
    assert utterance.id == "F01A01"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("F01", "female", "angry")
    assert (utterance.language, utterance.text) == ("fa", "اصلاً تو کی هستی؟")  # without the mark before it
    assert utterance.sentence == "اصلا تو کی هستی"
    assert utterance.extra == {}


def test_letters_are_those_of_the_paper(tmp_path: Path) -> None:
    found = {u.id[3]: u.emotion for u in list_files(make_shemo(tmp_path)).utterances}
    assert found == {"A": "angry", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad", "W": "surprised"}


def test_the_modified_release_gives_words_and_tells_other_labels(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_shemo(tmp_path)
    (root / "female").rename(root / "shemo")
    words = {"path": "shemo/F01A01.wav", "emotion": "anger", "transcript": "سلام", "text_name": "F01A09"}
    other = {**words, "emotion": "sadness", "transcript": "نه"}
    (root / "modified_shemo.json").write_text(json.dumps({"F01A01.wav": words, "F01N01.wav": other}))
    with caplog.at_level(logging.WARNING):
        found = {u.id: u for u in list_files(root).utterances}
    assert (found["F01A01"].text, found["F01A01"].extra) == ("سلام", {})
    assert (found["F01N01"].emotion, found["F01N01"].extra) == ("neutral", {"modified_emotion": "sad"})
    assert "another label for 1 recording, such as F01N01" in caplog.text


def test_without_a_table_only_the_words_lack(tmp_path: Path) -> None:
    root = make_shemo(tmp_path)
    (root / "shemo.json").unlink()
    assert {(u.text, u.sentence) for u in list_files(root).utterances} == {(None, None)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_mark_and_plain_letters_do_not_matter(tmp_path: Path, encoding: str) -> None:
    root = make_shemo(tmp_path)
    expected = list_files(root)
    entries = json.loads((root / "shemo.json").read_text(encoding="utf-8"))
    text = json.dumps(entries, ensure_ascii=False, indent=1).replace("\n", "\r\n")
    (root / "shemo.json").write_bytes(text.encode(encoding))
    assert list_files(root) == expected


ENTRY = '{"id": "F01A01", "transcript": "a"}'


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[\n{", r"not JSON: .*shemo\.json, line 2\. Found: .*Fetch it again"),
        (b'[{"id": "F01A01", "transcript": "\xe9"}]', r"not UTF-8: .*shemo\.json\. Save it as UTF-8"),
        (b'[{"id": "F01A01"}]', r"no 'transcript': .*entry 1\. Found: id\. Expected: the fields id, transcript"),
        (b"7", r"no 'id': .*entry 1\. Found: nothing"),
        (f'[{ENTRY}, {{"id": "F01A01", "transcript": "b"}}]'.encode(), r"two different .*entry 2\. Found: F01A01"),
        (b'{"F01A01.wav": {"transcript": "a"}, "F01A01.wav": {}}', r"names something twice: .*Found: F01A01\.wav"),
    ],
)
def test_a_table_that_is_off_says_where_and_what_to_do(tmp_path: Path, raw: bytes, message: str) -> None:
    root = make_shemo(tmp_path)
    (root / "shemo.json").write_bytes(raw)
    with pytest.raises(CorpusError, match=message):
        list_files(root)


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("male/F02A01", "unreadable name", "speaker F02 in the folder male"),
        ("male/M02X01", "unknown label", "emotion X, expected one of A, F, H, N, S, W"),
        ("male/X02A01", "unreadable name", "expected a name such as F01A01"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path: Path, name: str, reason: str, detail: str) -> None:
    root = make_shemo(tmp_path)
    write_bytes(root / f"{name}.wav")
    (item,) = list_files(root).left_out
    assert (item.where, item.reason, item.detail) == (f"{name}.wav", reason, detail)


def test_the_complete_corpus_has_3000_utterances() -> None:
    assert sum(CORPUS.expected.values()) == 3000
