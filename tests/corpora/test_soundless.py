"""Utterances without usable sound: left out for systems of sound, kept for those that see and read."""

from pathlib import Path

import pytest
from tests.corpora.trees import write_sound

from serenade.core.errors import CorpusError
from serenade.core.records import NO_RECORDING, Fold, Listing, Split
from serenade.corpora import read_corpus
from serenade.evaluation.leaks import check_split
from serenade.experiments.data import read_corpora
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.signal.audio import examine


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A recording, a video that cannot be decoded, words alone twice, and a broken recording without words."""
    write_sound(tmp_path / "a.wav", seconds=0.2)
    (tmp_path / "b.mp4").write_bytes(b"none")
    (tmp_path / "c.wav").write_bytes(b"none")
    lines = ["file,video,emotion,text", "a.wav,,happy,", ",b.mp4,sad,", ",,sad,hello", ",,happy,hello", "c.wav,,sad,"]
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "own.csv"


def read(table: Path, **options: bool) -> Listing:
    return read_corpus("table", table, examine=examine, workers=1, **options)


def test_systems_of_sound_get_what_can_be_heard(table: Path) -> None:
    listing = read(table)
    assert [u.id for u in listing.utterances] == ["a.wav"]
    found = {item.where: (item.reason, item.detail) for item in listing.left_out}
    assert found["line4"] == ("not selected", "there is no recording; systems that see or read take it")
    assert len(found) == 4


def test_systems_that_see_and_read_get_all_that_have_something(table: Path) -> None:
    listing = read(table, soundless=True)
    assert [u.id for u in listing.utterances] == ["a.wav", "b.mp4", "line4", "line5"]
    assert [u.has_audio for u in listing.utterances] == [True, False, False, False]
    assert listing.utterances[1].video is not None
    assert len({u.content for u in listing.utterances}) == 4
    assert [item.where for item in listing.left_out] == ["c.wav (line 6)"]


def test_what_has_no_recording_shares_none(table: Path) -> None:
    silent = [u for u in read(table, soundless=True).utterances if u.audio == NO_RECORDING]
    ids = tuple(u.id for u in silent)
    findings = check_split(Split("own", (Fold("0", ids[:1], (), ids[1:]),)), silent).findings
    assert not [finding for finding in findings if finding.severity == "error"]


def test_the_preset_decides(table: Path) -> None:
    corpora = (CorpusSettings(name="table", root=table),)
    assert len(read_corpora(ExperimentSettings(preset="fe2e-cpu", corpora=corpora)).utterances) == 4
    with pytest.raises(CorpusError, match="nothing to train on"):
        read_corpora(ExperimentSettings(preset="glam", corpora=corpora))
