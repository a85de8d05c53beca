"""A whole run: read and check the data, make and check the folds, extract features, do the jobs, keep the records."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from serenade.core.devices import choose_device, cpu_budget
from serenade.core.errors import PartialFailure, SerenadeError, UsageError
from serenade.core.executor import Engine, run_all
from serenade.core.labels import LabelSet, emotions_of
from serenade.core.records import Listing, Split, Utterance
from serenade.core.settings import dump_toml, make_settings
from serenade.evaluation.leaks import SEVERITIES, Finding, LeakReport
from serenade.evaluation.nested import check_folds, flatten
from serenade.evaluation.splits import make_split
from serenade.evaluation.unlabelled_leaks import check_heard, check_unlabelled
from serenade.experiments.data import make_examples, read_corpora
from serenade.experiments.folder import JobKey, RunFolder
from serenade.experiments.jobs import Job, differs_by_job, run_job, settings_of_job
from serenade.experiments.near_duplicates import find_copies, find_near_duplicates
from serenade.experiments.nested import candidates_of, choose, with_candidate
from serenade.experiments.published import with_file_labels
from serenade.experiments.settings import ExperimentSettings
from serenade.experiments.unlabelled import Pieces, read_unlabelled
from serenade.systems import PRESETS, SYSTEMS, make_system, system_settings
from serenade.training.cache import FeatureCache
from serenade.training.system import DemandingSystem, GatheringSystem, PretrainedSystem
from serenade.training.unlabelled import require_fitting_use

__all__ = ["Plan", "Watcher", "prepare", "run_experiment"]

_EXTRACTION_CHUNK = 32  # utterances per extraction job: small enough for a smooth progress bar


class Watcher(Protocol):
    """Is told how a run goes."""

    def stage(self, title: str, total: int, unit: str) -> None:
        """A stage of the run begins, of so many steps; 0 where the number is not known yet."""

    def done(self, count: int, detail: str = "") -> None:
        """So many steps of the stage are done in all."""

    def warn(self, message: str) -> None:
        """Something the user should read."""


class _Silent:
    """Watches and says nothing."""

    def stage(self, title: str, total: int, unit: str) -> None:
        pass

    def done(self, count: int, detail: str = "") -> None:
        pass

    def warn(self, message: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that is ready to be done.

    Args:
        settings: resolved: the system's settings are complete.
        listing: the data.
        split: the folds.
        leaks: what the check of the folds found.
        unlabelled: speech that every fold learns from besides; empty where none is given.
    """

    settings: ExperimentSettings
    listing: Listing
    split: Split
    leaks: LeakReport
    unlabelled: Listing = field(default_factory=lambda: Listing(()))

    @property
    def jobs(self) -> list[JobKey]:
        """Fold by fold within each seed."""
        return [JobKey(fold.name, seed) for seed in range(self.settings.seeds) for fold in self.split.folds]


def prepare(settings: ExperimentSettings, watcher: Watcher | None = None) -> Plan:
    """Read the data, make the folds, and check both before anything is trained.

    Raises:
        CorpusError: the data is not there or not usable.
        SettingsError: the system's settings are not valid.
        LeakError: parts share what they must not, or the system was pretrained on what is tested, and the split is not
            declared leaky.
        UsageError: there are settings to choose among, but no inner folds to choose them on; or the system needs
            unlabelled speech and gets none, or the other way round.
    """
    watcher = watcher if watcher is not None else _Silent()
    system_settings(settings.preset, settings.system)  # before anything is read
    resolved = _resolved(with_file_labels(settings))
    _require_fitting_use(resolved)
    watcher.stage("Reading the corpus", 0, "files")
    listing = read_corpora(resolved, lambda done, total: watcher.done(done))
    _require_fitting_data(resolved, listing.utterances)
    watcher.stage("Reading unlabelled speech", 0, "files")
    unlabelled = read_unlabelled(resolved, lambda done, total: watcher.done(done))
    split = _with_choice(make_split(listing.utterances, resolved.split), resolved)
    watcher.stage("Looking for near-duplicates", 0, "recordings")
    leaks = check_folds(split, listing.utterances, find_near_duplicates(listing.utterances))
    leaks = _with_unlabelled(leaks, split, listing.utterances, unlabelled.utterances)
    leaks = _with_pretraining(leaks, split, listing.utterances, resolved)
    leaks.raise_if_leaking(split)
    return Plan(resolved, listing, split, leaks, unlabelled)


def _resolved(settings: ExperimentSettings) -> ExperimentSettings:
    """With the system's settings complete."""
    system = system_settings(settings.preset, settings.system)
    return settings.model_copy(update={"system": system.model_dump(mode="json", exclude_none=True)})


def _require_fitting_use(settings: ExperimentSettings) -> None:
    """Before anything is read: unlabelled speech is there for a system that uses it, and for no other."""
    system = make_system(PRESETS[settings.preset], settings.system, LabelSet(("a", "b")))  # any classes do
    require_fitting_use(system, given=bool(settings.unlabelled.corpora))


def _require_fitting_data(settings: ExperimentSettings, utterances: Sequence[Utterance]) -> None:
    """Before anything is extracted: the corpora state what the system learns."""
    labels = LabelSet.of(emotions_of(utterances))
    system = make_system(PRESETS[settings.preset], settings.system, labels)
    if isinstance(system, DemandingSystem):
        system.require_fitting_data(utterances)


def _with_unlabelled(
    leaks: LeakReport, split: Split, utterances: Sequence[Utterance], unlabelled: Sequence[Utterance]
) -> LeakReport:
    """The report with what the unlabelled speech shares with the parts; errors stay first."""
    if not unlabelled:
        return leaks
    found = check_unlabelled(split, utterances, unlabelled, find_copies(utterances, unlabelled))
    return _with_findings(leaks, found)


def _with_pretraining(
    leaks: LeakReport, split: Split, utterances: Sequence[Utterance], settings: ExperimentSettings
) -> LeakReport:
    """The report with what the system's pretrained parts have heard of the parts; errors stay first."""
    system = make_system(PRESETS[settings.preset], settings.system, LabelSet(("a", "b")))  # any classes do
    if not isinstance(system, PretrainedSystem):
        return leaks
    return _with_findings(leaks, [f for heard in system.heard for f in check_heard(split, utterances, heard)])


def _with_findings(leaks: LeakReport, found: Iterable[Finding]) -> LeakReport:
    findings = (*found, *leaks.findings)
    return replace(leaks, findings=tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))))


def run_experiment(
    plan: Plan,
    out: Path,
    *,
    workers: int | None = None,
    engine: Engine = "processes",
    watcher: Watcher | None = None,
) -> RunFolder:
    """Do all jobs of a plan that are not done yet.

    Args:
        plan: from `prepare`.
        out: the run's folder; an interrupted run of the same plan is taken up.
        workers: processes; None takes as many as there are processors for the jobs' threads, or one on a GPU.
        engine: where jobs are done; on a cluster all machines must see the corpora and `out` under the same paths.
        watcher: is told how it goes.

    Returns:
        The run's folder.

    Raises:
        UsageError: the folder holds another run.
        PartialFailure: some jobs failed; the others are done.
    """
    watcher = watcher if watcher is not None else _Silent()
    run = RunFolder(out)
    _take_folder(run, plan)
    todo = [Job(out, key) for key in plan.jobs if not run.is_done(key)]
    if not todo:
        return run
    if plan.settings.grid:
        _choose(run, plan, workers, engine, watcher)
    if workers is None and engine == "processes":
        workers = _default_workers(plan.settings)
    # Threads of the linear algebra libraries are fixed when a process loads them: told to the workers beforehand.
    os.environ.setdefault("OMP_NUM_THREADS", str(plan.settings.threads))
    if differs_by_job(plan.settings):
        _gather_by_job(run, plan, todo, watcher)
    else:
        _extract_features(out, plan, workers, engine, watcher)
    _do_jobs(run, plan, todo, None if workers is None else min(workers, len(todo)), engine, watcher)
    return run


def _with_choice(split: Split, settings: ExperimentSettings) -> Split:
    """The split with a note on how settings are chosen; makes sure that they can be."""
    nested = all(fold.inner for fold in split.folds)
    candidates = candidates_of(settings)
    if candidates and not nested:
        raise UsageError(
            "settings are chosen on inner folds, and this split has none",
            where=f"split {split.name}",
            hint="Use --split nested:3, or leave out --grid",
        )
    if not nested:
        return split
    names = "; ".join(candidate.name for candidate in candidates)
    note = f"settings are chosen on the inner folds by mean UA, among {len(candidates)}: {names}"
    if not candidates:
        note = "the inner folds are not used: there is nothing to choose among (--grid KEY=VALUE,VALUE)"
    return replace(split, notes=(*split.notes, note))


def _choose(run: RunFolder, plan: Plan, workers: int | None, engine: Engine, watcher: Watcher) -> None:
    """Train every candidate on all inner folds, and write what each outer fold takes."""
    candidates = candidates_of(plan.settings)
    inner = flatten(plan.split, outer=False)
    for number, candidate in enumerate(candidates, start=1):
        watcher.warn(f"candidate {number} of {len(candidates)}: {candidate.name}")
        settings = with_candidate(plan.settings, candidate)
        part = Plan(settings, plan.listing, inner, plan.leaks, plan.unlabelled)
        run_experiment(part, run.candidate(number).path, workers=workers, engine=engine, watcher=watcher)
    runs = [run.candidate(number) for number in range(1, len(candidates) + 1)]
    choices = choose(plan.split, candidates, runs, plan.settings.seeds)
    run.write_choices({fold: choice.to_json() for fold, choice in choices.items()})


def _default_workers(settings: ExperimentSettings) -> int:
    """Jobs at once: processors by threads; on a GPU one, which several would only share."""
    if choose_device(settings.device).type != "cpu":
        return 1
    return max(1, cpu_budget() // (settings.threads * settings.ranks))


def _take_folder(run: RunFolder, plan: Plan) -> None:
    """Write the set-up, or make sure that the one there is the same."""
    if run.settings_file.is_file():
        same = _as_toml(_with_defaults(run.read_settings())) == _as_toml(plan.settings)
        labelled = run.read_utterances() == list(plan.listing.utterances)
        if same and labelled and run.read_unlabelled() == list(plan.unlabelled.utterances):
            return
        raise UsageError(
            "the folder holds another run",
            where=run.path,
            found="other data" if same else "other settings",
            hint="Give another folder with --out, or remove this one",
        )
    listing = plan.listing
    leaks = plan.leaks.to_json()
    run.write_setup(plan.settings, listing.utterances, listing.left_out, plan.split, leaks, plan.unlabelled)


def _with_defaults(stored: ExperimentSettings) -> ExperimentSettings:
    """With the defaults of system settings which did not exist when the run began, as its jobs see them.

    Not those of the preset, which may have got another value since.
    """
    settings_class = SYSTEMS.resolve(PRESETS[stored.preset]).settings_class
    system = make_settings(settings_class, stored.system, where=f"preset {stored.preset}")
    return stored.model_copy(update={"system": system.model_dump(mode="json", exclude_none=True)})


def _as_toml(settings: ExperimentSettings) -> str:
    return dump_toml(settings.model_dump(mode="json"))


@dataclass(frozen=True, slots=True)
class _Extraction:
    """Utterances whose features are wanted."""

    settings: ExperimentSettings
    labels: LabelSet
    utterances: tuple[Utterance, ...]
    unlabelled: bool


def _extract(task: _Extraction) -> None:
    import torch

    torch.set_num_threads(1)
    system = make_system(PRESETS[task.settings.preset], task.settings.system, task.labels)
    cache = FeatureCache()
    if task.unlabelled:
        pieces = Pieces(task.utterances, system, cache, task.settings.unlabelled.piece_s)
        for place in range(len(pieces)):
            pieces[place]
        return
    for training in (True, False):
        make_examples(task.utterances, system, cache, training=training)


def _extract_features(out: Path, plan: Plan, workers: int | None, engine: Engine, watcher: Watcher) -> None:
    """Fill the feature cache, each utterance once, before the jobs want them all at the same time."""
    labels = LabelSet.of(emotions_of(plan.listing.utterances))
    system = make_system(PRESETS[plan.settings.preset], plan.settings.system, labels)
    if isinstance(system, GatheringSystem):
        _gather(plan, system, watcher)
        return
    tasks = [
        _Extraction(plan.settings, labels, utterances[start : start + _EXTRACTION_CHUNK], unlabelled)
        for utterances, unlabelled in ((plan.listing.utterances, False), (plan.unlabelled.utterances, True))
        for start in range(0, len(utterances), _EXTRACTION_CHUNK)
    ]
    watcher.stage("Extracting features", sum(len(task.utterances) for task in tasks), "utterances")
    done = 0
    for task, error in run_all(_extract, tasks, workers=workers, engine=engine):
        if error is not None:
            raise error
        done += len(task.utterances)
        watcher.done(done)


def _gather_by_job(run: RunFolder, plan: Plan, todo: Sequence[Job], watcher: Watcher) -> None:
    """The same for each job, which has an upstream of its own; what fails here is left to the job to tell."""
    labels = LabelSet.of(str(u.emotion) for u in plan.listing.utterances)
    for job in todo:
        settings = settings_of_job(run.read_settings_of(job.key.fold), job.key)
        try:
            system = make_system(PRESETS[settings.preset], settings.system, labels)
            if isinstance(system, GatheringSystem):
                _gather(plan, system, watcher)
        except SerenadeError:
            continue


def _gather(plan: Plan, system: GatheringSystem, watcher: Watcher) -> None:
    """The same of a system that gets the inputs of all utterances together, here and with all processors."""
    if not system.keeps_inputs:
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(cpu_budget())
    watcher.stage("Extracting features", len(plan.listing.utterances), "utterances")
    try:
        system.to(choose_device(plan.settings.device)).gather(plan.listing.utterances, watcher.done)
    finally:
        torch.set_num_threads(threads)


def _do_jobs(
    run: RunFolder, plan: Plan, todo: Sequence[Job], workers: int | None, engine: Engine, watcher: Watcher
) -> None:
    epochs = int(plan.settings.system["training"]["epochs"])
    watcher.stage("Training", epochs * len(todo), "epochs")
    finished: list[Job] = []
    failures: list[SerenadeError] = []

    def report(detail: str = "") -> None:
        open_epochs = sum(run.epochs_done(job.key) for job in todo if job not in finished)
        watcher.done(len(finished) * epochs + open_epochs, detail)

    threads = plan.settings.threads * plan.settings.ranks
    for job, error in run_all(run_job, todo, workers=workers, engine=engine, threads=threads, on_tick=report):
        finished.append(job)
        if error is not None:
            failures.append(_of_job(error, job))
            watcher.warn(f"fold {job.key.fold}, seed {job.key.seed} failed: {error}")
        report(f"{len(finished)} of {len(todo)} jobs done")
    if failures:
        raise PartialFailure("training", failures=failures, done=len(finished) - len(failures))


def _of_job(error: SerenadeError, job: Job) -> SerenadeError:
    """The error with the job as its place."""
    return SerenadeError(str(error), where=f"fold {job.key.fold}, seed {job.key.seed}")
