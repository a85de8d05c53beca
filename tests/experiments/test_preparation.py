"""A corpus cut into sound, faces and words: what is kept, what is dropped and why, going on after an interruption."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from serenade.core.errors import CorpusError, UsageError
from serenade.core.records import NO_RECORDING, LeftOut, Listing, Utterance, Video
from serenade.corpora import read_corpus
from serenade.corpora.prepared import list_files
from serenade.experiments import preparation
from serenade.experiments.preparation import PreparationSettings, prepare, published_frames
from serenade.signal.audio import read_audio
from serenade.signal.faces import FaceBox, FaceSettings
from serenade.signal.multimodal import MultimodalSettings, read_multimodal

pytest.importorskip("av", reason="needs the extra media")
from tests.clips import grey, write_clip

TONE = 0.1 * np.sin(2 * np.pi * 300 * np.arange(32_000) / 16_000)


class Bright:
    """Finds a face in every picture that is not dark."""

    name = "bright"
    asked = 0

    def find(self, pixels):
        Bright.asked += 1
        return [FaceBox(4, 4, 52, 52)] if pixels.mean() > 60 else []


@pytest.fixture(autouse=True)
def _bright(monkeypatch):
    Bright.asked = 0
    monkeypatch.setattr(preparation, "_detector", lambda name, device: Bright())


def one(path: Path | None, name: str, text: str | None = "some words", **facts) -> Utterance:
    video = None if path is None else Video(path)
    return Utterance(
        name, NO_RECORDING if path is None else path, "own", "anna", "happy", text=text, video=video, **facts
    )


@pytest.fixture
def corpus(tmp_path) -> Listing:
    """Four clips: whole, dark, silent, damaged; words alone; nothing at all."""
    halves = [0.0, 0.5, 1.0, 1.5]
    whole = write_clip(tmp_path / "whole.mp4", halves, [grey(200)] * 4, TONE)
    dark = write_clip(tmp_path / "dark.mp4", halves, [grey(20)] * 4, TONE)
    silent = write_clip(tmp_path / "silent.mp4", halves, [grey(200), grey(20), grey(200), grey(200)])
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(whole.read_bytes()[:999])
    paths = {"a/whole": whole, "dark": dark, "silent": silent, "damaged": damaged, "words": None}
    found = [one(path, name) for name, path in paths.items()] + [one(None, "nothing", text=None)]
    return Listing(tuple(sorted(found, key=lambda u: u.id)), (LeftOut("x.mp4", "no label"),))


def test_each_utterance_has_what_there_is_of_it(corpus, tmp_path):
    found = prepare(corpus, tmp_path / "out")
    listing = list_files(tmp_path / "out")
    kept = {u.id: (u.has_audio, u.faces is not None, u.text is not None) for u in listing.utterances}
    assert kept == {
        "a/whole": (True, True, True),
        "damaged": (False, False, True),
        "dark": (True, True, True),
        "silent": (False, True, True),
        "words": (False, False, True),
    }
    assert found.modalities == {"text": 5, "face": 3, "audio": 2}
    assert (found.pictures, found.faces) == (12, 7)
    assert found.notes == {
        "dark": ("no face in any of 4 pictures: their middle is used",),
        "silent": ("a face in 3 of 4 pictures",),
    }
    assert listing.left_out == (
        LeftOut("x.mp4", "no label"),
        LeftOut(
            "nothing",
            "missing",
            "audio: there is no recording; face: there is no video; text: no words are written down",
        ),
    )
    assert json.loads((tmp_path / "out" / "report.json").read_text())["left_out"] == {"no label": 1, "missing": 1}


def test_a_prepared_utterance_reads_as_the_clip_it_was_cut_from(corpus, tmp_path):
    prepare(corpus, tmp_path / "out")
    moved = (tmp_path / "out").rename(tmp_path / "elsewhere")
    prepared = {u.id: u for u in list_files(moved).utterances}["a/whole"]
    original = {u.id: u for u in corpus.utterances}["a/whole"]
    assert (prepared.speaker, prepared.emotion, prepared.corpus) == ("anna", "happy", "own")
    now = read_multimodal(prepared, modalities=("face", "audio"))
    before = read_multimodal(original, modalities=("face", "audio"), detector=Bright())
    assert torch.equal(now.faces.pixels, before.faces.pixels)
    assert now.pieces.shape == before.pieces.shape
    assert (now.pieces - before.pieces).abs().max() < 1e-3 * before.pieces.max()  # 16 bit
    assert not now.missing.keys() - {"text"}


def test_spans_and_channels_are_cut(tmp_path):
    sides = np.stack([np.full(48_000, 0.1), np.linspace(0, 0.5, 48_000)], axis=1)
    soundfile.write(tmp_path / "dialogue.wav", sides, 16_000, subtype="FLOAT")
    turn = Utterance("turn", tmp_path / "dialogue.wav", "own", "anna", None, start_s=1.0, end_s=2.0, channel=1)
    absent = turn.with_(id="absent", channel=2)
    prepare(Listing((absent, turn)), tmp_path / "out")
    (prepared,) = list_files(tmp_path / "out").utterances
    waveform = read_audio(prepared.audio)
    assert len(waveform) == 16_000
    assert np.abs(waveform.numpy() - sides[16_000:32_000, 1]).max() < 1e-4
    assert "channel is not there" in list_files(tmp_path / "out").left_out[0].detail
    last, late = (turn.with_(id=name, start_s=2.5, end_s=end) for name, end in (("last", 3.4), ("late", 3.6)))
    found = prepare(Listing((last, late)), tmp_path / "end").listing
    assert [(u.id, u.duration_s) for u in found.utterances] == [("last", 0.5)]  # the recording ends at 3 s
    assert found.left_out[0].reason == "bad span"


def test_what_must_be_there_is_asked_for(corpus, tmp_path):
    settings = PreparationSettings(require=("audio", "face"), faces=FaceSettings(without_face="leave_out"))
    found = prepare(corpus, tmp_path / "out", settings)
    assert [u.id for u in found.listing.utterances] == ["a/whole"]
    why = {item.where: (item.reason, item.detail) for item in found.listing.left_out}
    assert why["dark"] == ("empty", "face: no face in any of 4 pictures")
    assert why["silent"] == ("undecodable", "audio: there is no sound in it")
    assert why["damaged"][0] == "undecodable"
    assert why["words"] == ("missing", "audio: there is no recording; face: there is no video")


def test_an_interrupted_call_goes_on_where_it_stopped(corpus, tmp_path, monkeypatch):
    out, cut, done = tmp_path / "out", preparation._cut, []

    def stopped(task):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task.utterance.id)
        return cut(task)

    monkeypatch.setattr(preparation, "_cut", stopped)
    with pytest.raises(KeyboardInterrupt):
        prepare(corpus, out)
    with pytest.raises(CorpusError, match="interrupted"):
        list_files(out)
    with (out / "outcomes.jsonl").open("a") as file:
        file.write('{"id": "dar')  # torn by a power cut
    monkeypatch.setattr(preparation, "_cut", cut)
    seen: list[tuple[int, int]] = []
    found = prepare(corpus, out, progress=lambda *counts: seen.append(counts))
    assert found.done_before == 2
    assert seen[-1] == (6, 6)
    whole = prepare(corpus, tmp_path / "again")
    assert found.listing == whole.listing


def test_an_absent_video_that_came_is_cut_at_the_next_call(tmp_path):
    late = one(tmp_path / "late.mp4", "late")
    prepare(Listing((late,)), tmp_path / "out")
    write_clip(tmp_path / "late.mp4", [0.0, 0.5], [grey(200)] * 2, TONE)
    found = prepare(Listing((late,)), tmp_path / "out")
    assert (found.done_before, found.modalities["face"]) == (0, 1)
    asked = Bright.asked
    assert prepare(Listing((late,)), tmp_path / "out").done_before == 1
    assert Bright.asked == asked
    shorter = late.with_(video=Video(tmp_path / "late.mp4", 0.0, 0.5))
    assert prepare(Listing((shorter,)), tmp_path / "out").pictures == 1


def test_other_settings_and_other_folders_are_refused(corpus, tmp_path):
    prepare(corpus, tmp_path / "out")
    with pytest.raises(UsageError, match="other settings"):
        prepare(corpus, tmp_path / "out", PreparationSettings(require=("face",)))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(UsageError, match="not empty"):
        prepare(corpus, tmp_path / "full")
    with pytest.raises(CorpusError, match="not the folder of a prepared corpus"):
        list_files(tmp_path / "full")


@pytest.mark.slow  # the processes; what is cut is tested above
def test_two_processes_cut_the_same(tmp_path):
    soundfile.write(tmp_path / "a.wav", TONE, 16_000)
    items = tuple(Utterance(name, tmp_path / "a.wav", "own", "anna", None, text="yes") for name in "abc")
    one_by_one = prepare(Listing(items), tmp_path / "one")
    at_once = prepare(Listing(items), tmp_path / "two", workers=2)
    assert one_by_one.listing == at_once.listing


def test_published_pictures_are_cut_before_faces_are_sought():
    assert published_frames("iemocap").centre_crop == 224
    mosei = published_frames("cmu-mosei")
    assert (mosei.halve_above, mosei.centre_crop) == (360, 360)
    assert published_frames("meld") == MultimodalSettings().frames


def test_the_folder_is_a_corpus(corpus, tmp_path):
    prepare(corpus, tmp_path / "out")
    assert len(read_corpus("prepared", tmp_path / "out", examine=None).utterances) == 5
