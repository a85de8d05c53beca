"""LibriSpeech: names, readers and words are read from the archives' layout and from flatter copies."""

import logging
from collections import Counter
from pathlib import Path

import pytest
from tests.corpora.format_trees import make_librispeech
from tests.corpora.trees import fingerprint, write_sound

from serenade.core.errors import CorpusError
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.librispeech import CORPUS, list_files
from serenade.signal.audio import examine

NAMES = {"train-clean-100": ["103-1240-0000", "103-1240-0001"], "test-other": ["1688-142285-0003"]}


def test_name_readers_and_words_tell_everything(tmp_path: Path) -> None:
    root = make_librispeech(tmp_path, NAMES)
    listing = list_files(root)
    assert listing.left_out == ()
    assert [u.id for u in listing.utterances] == ["103-1240-0000", "103-1240-0001", "1688-142285-0003"]
    first, _, last = listing.utterances
    assert first.audio == root / "train-clean-100" / "103" / "1240" / "103-1240-0000.flac"
    assert (first.speaker, first.gender, first.language, first.emotion) == ("103", "female", "en", None)
    assert (first.group, first.text, first.split) == ("103-1240", "WORDS OF 0000", "train")
    assert first.extra == {"subset": "train-clean-100", "chapter": "1240"}
    assert (last.speaker, last.gender, last.split) == ("1688", "male", "test")


@pytest.mark.parametrize("suffix", [".opus", ".wav", ".FLAC"])
def test_container_does_not_matter(tmp_path: Path, suffix: str) -> None:
    if suffix == ".opus":
        root = make_librispeech(tmp_path, NAMES, suffix=".ogg")
        for path in list(root.rglob("*.ogg")):
            path.rename(path.with_suffix(".opus"))
    else:
        root = make_librispeech(tmp_path, NAMES, suffix=suffix)
    assert len(read_corpus("librispeech", root, examine=examine).utterances) == 3


def test_one_subset_may_be_given(tmp_path: Path) -> None:
    root = make_librispeech(tmp_path, NAMES)
    (utterance,) = list_files(root / "test-other").utterances
    assert (utterance.gender, utterance.extra["subset"]) == ("male", "test-other")


def test_flat_copies_open(tmp_path: Path) -> None:
    write_sound(tmp_path / "train-clean-100" / "103-1240-0000.wav")
    write_sound(tmp_path / "test-other" / "1688" / "1688-142285-0003.wav")
    assert {u.speaker: u.extra["subset"] for u in list_files(tmp_path).utterances} == {
        "103": "train-clean-100",
        "1688": "test-other",
    }


def test_readers_nobody_lists_have_no_sex(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_librispeech(tmp_path, {"dev-clean": ["84-121123-0000"]})
    (utterance,) = list_files(root).utterances
    assert (utterance.gender, utterance.split) == (None, "validation")
    assert "does not have 1 of the readers, such as 84" in caplog.text
    (root / "SPEAKERS.TXT").unlink()
    with caplog.at_level(logging.WARNING):
        list_files(root)
    assert "SPEAKERS.TXT is not there" in caplog.text


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_any_ends_of_line_and_encodings(tmp_path: Path, ending: str, encoding: str) -> None:
    root = make_librispeech(tmp_path, NAMES)
    text = f"; a comment{ending}103|F|train-clean-100|25|Zoë{ending}1688 | m | test-other | 8 | X{ending}"
    (root / "SPEAKERS.TXT").write_bytes(text.encode(encoding))
    assert {u.speaker: u.gender for u in list_files(root).utterances} == {"103": "female", "1688": "male"}


def test_a_list_of_readers_of_another_form_is_named_with_its_line(tmp_path: Path) -> None:
    root = make_librispeech(tmp_path, NAMES)
    (root / "SPEAKERS.TXT").write_text("; x\nid,sex\n103,F\n")
    with pytest.raises(CorpusError, match=r"SPEAKERS\.TXT, line 2\. Found: id,sex\. Expected: id \| sex"):
        list_files(root)


def test_what_is_missing_or_foreign_is_reported(tmp_path: Path) -> None:
    root = make_librispeech(tmp_path, NAMES)
    (root / "train-clean-100" / "103" / "1240" / "103-1240-0001.flac").unlink()
    write_sound(root / "test-other" / "hello.wav")
    (root / "test-other" / "notes.doc").write_text("x")
    found = {item.where: (item.reason, item.detail) for item in list_files(root).left_out}
    transcript = "train-clean-100/103/1240/103-1240.trans.txt"
    assert found[transcript] == ("missing", "1 of 2 recordings, such as 103-1240-0001")
    assert found["test-other/hello.wav"][0] == "unreadable name"
    assert found["test-other/notes.doc"][0] == "other material"
    assert len(found) == 3


def test_half_a_transcript_and_an_empty_list_of_readers_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_librispeech(tmp_path, NAMES)
    (root / "train-clean-100" / "103" / "1240" / "103-1240.trans.txt").write_text("103-1240-0000 WORDS\n")
    (root / "SPEAKERS.TXT").write_text("")
    list_files(root)
    assert "1 recording without a transcript, such as 103-1240-0001" in caplog.text
    assert "SPEAKERS.TXT does not have 2 of the readers, such as 103" in caplog.text


def test_a_reader_who_is_listed_twice_is_refused(tmp_path: Path) -> None:
    root = make_librispeech(tmp_path, NAMES)
    text = (root / "SPEAKERS.TXT").read_text()
    (root / "SPEAKERS.TXT").write_text(text + "103 | M | train-clean-100 | 25.10 | Karen\n")
    with pytest.raises(CorpusError, match=r"reader 103 twice: .*line 5\. Found: male.*before it female"):
        list_files(root)


def test_readers_of_a_subset_who_are_not_there_are_told(tmp_path: Path) -> None:
    root = make_librispeech(tmp_path, {"test-other": NAMES["test-other"]})
    assert list_files(root).left_out == ()  # the other reader is in a subset that was not asked for
    text = (root / "SPEAKERS.TXT").read_text() + "1998 | F | test-other | 8 | X\n"
    (root / "SPEAKERS.TXT").write_text(text)
    (item,) = list_files(root).left_out
    assert (item.where, item.reason, item.detail) == ("test-other", "missing", "1 of 2 readers, such as 1998")


def test_a_root_one_level_off_is_named(tmp_path: Path) -> None:
    root = make_librispeech(tmp_path / "LibriSpeech", NAMES)
    for wrong in (tmp_path, root / "train-clean-100" / "103"):
        with pytest.raises(CorpusError, match=rf"lies in {tmp_path}/LibriSpeech.*: give that folder"):
            list_files(wrong)


def test_reading_leaves_the_corpus_alone(tmp_path: Path) -> None:
    root = make_librispeech(tmp_path / "LibriSpeech", NAMES)
    before = fingerprint(root)
    read_corpus("librispeech", root, examine=examine)
    assert fingerprint(root) == before


def test_real_sample_has_what_its_page_says(shared: Path) -> None:
    listing = list_files(shared / "corpora" / "librispeech-sample")
    assert listing.left_out == ()
    assert len(listing.utterances) == 351
    sexes = {u.speaker: u.gender for u in listing.utterances}
    assert Counter(sexes.values()) == {"female": 130, "male": 131}
    assert Counter(u.extra["subset"] for u in listing.utterances) == {"train-clean-100": 251, "test-other": 100}


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("librispeech") is CORPUS
    assert CORPUS.commercial_use is True
