"""Noise: every layout of DEMAND gives the same recordings, and any folder its environments."""

from collections import Counter
from pathlib import Path

import pytest
from tests.corpora.format_trees import make_demand
from tests.corpora.trees import write_sound

from serenade.core.errors import CorpusError
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.noise import CORPUS, DEMAND_ENVIRONMENTS, list_files
from serenade.signal.audio import examine

FORMS = ["TBUS", "TBUS_16k", "TBUS_48k", "TBUS_16k/TBUS", "TBUS_48k/TBUS", "demand/TBUS_16k/TBUS", "tbus_16K"]


@pytest.mark.parametrize("form", FORMS)
def test_every_layout_of_demand_gives_the_same(tmp_path: Path, form: str) -> None:
    listing = list_files(make_demand(tmp_path, form))
    assert listing.left_out == ()
    assert [u.id for u in listing.utterances] == [f"TBUS/ch{channel:02d}" for channel in range(1, 17)]
    first = listing.utterances[0]
    assert first.audio == tmp_path / form / "ch01.wav"
    assert (first.speaker, first.group, first.emotion) == ("TBUS", "TBUS", None)
    assert first.extra == {"environment": "TBUS", "channel": "01", "place": "transport"}


@pytest.mark.parametrize("form", FORMS[:5])
def test_an_environment_may_be_given_itself(tmp_path: Path, form: str) -> None:
    make_demand(tmp_path, form)
    assert {u.speaker for u in list_files(tmp_path / form).utterances} == {"TBUS"}


def test_of_two_rates_16_khz_is_used(tmp_path: Path) -> None:
    make_demand(make_demand(tmp_path, "SCAFE_48k/SCAFE"), "TCAR_48k")
    listing = list_files(make_demand(tmp_path, "TCAR_16k/TCAR"))
    assert Counter(u.speaker for u in listing.utterances) == {"SCAFE": 16, "TCAR": 16}
    assert all("TCAR_16k" in u.audio.parts for u in listing.utterances if u.speaker == "TCAR")
    assert Counter(item.reason for item in listing.left_out) == {"duplicate": 16}


def test_a_half_unpacked_environment_is_told(tmp_path: Path) -> None:
    (item,) = list_files(make_demand(tmp_path, "NPARK", range(1, 15))).left_out
    assert (item.where, item.reason, item.detail) == ("NPARK", "missing", "2 of 16 channels: 15, 16")


def test_places_are_told_by_the_first_letter() -> None:
    # the list of the data set's page: 18 environments, three of each kind
    assert len(DEMAND_ENVIRONMENTS) == 18
    assert Counter(name[0] for name in DEMAND_ENVIRONMENTS) == dict.fromkeys("DNOPST", 3)


def test_any_folder_is_noise_by_its_folders(tmp_path: Path) -> None:
    for name in ("rain/1.wav", "street/day/2.wav", "3.wav"):
        write_sound(tmp_path / "noises" / name)
    (tmp_path / "noises" / "README.md").write_text("x")
    listing = list_files(tmp_path / "noises")
    assert {u.id: u.extra["environment"] for u in listing.utterances} == {
        "3.wav": "noises",
        "rain/1.wav": "rain",
        "street/day/2.wav": "day",
    }
    assert [(item.where, item.reason) for item in listing.left_out] == [("README.md", "other material")]


def test_a_folder_without_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "TBUS_16k.zip").write_bytes(b"PK")
    with pytest.raises(CorpusError, match=r"DKITCHEN/ch01\.wav.*Unpack TBUS_16k\.zip first"):
        list_files(tmp_path)


def test_real_noise_has_what_its_page_says(shared: Path) -> None:
    listing = read_corpus("noise", shared / "corpora" / "noise", examine=examine)
    assert len(listing.utterances) == 68
    assert sum(u.duration_s or 0 for u in listing.utterances) / 60 == pytest.approx(13.2, abs=0.05)
    counts = Counter(u.extra["environment"] for u in listing.utterances)
    assert (counts["002 - Rain"], counts["babble"], counts["speech-commands-background"]) == (9, 2, 6)


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("noise") is CORPUS
