"""The tables of MESM as series of runs: the main table, modalities left out, attention kept, masks.

W. Dai, S. Cahyawijaya, Z. Liu, P. Fung, "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL 2021,
Tables 2 to 4 and Figure 4. Every row is an ordinary run; the row "no" answers no to everything and is computed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from serenade.core.errors import UsageError
from serenade.core.files import read_json, write_json
from serenade.core.names import NameTable
from serenade.experiments.answers import cost_of_run, figures_of_run
from serenade.experiments.series import Member

__all__ = ["MESM_TABLES", "MesmRow", "MesmTable", "begin_mesm_table", "members_of", "mesm_rows", "read_mesm_table"]

MesmTable = Literal["main", "ablation", "top-p", "mask"]
MESM_TABLES: tuple[MesmTable, ...] = ("main", "ablation", "top-p", "mask")

_MAIN = {"lf-lstm": "LF-LSTM", "lf-trans": "LF-TRANS", "emoembs": "EmoEmbs", "mult": "MulT"}
_END_TO_END = {"fe2e": "FE2E", "mesm": "MESM"}
_SUBSETS = {
    "fe2e": (
        ("text", "face", "audio"),
        ("text", "audio"),
        ("text", "face"),
        ("face", "audio"),
        ("text",),
        ("audio",),
        ("face",),
    ),
    "mesm": (("text", "face", "audio"), ("text", "audio"), ("text", "face")),
}
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_MASKS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("none", "fixed mask, as published", {"mask_gradient": "none"}),
    ("straight_through", "mask learnt, straight_through", {"mask_gradient": "straight_through"}),
    ("scaled", "mask learnt, scaled", {"mask_gradient": "scaled"}),
    ("released_order", "fixed mask, released order", {"mask_gradient": "none", "cell_order": "released"}),
)
_MASK_SHARE = 0.3  # small enough for the choice of the cells to matter
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class MesmRow:
    """A row of a table.

    Args:
        name: in --rows, of its folder, and of the published figures.
        title: as the table calls it.
        preset: of its system.
        changes: to the preset.
    """

    name: str
    title: str
    preset: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def mesm_rows(table: MesmTable, wanted: str | None, *, small: bool) -> list[MesmRow]:
    """The rows of a table.

    Args:
        table: which.
        wanted: names separated by commas; None for all.
        small: take the sizes for a machine without a GPU (presets ``fe2e-cpu`` and ``mesm-cpu``).

    Raises:
        UnknownNameError: there is no such row; the nearest is named.
        UsageError: none is named.
    """
    rows = {row.name: row for row in _all_rows(table, "-cpu" if small else "")}
    if wanted is None:
        return list(rows.values())
    names = [part.strip() for part in wanted.split(",") if part.strip()]
    if not names:
        raise UsageError("a table needs at least one row", found=repr(wanted), expected=", ".join(rows))
    known: NameTable[str] = NameTable("row", [(name, name) for name in rows])
    return [rows[known.target(name)] for name in dict.fromkeys(names)]


def _all_rows(table: MesmTable, suffix: str) -> list[MesmRow]:
    if table == "main":
        crafted = [MesmRow(name, title, name) for name, title in _MAIN.items()]
        text = MesmRow("text", "text only", f"fe2e{suffix}", {"network": {"modalities": ["text"]}})
        return [*crafted, text, *(MesmRow(n, title, f"{n}{suffix}") for n, title in _END_TO_END.items())]
    if table == "ablation":
        return [
            MesmRow(
                f"{name}-{'-'.join(subset)}",
                f"{_END_TO_END[name]}: {', '.join(subset)}",
                f"{name}{suffix}",
                {"network": {"modalities": list(subset)}},
            )
            for name, subsets in _SUBSETS.items()
            for subset in subsets
        ]
    if table == "mask":
        return [
            MesmRow(name, f"MESM, {title}", f"mesm{suffix}", {"top_p": _MASK_SHARE, **changes})
            for name, title, changes in _MASKS
        ]
    shares = [MesmRow(f"p{p:g}", f"MESM, p = {p:g}", f"mesm{suffix}", {"top_p": p}) for p in _SHARES]
    return [*shares, MesmRow("fe2e", "FE2E (dense)", f"fe2e{suffix}")]


def members_of(table: MesmTable, rows: list[MesmRow]) -> list[Member]:
    """The runs of a table, each in a folder of its own below that of the table."""
    return [Member(f"{table}/{row.name}", row.preset, changes=row.changes) for row in rows]


def begin_mesm_table(out: Path, table: MesmTable, rows: list[MesmRow], corpora: list[str]) -> None:
    """Write down what the table is made of, so that it can be shown before everything is finished."""
    document = {"format": _FORMAT, "table": table, "corpora": corpora, "rows": [asdict(row) for row in rows]}
    write_json(out / f"{table}.json", document)


def read_mesm_table(out: Path, table: MesmTable) -> dict[str, Any]:
    """The table with the figures of all rows that are finished.

    Raises:
        UsageError: the table was never begun here, or nothing of it is finished.
    """
    file = out / f"{table}.json"
    if not file.is_file():
        raise UsageError("this table was not begun here", where=out, hint="Run the command with --corpus first")
    document = dict(read_json(file))
    rows = [{**row, "found": _found(out / table / row["name"], table)} for row in document["rows"]]
    if all(row["found"] is None for row in rows):
        raise UsageError(
            "nothing of this table is finished yet", where=out, hint="Run the same command without --finished"
        )
    return {**document, "rows": rows}


def _found(run: Path, table: MesmTable) -> dict[str, Any] | None:
    if not any(run.glob("jobs/*/record.json")):
        return None
    cost = cost_of_run(run) if table == "top-p" else None
    return {**figures_of_run(run), "cost": None if cost is None else asdict(cost)}
