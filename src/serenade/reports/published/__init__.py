"""Figures of the papers, each with its source and protocol; the files beside this one hold them."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

__all__ = [
    "PAPERS",
    "PublishedExperiment",
    "PublishedRow",
    "UnreadTable",
    "published_curves",
    "published_experiments",
    "published_rows",
    "unread_tables",
]

PAPERS = ("glam", "attention_pooling")
"""The files with figures."""
_METRICS = ("wa", "ua", "macro_f1", "weighted_f1")


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """Figures of one model on one part of a corpus, in per cent.

    Args:
        corpus: name of the corpus.
        part: value of the corpus's part, or "all".
        model: as our tables call it.
        figures: metric to mean and standard deviation; a deviation that is not given is None.
        source: paper and table.
        protocol: how they were measured.
        leaky: why the protocol is not honest; None where it is.
        quoted: whether the paper took them from an earlier one.
    """

    corpus: str
    part: str
    model: str
    figures: Mapping[str, tuple[float, float | None]]
    source: str
    protocol: str
    leaky: str | None = None
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class UnreadTable:
    """A table of a paper that could not be read, and what is known of it.

    Args:
        table: the table of ours that it belongs to.
        source: paper and table.
        data: corpora, or "trained on > tested on".
        rows: models that it is known to have.
        order: what is known of their order.
    """

    table: str
    source: str
    data: tuple[str, ...]
    rows: tuple[str, ...]
    order: str


@dataclass(frozen=True, slots=True)
class PublishedExperiment:
    """One of the eleven experiments of the self-supervised paper, in per cent.

    Args:
        wa: weighted accuracy, mean over the folds.
        ua: unweighted accuracy, mean over the folds.
        uncertain: which of the two are to be checked against the printed paper.
        other: what a second source says.
    """

    wa: float
    ua: float
    uncertain: tuple[str, ...]
    other: Mapping[str, float]


def published_experiments() -> dict[int, PublishedExperiment]:
    """The figures of Morais et al., ICASSP 2022, by the number of the experiment."""
    return {
        row["number"]: PublishedExperiment(row["wa"], row["ua"], tuple(row.get("uncertain", ())), row.get("other", {}))
        for row in _read("ssl")["experiments"]
    }


def unread_tables(table: str) -> list[UnreadTable]:
    """The tables of the MTL-AUG paper that belong to "within", "cross", "noise", "attacks" or "ablations"."""
    document = _read("mtl_aug")
    return [
        UnreadTable(
            table=table,
            source=f"{document['cite']}, {values['source']}",
            data=tuple(values["data"]),
            rows=tuple(values["rows"]),
            order=values["order"],
        )
        for values in document["tables"]
        if values["table"] == table
    ]


def published_rows(table: str) -> list[PublishedRow]:
    """All published figures that belong to a table: "main", "ablations", "mixup" (GLAM) or "attention-pooling"."""
    rows = []
    for paper in PAPERS:
        document = _read(paper)
        sections = [part for part in document.values() if isinstance(part, dict) and part.get("table") == table]
        for section in sections:
            rows += [_row(document, section, values) for values in section["rows"]]
    return rows


def _row(document: Mapping[str, Any], section: Mapping[str, Any], values: list[Any]) -> PublishedRow:
    part, model, *numbers = values
    if len(numbers) == 2:
        figures = {name: (value, None) for name, value in zip(_METRICS, numbers, strict=False)}
    else:
        figures = dict(zip(_METRICS, zip(numbers[::2], numbers[1::2], strict=True), strict=True))
    return PublishedRow(
        corpus=document["corpus"],
        part=part,
        model=model,
        figures=figures,
        source=f"{document['cite']}, {section['source']}",
        protocol=section["protocol"],
        leaky=section.get("leaky"),
        quoted=section.get("quoted", False),
    )


def published_curves(side: Literal["height", "width"]) -> dict[str, dict[int, float]]:
    """Curves of the filter-shape study's Figure 2, in per cent: ``wa`` and recalls by class, by the swept value."""
    panel = _read("attention_pooling")["figure2"][side]
    return {
        name: {x: y for x, y in zip(panel["values"], curve, strict=True) if not math.isnan(y)}
        for name, curve in panel.items()
        if name != "values"
    }


def _read(paper: str) -> dict[str, Any]:
    return tomllib.loads(files(__name__).joinpath(f"{paper}.toml").read_text(encoding="utf-8"))
