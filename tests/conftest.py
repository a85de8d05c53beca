"""Fixtures for all tests."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# A loaded machine is no fault of a test.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real corpora and reference tensors beside the repository; the test skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared (real corpora, reference tensors), which is absent here")
    return folder


@pytest.fixture(scope="session")
def real_clip(shared: Path) -> Path:
    """A real video with sound: a man says "Kids are talking by the door", 1280 x 720, 3.3 s."""
    pytest.importorskip("av", reason="needs the extra media")
    return shared / "corpora" / "ravdess-av-sample" / "Actor_01" / "01-01-01-01-01-01-01.mp4"


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Child processes can be interrupted, also where the tests run in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own cache folder."""
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path / "cache"))


RunMaker = Callable[..., Path]
"""Makes a run folder as `serenade run` leaves it, with scores drawn instead of learnt."""


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """Commands that a test runs in this process take all processors; the tests after it would wait for each other."""
    before = torch.get_num_threads() if (torch := sys.modules.get("torch")) is not None else None
    yield
    if before is None and (torch := sys.modules.get("torch")) is not None and "OMP_NUM_THREADS" in os.environ:
        before = int(os.environ["OMP_NUM_THREADS"])
    if torch is not None and before is not None and torch.get_num_threads() != before:
        torch.set_num_threads(before)


@pytest.fixture
def make_run(tmp_path: Path) -> RunMaker:
    """A maker of run folders: leave-one-speaker-out folds x seeds, validation figures, embeddings, sound files."""

    def make(
        name: str = "run",
        *,
        speakers: int = 3,
        per_speaker: int = 12,
        labels: Sequence[str] = ("angry", "neutral", "sad"),
        seeds: int = 2,
        skill: float = 2.0,
        noise_seed: int = 0,
        epochs: int = 4,
        embedding_dim: int | None = None,
        leaky: str | None = None,
        findings: Sequence[Mapping[str, object]] = (),
        corpus: str = "emodb",
        missing: Sequence[tuple[str, int]] = (),
        audio: bool = False,
        votes: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Path:
        from serenade.core.files import write_json
        from serenade.core.records import Fold, LeftOut, RunRecord, Score, Split, Utterance
        from serenade.experiments.folder import JobKey, RunFolder
        from serenade.experiments.settings import CorpusSettings, ExperimentSettings

        root = tmp_path / f"{name}-audio"
        names = [f"{speaker:02d}" for speaker in range(1, speakers + 1)]
        utterances = [
            Utterance(
                id=f"{speaker}-{place:02d}",
                audio=root / f"{speaker}-{place:02d}.wav",
                corpus=corpus,
                speaker=speaker,
                emotion=labels[place % len(labels)],
                gender=("female", "male")[int(speaker) % 2],
                text="Der Lappen liegt auf dem Eisschrank.",
                votes=(votes or {}).get(f"{speaker}-{place:02d}", {}),
                duration_s=1.5,
                content=f"{speaker}{place}",
            )
            for speaker in names
            for place in range(per_speaker)
        ]
        if audio:
            _write_tones(root, [utterance.audio for utterance in utterances])
        ids = {speaker: tuple(u.id for u in utterances if u.speaker == speaker) for speaker in names}
        folds = tuple(
            Fold(
                name=speaker,
                train=tuple(i for other in names for i in ids[other] if other not in (speaker, names[place - 1])),
                validation=ids[names[place - 1]] if names[place - 1] != speaker else (),
                test=ids[speaker],
            )
            for place, speaker in enumerate(names)
        )
        run = RunFolder(tmp_path / name)
        settings = ExperimentSettings(corpora=(CorpusSettings(name=corpus, root=root),), seeds=seeds)
        leaks = {"split": "loso", "leaky": leaky, "findings": list(findings), "majority": _MAJORITY}
        left_out = [LeftOut("wav/x.wav", "unknown label", "humming")]
        run.write_setup(settings, utterances, left_out, Split("loso", folds, leaky=leaky), leaks)
        classes = {u.id: labels.index(str(u.emotion)) for u in utterances}
        for seed in range(seeds):
            for fold in folds:
                if (fold.name, seed) in missing:
                    continue
                generator = np.random.default_rng([noise_seed, seed, int(fold.name)])
                truth = np.array([classes[i] for i in fold.test])
                logits = generator.normal(size=(len(truth), len(labels))) + skill * np.eye(len(labels))[truth]
                rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                record = RunRecord(
                    system="glam",
                    fold=fold.name,
                    seed=seed,
                    labels=tuple(labels),
                    scores=tuple(
                        Score(i, labels[t], tuple(map(float, row)), segments=2)
                        for i, t, row in zip(fold.test, truth, rows, strict=True)
                    ),
                    epochs=tuple(_epoch(number, seed) for number in range(1, epochs + 1)),
                    chosen_epoch=max(1, epochs - 1),
                    settings={"training": {"epochs": epochs, "batch_size": 32}, "dropout": 0.5},
                    versions={"serenade": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "numpy": "2.2.0"},
                    data="0123456789abcdef",
                    timing={"wall_s": 10.0, "cpu_s": 9.5, "network_share": 0.9},
                    embeddings=None if embedding_dim is None else "embeddings.npy",
                )
                folder = run.job(JobKey(fold.name, seed))
                write_json(folder / "record.json", record.to_json())
                if embedding_dim is not None:
                    centres = np.random.default_rng(7).normal(size=(len(labels), embedding_dim)) * skill
                    vectors = centres[truth] + generator.normal(size=(len(truth), embedding_dim))
                    np.save(folder / "embeddings.npy", vectors.astype(np.float32))
        return run.path

    return make


_MAJORITY = {"wa": 0.5, "ua": 0.5, "wa_by_chance": 0.4, "ua_by_chance": 0.4, "speakers": 3, "one_label": 0}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GLAM with drawn weights: it scores, though not well."""
    import torch

    from serenade.core.labels import LabelSet
    from serenade.systems import make_system, save_checkpoint

    folder = tmp_path_factory.mktemp("model") / "glam"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = make_system("glam", {"evaluation_overlap_s": 0.9}, LabelSet(("angry", "happy", "neutral", "sad")))
    save_checkpoint(system, "glam", folder)
    (folder / "card.md").write_text("# GLAM, untrained\n\nDrawn weights,\nfor tests only.\n\nMore.\n")
    return folder


def _epoch(number: int, seed: int) -> dict[str, object]:
    return {
        "epoch": number,
        "learning_rate": 1e-3 * 0.95 ** (number - 1),
        "steps": 10,
        "losses": {"emotion": 1.0 / number + 0.05 * seed},
        "selection": {"loss": 1.2 / number, "wa": 0.8 - 0.4 / number, "ua": 0.75 - 0.4 / number + 0.02 * seed},
        "seconds": 2.0,
        "network_seconds": 1.8,
    }


def _write_tones(root: Path, files: Sequence[Path]) -> None:
    import soundfile

    root.mkdir(exist_ok=True)
    time_s = np.arange(24000) / 16000
    for place, file in enumerate(files):
        soundfile.write(file, 0.3 * np.sin(2 * np.pi * (200 + 10 * place) * time_s), 16000)
