"""Extraction: stored frames are those of each utterance alone, interruptions lose little, outcomes are told."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from serenade.core.errors import TrainingError, UsageError
from serenade.core.records import Utterance
from serenade.models.upstreams.upstream import Frames, Upstream
from serenade.signal.audio import examine, read_audio
from serenade.systems.upstreams import named_upstream
from serenade.training.extraction import extract_frames, frame_key, store_kind
from serenade.training.frame_store import FrameStore


class Windows(Upstream):
    """Means and extremes of windows of 20 ms, two layers; takes 0.5 s at most where `most_samples` says so."""

    kind, dim, num_layers, sample_rate, hop_length, least_samples = "windows", 2, 2, 16000, 320, 320

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        return lengths // 320

    def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Frames:
        self.batches.append(len(waveforms))
        windows = waveforms[:, : waveforms.shape[1] // 320 * 320].unflatten(1, (-1, 320))
        layer = torch.stack([windows.mean(dim=2), windows.amax(dim=2)], dim=2)
        return self._frames([layer, -layer], self.num_frames(lengths))


class Letters(Upstream):
    """A frame for every letter."""

    kind, modality, dim, num_layers, sample_rate, hop_length, least_samples = "letters", "text", 1, 1, 0, None, 1

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        return lengths

    def prepare_text(self, text: str) -> torch.Tensor:
        return torch.tensor([ord(letter) for letter in text])

    def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Frames:
        return self._frames([waveforms[:, :, None].float()], lengths)


def corpus(folder: Path, seconds: Sequence[float], rate: int = 16000) -> list[Utterance]:
    """Recordings of noise, examined."""
    found = []
    for place, duration in enumerate(seconds):
        path = folder / f"{place}.wav"
        noise = np.random.default_rng(place).normal(0, 0.1, round(duration * rate))
        soundfile.write(path, noise, rate)
        facts = examine(path)
        found.append(
            Utterance(
                f"u{place}", path, "toy", "anna", None, text=f"text {place}", duration_s=facts.duration_s,
                content=facts.content,
            )
        )  # fmt: skip
    return found


def new_store(folder: Path, upstream: Upstream, layers: Sequence[int] = (0, 1)) -> FrameStore:
    return FrameStore(folder / "store", store_kind(upstream, layers))


def expected(upstream: Upstream, utterance: Utterance) -> torch.Tensor:
    waveform = upstream.prepare(read_audio(utterance.audio), 16000)
    layers = upstream(waveform[None], torch.tensor([len(waveform)])).layers
    return torch.cat(list(layers))


@pytest.mark.parametrize("rate", [16000, 22050])
def test_stored_frames_are_those_of_each_utterance_alone(rate: int, tmp_path: Path) -> None:
    utterances = corpus(tmp_path, [1.0, 0.3, 2.2, 0.31, 5.0, 0.9], rate)
    upstream = Windows()
    store = new_store(tmp_path, upstream)
    told: list[tuple[float, float]] = []
    done = extract_frames(upstream, utterances, store, batch_s=5, progress=lambda *far: told.append(far))
    assert (done.new, done.known, done.left_out) == (6, 0, ())
    assert done.new_s == pytest.approx(9.71, abs=0.01)
    assert max(upstream.batches) > 1
    assert told[-1] == pytest.approx((9.71, 9.71), abs=0.01)
    for utterance in utterances:
        key = frame_key(utterance, "speech")
        torch.testing.assert_close(store[str(key)].float(), expected(upstream, utterance), atol=1e-3, rtol=1e-3)
    again = extract_frames(upstream, utterances, store)
    assert (again.new, again.known, again.new_s) == (0, 6, 0)


def test_what_another_process_has_computed_meanwhile_is_taken(tmp_path: Path) -> None:
    utterances = corpus(tmp_path, [1.0, 2.0])
    waiting = new_store(tmp_path, Windows())  # opened before the other one began
    extract_frames(Windows(), utterances, new_store(tmp_path, Windows()))
    upstream = Windows()
    done = extract_frames(upstream, utterances, waiting)
    assert (done.new, done.known, upstream.batches) == (0, 2, [])
    assert len(waiting) == 2


def test_only_the_layers_asked_for_are_stored(tmp_path: Path) -> None:
    utterances = corpus(tmp_path, [1.0])
    store = new_store(tmp_path, Windows(), [1])
    extract_frames(Windows(), utterances, store)
    stored = store[str(utterances[0].content)]
    torch.testing.assert_close(stored.float(), expected(Windows(), utterances[0])[1:], atol=1e-3, rtol=1e-3)


def test_waste_is_small_for_lengths_of_a_real_corpus(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).lognormal(0, 0.6, 60)
    utterances = corpus(tmp_path, list(np.clip(drawn, 0.1, 6)))
    done = extract_frames(Windows(), utterances, new_store(tmp_path, Windows()))
    assert 0 < done.waste < 0.15


def test_what_gives_no_frame_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    utterances = corpus(tmp_path, [1.0, 0.01, 0.6, 2.0])
    (tmp_path / "3.wav").write_bytes(b"RIFF")
    upstream = Windows()
    upstream.most_samples = 15000
    done = extract_frames(upstream, utterances, new_store(tmp_path, upstream))
    assert done.new == 1
    assert {(item.where, item.reason) for item in done.left_out} == {
        ("u0", "too long"),
        ("u1", "too short"),
        ("u3", "undecodable"),
    }
    by_name = {item.where: str(item.detail) for item in done.left_out}
    assert "at most" not in by_name["u1"]
    assert "longer than the windows upstream takes" in by_name["u0"]


def test_transcripts_that_are_missing_are_told(tmp_path: Path) -> None:
    utterances = [Utterance(f"u{n}", Path("x"), "toy", "anna", None, text=text) for n, text in enumerate(
        ["I am happy", None, "  ", "no", "I am happy"]
    )]  # fmt: skip
    store = new_store(tmp_path, Letters(), [0])
    done = extract_frames(Letters(), utterances, store)
    assert (done.new, done.known, len(store)) == (2, 1, 2)  # one text is stored once, whoever says it
    assert [(item.where, item.reason) for item in done.left_out] == [("u1", "no text"), ("u2", "no text")]
    assert "".join(chr(int(n)) for n in store[str(frame_key(utterances[3], "text"))].flatten()) == "no"


def test_frames_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    class Broken(Windows):
        def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Frames:
            return Frames(tuple(layer / 0 for layer in super().forward(waveforms, lengths).layers), lengths // 320)

    utterances = corpus(tmp_path, [1.0])
    store = new_store(tmp_path, Broken())
    with pytest.raises(TrainingError, match="windows upstream gave frames that are not finite"):
        extract_frames(Broken(), utterances, store)
    assert len(store) == 0


def test_recordings_that_were_not_examined_are_refused(tmp_path: Path) -> None:
    utterance = corpus(tmp_path, [1.0])[0].with_(content=None)
    with pytest.raises(UsageError, match="frames are stored under the content of a recording, which is not known: u0"):
        extract_frames(Windows(), [utterance], new_store(tmp_path, Windows()))


def _extract_and_die(folder: str, utterances: list[Utterance], after: int) -> None:
    class Dying(Windows):
        def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Frames:
            if len(self.batches) == after:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().forward(waveforms, lengths)

    extract_frames(Dying(), utterances, FrameStore(Path(folder), store_kind(Dying(), (0, 1))), batch_s=2)


def test_extraction_goes_on_after_a_kill(tmp_path: Path) -> None:
    utterances = corpus(tmp_path, [0.5 + 0.1 * n for n in range(12)])
    store = new_store(tmp_path, Windows())
    arguments: tuple[Any, ...] = (str(store.folder), utterances, 3)
    process = multiprocessing.get_context("fork").Process(target=_extract_and_die, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    store = FrameStore(store.folder)
    before = len(store)
    assert 3 <= before < 12
    done = extract_frames(Windows(), utterances, store, batch_s=2)
    assert (done.known, done.new) == (before, 12 - before)
    for utterance in utterances:
        stored = store[str(utterance.content)]
        torch.testing.assert_close(stored.float(), expected(Windows(), utterance), atol=1e-3, rtol=1e-3)


def test_filter_bank_can_be_stored(tmp_path: Path) -> None:
    utterances = corpus(tmp_path, [1.0, 0.001])
    upstream = named_upstream("filter-bank")
    store = new_store(tmp_path, upstream, [0])
    assert extract_frames(upstream, utterances, store).new == 2
    torch.testing.assert_close(
        store[str(utterances[0].content)].float(), expected(upstream, utterances[0]), atol=0.01, rtol=0.002
    )
