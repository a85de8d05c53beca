"""The models in the tables of MTL-AUG: variants, what they are compared with, ablations and sweeps.

S. Latif, R. Rana, S. Khalifa, R. Jurdak, B. W. Schuller, IEEE Trans. Affective Computing 14(4), 2023.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from serenade.core.errors import UsageError
from serenade.core.names import NameTable
from serenade.corpora import CORPORA
from serenade.systems import PRESETS

__all__ = ["MTL_TABLES", "MtlRow", "MtlTable", "parse_mtl_rows", "short_title"]

MtlTable = Literal["within", "cross", "noise", "attacks", "ablations"]
MTL_TABLES: tuple[MtlTable, ...] = ("within", "cross", "noise", "attacks", "ablations")
_ALL = "all"

_VARIANTS = ("stl", "stl-aug", "stl-center", "mtl-dim", "ss-aae", "mtl-aug", "mtl-aug-semi")
_ROBUST = ("stl", "stl-aug", "mtl-aug", "mtl-aug-semi")
_TREATMENTS = ("none", "speed", "spec_augment", "mixup")
_HOURS = (10.0, 25.0, 50.0, 100.0)
_SWEEPS: Mapping[str, tuple[float, ...]] = {
    "center": (0.003, 0.1, 0.3),
    "reconstruction": (0.1, 0.3, 1.0),
    "augmentation": (0.1, 0.3, 1.0),
}
"""Weights of losses, without the default, which is the row mtl-aug."""


@dataclass(frozen=True, slots=True)
class MtlRow:
    """A model of a table.

    Args:
        name: in --rows, and of its folder.
        preset: of the system.
        title: as the table calls it.
        changes: to the preset.
        unlabelled: whether it learns from unlabelled speech: never, where there is some, or always.
        hours: of unlabelled speech; None for what the user says.
        leaf: folder of the table that the run belongs to; tables share runs of one folder.
    """

    name: str
    preset: str
    title: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    unlabelled: Literal["no", "optional", "required"] = "no"
    hours: float | None = None
    leaf: Literal["within", "cross", "ablations"] = "within"


def parse_mtl_rows(table: MtlTable, text: str | None) -> list[MtlRow]:
    """The models of a table.

    Args:
        table: which.
        text: names separated by commas; None and "all" for all of the table. They are presets, also of other
            papers; in the ablations names such as ``no-decoder``, ``hours=25`` or ``center=0.1``.

    Raises:
        UnknownNameError: there is no such row; the nearest is named.
        UsageError: none is given, or a value is no number.
    """
    if text is None or text == _ALL:
        return [_row(table, name) for name in _names(table)]
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise UsageError("a table needs at least one row", found=repr(text), expected=", ".join(_names(table)))
    return list({row.name: row for row in (_row(table, name) for name in names)}.values())


def _row(table: MtlTable, name: str) -> MtlRow:
    if table == "ablations":
        return _ablation(name)
    NameTable("preset", [(preset, preset) for preset in PRESETS]).target(name)  # raises with the nearest
    return _variant(name, "cross" if table == "cross" else "within")


def _names(table: MtlTable) -> tuple[str, ...]:
    if table == "ablations":
        swept = (f"{weight}={value:g}" for weight, values in _SWEEPS.items() for value in values)
        return ("mtl-aug", *_WITHOUT, *(f"hours={hours:g}" for hours in _HOURS), *swept)
    return _VARIANTS if table in ("within", "cross") else _ROBUST


def _variant(name: str, leaf: Literal["within", "cross"]) -> MtlRow:
    uses: dict[str, Literal["optional", "required"]] = {"mtl-aug-semi": "required", "ss-aae": "optional"}
    return MtlRow(name, name, name, unlabelled=uses.get(name, "no"), leaf=leaf)


def _without(treatment: str) -> dict[str, Any]:
    return {"treatments": {"kinds": [kind for kind in _TREATMENTS if kind != treatment]}}


_WITHOUT: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "no-augmentation-classifier": ("without augmentation classifier", {"losses": {"augmentation": 0.0}}),
    "no-decoder": ("without decoder", {"losses": {"reconstruction": 0.0}}),
    "no-center": ("without center loss", {"losses": {"center": 0.0}}),
    "no-speed": ("without speed", _without("speed")),
    "no-spec-augment": ("without SpecAugment", _without("spec_augment")),
    "no-mixup": ("without mixup", _without("mixup")),
}


def _ablation(name: str) -> MtlRow:
    if name in ("mtl-aug", "mtl-aug-semi"):
        return _variant(name, "within")
    key, equals, value = name.partition("=")
    if equals and key in (*_SWEEPS, "hours"):
        return _swept(key, _number(name, value))
    NameTable("ablation", [(known, known) for known in (*_names("ablations"), "mtl-aug-semi")]).target(name)
    title, changes = _WITHOUT[name]
    return MtlRow(name, "mtl-aug", title, changes, leaf="ablations")


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError("a swept value is a number from 0 on", found=repr(name), expected="such as center=0.1")
    return value


def _swept(key: str, value: float) -> MtlRow:
    name = f"{key}={value:g}"
    if key != "hours":
        return MtlRow(name, "mtl-aug", f"{key} loss × {value:g}", {"losses": {key: value}}, leaf="ablations")
    if value == 0:
        return _variant("mtl-aug", "within")
    return MtlRow(name, "mtl-aug-semi", f"{value:g} h unlabelled", unlabelled="required", hours=value, leaf="ablations")


def short_title(corpus: str) -> str:
    """A corpus as people call it, without what its title says besides."""
    return CORPORA.resolve(corpus).title.partition(" (")[0] if corpus in CORPORA else corpus
