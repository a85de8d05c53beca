"""The result tables of two papers as series of runs: which models, on which parts of a corpus, under which protocol.

W. Zhu, X. Li, ICASSP 2022 (GLAM): Table 1, the ablations, the mixup table; P. Li et al., Interspeech 2018 (attention
pooling): Table 1. On IEMOCAP the parts are improvised, scripted and all turns; on another corpus they are the values of
whatever fact the user names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from serenade.core.errors import MissingExtraError, SerenadeError, UsageError
from serenade.core.files import read_json, write_json
from serenade.core.names import NameTable, did_you_mean
from serenade.corpora.selection import values_of
from serenade.evaluation.splits import parse_split
from serenade.experiments.projection import project
from serenade.experiments.results import read_results
from serenade.experiments.series import Member, Planner, summaries_of
from serenade.experiments.settings import ExperimentSettings
from serenade.systems import PRESETS, system_settings

__all__ = [
    "ALL",
    "LEAKY_SPLIT",
    "RECIPES",
    "TABLES",
    "Cell",
    "Parts",
    "TableName",
    "begin_table",
    "cells_of",
    "parse_parts",
    "parse_rows",
    "read_table",
    "with_defaults",
]

TableName = Literal["main", "ablations", "mixup", "attention-pooling"]
TABLES: tuple[TableName, ...] = ("main", "ablations", "mixup", "attention-pooling")
RECIPES = {
    "shared": "one pipeline for all models: GLAM's segments, features, mixup and optimiser; only the network differs",
    "published": "every model with its authors' own segments, features, mixup and optimiser",
    "cpu": "one pipeline for all models, that of the preset glam-cpu (short training); only the network differs",
}
"""What is equal between the models of GLAM's tables, in words for a reader."""
ALL = "all"
"""The part that is the whole corpus."""
LEAKY_SPLIT = "random82_best_test"
"""GLAM's published protocol."""
_IEMOCAP_FACT = "part"
_FOUR = ("angry", "happy", "neutral", "sad")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class _Row:
    """A model of a table.

    Args:
        title: as the table calls it.
        presets: by recipe.
        changes: to the preset.
        paper: whether the paper's table has it.
        leaf: name of its folder; None for that of the preset.
    """

    title: str
    presets: Mapping[str, str]
    changes: Mapping[str, Any] = field(default_factory=dict)
    paper: bool = True
    leaf: str | None = None


def _model(title: str, name: str) -> _Row:
    return _Row(title, {"shared": name, "cpu": name, "published": f"{name}-published"})


def _ablation(title: str, *, paper: bool = False, batch: int | None = None, **network: Any) -> _Row:
    """GLAM with another choice inside the network, and the batch size that its authors gave it."""
    changes: dict[str, Any] = {"network": network}
    if batch is not None:
        changes["training"] = {"batch_size": batch}
    leaf = title.replace(" + ", "-with-").replace(" ", "-")
    return replace(_GLAM, title=title, changes=changes, paper=paper, leaf=leaf)


_GLAM = _Row("GLAM", {"shared": "glam", "cpu": "glam-cpu", "published": "glam-published"})
_MAIN = {
    "apcnn": _model("APCNN", "apcnn"),
    "mhcnn": _model("MHCNN", "mhcnn"),
    "aacnn": _model("AACNN", "aacnn"),
    "glam": _GLAM,
}
_ABLATIONS = {
    "glam": _GLAM,
    "multi-scale-only": _ablation("multi-scale only", paper=True, fusion="none"),
    "heads": _ablation("multi-scale + heads", paper=True, fusion="heads", batch=128),
    "areas": _ablation("multi-scale + areas", paper=True, fusion="area", batch=128),
    "glam5": _ablation("stem of 5", stem_kernel=5),
    "multi-scale-only-5": _ablation("multi-scale only, stem of 5", fusion="none", stem_kernel=5),
    "single-scale-3": _ablation("without multi-scale, 3x3", block="single_3"),
    "single-scale-5": _ablation("without multi-scale, 5x5", block="single_5"),
    "no-shortcut": _ablation("without shortcut", block="no_shortcut"),
    "amlp": _ablation("attention in the gate (aMLP)", fusion="attentive"),
    "stem35": _ablation("stem of 3 and 5", stem="mixed"),
    "stem-gate": _ablation("gated stem", stem="gated"),
}
_ALPHAS = ("0", "0.3", "0.5", "0.8", "1", "2", "3")
_POOLING = {
    "attention-pooling-gap": "CNN_TF_GAP",
    "attention-pooling-bilinear": "CNN_TF_Bilinear",
    "attention-pooling": "CNN_TF_Att.pooling",
}


def parse_rows(table: TableName, text: str | None) -> dict[str, _Row]:
    """The models of a table by name.

    Args:
        table: which.
        text: names separated by commas; "all" for all that the table knows; None for those of the paper. In the main
            table and the one of attention pooling they are presets, in that of mixup values of alpha.

    Raises:
        UnknownNameError: there is no such row; the nearest is named.
        UsageError: a value of alpha is no number from 0 on, or none is given.
    """
    known = _known_rows(table)
    if text is None:
        return {name: row for name, row in known.items() if row.paper}
    if text == ALL:
        return known
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise UsageError("a table needs at least one row", found=repr(text), expected=", ".join(known))
    return {name: known[name] if name in known else _further_row(table, name, known) for name in names}


def _known_rows(table: TableName) -> dict[str, _Row]:
    if table == "main":
        return _MAIN
    if table == "ablations":
        return _ABLATIONS
    if table == "mixup":
        return {alpha: _mixup(alpha) for alpha in _ALPHAS}
    return {name: _Row(title, dict.fromkeys(RECIPES, name)) for name, title in _POOLING.items()}


def _mixup(alpha: str) -> _Row:
    leaf = f"mixup-{float(alpha):g}"
    return replace(_GLAM, title=f"alpha {float(alpha):g}", changes={"mixup_alpha": float(alpha)}, leaf=leaf)


def _further_row(table: TableName, name: str, known: Mapping[str, _Row]) -> _Row:
    """A row that the paper does not have."""
    if table == "ablations":
        NameTable("ablation", [(row, row) for row in known]).target(name)  # raises with the nearest
    if table == "mixup":
        try:
            valid = 0 <= float(name) < float("inf")
        except ValueError:
            valid = False
        if not valid:
            raise UsageError("mixup's alpha is a number from 0 on", found=repr(name), expected="such as 0,0.5,1")
        return _mixup(name)
    NameTable("preset", [(preset, preset) for preset in dict.fromkeys((*PRESETS, *known))]).target(name)
    return _Row(name, dict.fromkeys(RECIPES, name), paper=False)


@dataclass(frozen=True, slots=True)
class Parts:
    """How a corpus is parted.

    Args:
        fact: a fact of its utterances; None where it is not.
        values: those that get rows, may hold `ALL`; empty for every value there is, then all together.
    """

    fact: str | None = None
    values: tuple[str, ...] = ()


def parse_parts(text: str | None, table: TableName, corpora: Sequence[str]) -> Parts:
    """Parts from their text form: ``intensity``, ``part=improvised,all`` or ``none``.

    Args:
        text: None takes those of the paper on IEMOCAP (improvised turns, in the main table scripted and all too), and
            no parts of another corpus.
        table: which.
        corpora: names of the corpora.

    Raises:
        UsageError: it is none of these forms.
    """
    if text is None:
        wanted = ("improvised", "scripted", ALL) if table == "main" else ("improvised",)
        return Parts(_IEMOCAP_FACT, wanted) if list(corpora) == ["iemocap"] else Parts()
    if text == "none":
        return Parts()
    fact, equals, values = (part.strip() for part in text.partition("="))
    listed = tuple(dict.fromkeys(value.strip() for value in values.split(",") if value.strip()))
    if not fact or (equals and not listed):
        raise UsageError(
            "parts are given as a fact, a fact with values, or none",
            found=repr(text),
            expected="such as intensity, part=improvised,all or none",
        )
    return Parts(fact, listed)


def with_defaults(
    settings: ExperimentSettings, table: TableName, *, published: bool, given: Sequence[str] = ()
) -> ExperimentSettings:
    """Settings with what the papers leave no choice about, where the user said nothing.

    IEMOCAP is read as four classes: excited merged into happy in GLAM's tables, excited called happy and happy left out
    under its published protocol, happy alone in that of attention pooling.

    Args:
        settings: of the user.
        table: which.
        published: whether the published protocol is asked for.
        given: settings that the user gave, such as ``split``.
    """
    changes: dict[str, Any] = {}
    if "split" not in given:
        kind = LEAKY_SPLIT if published else "loso:0" if table == "attention-pooling" else "loso"
        changes["split"] = parse_split(kind)
    if [corpus.name for corpus in settings.corpora] == ["iemocap"]:
        if settings.labels is None:
            changes["labels"] = _FOUR
        if settings.label_map is None:
            pooling, merged = table == "attention-pooling", "exc_as_hap" if published else "merge"
            changes["label_map"] = "hap_only" if pooling else merged
    return settings.model_copy(update=changes)


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of figures: one model on one part.

    Args:
        part: value of the fact, or `ALL`.
        model: title of the row.
        member: its run.
    """

    part: str
    model: str
    member: Member


def cells_of(planner: Planner, parts: Parts, rows: Mapping[str, _Row], recipe: str) -> list[Cell]:
    """All models on all parts.

    Args:
        planner: of the data; asked for the values of the parts' fact.
        parts: of the corpus.
        rows: from `parse_rows`.
        recipe: a name of `RECIPES`.

    Raises:
        UsageError: the corpus does not know the fact or a value of it; what it knows is named.
        SerenadeError: as `experiments.run.prepare`.
    """
    values = _values(planner, parts, next(iter(rows.values())).presets[recipe])
    overlay = _cpu_pipeline() if recipe == "cpu" else {}
    cells = []
    for value in values:
        where = {} if value == ALL else {str(parts.fact): value}
        for row in rows.values():
            preset = row.presets[recipe]
            leaf = preset if row.leaf is None else f"{preset}-{row.leaf}"
            changes = row.changes if recipe == "published" else _without_batch(row.changes)
            member = Member(f"{_safe(value)}/{_safe(leaf)}", preset, recipe=overlay, changes=changes, where=where)
            cells.append(Cell(value, row.title, member))
    return cells


def _without_batch(changes: Mapping[str, Any]) -> dict[str, Any]:
    """An ablation's own batch size belongs to the published recipe only."""
    return {key: value for key, value in changes.items() if key != "training"}


def _cpu_pipeline() -> dict[str, Any]:
    settings = system_settings("glam-cpu", {}).model_dump(mode="json", exclude_none=True)
    return {key: value for key, value in settings.items() if key != "network"}


def _values(planner: Planner, parts: Parts, preset: str) -> list[str]:
    if parts.fact is None:
        return [ALL]
    if parts.values and set(parts.values) == {ALL}:
        return [ALL]
    data = planner.data(preset, {})
    root = data.settings.corpora[0].root
    there = values_of(data.listing.utterances, parts.fact, root)
    for value in parts.values:
        if value != ALL and value not in there:
            raise UsageError(
                f"no utterance has {parts.fact} {value!r}",
                where=root,
                expected=f"some of {', '.join((*there, ALL))}",
                hint=did_you_mean(value, there),
            )
    return list(parts.values) if parts.values else [*there, ALL]


def _safe(name: str) -> str:
    """A name for a folder."""
    kept = "".join(letter if letter.isalnum() or letter in "-+.,_=" else "-" for letter in name.strip())
    return kept.strip(".") or "unnamed"


def begin_table(out: Path, table: TableName, cells: Sequence[Cell], about: Mapping[str, Any]) -> None:
    """Write what the table is made of, so that it can be shown from its folder alone.

    Args:
        out: folder of the table.
        table: which.
        cells: in the order of the rows.
        about: ``fact`` (of the parts, or None), ``pipeline`` (what is equal between models, in words) and ``corpora``.

    Raises:
        StorageError: the disk is full or refuses.
    """
    listed = [{"part": cell.part, "model": cell.model, "run": cell.member.name} for cell in cells]
    write_json(_file(out, table), {"format": _FORMAT, "table": table, **about, "cells": listed})


def _file(out: Path, table: TableName) -> Path:
    return out / f"{table}.json"


def read_table(out: Path, table: TableName) -> dict[str, Any]:
    """A table's rows with the summaries of their runs.

    Returns:
        What `begin_table` wrote; every one of ``cells`` has its ``summary``, None where nothing is finished, and its
        ``maps``, the map of the embeddings of the first fold, None where there is none.

    Raises:
        UsageError: the folder holds no such table, or nothing of it is finished.
        SerenadeError: a file of it is damaged.
    """
    path = _file(out, table)
    if not path.is_file():
        raise UsageError(
            f"this folder holds no table {table!r}", where=out, expected="a folder that `serenade table` wrote"
        )
    try:
        document: dict[str, Any] = read_json(path)
    except ValueError as error:
        raise SerenadeError("the table's file is damaged", where=path, found=str(error)) from error
    summaries = summaries_of(out, [cell["run"] for cell in document["cells"]])
    document["cells"] = [
        {**cell, "summary": summaries[cell["run"]], "maps": _maps(out / cell["run"])} for cell in document["cells"]
    ]
    return document


def _maps(run: Path) -> dict[str, Any] | None:
    """The map of the first fold; None where nothing is finished, or scikit-learn is not installed."""
    try:
        return project(read_results(run), most=1)
    except (UsageError, MissingExtraError):
        return None
