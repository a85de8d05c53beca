"""The same take in two recordings of a corpus is found, described, and keeps a leaking run from starting."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from tests.signal.takes import RATE, take

from serenade.core.errors import LeakError
from serenade.core.files import cache_folder
from serenade.core.records import Listing, NearDuplicate, Utterance
from serenade.corpora import read_corpus
from serenade.experiments.near_duplicates import (
    describe_near_duplicate,
    find_near_duplicates,
    near_duplicate_to_json,
)
from serenade.experiments.run import prepare
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.signal.audio import AudioFacts, examine

SEVEN = ("a0", "a1", "a2", "b0", "b1", "b2", "copy")


def write_corpus(folder: Path, copy: np.ndarray, *, suffix: str = "flac", rate: int = RATE, label: str = "sad") -> Path:
    """Six takes of two speakers in train and test, and a copy of the first, by the tested speaker."""
    folder.mkdir()
    rows = ["file,speaker,emotion,split"]
    for place, name in enumerate(SEVEN):
        file = f"{name}.{suffix}" if name == "copy" else f"{name}.wav"
        sound = soxr.resample(copy, RATE, rate) if name == "copy" else take(place)
        soundfile.write(folder / file, sound, rate if name == "copy" else RATE)
        speaker, emotion = ("a", "b")[place > 2], ("sad", "happy")[place % 2]
        rows.append(f"{file},{speaker},{label if name == 'copy' else emotion},{('train', 'test')[place > 2]}")
    (folder / "data.csv").write_text("\n".join(rows) + "\n")
    return folder / "data.csv"


def read(table: Path) -> Listing:
    return read_corpus("table", table, examine=examine)


def only(table: Path) -> tuple[NearDuplicate, str]:
    listing = read(table)
    (pair,) = find_near_duplicates(listing.utterances)
    return pair, describe_near_duplicate(pair, {u.id: u for u in listing.utterances})


def test_a_copy_is_found_with_what_was_done_to_it(tmp_path: Path) -> None:
    copy = take(0)[3_200:-6_400] * np.float32(10 ** (-6 / 20))
    pair, words = only(write_corpus(tmp_path / "corpus", copy, suffix="flac", rate=22_050, label="happy"))
    assert (pair.first, pair.second) == ("a0.wav", "copy.flac")
    assert pair.gain_db == pytest.approx(-6, abs=0.5)
    parts = words.split(", ")
    assert parts[0] == "wav and flac"
    assert parts[1].endswith("dB softer")
    assert float(parts[2].split(" ")[0]) == pytest.approx(0.2, abs=0.03)
    assert parts[2].endswith("s less at the beginning")
    assert float(parts[3].split(" ")[0]) == pytest.approx(0.4, abs=0.03)
    assert parts[3].endswith("s less at the end")
    assert parts[4:] == ["labels differ: sad and happy", "speakers differ: a and b"]


def test_a_longer_copy_has_more(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    quiet = (1e-4 * rng.standard_normal(RATE // 2)).astype(np.float32)
    _, words = only(write_corpus(tmp_path / "corpus", np.concatenate([quiet, take(0)]), suffix="wav"))
    assert "0.50 s more at the beginning" in words
    assert "at the end" not in words


def test_the_pair_as_json_says_whether_it_matters(tmp_path: Path) -> None:
    listing = read(write_corpus(tmp_path / "corpus", take(0)))
    (pair,) = find_near_duplicates(listing.utterances)
    values = near_duplicate_to_json(pair, {u.id: u for u in listing.utterances})
    assert (values["same_label"], values["same_speaker"]) == (True, False)
    assert values["bit_error_rate"] < 0.05
    assert values["first"] == "a0.wav"


def test_the_same_bytes_are_a_duplicate_not_a_near_one(tmp_path: Path) -> None:
    listing = read(write_corpus(tmp_path / "corpus", take(0), suffix="wav"))
    assert [item.reason for item in listing.left_out] == ["duplicate"]
    assert find_near_duplicates(listing.utterances) == ()


def test_turns_of_one_recording_are_compared_by_their_spans(tmp_path: Path) -> None:
    turns = [take(0), take(1), take(2)]
    soundfile.write(tmp_path / "dialogue.wav", np.concatenate(turns), RATE)
    soundfile.write(tmp_path / "turn.wav", take(1) * 0.5, RATE)
    table = tmp_path / "data.csv"
    spans = "".join(f"dialogue.wav,{2.5 * n},{2.5 * (n + 1)},a,sad\n" for n in range(3))
    table.write_text(f"file,start,end,speaker,emotion\n{spans}turn.wav,,,b,sad\n")
    pair, words = only(table)
    assert (pair.first, pair.second) == ("dialogue.wav#2.500-5.000", "turn.wav")
    assert words == "6.0 dB softer, speakers differ: a and b"


def test_fingerprints_are_made_while_the_corpus_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = read(write_corpus(tmp_path / "corpus", take(0)))

    def refuse(path: Path) -> AudioFacts:
        raise AssertionError(f"{path} is decoded again")

    refuse.__qualname__, refuse.__module__ = examine.__qualname__, examine.__module__
    monkeypatch.setattr("serenade.experiments.near_duplicates.examine", refuse)
    assert len(find_near_duplicates(listing.utterances)) == 1


def test_without_what_was_kept_they_are_made_again(tmp_path: Path) -> None:
    listing = read(write_corpus(tmp_path / "corpus", take(0)))
    expected = find_near_duplicates(listing.utterances)
    for memo in cache_folder().glob("recordings-*"):
        memo.unlink()
    steps: list[tuple[int, int]] = []
    for _ in range(2):
        assert find_near_duplicates(listing.utterances, lambda *step: steps.append(step)) == expected
    assert steps[-1] == (7, 7)
    assert len(steps) == 7


def test_a_recording_that_is_gone_matches_nothing(tmp_path: Path) -> None:
    listing = read(write_corpus(tmp_path / "corpus", take(0)))
    for memo in cache_folder().glob("recordings-*"):
        memo.unlink()
    (tmp_path / "corpus" / "copy.flac").unlink()
    assert find_near_duplicates(listing.utterances) == ()


def test_a_copy_on_the_other_side_stops_a_run_before_it_trains(tmp_path: Path) -> None:
    table = write_corpus(tmp_path / "corpus", take(0) * 0.5)
    settings = ExperimentSettings.model_validate(
        {"corpora": [CorpusSettings(name="table", root=table)], "split": {"kind": "columns", "validation_speakers": 0}}
    )
    with pytest.raises(LeakError, match=r"near-duplicate.* a0\.wav ~ copy\.flac"):
        prepare(settings)
    leaky = settings.model_copy(update={"split": settings.split.model_copy(update={"leaky": "shown here"})})
    plan = prepare(leaky)
    (finding,) = [f for f in plan.leaks.errors if f.kind == "near_duplicate"]
    assert [offender.name for offender in finding.offenders] == ["a0.wav ~ copy.flac"]
    assert plan.leaks.to_json()["findings"]


@pytest.mark.slow
def test_the_two_takes_of_ravdess_are_different_but_for_one_pair(shared: Path) -> None:
    utterances = read_corpus("ravdess", shared / "corpora" / "ravdess", examine=examine).utterances
    (pair,) = find_near_duplicates(utterances)
    assert (pair.first, pair.second) == ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
    sounds = [soundfile.read(u.audio)[0] for u in utterances if u.id in (pair.first, pair.second)]
    assert np.corrcoef(*sounds)[0, 1] > 0.999  # the corpus holds one recording under both names


def test_repetitions_of_ravdess_are_different_takes(shared: Path) -> None:
    folder = shared / "corpora" / "ravdess" / "Actor_23"
    files = sorted(folder.glob("03-01-0[13]-02-*")) + sorted(folder.glob("03-01-0[12]-01-*"))
    utterances = [Utterance(file.stem, file, "ravdess", "23", "happy") for file in files]
    assert len(utterances) >= 12  # among them the pair of takes that is the most alike in the corpus
    assert find_near_duplicates(utterances) == ()
