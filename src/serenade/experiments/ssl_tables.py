"""The eleven experiments on self-supervised features as a series of runs.

E. Morais, R. Hoory, W. Zhu, I. Gat, M. Damasceno, H. Aronowitz, "Speech Emotion Recognition using Self-Supervised
Features", ICASSP 2022. The first stage fine-tunes every upstream once per fold; experiments 1 and 2 are its single best
epochs, all others take its average, fold by fold. Every cell is an ordinary run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from serenade.core.errors import SerenadeError, UsageError
from serenade.core.files import read_json, write_json
from serenade.core.records import RunRecord, Utterance
from serenade.core.settings import merge
from serenade.evaluation.splits import parse_split
from serenade.experiments.results import Results, read_results
from serenade.experiments.run import Plan, Watcher
from serenade.experiments.series import Member, Planner
from serenade.experiments.settings import ExperimentSettings
from serenade.experiments.summary import summary_of
from serenade.models.upstreams import full_name
from serenade.models.upstreams.upstream import Modality
from serenade.systems.upstreams import named_upstream
from serenade.training.averaging import PUBLISHED_EPOCHS

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "Part",
    "SslCell",
    "SslRequest",
    "begin_ssl_table",
    "parse_numbers",
    "plan_ssl_table",
    "read_ssl_table",
    "with_ssl_defaults",
]

Part = Literal["wav2vec2", "hubert", "text", "fbank"]
_FORMAT = 1
_FILE = "ssl.json"
_FOUR = ("angry", "happy", "neutral", "sad")


@dataclass(frozen=True, slots=True)
class Experiment:
    """A row of the paper's table.

    Args:
        number: of the experiment.
        group: the paper's set.
        upstream: as the paper writes it.
        parts: upstreams, in the order of the concatenation.
        preset: of the run that is tested.
        aggregator: as the paper writes it.
        single: whether the single best epoch of the first stage is the finished system.
    """

    number: int
    group: str
    upstream: str
    parts: tuple[Part, ...]
    preset: str
    aggregator: str
    single: bool = False

    @property
    def fine_tuned(self) -> tuple[Part, ...]:
        """The upstreams that are fine-tuned: all with weights."""
        return tuple(part for part in self.parts if part != "fbank")

    @property
    def input(self) -> str:
        """What the system gets."""
        kinds = dict.fromkeys("text" if part == "text" else "speech" for part in self.parts)
        return " + ".join(kinds)

    @property
    def run(self) -> str:
        """Folder of the run that is tested."""
        return _first_stage(self.parts[0]) if self.single else f"experiment-{self.number:02}"


def _first_stage(part: Part) -> str:
    return f"fine-tuned/{part}"


EXPERIMENTS: Mapping[int, Experiment] = {
    experiment.number: experiment
    for experiment in (
        Experiment(1, "1.A", "wav2vec 2.0", ("wav2vec2",), "ssl-finetune", "mean", single=True),
        Experiment(2, "1.A", "HuBERT", ("hubert",), "ssl-finetune", "mean", single=True),
        Experiment(3, "1.A", "wav2vec 2.0", ("wav2vec2",), "ssl-mean", "mean"),
        Experiment(4, "1.A", "HuBERT", ("hubert",), "ssl-mean", "mean"),
        Experiment(5, "1.B", "wav2vec 2.0", ("wav2vec2",), "ssl-ecapa", "ECAPA"),
        Experiment(6, "1.B", "HuBERT", ("hubert",), "ssl-ecapa", "ECAPA"),
        Experiment(7, "1.B", "HuBERT + wav2vec 2.0, early", ("hubert", "wav2vec2"), "ssl-early", "one ECAPA"),
        Experiment(8, "1.B", "HuBERT & wav2vec 2.0, late", ("hubert", "wav2vec2"), "ssl-late", "two ECAPA"),
        Experiment(9, "2", "Fbank", ("fbank",), "ssl-fbank", "ECAPA"),
        Experiment(10, "2", "BERT", ("text",), "ssl-text", "ECAPA"),
        Experiment(11, "2", "Fbank & BERT, late", ("fbank", "text"), "ssl-fbank-text", "two ECAPA"),
    )
}
"""The paper's table, by number."""

_JOINT = (3, 4)  # may also be the averaged network of the first stage, head included
_OPTIONS: Mapping[Part, tuple[str, str]] = {
    "wav2vec2": ("wav2vec 2.0", "--wav2vec2"),
    "hubert": ("HuBERT", "--hubert"),
    "text": ("text encoder", "--text"),
}


def parse_numbers(text: str | None) -> list[int]:
    """The experiments of a text such as ``1,5-8``; all where there is none.

    Raises:
        UsageError: it names none, or one that there is not.
    """
    if text is None or text == "all":
        return list(EXPERIMENTS)
    found: set[int] = set()
    for piece in text.split(","):
        first, _, last = piece.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise UsageError("experiments are given by number", found=repr(text), expected="such as 1,5-8")
        found |= set(range(int(first), int(last or first) + 1))
    unknown = sorted(found - set(EXPERIMENTS))
    if unknown or not found:
        raise UsageError("there is no such experiment", found=repr(text), expected="numbers from 1 to 11")
    return sorted(found)


@dataclass(frozen=True, slots=True)
class SslRequest:
    """What the table is asked for.

    Args:
        base: corpora, split, seeds and so on; its system holds changes for all runs.
        numbers: the experiments.
        upstreams: folder or name by part.
        joint: whether experiments 3 and 4 are the averaged networks of the first stage, head included, instead of a
            head trained anew on the averaged upstream.
        first: changes to the settings of the first stage.
        second: changes to the settings of the second stage.
    """

    base: ExperimentSettings
    numbers: Sequence[int]
    upstreams: Mapping[Part, str]
    joint: bool = False
    first: Mapping[str, Any] = field(default_factory=dict)
    second: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SslCell:
    """An experiment and what becomes of it.

    Args:
        experiment: the row.
        run: folder of the run that is tested; None where it cannot be trained.
        single: whether its single best epoch is tested instead of the average.
        skipped: why it cannot be trained.
    """

    experiment: Experiment
    run: str | None = None
    single: bool = False
    skipped: str | None = None


def with_ssl_defaults(base: ExperimentSettings, given: Sequence[str]) -> ExperimentSettings:
    """Settings with what the paper says, where the user said nothing.

    IEMOCAP is read as four classes with excited merged into happy, under SUPERB's folds.

    Args:
        base: settings of the user.
        given: settings that the user gave, such as ``split``.
    """
    if [corpus.name for corpus in base.corpora] != ["iemocap"]:
        return base if "split" in given else base.model_copy(update={"split": parse_split("loso")})
    changes: dict[str, Any] = {} if "split" in given else {"split": parse_split("superb")}
    if base.labels is None:
        changes["labels"] = _FOUR
    if base.label_map is None:
        changes["label_map"] = "merge"
    return base.model_copy(update=changes)


def plan_ssl_table(
    request: SslRequest, out: Path, watcher: Watcher | None = None
) -> tuple[list[SslCell], dict[str, Plan]]:
    """The cells, and the plan of every run by its folder, first stages first. Nothing is trained.

    Args:
        request: what is asked for.
        out: folder of the table, where the second stage will find the first.
        watcher: is told how it goes.

    Raises:
        SettingsError: a setting is not valid.
        UsageError: upstreams do not go together, or there is no validation part.
        SerenadeError: as `experiments.run.prepare`.
    """
    planner = Planner(request.base, watcher)
    utterances = planner.data("ssl-fbank", {}).listing.utterances
    wanted = [EXPERIMENTS[number] for number in request.numbers]
    parts = dict.fromkeys(part for experiment in wanted for part in experiment.parts)
    absent = {part: reason for part in parts if (reason := _absent(part, request.upstreams, utterances)) is not None}
    cells = [_cell(experiment, request.joint, absent) for experiment in wanted]
    members: dict[str, Member] = {}
    for cell in (cell for cell in cells if cell.run is not None):
        for part in cell.experiment.fine_tuned:
            members.setdefault(_first_stage(part), _first_member(part, request))
    for cell in (cell for cell in cells if cell.run is not None):
        if cell.run not in members:
            members[str(cell.run)] = _second_member(cell.experiment, request, out)
    return cells, planner.plan(list(members.values()))


def _absent(part: Part, upstreams: Mapping[Part, str], utterances: Sequence[Utterance]) -> str | None:
    """Why an upstream cannot be had for these data; None where it can."""
    if part not in upstreams:
        title, option = _OPTIONS[part]
        return f"no {title} is given ({option} FOLDER)"
    modality: Modality = "text" if part == "text" else "speech"
    try:
        found = named_upstream(upstreams[part]).modality
    except SerenadeError as error:
        return str(error)
    if found != modality:
        return f"{upstreams[part]} takes {found}, not {modality}"
    silent = sum(not (u.text or "").strip() for u in utterances) if part == "text" else 0
    if silent == 0:
        return None
    way_out = " (--where transcript=yes leaves them out)" if silent < len(utterances) else ""
    return f"{silent} of {len(utterances)} utterances have no transcript{way_out}"


def _cell(experiment: Experiment, joint: bool, absent: Mapping[Part, str]) -> SslCell:
    reasons = [absent[part] for part in experiment.parts if part in absent]
    if reasons:
        return SslCell(experiment, skipped="; ".join(reasons))
    if joint and experiment.number in _JOINT:
        return SslCell(experiment, _first_stage(experiment.parts[0]))
    return SslCell(experiment, experiment.run, experiment.single)


def _first_member(part: Part, request: SslRequest) -> Member:
    text = part == "text"
    average = {"training": {"average_best": PUBLISHED_EPOCHS, "test_single": not text}}
    branch = {"branches": {"text" if text else "speech": {"upstream": full_name(request.upstreams[part])}}}
    preset = "ssl-text-finetune" if text else "ssl-finetune"
    return Member(_first_stage(part), preset, recipe=merge(average, request.first), changes=branch)


def _second_member(experiment: Experiment, request: SslRequest, out: Path) -> Member:
    branches = {
        "speech" if len(experiment.parts) == 1 and part in ("wav2vec2", "hubert") else part: _branch(part, request, out)
        for part in experiment.parts
    }
    return Member(experiment.run, experiment.preset, recipe=request.second, changes={"branches": branches})


def _branch(part: Part, request: SslRequest, out: Path) -> dict[str, str]:
    upstream = {"upstream": full_name(request.upstreams[part])}
    if part == "fbank":
        return upstream
    return upstream | {"fine_tuned": str(out.absolute() / _first_stage(part) / "jobs" / "{job}" / "model")}


def begin_ssl_table(out: Path, request: SslRequest, cells: Sequence[SslCell]) -> None:
    """Write what the table is made of, so that it can be shown from its folder alone.

    Raises:
        StorageError: the disk is full or refuses.
    """
    document = {
        "format": _FORMAT,
        "joint": request.joint,
        "upstreams": {part: full_name(name) for part, name in request.upstreams.items()},
        "cells": [
            {"number": cell.experiment.number, "run": cell.run, "single": cell.single, "skipped": cell.skipped}
            for cell in cells
        ],
    }
    write_json(out / _FILE, document)


def read_ssl_table(out: Path) -> dict[str, Any]:
    """The table's figures, as plain values.

    Args:
        out: folder of the table.

    Returns:
        ``rows`` (the experiment, why it is not run, and the summary of its run without maps; None where none of its
        folds is finished), ``joint``, ``upstreams``.

    Raises:
        UsageError: the folder holds no such table, or nothing of it is finished.
        SerenadeError: a file of it is damaged.
    """
    path = out / _FILE
    if not path.is_file():
        raise UsageError(
            "this folder holds no such table", where=out, expected="a folder that `serenade table ssl` wrote"
        )
    try:
        document: dict[str, Any] = read_json(path)
        rows = [_row(out, cell) for cell in document["cells"]]
    except (ValueError, KeyError, TypeError) as error:
        raise SerenadeError("the table's file is damaged", where=path, found=str(error)) from error
    if all(row["summary"] is None for row in rows):
        raise UsageError(
            "nothing is finished yet, so there is nothing to show",
            where=out,
            hint="Run the command with --corpus and without --finished first",
        )
    return {"rows": rows, "joint": document["joint"], "upstreams": document["upstreams"]}


def _row(out: Path, cell: Mapping[str, Any]) -> dict[str, Any]:
    experiment = EXPERIMENTS[cell["number"]]
    results = None if cell["run"] is None else _results(out / cell["run"], single=cell["single"])
    return {
        **asdict(experiment),
        "input": experiment.input,
        "fine_tuned": list(experiment.fine_tuned),
        "run": cell["run"],
        "skipped": cell["skipped"],
        "summary": None if results is None else summary_of(results, maps=False),
        "averaged": [] if results is None else [_averaged(record) for record in results.records.values()],
    }


def _averaged(record: RunRecord) -> dict[str, Any]:
    """What averaging did to validation WA in one job: that of the best epoch, and that of the mean."""
    best = max((entry["selection"]["wa"] for entry in record.epochs if "selection" in entry), default=None)
    mean = (record.averaged or {}).get("selection", {}).get("wa")
    return {"fold": record.fold, "seed": record.seed, "best": best, "mean": mean}


def _results(run: Path, *, single: bool) -> Results | None:
    begun = (run / "experiment.toml").is_file() and any(run.glob("jobs/*/record.json"))
    if not begun:
        return None
    results = read_results(run)
    return _of_single_epochs(results) if single else results


def _of_single_epochs(results: Results) -> Results:
    """The same run, tested with the best epoch alone."""
    folders = {key: folder / "single" for key, folder in results.folders.items()}
    records = {key: RunRecord.from_json(read_json(folder / "record.json")) for key, folder in folders.items()}
    return replace(results, records=records, folders=folders)
