"""The emotional part of emotiontts: the number tells the class, files beside the recording tell the words."""

import logging
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_emotiontts_ko
from tests.corpora.published import published_facts
from tests.corpora.trees import write_bytes

from serenade.corpora.emotiontts_ko import CORPUS, list_files

SPEAKER = Path("Emotional/plain-to-emotional/ema")


def test_name_and_texts_tell_everything(tmp_path: Path) -> None:
    utterance = list_files(make_emotiontts_ko(tmp_path)).utterances[0]
    assert utterance.id == "ema00001"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("ema", "female", "neutral")
    assert (utterance.language, utterance.text) == ("ko", "스무명이 왔습니다.")
    assert utterance.extra == {"part": "plain-to-emotional", "script": "20명이 왔습니다."}
    assert utterance.sentence == "20명이 왔습니다"


def test_a_hundred_numbers_are_one_class(tmp_path: Path) -> None:
    root = make_emotiontts_ko(tmp_path)
    for number in (100, 101, 200, 201, 300, 301, 400):
        write_bytes(root / SPEAKER / "wav" / f"ema{number:05d}.wav")
    found = [(u.id[5:], u.emotion) for u in list_files(root).utterances if u.speaker == "ema"]
    assert found[:4] == [("001", "neutral"), ("100", "neutral"), ("101", "happy"), ("200", "happy")]
    assert found[4:] == [("201", "angry"), ("300", "angry"), ("301", "sad"), ("400", "sad")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "cp949"])
def test_encodings_of_korean_are_known(tmp_path: Path, encoding: str) -> None:
    root = make_emotiontts_ko(tmp_path)
    (root / SPEAKER / "transcript" / "ema00001.txt").write_bytes("안녕하세요.\r\n".encode(encoding))
    assert list_files(root).utterances[0].text == "안녕하세요."


def test_texts_that_lack_or_cannot_be_read_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_emotiontts_ko(tmp_path)
    (root / SPEAKER / "script" / "ema00001.txt").unlink()
    (root / SPEAKER / "transcript" / "ema00001.txt").write_bytes(b"\xff\xff\xff")
    with caplog.at_level(logging.WARNING):
        utterance = list_files(root).utterances[0]
    assert (utterance.text, utterance.sentence) == (None, None)
    assert "ema00001.txt is neither UTF-8 nor CP949" in caplog.text
    assert "1 of 15 recordings have no transcript, such as ema00001" in caplog.text


def test_what_cannot_be_is_reported(tmp_path: Path) -> None:
    root = make_emotiontts_ko(tmp_path)
    for name in ("ema00401", "xyz00001", "emb00002", "ema1"):
        write_bytes(root / SPEAKER / "wav" / f"{name}.wav")
    left_out = {Path(item.where).stem: (item.reason, item.detail) for item in list_files(root).left_out}
    assert left_out["ema00401"] == ("unreadable name", "number 00401, expected one of 00001 to 00400")
    assert left_out["xyz00001"] == ("unreadable name", "speaker xyz, expected one of ema to neo")
    assert left_out["emb00002"] == ("unreadable name", "speaker emb in the folder ema")
    assert left_out["ema1"] == ("unreadable name", "expected a name such as ema00101")


def test_real_corpus_agrees_with_its_own_table(shared: Path) -> None:
    root = shared / "corpora" / "emotiontts-ko"
    listing = list_files(root)
    found = {u.id: (u.speaker, u.gender, u.emotion, u.text) for u in listing.utterances}
    assert found == published_facts(root)
    assert listing.left_out == ()
    assert Counter(u.emotion for u in listing.utterances) == CORPUS.expected
    assert set(Counter(u.speaker for u in listing.utterances).values()) == {20}


def test_words_give_the_class_away_in_one_part_only(shared: Path) -> None:
    classes = defaultdict(set)
    for utterance in list_files(shared / "corpora" / "emotiontts-ko").utterances:
        classes[utterance.extra["part"], utterance.sentence].add(utterance.emotion)
    assert {len(found) for (part, _), found in classes.items() if part == "emotional-to-emotional"} == {1}
    assert {len(found) for (part, _), found in classes.items() if part == "plain-to-emotional"} == {4}
