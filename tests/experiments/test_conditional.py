"""Stored models under conditions: what is stored against the same computed by hand, resuming, refusals."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tests.models.checkpoints import write_text_checkpoint

from serenade.core.errors import AudioError, SettingsError, UnknownNameError, UsageError
from serenade.corpora import read_corpus
from serenade.corpora.synthetic import generate
from serenade.experiments.conditional import Bench, evaluate_run, hear
from serenade.experiments.conditions import CLEAN, parse_conditions
from serenade.experiments.folder import JobKey, RunFolder
from serenade.experiments.robustness import robustness_of
from serenade.experiments.run import prepare, run_experiment
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.inference.attacks import Attack, attack_features, feature_scale
from serenade.signal.audio import read_audio
from serenade.signal.mixing import NoiseBank, fixed_mixture
from serenade.systems import load_system
from serenade.training.system import Example

QUICK = {"segments_per_epoch": 1, "evaluation_overlap_s": 0.2, "training": {"epochs": 1, "batch_size": 8}}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=3, utterances_per_class=1, classes=("angry", "sad"))
    return folder


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    for name in ("street", "kitchen"):
        (folder / name).mkdir()
        samples = np.random.default_rng(len(name)).normal(0, 0.05, 16000 * 3)
        soundfile.write(folder / name / "ch01.wav", samples, 16000)
    return folder


def trained(corpus: Path, out: Path, preset: str = "apcnn") -> Path:
    settings = ExperimentSettings(
        preset=preset,
        corpora=(CorpusSettings(name="synthetic", root=corpus),),
        system=QUICK if preset == "apcnn" else {},
    )
    return run_experiment(prepare(settings), out, workers=1).path


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERENADE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return trained(corpus, tmp_path_factory.mktemp("runs") / "apcnn")


def bench_of(*texts: str, noise: Path | None = None) -> Bench:
    return Bench(tuple(parse_conditions(texts)), noise)


def stored(run: Path, leaf: str) -> dict[str, list[float]]:
    """Probabilities of every utterance under a condition."""
    files = sorted((run / "conditions" / leaf).glob("*.json"))
    return {score["id"]: score["probabilities"] for file in files for score in json.loads(file.read_text())["scores"]}


def by_hand(run: Path, change: Callable[..., torch.Tensor]) -> dict[str, list[float]]:
    """Probabilities of every utterance, one at a time, its waveform changed by a function."""
    folder, said = RunFolder(run), {}
    utterances = {u.id: u for u in folder.read_utterances()}
    for fold in folder.read_split().folds:
        system = load_system(folder.job(JobKey(fold.name, 0)) / "model")
        for name in fold.test:
            sound = change(read_audio(utterances[name].audio), name)
            example = Example(utterances[name], system.extract(sound, training=False), None)
            with torch.inference_mode():
                said[name] = system.predict(system.collate([example])).probabilities[0].tolist()
    return said


def assert_alike(found: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    assert sorted(found) == sorted(expected)
    for name, row in expected.items():
        np.testing.assert_allclose(found[name], row, atol=2e-5)


def test_noise_is_the_fixed_mixture_of_repeat_utterance_and_ratio(run: Path, noise: Path) -> None:
    evaluate_run(run, bench_of("noise:0,20", noise=noise))
    bank = NoiseBank(read_corpus("noise", noise, examine=None).utterances)
    for snr_db in (0, 20):
        expected = by_hand(run, lambda x, name, r=snr_db: fixed_mixture(x, bank, snr_db=r, utterance=name).waveform)
        assert_alike(stored(run, f"noise-{snr_db}"), expected)


def test_a_chain_is_the_augmentation_of_that_text(run: Path) -> None:
    evaluate_run(run, bench_of("gain:-20"))
    assert_alike(stored(run, "gain--20"), by_hand(run, lambda x, name: x * 10 ** (-20 / 20)))


def test_words_stay_as_they_were_said(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of words alone says under noise what it said in its run."""
    pytest.importorskip("transformers")
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path / "cache"))
    write_text_checkpoint(tmp_path / "text", "bert")
    settings = ExperimentSettings(
        preset="ssl-text-finetune",
        corpora=(CorpusSettings(name="synthetic", root=corpus),),
        system={"branches": {"text": {"upstream": str(tmp_path / "text")}}, "training": {"epochs": 1}},
    )
    out = run_experiment(prepare(settings), tmp_path / "run", workers=1).path
    evaluate_run(out, bench_of("gain:-20"))
    records = [json.loads(path.read_text()) for path in (out / "jobs").glob("*/record.json")]
    assert_alike(
        stored(out, "gain--20"), {score["id"]: score["probabilities"] for r in records for score in r["scores"]}
    )


def test_features_are_attacked_in_the_unit_of_the_training_part(run: Path) -> None:
    evaluate_run(run, bench_of("fgsm:0.5"))
    folder = RunFolder(run)
    utterances = {u.id: u for u in folder.read_utterances()}
    found = stored(run, "fgsm-0.5")
    for fold in folder.read_split().folds:
        system = load_system(folder.job(JobKey(fold.name, 0)) / "model")

        def example(name: str, system=system) -> Example:  # type: ignore[no-untyped-def]
            inputs = system.extract(read_audio(utterances[name].audio), training=False)
            return Example(utterances[name], inputs, system.labels.index(str(utterances[name].emotion)))

        scale = feature_scale(system, [example(name) for name in fold.train])
        for name in fold.test:
            batch = attack_features(system, system.collate([example(name)]), Attack("fgsm", 0.5), scale)
            np.testing.assert_allclose(found[name], system.predict(batch).probabilities[0].detach(), atol=1e-4)


def test_attacks_of_both_kinds_take_the_truth_down(run: Path) -> None:
    tested = evaluate_run(run, bench_of("bim:0.5", "bim-wave:0.01"))
    assert [condition.text for condition, _ in tested] == ["clean", "bim:0.5", "bim-wave:0.01"]
    losses = {condition.text: float(results.scores(0).losses.mean()) for condition, results in tested}
    assert losses["bim:0.5"] > losses["clean"]
    assert losses["bim-wave:0.01"] > losses["clean"]


def test_what_was_tested_is_kept_and_what_changed_is_tested_again(run: Path, noise: Path) -> None:
    bench = bench_of("noise:10", noise=noise)
    evaluate_run(run, bench)
    files = sorted((run / "conditions/noise-10").glob("*.json"))
    times = [file.stat().st_mtime_ns for file in files]
    files[0].write_text(files[0].read_text()[:50])
    tested = evaluate_run(run, bench)
    again = [file.stat().st_mtime_ns for file in files]
    assert again[1:] == times[1:]
    assert len(tested[1][1].records) == len(files)
    evaluate_run(run, replace(bench, environments=("street",)))
    assert all(new > old for new, old in zip([f.stat().st_mtime_ns for f in files], again, strict=True))


def test_silent_speech_is_left_out_of_noise_and_told(corpus: Path, noise: Path, tmp_path: Path) -> None:
    run = trained(corpus, tmp_path / "run", "baseline")
    utterance = RunFolder(run).read_utterances()[0]
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, np.zeros(16000), 16000)
    lines = (run / "utterances.jsonl").read_text().splitlines()
    (run / "utterances.jsonl").write_text("\n".join([lines[0].replace(str(utterance.audio), str(quiet)), *lines[1:]]))
    tested = evaluate_run(run, bench_of("noise:10", "gain:-3", noise=noise))
    by_text = {condition.text: results for condition, results in tested}
    assert [item.where for item in by_text["noise:10"].left_out] == [utterance.id]
    assert utterance.id not in by_text["noise:10"].scores(0).ids
    assert utterance.id in by_text["gain:-3"].scores(0).ids
    document = robustness_of([(run, tested)], [])
    rows = {condition["text"]: condition for condition in document["runs"][0]["conditions"]}
    assert rows["noise:10"]["left_out"] == {"silent": 1}
    assert rows["noise:10"]["tested"] == rows["clean"]["tested"] - 1
    assert rows["gain:-3"]["change"]["difference"] == pytest.approx(
        rows["gain:-3"]["metrics"]["ua"]["mean"] - rows["clean"]["metrics"]["ua"]["mean"]
    )


def test_what_can_be_heard_is_what_the_model_is_given(run: Path, noise: Path) -> None:
    bench = bench_of("noise:5", "fgsm:0.1", "fgsm-wave:0.01", noise=noise)
    heard = {condition.text: waveform for condition, _, waveform in hear(run, bench, 1)}
    assert list(heard) == ["clean", "noise:5", "fgsm-wave:0.01"]
    assert float((heard["fgsm-wave:0.01"] - heard["clean"]).abs().max()) == pytest.approx(0.01, rel=1e-3)


def test_conditions_and_their_texts() -> None:
    texts = [
        c.text for c in parse_conditions(["noise:0, 10", "fgsm", "noise:10", "telephone", "clean", "pgd-wave:1e-3"])
    ]
    assert texts == ["clean", "noise:0", "noise:10", "fgsm:0.02", "fgsm:0.04", "fgsm:0.06", "fgsm:0.08", "fgsm:0.1",
                     "telephone", "pgd-wave:0.001"]  # fmt: skip
    assert [c.kind for c in parse_conditions(["noise:5..20", "noise:5,gain:-3"])] == ["clean", "chain", "chain"]
    assert parse_conditions([]) == [CLEAN]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("fgsm:-0.1", UsageError, "epsilon -0.1"),
        ("fgsm:high", UsageError, "such as fgsm:0.08"),
        ("mixup", UsageError, "two classes"),
        ("telefone", UnknownNameError, "telephone"),
        ("gain:loud", SettingsError, "gain"),
    ],
)
def test_bad_conditions_are_told(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_conditions([text])


def test_missing_noise_and_models_are_told_before_the_work(
    run: Path, noise: Path, make_run: Callable[..., Path]
) -> None:
    with pytest.raises(UsageError, match="--noise FOLDER"):
        evaluate_run(run, bench_of("noise:0"))
    with pytest.raises(UsageError, match=r"no noise of the environment 'sreet'.*street"):
        evaluate_run(run, replace(bench_of("noise:0", noise=noise), environments=("sreet",)))
    with pytest.raises(UsageError, match="not stored"):
        evaluate_run(make_run(), bench_of("gain:-3"))


def test_silent_noise_is_left_out_and_told_and_nothing_but_silence_is_an_error(run: Path, tmp_path: Path) -> None:
    class Heard:
        def __init__(self) -> None:
            self.warnings: list[str] = []

        def stage(self, title: str, total: int, unit: str) -> None: ...

        def done(self, count: int, detail: str = "") -> None: ...

        def warn(self, message: str) -> None:
            self.warnings.append(message)

    (tmp_path / "quiet").mkdir()
    soundfile.write(tmp_path / "quiet/ch01.wav", np.zeros(16000), 16000)
    with pytest.raises(AudioError, match="noise is silent"):
        evaluate_run(run, bench_of("noise:0", noise=tmp_path))
    (tmp_path / "street").mkdir()
    soundfile.write(tmp_path / "street/ch01.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    heard = Heard()
    tested = evaluate_run(run, bench_of("noise:-3", noise=tmp_path), watcher=heard)
    assert len(tested[1][1].records) == len(tested[0][1].records)
    assert len(heard.warnings) == 1
    assert "quiet" in heard.warnings[0]
