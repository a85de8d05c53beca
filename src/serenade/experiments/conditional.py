"""Stored models of a run tested again under conditions, without training.

Every utterance is tested by the model that tested it in the run. What is drawn at random is drawn from the repeat (the
job's seed), the utterance and the condition, and from nothing else: all models hear the same.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from serenade.core.devices import choose_device
from serenade.core.errors import AudioError, PartialFailure, SerenadeError, UsageError
from serenade.core.executor import run_all
from serenade.core.files import read_json, write_json
from serenade.core.records import LeftOut, Score, Utterance
from serenade.core.seeding import derive_seed
from serenade.experiments.augmentation import open_noise, open_responses
from serenade.experiments.conditions import CLEAN, Condition
from serenade.experiments.data import make_examples
from serenade.experiments.folder import JobKey, RunFolder
from serenade.experiments.results import Results, read_results
from serenade.experiments.run import Watcher
from serenade.inference.attacks import attack_features, attack_waveforms, feature_scale
from serenade.signal.audio import read_audio
from serenade.signal.augmentation.chain import AugmentationChain
from serenade.signal.augmentation.step import Sources
from serenade.signal.mixing import NoiseBank, fixed_mixture
from serenade.signal.responses import ResponseBank
from serenade.signal.speech_level import is_silent
from serenade.systems import load_system
from serenade.training.batches import num_segments
from serenade.training.cache import FeatureCache
from serenade.training.system import DeclaringSystem, Example, ReadingSystem, System

__all__ = ["FOLDER", "Bench", "evaluate_run", "hear", "tested_before"]

FOLDER = "conditions"
"""Of a run: one folder per condition, one file per job in it."""
_AT_ONCE_S = 60.0
"""Speech held at a time, in seconds; attacks hold the gradients of all of it."""
_FOR_SCALE = 200
"""Training utterances that the unit of an attack is taken from, where the system has no fitted normaliser."""
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Bench:
    """What conditions are made of, small enough to be sent to another process.

    Args:
        conditions: in order.
        noise: folder of noise recordings; None where no condition needs one.
        environments: of the noise; empty for all.
        responses: file or folder of impulse responses; None for synthesised ones.
        device: to compute on.
        threads: of a job.
        content: names the recordings of noise and the responses; results of others are not taken for these.
        usable: the recordings of noise that can be used; None where nobody has looked yet: all of the folder.
    """

    conditions: tuple[Condition, ...]
    noise: Path | None = None
    environments: tuple[str, ...] = ()
    responses: Path | None = None
    device: str = "auto"
    threads: int = 1
    content: str = ""
    usable: tuple[Utterance, ...] | None = None

    def noise_bank(self) -> NoiseBank | None:
        """The recordings of noise.

        Raises:
            CorpusError: the folder is missing or holds no recordings.
            UsageError: there is no noise of an environment asked for.
        """
        if self.noise is None:
            return None
        if self.usable is None:
            return open_noise(self.noise, self.environments)
        return NoiseBank(self.usable, environments=self.environments)

    def response_bank(self) -> ResponseBank | None:
        """The recorded impulse responses.

        Raises:
            UsageError: there are none where they should be.
        """
        return None if self.responses is None else open_responses(self.responses)

    def ready(self, warn: Callable[[str], None] = lambda message: None) -> "Bench":
        """With `content` and `usable`, after making sure that what is needed is there.

        Args:
            warn: told of recordings of noise that are broken or silent, and left out.

        Raises:
            AudioError: no recording of noise can be used.
            CorpusError: the folder of noise is missing or holds no recordings.
            UsageError: a condition needs noise and none is given, or there is none of an environment, or no response.
        """
        if self.content:
            return self  # it was made ready before
        needing = [condition.text for condition in self.conditions if condition.kind == "noise"]
        if needing and self.noise is None:
            raise UsageError(
                f"the condition {needing[0]!r} needs recordings of noise",
                hint="Say --noise FOLDER; `serenade corpus fetch demand` gets some",
            )
        bank = None if self.noise is None else open_noise(self.noise, self.environments, note=warn)
        usable = None if bank is None else bank.recordings
        responses = self.response_bank()
        files = [recording.audio for recording in usable or ()]
        files += [Path(name) for name in responses.names] if responses is not None else []
        listed = "\n".join(f"{path.name} {path.stat().st_size}" for path in files)
        return replace(self, content=hashlib.sha256(listed.encode()).hexdigest()[:16], usable=usable)


@dataclass(frozen=True, slots=True)
class _Job:
    run: Path
    key: JobKey
    bench: Bench
    conditions: tuple[Condition, ...]


def evaluate_run(
    run: Path, bench: Bench, *, workers: int = 1, watcher: Watcher | None = None
) -> list[tuple[Condition, Results]]:
    """Test the finished jobs of a run under conditions; what was tested before is kept.

    Args:
        run: the run folder.
        bench: the conditions, clean among them or not.
        workers: processes.
        watcher: is told how it goes.

    Returns:
        Each condition with results like those of the run.

    Raises:
        UsageError: the folder is not a run, no job of it is finished, models are not stored, or a condition needs noise
            that is not given.
        PartialFailure: some jobs failed; the others are kept.
    """
    results = read_results(run)
    bench = bench.ready() if watcher is None else bench.ready(watcher.warn)
    wanted = tuple(condition for condition in bench.conditions if condition != CLEAN)
    jobs = []
    for fold, seed in results.records:
        key = JobKey(fold, seed)
        _require_model(RunFolder(run).job(key))
        todo = tuple(c for c in wanted if not _is_done(run, key, c, bench))
        jobs += [_Job(run, key, bench, todo)] if todo else []
    _do(jobs, workers, watcher)
    return tested_before(results, bench)


def _do(jobs: Sequence[_Job], workers: int, watcher: Watcher | None) -> None:
    waiting = [(job, condition) for job in jobs for condition in job.conditions]
    total = len(waiting)

    def tell() -> None:
        # what was done at an earlier look is not opened again
        waiting[:] = [(job, c) for job, c in waiting if not _is_done(job.run, job.key, c, job.bench)]
        if watcher is not None:
            watcher.done(total - len(waiting))

    if watcher is not None and jobs:
        watcher.stage(f"Testing {jobs[0].run.resolve().name}", total, "conditions of a fold")
    failures = []
    for job, error in run_all(_test, jobs, workers=min(workers, max(1, len(jobs))), on_tick=tell):
        tell()
        if error is not None:
            failures.append(SerenadeError(f"fold {job.key.fold}, seed {job.key.seed}: {error}"))
    if failures:
        raise PartialFailure("testing", failures=failures, done=len(jobs) - len(failures))


def _require_model(job: Path) -> None:
    if not (job / "model" / "model.toml").is_file():
        raise UsageError("the model of a job is not stored, so it cannot be tested again", where=job)


def tested_before(results: Results, bench: Bench) -> list[tuple[Condition, Results]]:
    """What is stored of conditions, without testing anything.

    Args:
        results: of the run.
        bench: the conditions and `content`; recordings of noise need not be there.

    Returns:
        Each condition of which something is stored, with results like those of the run.
    """
    found = []
    for condition in bench.conditions:
        if condition == CLEAN:
            found.append((condition, results))
            continue
        records, left_out = {}, []
        for (fold, seed), record in results.records.items():
            key = JobKey(fold, seed)
            if _is_done(results.run, key, condition, bench):
                stored = read_json(_file(results.run, key, condition))
                scores = tuple(
                    Score(s["id"], s["truth"], tuple(s["probabilities"]), s["segments"]) for s in stored["scores"]
                )
                records[fold, seed] = replace(record, scores=scores)
                left_out += [LeftOut(**item) for item in stored["left_out"]]
        if records:
            found.append((condition, replace(results, records=records, left_out=tuple(dict.fromkeys(left_out)))))
    return found


def _file(run: Path, key: JobKey, condition: Condition) -> Path:
    return run / FOLDER / condition.leaf / f"{key.folder}.json"


def _is_done(run: Path, key: JobKey, condition: Condition, bench: Bench) -> bool:
    path = _file(run, key, condition)
    if not path.is_file():
        return False
    try:
        return bool(read_json(path)["key"] == _key(run, key, condition, bench))
    except (ValueError, KeyError, TypeError):
        return False  # cut off or of another version: tested again


def _key(run: Path, key: JobKey, condition: Condition, bench: Bench) -> str:
    """Names everything that the result depends on: the model, the condition and what it is made of."""
    record = RunFolder(run).job(key) / "record.json"
    parts = [str(_FORMAT), condition.text, hashlib.sha256(record.read_bytes()).hexdigest()]
    if condition.kind in ("noise", "chain"):
        parts += [bench.content, ",".join(bench.environments)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def hear(run: Path, bench: Bench, count: int) -> list[tuple[Condition, str, Tensor]]:
    """The first utterances of the first finished job under every condition that can be heard.

    Args:
        run: the run folder.
        bench: the conditions.
        count: utterances.

    Returns:
        The condition, the id of the utterance and (T,) samples; silence where a condition is not defined is left out.
    """
    results, bench = read_results(run), bench.ready()
    fold, seed = next(iter(results.records))
    system = load_system(results.folders[fold, seed] / "model", choose_device(bench.device))
    audible = tuple(condition for condition in bench.conditions if condition.kind != "features")
    tester = _Tester(system, choose_device(bench.device), _Job(run, JobKey(fold, seed), bench, audible), ())
    heard = []
    for score in results.records[fold, seed].scores[:count]:
        utterance = results.utterances[score.id]
        waveform = read_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
        if is_silent(waveform):
            continue
        heard += [(condition, utterance.id, tester.sound(condition, utterance, waveform)) for condition in audible]
    return heard


def _test(job: _Job) -> None:
    """Test one model under its conditions and write what it said: a file per condition, as soon as it is tested."""
    torch.set_num_threads(job.bench.threads)
    folder = RunFolder(job.run)
    device = choose_device(job.bench.device)
    system = load_system(folder.job(job.key) / "model", device)
    if isinstance(system, DeclaringSystem) and system.protocol is not None:
        raise UsageError(f"models of this protocol are not tested under conditions: {system.protocol}")
    by_id = {utterance.id: utterance for utterance in folder.read_utterances()}
    record = folder.read_record(job.key)
    fold = next(fold for fold in folder.read_split().folds if fold.name == job.key.fold)
    tester = _Tester(system, device, job, [by_id[name] for name in fold.train])
    tested = [by_id[score.id] for score in record.scores]
    for condition in job.conditions:
        said: list[Score] = []
        lost: list[LeftOut] = []
        for chunk in _chunks(tested):
            scores, left_out = tester(condition, chunk)
            said, lost = said + scores, lost + left_out
        _write(job, condition, said, lost)


def _write(job: _Job, condition: Condition, scores: Sequence[Score], left_out: Sequence[LeftOut]) -> None:
    write_json(
        _file(job.run, job.key, condition),
        {
            "key": _key(job.run, job.key, condition, job.bench),
            "condition": condition.text,
            "fold": job.key.fold,
            "seed": job.key.seed,
            "scores": [asdict(score) for score in scores],
            "left_out": [asdict(item) for item in left_out],
        },
    )


def _chunks(utterances: Sequence[Utterance]) -> list[list[Utterance]]:
    """Utterances in groups of about a minute."""
    groups: list[list[Utterance]] = [[]]
    held = 0.0
    for utterance in utterances:
        duration = utterance.duration_s or 0.0
        if groups[-1] and held + duration > _AT_ONCE_S:
            groups.append([])
            held = 0.0
        groups[-1].append(utterance)
        held += duration
    return [group for group in groups if group]


class _Tester:
    """One model and what it takes to test it under a condition."""

    def __init__(self, system: System, device: torch.device, job: _Job, training: Sequence[Utterance]) -> None:
        self.system, self.device, self.bench, self.seed = system, device, job.bench, job.key.seed
        self.bank = job.bench.noise_bank() if any(c.kind in ("noise", "chain") for c in job.conditions) else None
        self.sources = Sources(self.bank, job.bench.response_bank())
        self.scale = self._scale(training) if any(c.kind == "features" for c in job.conditions) else None

    def _scale(self, training: Sequence[Utterance]) -> Tensor:
        few = training[:: max(1, len(training) // _FOR_SCALE)]
        return feature_scale(self.system, make_examples(few, self.system, FeatureCache(), training=False))

    def __call__(self, condition: Condition, utterances: Sequence[Utterance]) -> tuple[list[Score], list[LeftOut]]:
        """Scores of a few utterances, and those that the condition is not defined for."""
        heard, left_out = [], []
        for utterance in utterances:
            waveform = read_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
            try:
                heard.append((utterance, self._changed(condition, utterance, waveform)))
            except AudioError:
                if not is_silent(waveform):
                    raise
                left_out.append(LeftOut(utterance.id, "silent", f"{condition.text}: no ratio of silence to noise"))
        return (self._scores(condition, heard) if heard else []), left_out

    def _changed(self, condition: Condition, utterance: Utterance, waveform: Tensor) -> Tensor:
        if condition.kind == "noise":
            assert self.bank is not None
            assert condition.value is not None
            snr_db = condition.value
            return fixed_mixture(waveform, self.bank, snr_db=snr_db, utterance=utterance.id, repeat=self.seed).waveform
        if condition.kind == "chain":
            generator = self._generator(condition, utterance.id)
            chain = AugmentationChain(condition.chain(), self.sources)
            changed, records = chain(waveform.unsqueeze(0), generator)
            return changed[0, : records[0].length]
        return waveform

    def sound(self, condition: Condition, utterance: Utterance, waveform: Tensor) -> Tensor:
        """(T,) what the model is given of an utterance under a condition."""
        changed = self._changed(condition, utterance, waveform)
        if condition.kind == "waveform":
            examples, generator = [self._example(utterance, changed)], self._generator(condition, utterance.id)
            attack = condition.attack
            (changed,) = attack_waveforms(self.system, examples, [changed], attack, self.device, generator)
        return changed

    def _generator(self, condition: Condition, utterance: str) -> Generator:
        return Generator().manual_seed(derive_seed(self.seed, "condition", condition.text, utterance))

    def _scores(self, condition: Condition, heard: Sequence[tuple[Utterance, Tensor]]) -> list[Score]:
        examples = [self._example(utterance, waveform) for utterance, waveform in heard]
        generator = self._generator(condition, heard[0][0].id)
        if condition.kind == "waveform":
            sounds = attack_waveforms(
                self.system, examples, [waveform for _, waveform in heard], condition.attack, self.device, generator
            )
            examples = [self._example(u, sound) for (u, _), sound in zip(heard, sounds, strict=True)]
        batch = self.system.collate(examples).to(self.device)
        if condition.kind == "features":
            assert self.scale is not None
            batch = attack_features(self.system, batch, condition.attack, self.scale, generator)
        with torch.inference_mode():
            probabilities = self.system.predict(batch).probabilities.float().cpu()
        return [
            Score(e.utterance.id, str(e.utterance.emotion), tuple(row.tolist()), num_segments(e))
            for e, row in zip(examples, probabilities, strict=True)
        ]

    def _example(self, utterance: Utterance, waveform: Tensor) -> Example:
        inputs = self.system.extract(waveform, training=False)
        if isinstance(self.system, ReadingSystem) and self.system.reads_words:
            inputs = {**inputs, **self.system.extract_text(utterance.text or "")}  # words are as they were said
        return Example(utterance, inputs, self.system.labels.index(str(utterance.emotion)))
