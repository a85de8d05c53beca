"""Several runs under one folder, on the same data or on parts of it: what studies and tables are made of.

Every member is an ordinary run in a folder of its own, so it is resumable and has a report like any other run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from serenade.core.errors import PartialFailure, SerenadeError, UsageError
from serenade.core.labels import LabelSet, emotions_of
from serenade.core.settings import merge
from serenade.experiments.results import read_results
from serenade.experiments.run import Plan, Watcher, prepare, run_experiment
from serenade.experiments.settings import ExperimentSettings
from serenade.experiments.summary import summary_of
from serenade.systems import PRESETS, make_system, system_settings

__all__ = ["Member", "Planner", "run_series", "summaries_of"]


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a series.

    Args:
        name: its folder under that of the series; may have a part before a slash.
        preset: of a system.
        recipe: laid over the preset's settings; changes that the user gave win.
        changes: what makes this member what it is; they win over everything.
        where: conditions that its utterances meet, besides those of the series.
    """

    name: str
    preset: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)


class Planner:
    """Reads and divides the data of a series, once for all members that share it.

    Args:
        base: what all members have in common; its preset does not matter.
        watcher: is told how it goes.
    """

    def __init__(self, base: ExperimentSettings, watcher: Watcher | None = None) -> None:
        self.base, self.watcher = base, watcher
        self._prepared: dict[tuple[tuple[str, str], ...], Plan] = {}

    def data(self, preset: str, where: Mapping[str, str]) -> Plan:
        """The data that meet conditions, and their folds.

        Args:
            preset: any that the series uses.
            where: conditions besides those of the series.

        Raises:
            UsageError: a condition is given twice, or names no fact of the corpus.
            SerenadeError: as `prepare`.
        """
        twice = sorted(set(where) & set(self.base.where))
        if twice:
            raise UsageError(
                f"the data are parted by {twice[0]} and narrowed to one {twice[0]} too",
                found=f"{twice[0]} = {self.base.where[twice[0]]}",
                hint=f"Leave out --where {twice[0]}=..., or the parts",
            )
        key = tuple(sorted(where.items()))
        if key not in self._prepared:
            changes = {"preset": preset, "system": _of_data(self.base.system), "where": {**self.base.where, **where}}
            asked = self.base.model_copy(update=changes)
            self._prepared[key] = prepare(asked, self.watcher)
        return self._prepared[key]

    def plan(self, members: Sequence[Member]) -> dict[str, Plan]:
        """A plan for every member by name; nothing is trained.

        Raises:
            SettingsError: a member's settings are not valid.
            UsageError: a network does not fit its input, or there is no validation part to pick the epoch on.
            SerenadeError: as `prepare`.
        """
        systems = {
            member.name: system_settings(member.preset, merge(member.recipe, self.base.system, member.changes))
            for member in members
        }
        plans = {}
        for member in members:
            data = self.data(member.preset, member.where)
            values = systems[member.name].model_dump(mode="json", exclude_none=True)
            labels = LabelSet.of(emotions_of(data.listing.utterances))
            make_system(PRESETS[member.preset], values, labels)  # raises now rather than after hours
            _require_validation(data, values["training"], member.name)
            settings = data.settings.model_copy(update={"preset": member.preset, "system": values})
            plans[member.name] = replace(data, settings=settings)
        return plans


def _of_data(system: Mapping[str, Any]) -> dict[str, Any]:
    """What of a system's settings decides which utterances it can learn from: whether one may have several emotions."""
    fusion = system.get("fusion")  # of other systems the word means something else
    return {"fusion": {"answers": fusion["answers"]}} if isinstance(fusion, Mapping) and "answers" in fusion else {}


def _require_validation(data: Plan, training: Mapping[str, Any], name: str) -> None:
    """Pass if there is something to pick the epoch on, where it is to be picked."""
    picks = training["selection"] == "validation" or training.get("patience") is not None
    if picks and not data.split.select_on_test and not all(fold.validation for fold in data.split.folds):
        raise UsageError(
            "the epoch is to be picked on a validation part, and the split has none",
            where=f"{name}, split {data.split.name}",
            hint="Give the split validation speakers, or add --set training.selection=last",
        )


class _Named:
    """Tells a watcher which member of a series a stage belongs to."""

    def __init__(self, watcher: Watcher, name: str) -> None:
        self._watcher, self._name = watcher, name

    def stage(self, title: str, total: int, unit: str) -> None:
        self._watcher.stage(f"{self._name}: {title[:1].lower()}{title[1:]}", total, unit)

    def done(self, count: int, detail: str = "") -> None:
        self._watcher.done(count, detail)

    def warn(self, message: str) -> None:
        self._watcher.warn(f"{self._name}: {message}")


def run_series(
    plans: Mapping[str, Plan], out: Path, *, workers: int | None = None, watcher: Watcher | None = None
) -> None:
    """Do all members, one after the other; what is finished is skipped, and a failure does not stop the others.

    Args:
        plans: by the member's name, from `Planner.plan`.
        out: folder of the series.
        workers: as for `run_experiment`.
        watcher: is told how it goes.

    Raises:
        UsageError: a member's folder holds another run; said before anything is trained if it is the first.
        PartialFailure: some members failed; the others are done.
    """
    failures: list[SerenadeError] = []
    for number, (name, plan) in enumerate(plans.items(), start=1):
        named = None if watcher is None else _Named(watcher, f"{name} ({number} of {len(plans)})")
        try:
            run_experiment(plan, out / name, workers=workers, watcher=named)
        except PartialFailure as error:
            failures += [SerenadeError(str(failure), where=out / name) for failure in error.failures]
    if failures:
        raise PartialFailure("training", failures=failures, done=len(plans) - len({f.where for f in failures}))


def summaries_of(out: Path, names: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    """The summary of every member without its maps; None where none of its jobs is finished.

    Raises:
        UsageError: nothing of any member is finished.
        SerenadeError: a file of a run is damaged.
    """
    found = {name: _summary(out / name) for name in names}
    if all(summary is None for summary in found.values()):
        raise UsageError(
            "nothing is finished yet, so there is nothing to show",
            where=out,
            hint="Run the command with --corpus and without --finished first",
        )
    return found


def _summary(run: Path) -> dict[str, Any] | None:
    begun = (run / "experiment.toml").is_file() and any(run.glob("jobs/*/record.json"))
    return summary_of(read_results(run), maps=False) if begun else None
