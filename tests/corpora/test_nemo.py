"""nEMO: names and the table beside them are read together, and agree with what the publishers count."""

import logging
from collections import Counter
from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_nemo
from tests.corpora.published import published_facts

from serenade.core.errors import CorpusError
from serenade.corpora.nemo import CORPUS, list_files


def found(root: Path) -> dict[str, tuple[str, str]]:
    return {item.where: (item.reason, item.detail) for item in list_files(root).left_out}


def test_name_and_table_tell_everything(tmp_path: Path) -> None:
    utterance = list_files(make_nemo(tmp_path)).utterances[0]
    assert utterance.id == "EB0_anger_1"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("EB0", "female", "angry")
    assert (utterance.language, utterance.sentence, utterance.text) == ("pl", "1", "Lubię czytać przed snem.")
    assert utterance.extra == {"age": "27"}


def test_a_line_without_a_recording_is_missing(tmp_path: Path) -> None:
    root = make_nemo(tmp_path)
    (root / "samples" / "WR0_fear_1.wav").unlink()
    assert found(root) == {"samples/WR0_fear_1.wav": ("missing", "named in data.tsv, line 11")}


def test_name_and_table_that_disagree_are_reported(tmp_path: Path) -> None:
    root = make_nemo(tmp_path)
    table = root / "data.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("wav\tfear\t", "wav\tanger\t"), encoding="utf-8")
    detail = "fear by its name, anger in data.tsv, line 11"
    assert found(root) == {"samples/WR0_fear_1.wav": ("unknown label", detail)}


def test_without_the_table_only_the_words_lack(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_nemo(tmp_path)
    (root / "data.tsv").unlink()
    with caplog.at_level(logging.WARNING):
        listing = list_files(root)
    assert len(listing.utterances) == 10
    assert listing.left_out == ()
    assert {u.text for u in listing.utterances} == {None}
    assert "data.tsv is not there: the words" in caplog.text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("raw_text", "text", r"no column 'raw_text'.*line 1.*Found: file_id, emotion, text.*Did you mean 'text'"),
        ("EB0_anger_1.wav", "", r"empty cell in the column 'file_id': .*data\.tsv, line 2.*Fill the cell"),
        ("IC0_anger_1.wav", "EB0_anger_1.wav", r"two different lines for EB0_anger_1\.wav: .*line 3.*line 2.*Delete"),
    ],
)
def test_a_table_that_is_off_says_where_and_what_to_do(tmp_path: Path, old: str, new: str, message: str) -> None:
    root = make_nemo(tmp_path)
    table = root / "data.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CorpusError, match=message):
        list_files(root)


def test_a_line_that_repeats_another_is_told_and_harmless(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_nemo(tmp_path)
    lines = (root / "data.tsv").read_text(encoding="utf-8").splitlines()
    (root / "data.tsv").write_text("\n".join([*lines, lines[1]]), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert len(list_files(root).utterances) == 10
    assert "line 12 repeats line 2 (EB0_anger_1.wav)" in caplog.text


@pytest.mark.parametrize(("encoding", "end"), [("utf-8-sig", "\r\n"), ("utf-8", "\r\n"), ("utf-16", "\n")])
def test_marks_and_ends_of_line_do_not_matter(tmp_path: Path, encoding: str, end: str) -> None:
    root = make_nemo(tmp_path)
    expected = list_files(root)
    text = (root / "data.tsv").read_text(encoding="utf-8")
    (root / "data.tsv").write_bytes(text.replace("\n", end).encode(encoding))
    assert list_files(root) == expected


def test_latin_1_is_read_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_nemo(tmp_path)
    text = (root / "data.tsv").read_text(encoding="utf-8")
    (root / "data.tsv").write_bytes(text.replace("ę", "é").replace("ć", "c").encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        listing = list_files(root)
    assert listing.utterances[0].text == "Lubié czytac przed snem."
    assert "not UTF-8 (line 2)" in caplog.text


def test_real_corpus_agrees_with_its_own_table(shared: Path) -> None:
    root = shared / "corpora" / "nemo"
    listing = list_files(root)
    found = {u.id: (u.speaker, u.gender, u.emotion, u.text) for u in listing.utterances}
    assert found == published_facts(root)
    assert listing.left_out == ()
    assert Counter(u.emotion for u in listing.utterances) == CORPUS.expected
    counted = Counter(u.speaker for u in listing.utterances)
    assert "".join(f" {name} {counted[name]}" for name in sorted(counted)) == (
        " EB0 539 IC0 540 KD0 540 KS0 540 MK0 450 MP0 256 SM0 538 TP0 539 WR0 539"
    )
    texts = {(u.sentence, u.text) for u in listing.utterances}
    assert len(texts) == len({sentence for sentence, _ in texts}) == 90  # a number is a sentence
