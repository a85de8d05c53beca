"""Orderings in the tables of MTL-AUG that the paper states or that are expected, held against our figures.

S. Latif, R. Rana, S. Khalifa, R. Jurdak, B. W. Schuller, IEEE Trans. Affective Computing 14(4), 2023.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from serenade.experiments.conditions import CLEAN, Condition
from serenade.experiments.mtl_rows import MtlTable, short_title
from serenade.experiments.orderings import order
from serenade.experiments.results import Results

__all__ = ["Target", "View", "orderings_of", "targets_of"]


@dataclass(frozen=True, slots=True)
class View:
    """What one row of figures is made of: a model on data, under a condition or none.

    Args:
        data: a corpus, or where from and where to.
        condition: what it is tested under.
        cell: of the table's file.
        results: of its run; None where nothing is finished.
    """

    data: tuple[str, ...]
    condition: Condition | None
    cell: Mapping[str, Any]
    results: Results | None

    @property
    def place(self) -> tuple[tuple[str, ...], str | None]:
        """The data and the condition: models are compared where both are the same."""
        return self.data, None if self.condition is None else self.condition.text


@dataclass(frozen=True, slots=True)
class Target:
    """An ordering that the paper states or that is expected.

    Args:
        id: T1 to T6; "ablation" for what a part is worth.
        better: name of the row that is to be better.
        worse: name of the other.
    """

    id: str
    better: str
    worse: str


_TARGETS: Mapping[str, tuple[Target, ...]] = {
    "within": (
        Target("T1", "mtl-aug", "stl"),
        Target("T1", "mtl-aug", "stl-aug"),
        Target("T2", "mtl-aug-semi", "mtl-aug"),
        Target("T3", "mtl-aug", "ss-aae"),
        Target("T3", "ss-aae", "mtl-dim"),
    ),
    "cross": tuple(Target("T4", "mtl-aug", other) for other in ("stl", "stl-aug", "stl-center", "mtl-dim", "ss-aae")),
    "noise": (Target("T5", "stl-aug", "stl"),),
    "attacks": (Target("T6", "mtl-aug", "stl"),),
}


def targets_of(table: MtlTable, names: Iterable[str]) -> list[Target]:
    """The orderings that a table with these rows can show.

    Args:
        table: which; in the ablations the whole MTL-AUG is held against every other row.
        names: of the rows.
    """
    there = set(names)
    if table == "ablations":
        return [Target("ablation", "mtl-aug", name) for name in dict.fromkeys(names) if name != "mtl-aug"]
    return [target for target in _TARGETS[table] if {target.better, target.worse} <= there]


def orderings_of(table: MtlTable, views: Sequence[View]) -> list[dict[str, Any]]:
    """The orderings of a table wherever both models are, as plain values."""
    targets = targets_of(table, [view.cell["name"] for view in views])
    found: dict[tuple[Any, str], View] = {
        (view.place, view.cell["name"]): view for view in views if view.condition != CLEAN
    }
    places = list(dict.fromkeys(place for place, _ in found))
    rows = []
    for target in targets:
        for place in places:
            pair = found.get((place, target.better)), found.get((place, target.worse))
            if pair[0] is not None and pair[1] is not None:
                rows.append(_ordering(target, pair[0], pair[1]))
    return rows


def _ordering(target: Target, better: View, worse: View) -> dict[str, Any]:
    row: dict[str, Any] = {
        **asdict(target),
        "titles": [short_title(name) for name in better.data],
        "condition": better.place[1],
        "complete": all(v.results is not None and not v.results.missing for v in (better, worse)),
        "missing": [view.cell["name"] for view in (better, worse) if view.results is None],
        "found": None,
    }
    if better.results is None or worse.results is None:
        return row
    compared = order(better.results, worse.results)
    return {**row, "found": None if compared is None else asdict(compared)}
