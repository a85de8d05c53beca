"""The tables of MTL-AUG as series of runs: within corpora, across corpora, under noise and attacks, ablations.

S. Latif, R. Rana, S. Khalifa, R. Jurdak, B. W. Schuller, IEEE Trans. Affective Computing 14(4), 2023. Every corpus is
taken by itself, leave one speaker out; across corpora every pair is taken, both ways. Noise and attacks test the models
of the table within corpora again. Every cell is an ordinary run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from serenade.core.errors import PartialFailure, SerenadeError, SettingsError, UsageError
from serenade.core.files import read_json, write_json
from serenade.core.label_maps import parse_label_map
from serenade.core.records import UNKNOWN_SPEAKER, Listing
from serenade.core.settings import merge
from serenade.corpora import Selection, read_corpus
from serenade.experiments.card import unlabelled_sentence
from serenade.experiments.conditional import Bench, evaluate_run, tested_before
from serenade.experiments.conditions import parse_conditions
from serenade.experiments.mtl_orderings import View, orderings_of
from serenade.experiments.mtl_rows import MtlRow, MtlTable, short_title
from serenade.experiments.orderings import figures_of, of_folds
from serenade.experiments.results import Results, read_results
from serenade.experiments.run import Plan, Watcher
from serenade.experiments.series import Member, Planner
from serenade.experiments.settings import CorpusSettings, ExperimentSettings, UnlabelledSettings
from serenade.systems import system_settings

__all__ = [
    "CONDITIONS",
    "MtlCell",
    "MtlRequest",
    "begin_mtl_table",
    "evaluate_cells",
    "plan_mtl_table",
    "read_mtl_table",
]

CONDITIONS: Mapping[str, tuple[str, ...]] = {"noise": ("noise",), "attacks": ("fgsm", "bim")}
"""What the models are tested under where the user does not say: 0, 10, 20 dB; five bounds of two attacks."""
_FORMAT = 1
_FOUR = ("angry", "happy", "neutral", "sad")
_OF_FOUR = ("iemocap", "msp-improv")
"""Corpora that the papers read as four classes."""


@dataclass(frozen=True, slots=True)
class MtlRequest:
    """What a table is asked for.

    Args:
        table: which.
        base: corpora, unlabelled speech, split, seeds and so on; its preset and system do not matter.
        rows: from `parse_mtl_rows`.
        changes: to the systems' settings; a row whose system does not have a setting goes without.
    """

    table: MtlTable
    base: ExperimentSettings
    rows: Sequence[MtlRow]
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Name of the table's files: the epochs picked on a share of the tested corpus make a table of their own."""
        share = self.base.split.target_dev
        return f"{self.table}-target-dev-{share:g}" if share else self.table


@dataclass(frozen=True, slots=True)
class MtlCell:
    """One model on one corpus, or on a pair of corpora.

    Args:
        corpora: their names.
        row: the model.
        run: its folder under that of the table; None where it cannot be trained.
        plan: of the run.
        skipped: why it cannot be trained.
        notes: what must be said of it.
    """

    corpora: tuple[str, ...]
    row: MtlRow
    run: str | None = None
    plan: Plan | None = None
    skipped: str | None = None
    notes: tuple[str, ...] = ()


def plan_mtl_table(request: MtlRequest, watcher: Watcher | None = None) -> list[MtlCell]:
    """All models on all data; what cannot be trained is marked with the reason. Nothing is trained.

    Raises:
        UsageError: a corpus is given twice, across corpora only one, or corpora share fewer than two classes.
        SettingsError: a setting is not valid, or no row's system has it.
        SerenadeError: as `experiments.run.prepare`.
    """
    names = [corpus.name for corpus in request.base.corpora]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError("a corpus is given twice", found=twice[0], hint="Its runs would be in one folder")
    known = {row.name: _known(row.preset, request.changes) for row in request.rows}
    _require_some_use(request, known)
    cells = []
    for group in _groups(request):
        maker = _Maker(group, watcher)
        cells += [maker.cell(row, known[row.name], _unknown(request.changes, known[row.name])) for row in request.rows]
    return cells


def _known(preset: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes to settings that a preset's system has; all of them where it takes them as they are."""
    try:
        system_settings(preset, merge(changes))
    except SettingsError:  # some are not its own, or not right: whether any row takes them is asked afterwards
        return _shared(changes, system_settings(preset, {}).model_dump(mode="json"))
    return dict(changes)


def _shared(changes: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(there.get(key), Mapping):
            inner = _shared(value, there[key])
            found |= {key: inner} if inner else {}
        elif key in there:
            found[key] = value
    return found


def _unknown(changes: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Names of the changes that are not among the known ones."""
    names = []
    for key, value in changes.items():
        if key not in known:
            names.append(f"{prefix}{key}")
        elif isinstance(value, Mapping):
            names += _unknown(value, known[key], f"{prefix}{key}.")
    return names


def _require_some_use(request: MtlRequest, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Every change concerns some row; otherwise the first row tells what is wrong with it."""
    idle = [set(_unknown(request.changes, of_row)) for of_row in known.values()]
    if set.intersection(*idle):
        system_settings(request.rows[0].preset, merge(request.changes))


@dataclass(frozen=True, slots=True)
class _Group:
    """Data that all models are trained on: a corpus, or a pair."""

    settings: ExperimentSettings
    folders: Mapping[str, str]  # by a row's leaf

    @property
    def corpora(self) -> tuple[str, ...]:
        return tuple(corpus.name for corpus in self.settings.corpora)


def _groups(request: MtlRequest) -> list[_Group]:
    base = request.base.model_copy(update={"system": {}})
    if request.table != "cross":
        return [
            _Group(
                _with_classes(base, [corpus], ()), {leaf: f"{leaf}/{corpus.name}" for leaf in ("within", "ablations")}
            )
            for corpus in base.corpora
        ]
    if len(base.corpora) < 2:
        raise UsageError(
            "a table across corpora needs at least two", found=base.corpora[0].name, hint="Repeat --corpus NAME=PATH"
        )
    if base.split.kind != "corpus":
        raise UsageError("a table across corpora has the split corpus", found=base.split.kind, hint="Leave out --split")
    folder = request.stem
    return [
        _Group(
            _with_classes(base, pair, _common_classes(base, pair)), {"cross": f"{folder}/{pair[0].name}-{pair[1].name}"}
        )
        for pair in combinations(sorted(base.corpora, key=lambda corpus: corpus.name), 2)
    ]


def _with_classes(
    base: ExperimentSettings, corpora: Sequence[CorpusSettings], common: Sequence[str]
) -> ExperimentSettings:
    """Settings of a group; IEMOCAP and MSP-IMPROV have the papers' four classes where the user does not say."""
    changes: dict[str, Any] = {"corpora": tuple(corpora), "label_map": _label_map(base, corpora)}
    if base.labels is None:
        four = any(corpus.name in _OF_FOUR for corpus in corpora)
        changes["labels"] = _FOUR if four else tuple(common) or None
    return base.model_copy(update=changes)


def _label_map(base: ExperimentSettings, corpora: Sequence[CorpusSettings]) -> str | None:
    merges = base.label_map is None and any(corpus.name == "iemocap" for corpus in corpora)
    return "merge" if merges else base.label_map


def _common_classes(base: ExperimentSettings, pair: Sequence[CorpusSettings]) -> list[str]:
    if base.labels is not None:
        return []
    text = _label_map(base, pair)
    selection = Selection(None, parse_label_map(text) if text is not None else None, base.where)
    classes = [
        {
            utterance.emotion
            for utterance in read_corpus(corpus.name, corpus.root, examine=None, selection=selection).utterances
            if utterance.emotion is not None
        }
        for corpus in pair
    ]
    common = sorted(set.intersection(*classes))
    if len(common) < 2:
        raise UsageError(
            "two corpora share fewer than two classes",
            where=" and ".join(corpus.name for corpus in pair),
            found="; ".join(", ".join(sorted(of_corpus)) for of_corpus in classes),
            hint="Say with --map which class counts as which",
        )
    return common


class _Maker:
    """Makes the cells of a group, reading its data once for all models that see the same."""

    def __init__(self, group: _Group, watcher: Watcher | None) -> None:
        self.group, self.watcher = group, watcher
        self._planners: dict[UnlabelledSettings, Planner] = {}

    def cell(self, row: MtlRow, changes: Mapping[str, Any], unknown: Sequence[str]) -> MtlCell:
        """The cell of a row, with the changes that its system knows."""
        cell = MtlCell(self.group.corpora, row, notes=(_not_concerned(row, unknown),) if unknown else ())
        skipped = self._no_attributes(row) or self._no_unlabelled(row)
        if skipped is not None:
            return replace(cell, skipped=skipped)
        planner, notes = self._planner_of(row)
        name = f"{self.group.folders[row.leaf]}/{row.name.replace('=', '-')}"
        member = Member(name, row.preset, recipe=changes, changes=row.changes)
        return replace(cell, run=name, plan=planner.plan([member])[name], notes=(*cell.notes, *notes))

    def _planner(self, unlabelled: UnlabelledSettings) -> Planner:
        if unlabelled not in self._planners:
            settings = self.group.settings.model_copy(update={"unlabelled": unlabelled})
            self._planners[unlabelled] = Planner(settings, self.watcher)
        return self._planners[unlabelled]

    def _planner_of(self, row: MtlRow) -> tuple[Planner, tuple[str, ...]]:
        """Of the data that a row sees, and what must be said of them."""
        wanted = self.group.settings.unlabelled
        if row.unlabelled == "no" or not wanted.corpora:
            return self._planner(UnlabelledSettings()), ()
        if row.hours is not None:
            wanted = wanted.model_copy(update={"hours": row.hours})
        planner = self._planner(wanted)
        if row.unlabelled == "optional" and not _people_known(planner.data(row.preset, {}).unlabelled):
            note = f"{row.name} does not learn from the unlabelled speech, whose speakers and genders are not known."
            return self._planner(UnlabelledSettings()), (note,)
        return planner, ()

    def _no_attributes(self, row: MtlRow) -> str | None:
        if row.preset != "mtl-dim":
            return None
        utterances = self._planner(UnlabelledSettings()).data("stl", {}).listing.utterances  # it asks for none
        with_any = {u.corpus for u in utterances if u.attributes is not None}
        without = sorted({u.corpus for u in utterances} - with_any)
        return f"{' and '.join(map(short_title, without))} without valence, arousal and dominance" if without else None

    def _no_unlabelled(self, row: MtlRow) -> str | None:
        if row.unlabelled != "required":
            return None
        wanted = self.group.settings.unlabelled
        if not wanted.corpora:
            return "no unlabelled speech is given (--unlabelled NAME=PATH)"
        if row.hours is None:
            return None
        everything = self._planner(wanted.model_copy(update={"hours": None})).data(row.preset, {}).unlabelled
        hours = sum(u.duration_s or 0.0 for u in everything.utterances) / 3600
        return f"there are only {hours:.2f} h of unlabelled speech" if hours < row.hours else None


def _not_concerned(row: MtlRow, unknown: Sequence[str]) -> str:
    return f"{row.name} has no {', '.join(unknown)}, so that change does not concern it."


def _people_known(unlabelled: Listing) -> bool:
    return any(u.speaker != UNKNOWN_SPEAKER and u.gender is not None for u in unlabelled.utterances)


def begin_mtl_table(out: Path, request: MtlRequest, cells: Sequence[MtlCell], bench: Bench | None) -> None:
    """Write what the table is made of, so that it can be shown from its folder alone.

    Args:
        out: folder of the table.
        request: what was asked for.
        cells: from `plan_mtl_table`.
        bench: what the models are tested under, from `Bench.ready`; None for the tables without conditions.

    Raises:
        StorageError: the disk is full or refuses.
    """
    document = {
        "format": _FORMAT,
        "table": request.table,
        "stem": request.stem,
        "cells": [
            {
                "corpora": list(cell.corpora),
                "name": cell.row.name,
                "title": cell.row.title,
                "run": cell.run,
                "skipped": cell.skipped,
                "notes": list(cell.notes),
            }
            for cell in cells
        ],
        "bench": None if bench is None else _bench_values(bench),
    }
    write_json(out / f"{request.stem}.json", document)


def _bench_values(bench: Bench) -> dict[str, Any]:
    return {
        "conditions": [condition.text for condition in bench.conditions],
        "noise": None if bench.noise is None else bench.noise.resolve().name,
        "environments": list(bench.environments),
        "content": bench.content,
    }


def evaluate_cells(
    out: Path, cells: Sequence[MtlCell], bench: Bench, *, workers: int = 1, watcher: Watcher | None = None
) -> None:
    """Test the models of all cells under conditions; what was tested before is kept.

    Raises:
        PartialFailure: some could not be tested; the others are done.
        UsageError: models are not stored.
    """
    failures: list[SerenadeError] = []
    runs = [cell.run for cell in cells if cell.run is not None]
    for run in runs:
        try:
            evaluate_run(out / run, bench, workers=workers, watcher=watcher)
        except PartialFailure as error:
            failures += [SerenadeError(str(failure), where=out / run) for failure in error.failures]
    if failures:
        raise PartialFailure("testing", failures=failures, done=len(runs) - len({f.where for f in failures}))


# ------------------------------------------------------------------------------------------------ reading


def read_mtl_table(out: Path, stem: str) -> dict[str, Any]:
    """A table's figures and orderings, as plain values.

    Args:
        out: folder of the table.
        stem: name of the table's files, `MtlRequest.stem`.

    Returns:
        ``table``, ``stem``, ``bench``, ``rows`` (data, condition, model, `orderings.figures_of` it), and
        ``orderings`` (which, of which models, where, `orderings.order` of them). What is not begun is None.

    Raises:
        UsageError: the folder holds no such table, or nothing of it is finished.
        SerenadeError: a file of it is damaged.
    """
    path = out / f"{stem}.json"
    if not path.is_file():
        raise UsageError(
            f"this folder holds no table {stem!r}", where=out, expected="a folder that `serenade table mtl-aug` wrote"
        )
    try:
        document: dict[str, Any] = read_json(path)
        cells = document["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise SerenadeError("the table's file is damaged", where=path, found=str(error)) from error
    bench = _read_bench(document["bench"])
    views = [view for cell in cells for view in _views(out, document["table"], cell, bench)]
    if all(view.results is None for view in views):
        raise UsageError(
            "nothing is finished yet, so there is nothing to show",
            where=out,
            hint="Run the command with --corpus and without --finished first",
        )
    places = list(dict.fromkeys(view.place for view in views))
    views.sort(key=lambda view: places.index(view.place))
    return {
        **{key: document[key] for key in ("table", "stem", "bench")},
        "rows": [_row_of(view) for view in views],
        "orderings": orderings_of(document["table"], views),
    }


def _row_of(view: View) -> dict[str, Any]:
    results = view.results
    return {
        "data": list(view.data),
        "titles": [short_title(name) for name in view.data],
        "condition": None if view.condition is None else asdict(view.condition),
        "name": view.cell["name"],
        "title": view.cell["title"],
        "run": view.cell["run"],
        "skipped": view.cell["skipped"],
        "head": None if results is None else _head(results),
        "figures": None if results is None else figures_of(results),
        "notes": [*view.cell["notes"], *([] if results is None else _notes(results))],
    }


def _read_bench(values: Mapping[str, Any] | None) -> Bench | None:
    """What the models were tested under; the recordings of noise need not be there any more."""
    if values is None:
        return None
    conditions = tuple(parse_conditions(values["conditions"]))
    return Bench(conditions, environments=tuple(values["environments"]), content=values["content"])


def _views(out: Path, table: MtlTable, cell: Mapping[str, Any], bench: Bench | None) -> list[View]:
    corpora = tuple(cell["corpora"])
    directions = [corpora, corpora[::-1]] if table == "cross" else [corpora]
    results = None if cell["run"] is None else _results(out / cell["run"])
    if results is None:
        return [View(data, None, cell, None) for data in directions]
    if bench is not None:
        return [View(corpora, condition, cell, found) for condition, found in tested_before(results, bench)]
    if table != "cross":
        return [View(corpora, None, cell, results)]
    return [View(data, None, cell, _towards(results, data[1])) for data in directions]


def _results(run: Path) -> Results | None:
    begun = (run / "experiment.toml").is_file() and any(run.glob("jobs/*/record.json"))
    return read_results(run) if begun else None


def _towards(results: Results, corpus: str) -> Results | None:
    """The folds that test a corpus."""
    tested = [f.name for f in results.split.folds if results.utterances[f.test[0]].corpus == corpus]
    return of_folds(results, tested)


def _head(results: Results) -> dict[str, Any]:
    record = next(iter(results.records.values()))
    return {
        "labels": list(results.labels),
        "corpora": list(results.corpora),
        "split": results.split.name,
        "leaky": results.split.leaky,
        "protocol": record.protocol,
        "synthetic": "synthetic" in results.corpora,
        "complete": not results.missing,
        "version": record.versions.get("serenade", ""),
    }


def _notes(results: Results) -> list[str]:
    """What a reader must know of the figures of a run."""
    record = next(iter(results.records.values()))
    notes = [*results.split.notes, *record.notes]
    notes += [f"Only utterances with {name} = {value}." for name, value in results.experiment.get("where", {}).items()]
    if results.experiment.get("label_map") is not None:
        notes.append(f"Classes were mapped: {parse_label_map(results.experiment['label_map'])}.")
    if record.unlabelled is not None:
        notes.append(unlabelled_sentence(record.unlabelled))
    return notes
