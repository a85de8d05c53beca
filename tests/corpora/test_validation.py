"""Every recording is looked at once; what cannot be used is left out with its reason, nothing silently."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.corpora.trees import make_emodb, write_sound

from serenade.core.errors import AudioError, CorpusError, UsageError
from serenade.core.files import cache_folder
from serenade.core.labels import LabelSet
from serenade.core.records import Listing, Utterance
from serenade.corpora import Selection, read_corpus
from serenade.corpora.validation import validate
from serenade.signal.audio import AudioFacts, examine


@dataclass
class Counting:
    """The real examiner, counting."""

    seen: list[Path] = field(default_factory=list)

    def __call__(self, path: Path) -> AudioFacts:
        self.seen.append(path)
        return examine(path)


def utterance(audio: Path, name: str | None = None, **changes: object) -> Utterance:
    first = Utterance(audio.name if name is None else name, audio, "table", "s1", "happy")
    return first.with_(**changes)


def check(root: Path, *utterances: Utterance, look: Callable[[Path], AudioFacts] = examine) -> Listing:
    return validate(Listing(utterances), examine=look, root=root)


def reasons(listing: Listing) -> dict[str, str]:
    return {item.where: item.reason for item in listing.left_out}


def test_damage_of_every_kind_is_told_apart(tmp_path: Path) -> None:
    write_sound(tmp_path / "good.wav", seconds=0.25)
    (tmp_path / "empty.wav").write_bytes(b"")
    soundfile.write(tmp_path / "no_samples.wav", np.zeros(0), 16000)
    (tmp_path / "text.wav").write_text("these are words, not sound" * 50)
    soundfile.write(tmp_path / "silent.wav", np.zeros(1600), 16000)
    soundfile.write(tmp_path / "nan.wav", np.full(1600, np.nan), 16000, subtype="FLOAT")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    names = ("good", "empty", "no_samples", "text", "silent", "nan", "loop", "absent")
    listing = check(tmp_path, *(utterance(tmp_path / f"{name}.wav") for name in names))
    (good,) = listing.utterances
    assert (good.id, good.duration_s) == ("good.wav", 0.25)
    found = reasons(listing)
    assert found.pop("loop.wav") in ("missing", "undecodable")
    assert found == {
        "empty.wav": "empty",
        "no_samples.wav": "empty",
        "text.wav": "undecodable",
        "silent.wav": "silent",
        "nan.wav": "not finite",
        "absent.wav": "missing",
    }


def test_a_missing_file_with_another_ending_is_pointed_at(tmp_path: Path) -> None:
    write_sound(tmp_path / "a[1].flac")
    (item,) = check(tmp_path, utterance(tmp_path / "a[1].wav")).left_out
    assert item.detail.endswith("but a[1].flac is there")


def test_utterances_are_sorted_by_id_and_the_report_by_place(tmp_path: Path) -> None:
    sounds = [write_sound(tmp_path / f"{name}.wav") for name in "cab"]
    listing = check(
        tmp_path, *(utterance(sound) for sound in sounds), utterance(tmp_path / "z"), utterance(tmp_path / "y")
    )
    assert [u.id for u in listing.utterances] == ["a.wav", "b.wav", "c.wav"]
    assert [item.where for item in listing.left_out] == ["y", "z"]


def test_two_utterances_with_one_id_are_a_mistake(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav")
    with pytest.raises(CorpusError, match="two utterances have one id"):
        check(tmp_path, utterance(sound), utterance(sound))


def test_the_same_sound_twice_is_kept_once_by_id(tmp_path: Path) -> None:
    one, two = (write_sound(tmp_path / name, key="same") for name in ("b.wav", "a.wav"))
    listing = check(tmp_path, utterance(one), utterance(two))
    assert [u.id for u in listing.utterances] == ["a.wav"]
    assert [(item.where, item.reason, item.detail) for item in listing.left_out] == [
        ("b.wav", "duplicate", "the same sound as a.wav")
    ]


def test_a_contradiction_between_copies_is_said(tmp_path: Path) -> None:
    one, two = (write_sound(tmp_path / name, key="same") for name in ("a.wav", "b.wav"))
    (item,) = check(tmp_path, utterance(one), utterance(two, speaker="s2", emotion="sad")).left_out
    assert item.detail == "the same sound as a.wav, labelled happy there and sad here, spoken by s1 there and s2 here"


def test_spans_of_one_recording_are_different_utterances(tmp_path: Path) -> None:
    look, sound = Counting(), write_sound(tmp_path / "a.wav", seconds=1.0)
    listing = check(
        tmp_path,
        utterance(sound, "1", start_s=0.0, end_s=0.4),
        utterance(sound, "2", start_s=0.4, end_s=1.02),  # tables round
        utterance(sound, "3", start_s=0.4),
        utterance(sound, "4"),
        utterance(sound, "5", start_s=0.0, end_s=1.0),
        look=look,
    )
    assert {u.id: u.duration_s for u in listing.utterances} == {"1": 0.4, "2": 0.6, "4": 1.0}
    assert [(item.reason, item.detail) for item in listing.left_out] == [
        ("duplicate", "the same sound as 2"),
        ("duplicate", "the same sound as 4"),
    ]
    assert len({u.content for u in listing.utterances}) == 3
    assert look.seen == [sound]


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(0.0, 1.2), (1.0, None), (2.0, 3.0), (0.5, 0.5), (0.6, 0.5), (-1.0, 0.5)]
)
def test_spans_beyond_the_recording_are_left_out(tmp_path: Path, start_s: float, end_s: float | None) -> None:
    sound = write_sound(tmp_path / "a.wav", seconds=1.0)
    listing = check(tmp_path, utterance(sound, start_s=start_s, end_s=end_s))
    assert (len(listing.utterances), reasons(listing)) == (0, {"a.wav": "bad span"})


def test_labels_choose_classes_and_say_so(tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    for name in ("a.wav", "b.wav", "c.wav"):
        write_sound(tmp_path / name)
    table.write_text("file,emotion\na.wav,happy\nb.wav,sad\nc.wav,\n")
    everything = read_corpus("table", table, examine=examine)
    assert [u.emotion for u in everything.utterances] == ["happy", "sad", None]
    chosen = read_corpus("table", table, examine=examine, selection=Selection(LabelSet(("angry", "happy"))))
    assert [u.id for u in chosen.utterances] == ["a.wav"]
    assert {(item.where, item.reason, item.detail) for item in chosen.left_out} == {
        ("b.wav (line 3)", "not in the label set", "sad"),
        ("c.wav (line 4)", "no label", ""),
    }


def test_a_misspelt_label_names_the_nearest(tmp_path: Path) -> None:
    root = make_emodb(tmp_path, ["03a01Wa", "03a01Fa"])
    with pytest.raises(UsageError, match=r"no class 'hapy'.*some of angry, happy.*Did you mean 'happy'"):
        read_corpus("emodb", root, examine=examine, selection=Selection(LabelSet(("angry", "hapy"))))


def test_a_label_that_the_corpus_lacks_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_emodb(tmp_path, ["03a01Wa", "03a01Fa"])
    with caplog.at_level(logging.WARNING):
        listing = read_corpus("emodb", root, examine=examine, selection=Selection(LabelSet(("angry", "calm"))))
    assert [u.emotion for u in listing.utterances] == ["angry"]
    assert "has no utterance of the class calm" in caplog.text


@pytest.mark.slow
def test_ravdess_is_decoded_once_and_then_opens_at_once(shared: Path) -> None:
    root = shared / "corpora" / "ravdess"
    first = read_corpus("ravdess", root, examine=examine)
    assert (len(first.utterances), first.left_out) == (1440, ())
    assert sum(u.duration_s or 0 for u in first.utterances) / 60 == pytest.approx(88.8, abs=0.05)
    began = time.process_time()
    assert read_corpus("ravdess", root, examine=examine) == first
    assert time.process_time() - began < 1


def test_progress_counts_every_recording(tmp_path: Path) -> None:
    root = make_emodb(tmp_path, ["03a01Wa", "03a01Nc", "03a02Fc"])
    steps: list[tuple[int, int]] = []
    for _ in range(2):
        steps.clear()
        read_corpus("emodb", root, examine=examine, progress=lambda done, total: steps.append((done, total)))
        assert steps[-1] == (3, 3)
        assert steps == sorted(steps)


@pytest.mark.parametrize("workers", [2, 5])
def test_the_number_of_workers_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    root = make_emodb(tmp_path, [f"03a01{letter}{version}" for letter in "WLEAFTN" for version in "abcd"])
    (root / "wav" / "03a01Wb.wav").write_bytes(b"")
    alone = read_corpus("emodb", root, examine=examine, workers=1)
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path / "another cache"))
    look = Counting()
    assert read_corpus("emodb", root, examine=look, workers=workers) == alone
    assert (len(look.seen), len(alone.utterances)) == (28, 27)


# ---------------------------------------------------------------------------------------- what is kept on disk


def test_a_recording_is_decoded_once(tmp_path: Path) -> None:
    root, look = make_emodb(tmp_path, ["03a01Wa", "03a01Nc"]), Counting()
    first = read_corpus("emodb", root, examine=look)
    assert len(look.seen) == 2
    assert read_corpus("emodb", root, examine=look) == first
    assert len(look.seen) == 2


def test_a_changed_recording_is_decoded_again(tmp_path: Path) -> None:
    root, look = make_emodb(tmp_path, ["03a01Wa", "03a01Nc"]), Counting()
    before = {u.id: u.content for u in read_corpus("emodb", root, examine=look).utterances}
    write_sound(root / "wav" / "03a01Wa.wav", seconds=0.2, key="another take")
    after = {u.id: u.content for u in read_corpus("emodb", root, examine=look).utterances}
    assert [path.stem for path in look.seen[2:]] == ["03a01Wa"]
    assert before["03a01Wa"] != after["03a01Wa"]
    assert before["03a01Nc"] == after["03a01Nc"]


def test_failures_are_not_kept(tmp_path: Path) -> None:
    root = make_emodb(tmp_path, ["03a01Wa"])
    (root / "wav" / "03a01Wa.wav").write_bytes(b"")
    look = Counting()
    for _ in range(2):
        assert reasons(read_corpus("emodb", root, examine=look)) == {"wav/03a01Wa.wav": "empty"}
    assert len(look.seen) == 2


def test_another_examiner_is_asked_itself(tmp_path: Path) -> None:
    root = make_emodb(tmp_path, ["03a01Wa"])
    read_corpus("emodb", root, examine=examine)

    def look(path: Path) -> AudioFacts:
        raise AudioError("no", reason="undecodable", where=path)

    assert reasons(read_corpus("emodb", root, examine=look)) == {"wav/03a01Wa.wav": "undecodable"}


def test_a_broken_memo_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, look = make_emodb(tmp_path, ["03a01Wa"]), Counting()
    first = read_corpus("emodb", root, examine=look)
    (memo,) = cache_folder().glob("recordings-*.sqlite")
    memo.write_bytes(b"no database at all" * 100)
    with caplog.at_level(logging.WARNING):
        assert read_corpus("emodb", root, examine=look) == first
    assert "is broken and is made anew" in caplog.text
    assert read_corpus("emodb", root, examine=look) == first
    assert len(look.seen) == 2


def test_a_memo_broken_inside_costs_one_run(tmp_path: Path) -> None:
    names = [f"{speaker}a01{letter}{version}" for speaker in ("03", "08") for letter in "WLEAFTN" for version in "abcd"]
    root, look = make_emodb(tmp_path, names), Counting()
    first = read_corpus("emodb", root, examine=look)
    (memo,) = cache_folder().glob("recordings-*.sqlite")
    whole = memo.read_bytes()
    memo.write_bytes(whole[:5000] + b"\xff" * (len(whole) - 5000))
    assert read_corpus("emodb", root, examine=look) == first
    decoded = len(look.seen)
    assert decoded > len(names)
    for _ in range(2):
        assert read_corpus("emodb", root, examine=look) == first
    assert len(look.seen) <= decoded + len(names)
    with sqlite3.connect(memo) as connection:
        assert connection.execute("SELECT count(*) FROM recordings").fetchone() == (len(names),)
    connection.close()


def test_without_a_place_for_the_memo_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_emodb(tmp_path / "emodb", ["03a01Wa"])
    (tmp_path / "file").write_text("a file where the cache folder should be")
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING):
        assert len(read_corpus("emodb", root, examine=examine).utterances) == 1
    assert "cannot be used" in caplog.text


def test_an_interrupt_keeps_what_was_done(tmp_path: Path) -> None:
    root = make_emodb(tmp_path, [f"03a01{letter}a" for letter in "WLEAFTN"])

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_corpus("emodb", root, examine=examine, progress=stop, workers=1)
    steps: list[int] = []
    read_corpus("emodb", root, examine=examine, progress=lambda done, total: steps.append(done))
    assert steps[0] >= 4


def test_many_may_write_at_once(tmp_path: Path) -> None:
    names = [f"03a01{letter}{version}" for letter in "WLEAFTN" for version in "abcd"]
    root, results = make_emodb(tmp_path, names), []
    threads = [
        threading.Thread(target=lambda: results.append(read_corpus("emodb", root, examine=examine, workers=1)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(result == results[0] for result in results)
    look: list[int] = []
    read_corpus("emodb", root, examine=examine, progress=lambda done, total: look.append(done))
    assert look == [len(names)]
