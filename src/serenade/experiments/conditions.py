"""Conditions that stored models are tested under: clean, noise, augmentations, attacks.

A condition is written as text. ``noise:0,10,20`` adds noise at three ratios of signal to noise, ``fgsm:0.04,0.08``
moves features by the fast gradient sign, ``pgd-wave:0.001`` moves the waveform; anything else is a chain of
augmentations, such as ``telephone`` or ``reverb:0.6,gain:-12``, and one condition.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from serenade.core.errors import UsageError
from serenade.inference.attacks import ATTACKS, Attack
from serenade.signal.augmentation.chain import AugmentationSettings, parse_chain

__all__ = ["CLEAN", "PRESETS_OF_CONDITIONS", "Condition", "parse_conditions"]

_Kind = Literal["clean", "noise", "features", "waveform", "chain"]
_WAVE = "-wave"
_SWEPT = ("noise", *ATTACKS, *(f"{attack}{_WAVE}" for attack in ATTACKS))
_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?"
PRESETS_OF_CONDITIONS = {
    "noise": "noise:0,10,20",
    "fgsm": "fgsm:0.02,0.04,0.06,0.08,0.1",
    "bim": "bim:0.02,0.04,0.06,0.08,0.1",
    "pgd": "pgd:0.02,0.04,0.06,0.08,0.1",
    "fgsm-wave": "fgsm-wave:0.0003,0.001,0.003,0.01",
    "bim-wave": "bim-wave:0.0003,0.001,0.003,0.01",
    "pgd-wave": "pgd-wave:0.0003,0.001,0.003,0.01",
}
"""What a name without values stands for: the ratios and bounds of the MTL-AUG protocols."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing done to the test recordings.

    Args:
        text: how it is written, the same for the same condition.
        kind: "features" and "waveform" are attacks.
        sweep: the name that its sweep shares; None where it is not part of one.
        value: its place in the sweep: a ratio in dB, or a bound.
    """

    text: str
    kind: _Kind
    sweep: str | None = None
    value: float | None = None

    @property
    def attack(self) -> Attack:
        """The attack of a condition of that kind."""
        assert self.sweep is not None
        assert self.value is not None
        return Attack(self.sweep.removesuffix(_WAVE), self.value)  # type: ignore[arg-type]  # one of `_SWEPT`

    @property
    def leaf(self) -> str:
        """A name for a file."""
        return re.sub(r"[^\w.+=-]", "_", self.text.replace(":", "-"))

    def chain(self) -> AugmentationSettings:
        """The augmentations of a condition of that kind."""
        return AugmentationSettings(steps=parse_chain(self.text), on_silence="refuse")


CLEAN = Condition("clean", "clean")


def parse_conditions(texts: Sequence[str]) -> list[Condition]:
    """Conditions from their texts, clean first, each once.

    Raises:
        UsageError: a value is no number, a bound is negative, or a step would mix the classes of utterances.
        SettingsError: a step of a chain has a value that is not valid.
        UnknownNameError: a step is not known; the nearest name is in the message.
    """
    found = {CLEAN.text: CLEAN}
    for text in texts:
        found |= {condition.text: condition for condition in _parse(text.strip())}
    return list(found.values())


def _parse(text: str) -> list[Condition]:
    name, _, values = PRESETS_OF_CONDITIONS.get(text, text).partition(":")
    if text == CLEAN.text:
        return [CLEAN]
    if name not in _SWEPT or not _all_numbers(values):
        return [_chain(text)]
    return [_swept(name, float(value)) for value in values.split(",")]


def _all_numbers(values: str) -> bool:
    """Whether a sweep is meant: ``noise:0,10`` is one, ``noise:5..20`` and ``noise:10,gain:-6`` are chains."""
    return all(re.fullmatch(_NUMBER, value.strip()) for value in values.split(","))


def _swept(name: str, value: float) -> Condition:
    kind: _Kind = "noise" if name == "noise" else "waveform" if name.endswith(_WAVE) else "features"
    condition = Condition(f"{name}:{value:g}", kind, name, value)
    if kind != "noise":
        condition.attack  # noqa: B018 - raises where the bound is off
    return condition


def _chain(text: str) -> Condition:
    name = text.partition(":")[0]
    if name in _SWEPT and name != "noise":
        raise UsageError(
            "the bounds of an attack are numbers separated by commas", found=repr(text), expected=f"such as {name}:0.08"
        )
    steps = parse_chain(text)
    mixing = [step.kind for step in steps if step.kind == "mixup"]
    if mixing:
        raise UsageError("mixup has two classes, so nothing can be tested under it", found=repr(text))
    return Condition(text.replace(" ", ""), "chain")
