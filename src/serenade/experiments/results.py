"""A run folder read back: the records, and their scores as arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import SerenadeError, UsageError
from serenade.core.files import read_json, read_json_lines
from serenade.core.records import LeftOut, RunRecord, Score, Split, Utterance
from serenade.core.settings import load_toml
from serenade.core.wording import counted
from serenade.evaluation.metrics import Counts, confusion
from serenade.experiments.folder import JobKey, RunFolder

__all__ = ["Results", "Scores", "read_results"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Scores:
    """Test scores of one seed as arrays, folds one after the other in the order of the split.

    Args:
        ids: (N,) utterance ids.
        folds: (N,) fold names.
        truth: (N,) class indices.
        probabilities: (N, K).
    """

    ids: tuple[str, ...]
    folds: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) index of the most probable class."""
        return np.asarray(self.probabilities.argmax(-1), dtype=np.int64)

    @property
    def losses(self) -> NDArray[np.float64]:
        """(N,) negative natural logarithm of the true class's probability, at least 1e-12."""
        return np.asarray(-np.log(np.maximum(self.probabilities[np.arange(len(self.ids)), self.truth], 1e-12)))

    def counts(self) -> Counts:
        """(K, K) confusion counts of all of them."""
        return confusion(self.truth, self.predicted, self.probabilities.shape[1])

    def counts_by(self, key: Callable[[str], str], groups: Sequence[str]) -> Counts:
        """(S, K, K) confusion counts of each group of utterances.

        Args:
            key: from an utterance id to its group.
            groups: the groups, in the order wanted.
        """
        place = {group: index for index, group in enumerate(groups)}
        member = np.array([place[key(name)] for name in self.ids], dtype=np.int64)
        num_classes = self.probabilities.shape[1]
        table = np.zeros((len(groups), num_classes, num_classes))
        np.add.at(table, (member, self.truth, self.predicted), 1.0)
        return table

    def where(self, keep: NDArray[np.bool_]) -> "Scores":
        """Only some of them."""
        chosen = np.flatnonzero(keep)
        ids, folds = tuple(self.ids[i] for i in chosen), tuple(self.folds[i] for i in chosen)
        return Scores(ids, folds, self.truth[chosen], self.probabilities[chosen])


@dataclass(frozen=True, slots=True)
class Results:
    """What stands in a run folder.

    Args:
        run: the folder.
        experiment: the resolved settings of the run.
        split: the folds.
        leaks: findings of the leak check; None where no check was stored.
        utterances: by id.
        left_out: what was not used.
        seeds: all seeds that were asked for, also unfinished ones.
        records: by fold name and seed, in the order of the split, then of the seeds. Not empty.
        folders: where each record stands.
    """

    run: Path
    experiment: Mapping[str, Any]
    split: Split
    leaks: Any
    utterances: Mapping[str, Utterance]
    left_out: tuple[LeftOut, ...]
    seeds: tuple[int, ...]
    records: Mapping[tuple[str, int], RunRecord]
    folders: Mapping[tuple[str, int], Path]

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in index order."""
        return next(iter(self.records.values())).labels

    @property
    def system(self) -> str:
        """Name of the system."""
        return next(iter(self.records.values())).system

    @property
    def missing(self) -> tuple[tuple[str, int], ...]:
        """Fold and seed of the jobs without a record."""
        wanted = ((fold.name, seed) for fold in self.split.folds for seed in self.seeds)
        return tuple(job for job in wanted if job not in self.records)

    @property
    def done_seeds(self) -> tuple[int, ...]:
        """Seeds with at least one record."""
        return tuple(seed for seed in self.seeds if any(done == seed for _, done in self.records))

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora, sorted."""
        return tuple(sorted({utterance.corpus for utterance in self.utterances.values()}))

    def speaker(self, name: str) -> str:
        """The speaker of an utterance; with several corpora its name carries the corpus's."""
        return self.utterances[name].speaker

    def scores(self, seed: int, fold: str | None = None) -> Scores:
        """Test scores of a seed, of all its finished folds or of one; only utterances of one emotion."""
        picked = [(n, r) for (n, s), r in self.records.items() if s == seed and fold in (None, n)]
        rows = [(name, score) for name, record in picked for score in record.scores if score.truth]
        index = {label: place for place, label in enumerate(self.labels)}
        return Scores(
            ids=tuple(score.id for _, score in rows),
            folds=tuple(name for name, _ in rows),
            truth=np.array([index[score.truth] for _, score in rows], dtype=np.int64),
            probabilities=np.array([score.probabilities for _, score in rows]).reshape(len(rows), len(self.labels)),
        )


def read_results(run: Path) -> Results:
    """Read a run folder.

    Args:
        run: the folder; some of its jobs may still be missing.

    Raises:
        UsageError: the folder is not a run, or no job of it is finished.
        SerenadeError: a file of it is damaged, or files do not belong together.
    """
    folder = RunFolder(run).open()
    experiment = load_toml(folder.settings_file)
    split = _read(run / "split.json", lambda _: folder.read_split())
    utterances = _read(run / "utterances.jsonl", lambda _: folder.read_utterances())
    left_out = _read(run / "left_out.jsonl", _left_out)
    leaks = _read(run / "leaks.json", read_json) if (run / "leaks.json").is_file() else None
    seeds = tuple(range(int(experiment["seeds"])))
    keys = [JobKey(fold.name, seed) for fold in split.folds for seed in seeds]
    done = [key for key in keys if folder.is_done(key)]
    if not done:
        raise UsageError(
            "no job of this run is finished", where=run, hint="Run the same `serenade run` again; it goes on"
        )
    records = {
        (key.fold, key.seed): _read(folder.job(key) / "record.json", partial(_record, folder, key)) for key in done
    }
    by_id = {utterance.id: utterance for utterance in utterances}
    _check(run, records, by_id)
    folders = {(key.fold, key.seed): folder.job(key) for key in done}
    return Results(run, experiment, split, leaks, by_id, left_out, seeds, records, folders)


def _read(path: Path, reader: Callable[[Path], _T]) -> _T:
    """Read a file of the run, with an error that names it."""
    try:
        return reader(path)
    except FileNotFoundError as error:
        raise SerenadeError("a file of the run is missing", where=path) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # a JSON error is a ValueError
        raise SerenadeError(
            "a file of the run is damaged or of another version",
            where=path,
            found=f"{type(error).__name__}: {error}",
            hint="If it is a record.json, delete it and run the same `serenade run` again: only that job is repeated",
        ) from error


def _record(folder: RunFolder, key: JobKey, _: Path) -> RunRecord:
    return folder.read_record(key)


def _left_out(path: Path) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(**values) for values in read_json_lines(path))


def _check(run: Path, records: Mapping[tuple[str, int], RunRecord], utterances: Mapping[str, Utterance]) -> None:
    """Records must belong to this run and to each other."""
    first = next(iter(records.values()))
    for (fold, seed), record in records.items():
        where = f"{run}, fold {fold}, seed {seed}"
        if (record.system, record.labels) != (first.system, first.labels):
            raise SerenadeError(
                "the records of this run are of different systems or label sets",
                where=where,
                found=f"{record.system}: {', '.join(record.labels)}",
                expected=f"{first.system}: {', '.join(first.labels)}",
            )
        for score in record.scores:
            _check_score(score, record, utterances, where)


def _check_score(score: Score, record: RunRecord, utterances: Mapping[str, Utterance], where: str) -> None:
    problem = None
    if score.id not in utterances:
        problem = "is not in utterances.jsonl"
    elif score.truth and score.truth not in record.labels:
        problem = f"has the class {score.truth!r}, which is not in the label set"
    elif len(score.probabilities) != len(record.labels):
        problem = f"has {counted(len(score.probabilities), 'probability')} for {counted(len(record.labels), 'class')}"
    if problem is not None:
        raise SerenadeError(f"utterance {score.id} of a record {problem}", where=where)
