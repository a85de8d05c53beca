"""Recognizer: what it says of files, bytes, arrays, windows and many files at once."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import serenade
from serenade.core.errors import AudioError, CheckpointError, SerenadeError, UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import UNKNOWN_SPEAKER, Prediction, Utterance
from serenade.inference.recognizer import Recognizer
from serenade.systems import make_system, save_checkpoint
from serenade.training.system import Example, SegmentSystem

from .conftest import LinearSystem, noise

Record = Callable[..., Path]


def plain_probabilities(system: LinearSystem, samples: np.ndarray) -> np.ndarray:
    """The definition, in float64 and without batches: softmax of the mean of the segments' scores."""
    weight, bias = (t.detach().double().numpy() for t in (system.network.weight, system.network.bias))
    segments = [samples[start : start + 8000] for start in range(0, max(1, len(samples) - 8000 + 1), 3200)]
    logits = [weight[:, : len(segment)] @ segment.astype(np.float64) + bias for segment in segments]
    mean = np.mean(logits, axis=0)
    return np.exp(mean - mean.max()) / np.exp(mean - mean.max()).sum()


def assert_same(a: Prediction, b: Prediction, tolerance: float = 1e-6) -> None:
    assert (a.start_s, a.end_s, a.label) == (b.start_s, b.end_s, b.label)
    assert list(a.scores.values()) == pytest.approx(list(b.scores.values()), abs=tolerance)


def test_the_fake_is_a_segment_system(system: LinearSystem) -> None:
    assert isinstance(system, SegmentSystem)


@pytest.mark.parametrize("duration_s", [0.1, 0.3, 0.5, 0.71, 3.0, 65.3])
def test_a_prediction_is_the_softmax_of_the_mean_segment_score(
    duration_s: float, system: LinearSystem, recognizer: Recognizer, record: Record
) -> None:
    path = record("a.wav", duration_s)
    prediction = recognizer(path)
    # the linear layer sums 8000 products in float32
    expected = plain_probabilities(system, noise(duration_s))
    assert list(prediction.scores.values()) == pytest.approx(expected, abs=2e-6)
    assert list(prediction.scores) == ["angry", "happy", "sad"]
    assert prediction.label == ["angry", "happy", "sad"][int(expected.argmax())]
    assert prediction.score == max(prediction.scores.values())
    assert (prediction.file, prediction.start_s) == (str(path), 0.0)
    assert prediction.end_s == pytest.approx(duration_s)


def test_path_bytes_array_and_tensor_agree(recognizer: Recognizer, record: Record) -> None:
    samples = noise(2.0, sample_rate=44_100)
    path = record("a.wav", samples, 44_100)
    expected = recognizer(str(path))
    for source, rate in [
        (path, None),
        (path.read_bytes(), None),
        (samples, 44_100),
        (torch.from_numpy(samples), 44_100),
        (np.stack([samples, samples], 1), 44_100),
    ]:
        assert_same(recognizer(source, rate), expected)
    assert recognizer(path.read_bytes()).file is None


def test_an_array_needs_its_rate_and_a_file_must_not_have_one(recognizer: Recognizer, record: Record) -> None:
    with pytest.raises(UsageError, match="an array needs its sample rate"):
        recognizer(noise(1.0))
    with pytest.raises(UsageError, match="a sample rate goes with an array"):
        recognizer(record("a.wav", 1.0), 16_000)


@pytest.mark.parametrize("threads", [1, 3])
def test_many_files_give_what_single_calls_give_in_order(threads: int, recognizer: Recognizer, record: Record) -> None:
    lengths = [0.3, 12.0, 0.5, 1.4, 0.2, 33.0, 2.2, 0.9, 0.1, 5.0, 40.0, 0.7]
    paths = [record(f"{i}.wav", noise(length, seed=i)) for i, length in enumerate(lengths)]
    together = list(recognizer.predict_files(paths, threads=threads))
    for path, prediction in zip(paths, together, strict=True):
        assert isinstance(prediction, Prediction)
        assert prediction == recognizer(path)  # to the last bit


def test_a_broken_file_is_named_and_the_rest_goes_on(recognizer: Recognizer, record: Record, tmp_path: Path) -> None:
    good = record("good.wav", 1.0)
    (tmp_path / "bad.wav").write_bytes(b"RIFF of nothing")
    (tmp_path / "empty.wav").touch()
    cut_short = record("cut.flac", noise(20.0), subtype="PCM_16")
    cut_short.write_bytes(cut_short.read_bytes()[:-20_000])
    paths = [tmp_path / "bad.wav", good, tmp_path / "none.wav", tmp_path / "empty.wav", cut_short, good]
    results = list(recognizer.predict_files(paths))
    kinds = [isinstance(result, Prediction) for result in results]
    assert kinds == [False, True, False, False, False, True]
    for path, result in zip(paths, results, strict=True):
        if isinstance(result, SerenadeError):
            assert result.where == str(path)
        else:
            assert_same(result, recognizer(good))


def test_glam_too_says_the_same_alone_and_among_others(record: Record) -> None:
    torch.manual_seed(0)
    glam = Recognizer(make_system("glam", {"evaluation_overlap_s": 1.2}, LabelSet(("happy", "sad"))))
    paths = [record(f"{i}.wav", noise(length, seed=i)) for i, length in enumerate([0.5, 6.0, 2.5, 9.1, 1.8, 3.0])]
    assert list(glam.predict_files(paths, threads=2)) == [glam(path) for path in paths]


@pytest.mark.parametrize("hop_s", [None, 0.4, 3.0])
def test_a_window_is_predicted_as_if_cut_out(hop_s: float | None, recognizer: Recognizer, record: Record) -> None:
    samples = noise(7.3)
    path = record("a.wav", samples)
    rows = list(recognizer.predict_windows(path, window_s=2.0, hop_s=hop_s))
    starts = [row.start_s for row in rows]
    step = 2.0 if hop_s is None else hop_s
    assert starts == pytest.approx(np.arange(len(rows)) * step)
    assert rows[-1].end_s == pytest.approx(7.3)
    assert all(row.end_s - row.start_s == pytest.approx(2.0) for row in rows[:-1])
    for row in rows:
        alone = recognizer(samples[round(row.start_s * 16_000) : round(row.end_s * 16_000)], 16_000)
        assert list(row.scores.values()) == pytest.approx(list(alone.scores.values()), abs=1e-6)
        assert row.file == str(path)


def test_windows_of_many_files_are_those_of_each(recognizer: Recognizer, record: Record) -> None:
    paths = [record(f"{i}.wav", noise(2.0 + i, seed=i)) for i in range(3)]
    together = list(recognizer.predict_files(paths, window_s=1.0, hop_s=0.5))
    apart = [row for path in paths for row in recognizer.predict_windows(path, window_s=1.0, hop_s=0.5)]
    for a, b in zip(together, apart, strict=True):
        assert isinstance(a, Prediction)
        assert a == b


def test_an_array_has_windows_too(recognizer: Recognizer) -> None:
    rows = list(recognizer.predict_windows(noise(3.0), 16_000, window_s=1.0))
    assert [(row.file, row.start_s, row.end_s) for row in rows] == [
        (None, 0.0, 1.0),
        (None, 1.0, 2.0),
        (None, 2.0, 3.0),
    ]


def test_a_silent_window_gets_no_row(recognizer: Recognizer) -> None:
    samples = noise(4.0)
    samples[16_000:32_000] = 0.0
    rows = list(recognizer.predict_windows(samples, 16_000, window_s=1.0))
    assert [row.start_s for row in rows] == [0.0, 2.0, 3.0]


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize(
    ("samples", "reason", "said"),
    [
        (np.zeros(32_000, np.float32), "silent", "the recording is silent"),
        (np.full(32_000, 3e-5, np.float32), "silent", "the recording is silent"),
        (noise(1 / 16_000), "empty", "the recording is too short"),
        (noise(0.099), "empty", r"too short\. Found: 0\.0990 s"),
        (np.array([0.1, np.nan] * 8000, np.float32), "not finite", "not finite"),
        (np.zeros(0, np.float32), "empty", "no samples|empty"),
    ],
)
def test_what_holds_no_speech_is_refused(
    samples: np.ndarray, reason: str, said: str, windows: bool, recognizer: Recognizer
) -> None:
    with pytest.raises(AudioError, match=said) as caught:
        list(recognizer.predict_windows(samples, 16_000, window_s=1.0)) if windows else recognizer(samples, 16_000)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("window_s", "hop_s"), [(0.0, None), (-1.0, None), (float("nan"), None), (1.0, 0.0), (1.0, -2.0)]
)
def test_windows_must_be_positive(window_s: float, hop_s: float | None, recognizer: Recognizer) -> None:
    with pytest.raises(UsageError, match=r"window is too short|hop must be positive"):
        recognizer.predict_files([], window_s=window_s, hop_s=hop_s)


def test_a_hop_needs_a_window(recognizer: Recognizer) -> None:
    with pytest.raises(UsageError, match="a hop needs a window"):
        recognizer.predict_files([], hop_s=1.0)


def test_chosen_classes_share_the_probability(system: LinearSystem, recognizer: Recognizer) -> None:
    every = recognizer(noise(2.0), 16_000).scores
    some = Recognizer(system, classes=["Sadness", "anger"])
    assert some.labels == ("angry", "sad")
    both = every["angry"] + every["sad"]
    expected = {"angry": every["angry"] / both, "sad": every["sad"] / both}
    assert some(noise(2.0), 16_000).scores == pytest.approx(expected, abs=1e-12)


def test_unknown_or_too_few_classes_are_refused(system: LinearSystem) -> None:
    with pytest.raises(UsageError, match="Did you mean 'happy'"):
        Recognizer(system, classes=["hapy", "sad"])
    with pytest.raises(UsageError, match="fewer than two classes"):
        Recognizer(system, classes=["sad", "sadness"])


def test_paths_are_taken_one_at_a_time(recognizer: Recognizer, record: Record) -> None:
    path, taken = record("a.wav", 1.0), itertools.count()
    results = recognizer.predict_files(path for _ in taken)
    for _ in range(20):
        assert isinstance(next(results), Prediction)
    results.close()  # type: ignore[attr-defined]
    assert next(taken) < 60  # 20 handed over, up to a batch of 32 waiting for the network, 4 read ahead


def test_a_model_folder_loads_with_its_card(tmp_path: Path, record: Record) -> None:
    system = make_system("baseline", {}, LabelSet(("happy", "sad")))
    with torch.no_grad():
        system.network.classifier.weight.normal_(generator=torch.Generator().manual_seed(1))
        system.network.mean.fill_(-30.0)
        system.network.scale.fill_(10.0)
    save_checkpoint(system, "baseline", tmp_path / "jobs" / "a-seed0" / "model")
    (tmp_path / "jobs/a-seed0/model/card.md").write_text("# A model\n\nFor tests.\n")
    recognizer = serenade.load(str(tmp_path / "jobs" / "a-seed0"), device="cpu")
    assert recognizer.labels == ("happy", "sad")
    assert recognizer.card.startswith("# A model")

    # a system that scores whole utterances is asked as the training loop asks it
    samples = noise(2.0)
    inputs = system.extract(torch.from_numpy(samples), training=False)
    example = Example(Utterance("", Path(), "", UNKNOWN_SPEAKER, None), inputs, None)
    expected = system.predict(system.collate([example])).probabilities[0].tolist()
    paths = [record("a.wav", samples), record("b.wav", noise(3.0, seed=4))]
    first, second = recognizer.predict_files(paths)
    assert isinstance(first, Prediction)
    assert isinstance(second, Prediction)
    assert list(first.scores.values()) == pytest.approx(expected, abs=1e-6)
    assert_same(second, recognizer(paths[1]))


def test_no_such_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="there is no such model: nowhere"):
        serenade.load("nowhere")
    shipped = tmp_path / "shipped"
    (shipped / "glam-emodb").mkdir(parents=True)
    (shipped / "glam-emodb" / "model.toml").touch()
    monkeypatch.setattr("serenade.inference.shipped._SHIPPED", shipped)
    with pytest.raises(CheckpointError, match="Did you mean 'glam-emodb'"):
        serenade.load("glam-emo")
    with pytest.raises(CheckpointError, match=r"holds no model\.toml"):
        serenade.load(str(tmp_path))
    (tmp_path / "jobs" / "a-seed0" / "model").mkdir(parents=True)
    (tmp_path / "jobs" / "a-seed0" / "model" / "model.toml").touch()
    with pytest.raises(CheckpointError, match=r"It is a run; name one of its models, such as .*jobs/a-seed0/model"):
        serenade.load(str(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads its peak of memory from /proc")
def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    code = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from serenade.core.labels import LabelSet\n"
        "from serenade.inference.recognizer import Recognizer\n"
        "from serenade.systems import make_system\n"
        "recognizer = Recognizer(make_system('glam', {'evaluation_overlap_s': 0.0}, LabelSet(('happy', 'sad'))))\n"
        "assert recognizer(sys.argv[1]).end_s == float(sys.argv[2])\n"
        # not getrusage: its figure begins with that of the process that started this one
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    peaks_mb = []
    for minutes in (2, 40):
        path = tmp_path / f"{minutes}.flac"
        soundfile.write(path, np.tile(noise(60.0), minutes), 16_000)
        done = subprocess.run(
            [sys.executable, "-c", code, path, str(60 * minutes)], capture_output=True, text=True, check=True
        )
        peaks_mb.append(float(done.stdout) / 1024)
    assert max(peaks_mb) < 600
    assert peaks_mb[1] - peaks_mb[0] < 20  # the difference between the samples themselves is 146 MB


def test_stretches_give_what_the_whole_recording_gives(recognizer: Recognizer) -> None:
    samples = torch.from_numpy(noise(3.2))
    stretches = iter([samples[:7], samples[7:20_000], samples[20_000:]])
    assert recognizer(stretches) == recognizer(samples, 16_000)
    with pytest.raises(UsageError, match="a sample rate goes with an array"):
        recognizer(iter([samples]), 16_000)


def test_another_engine_may_score(recognizer: Recognizer) -> None:
    class Doubled:
        def __init__(self, inner: Any) -> None:
            self.batch, self.segments, self._inner = inner.batch, inner.segments, inner

        def logits(self, waveforms: torch.Tensor) -> torch.Tensor:
            return 2 * self._inner.logits(waveforms)

    samples = noise(3.2)
    before = recognizer(samples, 16_000)
    after = recognizer.with_engine(Doubled)(samples, 16_000)
    logs = torch.tensor([list(before.scores.values())]).double().log()
    torch.testing.assert_close(torch.tensor([list(after.scores.values())]).double(), (2 * logs).softmax(1))
    assert recognizer(samples, 16_000) == before
