"""One job: train on one fold with one seed, score its test part once, write the record.

All it needs is the run's folder.
"""

import hashlib
import io
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from serenade.core.devices import choose_device
from serenade.core.errors import SplitError
from serenade.core.executor import run_together
from serenade.core.files import write_bytes, write_json
from serenade.core.labels import LabelSet, emotions_of
from serenade.core.records import Fold, RunRecord, Score, Utterance
from serenade.core.seeding import derive_seed
from serenade.experiments.augmented import augmenter
from serenade.experiments.calibrating import calibrate
from serenade.experiments.data import data_fingerprint, make_examples
from serenade.experiments.folder import JobKey, RunFolder
from serenade.experiments.origins import require_unseen
from serenade.experiments.settings import ExperimentSettings
from serenade.experiments.unlabelled import Pieces, describe_unlabelled
from serenade.systems import PRESETS, make_system, save_checkpoint
from serenade.training.alignment import AligningSystem
from serenade.training.batches import num_segments
from serenade.training.cache import FeatureCache
from serenade.training.checkpoints import versions
from serenade.training.description import write_calibration
from serenade.training.loop import Scored, Trained, score, train
from serenade.training.ranks import Ranks, join, leave
from serenade.training.settings import TrainingSettings
from serenade.training.system import DeclaringSystem, Example, InheritingSystem, System
from serenade.training.tracking import TensorBoardTracker

__all__ = ["Job", "differs_by_job", "run_job", "settings_of_job"]

_JOB = "{job}"
"""Stands for the folder of the fold and seed at hand in texts of the system's settings."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job to do, small enough to be sent anywhere the run's folder can be seen.

    Args:
        run: the run's folder.
        key: fold and seed.
    """

    run: Path
    key: JobKey


def run_job(job: Job) -> None:
    """Train and test one fold with one seed; a finished job is left alone, an interrupted one is taken up.

    Raises:
        SerenadeError: see `training.loop.train` and `experiments.data.make_examples`.
    """
    run = RunFolder(job.run)
    if run.is_done(job.key):
        return
    size = run.read_settings_of(job.key.fold).ranks
    if size == 1:
        _train_and_test(job)
        return
    meeting = run.job(job.key) / f"meeting-{secrets.token_hex(8)}"
    meeting.parent.mkdir(parents=True, exist_ok=True)
    try:
        run_together(_take_part, [_Seat(job, rank, size, meeting) for rank in range(size)])
    finally:
        meeting.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Seat:
    """One of the processes that do a job together."""

    job: Job
    rank: int
    size: int
    meeting: Path


def _take_part(seat: _Seat) -> None:
    device = choose_device(RunFolder(seat.job.run).read_settings_of(seat.job.key.fold).device)
    where = torch.device("cuda", seat.rank) if device.type == "cuda" else device
    join(seat.meeting, seat.rank, seat.size, where)
    try:
        _train_and_test(seat.job, where)
    finally:
        leave()


def _train_and_test(job: Job, device: torch.device | None = None) -> None:
    """The job in this process, or this process's part of it; then the one that leads tests and writes."""
    run = RunFolder(job.run)
    settings = settings_of_job(run.read_settings_of(job.key.fold), job.key)
    torch.set_num_threads(settings.threads)
    device = choose_device(settings.device) if device is None else device
    utterances = run.read_utterances()
    split = run.read_split()
    fold = next(fold for fold in split.folds if fold.name == job.key.fold)
    system = _fresh_system(settings, LabelSet.of(emotions_of(utterances)), job.key.seed).to(device)
    if isinstance(system, InheritingSystem) and split.leaky is None:
        tested = set(fold.test)
        require_unseen(system.origins, [utterance for utterance in utterances if utterance.id in tested])
    training, selection, test = _parts(fold, utterances, system, split.select_on_test)
    if isinstance(system, AligningSystem):
        system.alignment.meet(test)
    unlabelled = run.read_unlabelled()
    folder = run.job(job.key)
    with _tracker(settings, folder) as tracker:
        trained = train(
            system,
            training,
            selection,
            _training_settings(system),
            seed=job.key.seed,
            device=device,
            unlabelled=Pieces(unlabelled, system, FeatureCache(), settings.unlabelled.piece_s) if unlabelled else None,
            augment=augmenter(_training_settings(system).augmentation, system),
            folder=folder,
            key=_state_key(system, settings, fold, job.key.seed, (*utterances, *unlabelled)),
            on_epoch=tracker,
        )
    if not Ranks().leads:
        return
    if isinstance(system, AligningSystem):
        system.alignment.settle()
    scored = score(system, test, device)
    about = _about(settings, job.key, utterances, unlabelled, system)
    save_checkpoint(system, PRESETS[settings.preset], folder / "model", about)
    calibration = None if split.select_on_test else calibrate(system, selection, device)
    if calibration is not None:
        write_calibration(folder / "model", calibration)
    if trained.single is not None:
        system.network.load_state_dict(dict(trained.single))
        alone, of_one = score(system, test, device), replace(trained, averaged=None)
        _write_record(folder / "single", job.key, settings, system, test, alone, of_one, about)
    _write_record(folder, job.key, settings, system, test, scored, trained, about)
    (folder / "state.safetensors").unlink(missing_ok=True)
    shutil.rmtree(folder / "best", ignore_errors=True)


def differs_by_job(settings: ExperimentSettings) -> bool:
    """Whether every job has system settings of its own, such as an upstream that another run trained on its fold."""
    return _JOB in json.dumps(settings.system)


def settings_of_job(settings: ExperimentSettings, key: JobKey) -> ExperimentSettings:
    """The settings with ``{job}`` in the system's texts replaced by the name of the job's folder."""
    return settings.model_copy(update={"system": _filled(settings.system, key.folder)})


def _filled(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(part, name) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(part, name) for part in value]
    return value.replace(_JOB, name) if isinstance(value, str) else value


def _fresh_system(settings: ExperimentSettings, labels: LabelSet, seed: int) -> System:
    torch.manual_seed(derive_seed(seed, "weights"))
    return make_system(PRESETS[settings.preset], settings.system, labels)


def _tracker(settings: ExperimentSettings, folder: Path) -> AbstractContextManager[TensorBoardTracker | None]:
    return TensorBoardTracker(folder / "tensorboard") if settings.tensorboard else nullcontext()


def _training_settings(system: System) -> TrainingSettings:
    return cast(TrainingSettings, system.settings.training)  # type: ignore[attr-defined] # every system has them


def _parts(
    fold: Fold, utterances: Sequence[Utterance], system: System, select_on_test: bool
) -> tuple[list[Example], list[Example], list[Example]]:
    """Examples of the three parts: to train on, to choose the epoch on, to test once."""
    by_id = {u.id: u for u in utterances}
    cache = FeatureCache()
    prepared: dict[str, Example] | None = None
    if isinstance(system, DeclaringSystem) and system.protocol is not None:
        everything = make_examples(utterances, system, cache, training=False)
        prepared = {example.utterance.id: example for example in system.prepare(everything)}

    def examples(ids: Sequence[str], training: bool) -> list[Example]:
        if prepared is not None:
            return [prepared[name] for name in ids if name in prepared]
        return make_examples((by_id[name] for name in ids), system, cache, training=training)

    test = examples(fold.test, training=False)
    if not test:
        raise SplitError("no test utterance gives a segment", where=f"fold {fold.name}", hint="Set segments.short=pad")
    selection = test if select_on_test else examples(fold.validation, training=False)
    return examples(fold.train, training=True), selection, test


def _state_key(
    system: System, settings: ExperimentSettings, fold: Fold, seed: int, utterances: Sequence[Utterance]
) -> str:
    """Names all that a training state depends on."""
    parts = [
        settings.preset,
        system.settings.model_dump_json(),
        ",".join(system.labels.names),
        json.dumps([fold.name, fold.train, fold.validation, fold.test]),
        str(seed),
        settings.unlabelled.model_dump_json(),
        data_fingerprint(utterances),
        versions()["serenade"],
        versions()["torch"],
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _declared(system: System) -> tuple[str | None, tuple[str, ...]]:
    """Protocol and notes of a system that declares them."""
    if isinstance(system, AligningSystem):
        return system.alignment.protocol, ()
    return (system.protocol, system.notes) if isinstance(system, DeclaringSystem) else (None, ())


def _about(
    settings: ExperimentSettings,
    key: JobKey,
    utterances: Sequence[Utterance],
    unlabelled: Sequence[Utterance],
    system: System,
) -> dict[str, Any]:
    protocol, notes = _declared(system)
    beside = describe_unlabelled(unlabelled)
    return {
        "preset": settings.preset,
        "corpora": sorted({u.corpus for u in utterances}),
        "fold": key.fold,
        "seed": key.seed,
        "data": data_fingerprint(utterances),
        **({"unlabelled": beside} if beside is not None else {}),
        **({"protocol": protocol} if protocol is not None else {}),
        **({"notes": list(notes)} if notes else {}),
    }


def _write_record(
    folder: Path,
    key: JobKey,
    settings: ExperimentSettings,
    system: System,
    test: Sequence[Example],
    scored: Scored,
    trained: Trained,
    about: Mapping[str, Any],
) -> None:
    order = sorted(range(len(test)), key=lambda index: test[index].utterance.id)
    scores = tuple(
        Score(
            id=test[index].utterance.id,
            truth=test[index].utterance.emotion or "",
            probabilities=tuple(float(value) for value in scored.probabilities[index]),
            segments=num_segments(test[index]),
        )
        for index in order
    )
    _write_array(folder / "embeddings.npy", scored.embeddings[order])
    protocol, notes = _declared(system)
    record = RunRecord(
        system=settings.preset,
        fold=key.fold,
        seed=key.seed,
        labels=system.labels.names,
        scores=scores,
        epochs=trained.epochs,
        chosen_epoch=trained.chosen_epoch,
        settings=cast(Mapping[str, Any], system.settings.model_dump(mode="json")),
        versions=versions(),
        data=about["data"],
        timing=trained.timing,
        embeddings="embeddings.npy",
        protocol=protocol,
        notes=(*notes, *_averaging_note(trained)),
        unlabelled=about.get("unlabelled"),
        averaged=trained.averaged,
    )
    write_json(folder / "record.json", record.to_json())


def _averaging_note(trained: Trained) -> tuple[str, ...]:
    if trained.averaged is None:
        return ()
    asked, there = trained.averaged["asked"], len(trained.averaged["epochs"])
    kind = "best" if "selection" in trained.averaged else "last"
    few = f", of which there were only {there}" if there < asked else ""
    return (f"the tested weights are the mean of the {asked} {kind} epochs{few}",)


def _write_array(path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array.astype(np.float32))
    write_bytes(path, buffer.getvalue())
