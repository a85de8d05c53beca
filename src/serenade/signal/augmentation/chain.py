"""Augmentations one after another, for one waveform or a batch, with a record of what was done.

A chain is written as text: steps with commas between them, each with its values after a colon.
``speed:0.9,noise:10`` is both, ``speed:0.9|1.1`` one of two speeds, ``noise:5..20`` a ratio from a range,
``gain:-6..6/probability=0.5`` a gain for half of the waveforms. Values without a name are those of the step's settings
in their order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from torch import Generator, Tensor

from serenade.core.errors import SettingsError, UsageError
from serenade.core.settings import Settings, make_settings
from serenade.signal.augmentation import AUGMENTATIONS
from serenade.signal.augmentation.step import Parameters, Place, Sources, Step, StepSettings, fitted
from serenade.signal.speech_level import is_silent

__all__ = ["Applied", "Augmented", "AugmentationChain", "AugmentationSettings", "parse_chain"]


def parse_chain(text: str) -> tuple[StepSettings, ...]:
    """The steps of a chain written as text.

    Raises:
        SettingsError: a value is missing, too many or out of bounds, or a key is not known.
        UnknownNameError: a step is not known; the nearest name is in the message.
    """
    return tuple(_parse_step(part.strip()) for part in text.split(","))


def _parse_step(text: str) -> StepSettings:
    name, colon, rest = text.partition(":")
    if not name or (colon and not rest):
        raise SettingsError(
            "a step of a chain is a name, or a name, a colon and values", found=repr(text), expected="such as speed:0.9"
        )
    cls = _settings_class(name.strip())
    keys = [key for key in cls.model_fields if key not in StepSettings.model_fields]
    values: dict[str, str] = {}
    for place, part in enumerate(rest.split("/") if rest else ()):
        key, equals, value = part.partition("=")
        if not equals and place >= len(keys):
            raise SettingsError("too many values", where=f"{text!r}", expected=f"{', '.join(keys)}")
        values[key.strip() if equals else keys[place]] = (value if equals else part).strip()
    return make_settings(cls, values, where=f"the step {text!r}")


def _settings_class(name: str) -> type[StepSettings]:
    return cast(type[Step[Any]], AUGMENTATIONS.resolve(name)).settings_class


def _read_steps(value: Any) -> Any:
    if isinstance(value, str):
        return parse_chain(value) if value.strip() else ()
    return tuple(_read_step(item) for item in value) if isinstance(value, list | tuple) else value


def _read_step(item: Any) -> Any:
    if isinstance(item, str):
        return _parse_step(item.strip())
    if isinstance(item, Mapping) and isinstance(item.get("kind"), str):
        return make_settings(_settings_class(item["kind"]), item, where=f"the step {item['kind']!r}")
    return item


class AugmentationSettings(Settings):
    """A chain of augmentations; a text stands for its steps."""

    steps: Annotated[tuple[SerializeAsAny[StepSettings], ...], BeforeValidator(_read_steps)] = Field(
        default=(), description="text such as 'speed:0.9|1.1,noise:5..20', or one table a step"
    )
    noise: Path | None = Field(default=None, description="folder of noise recordings, for the step noise")
    environments: tuple[str, ...] = Field(default=(), description="of the noise, the ones to use; all if empty")
    responses: Path | None = Field(default=None, description="file or folder of impulse responses, for the step reverb")
    keep_length: bool = Field(
        default=False, description="cut or fill with zeros what a step made longer or shorter, as speed does"
    )
    on_silence: Literal["keep", "refuse"] = Field(
        default="keep", description="what noise at a ratio does to a silent waveform: leave it as it is, or an error"
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return {"steps": value} if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Applied:
    """One step as it was applied to one waveform.

    Args:
        kind: name of the step.
        parameters: what was drawn for it.
    """

    kind: str
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Augmented:
    """What a chain did to one waveform.

    Args:
        length: samples that are valid now; what follows in the batch is padding.
        steps: the steps applied, in order.
        left_out: steps that could not be applied, each with its reason.
    """

    length: int
    steps: tuple[Applied, ...]
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        steps = [{"kind": step.kind, **step.parameters} for step in self.steps]
        return {"length": self.length, "steps": steps, "left_out": list(self.left_out)}


class AugmentationChain:
    """Applies a chain to waveforms.

    Args:
        settings: the steps.
        sources: recordings of noise and impulse responses, where steps use them.

    Raises:
        MissingExtraError: a step needs a package that is not installed.
        UsageError: a step needs recordings that there are none of.
    """

    def __init__(self, settings: AugmentationSettings, sources: Sources | None = None) -> None:
        self.settings = settings
        given = Sources() if sources is None else sources
        self.steps: tuple[Step[Any], ...] = tuple(
            AUGMENTATIONS.resolve(step.kind)(step, given) for step in settings.steps
        )

    @property
    def mixes_targets(self) -> bool:
        """Whether a result has a share of another waveform's label (mixup)."""
        return any(step.mixes_targets for step in self.steps)

    def __call__(
        self, waveforms: Tensor, generator: Generator, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[Augmented, ...]]:
        """Augment each waveform of a batch by parameters of its own.

        The work is done on the CPU, one waveform at a time: beside the batch and the result there is never more than
        one waveform in memory.

        Args:
            waveforms: (N, T) at 16 kHz, not modified.
            generator: source of all randomness, on the CPU.
            lengths: (N,) int64 valid samples, at least 1; None where all are.

        Returns:
            (N, T') of the type and on the device of the input, padded with zeros, and what was done to each. T' is T
            unless a step changes lengths and the settings do not keep them.

        Raises:
            AudioError: a recording of noise or a response cannot be read or is silent; or a waveform is silent and the
                settings refuse that.
            UsageError: another shape, or mixup in a batch of one.
        """
        batch = _rows(waveforms, lengths)
        done = [self.augment(place, batch, generator) for place in range(len(batch))]
        longest = max((len(waveform) for waveform, _ in done), default=0)
        width = waveforms.shape[1] if self.settings.keep_length or not self._changes_length(done, batch) else longest
        result = waveforms.new_zeros(len(batch), width)
        for row, (waveform, _) in zip(result, done, strict=True):
            row[: len(waveform)] = waveform
        return result, tuple(record for _, record in done)

    @staticmethod
    def _changes_length(done: Sequence[tuple[Tensor, Augmented]], batch: Sequence[Tensor]) -> bool:
        return any(len(new) != len(old) for (new, _), old in zip(done, batch, strict=True))

    def augment(self, index: int, batch: Sequence[Tensor], generator: Generator) -> tuple[Tensor, Augmented]:
        """Augment one waveform of a batch whose waveforms have any lengths.

        Args:
            index: which.
            batch: (T,) float32 waveforms at 16 kHz on the CPU, none of them empty; mixup takes its partners from them.
            generator: source of all randomness, on the CPU.

        Returns:
            The waveform and what was done to it.

        Raises:
            AudioError: as calling the chain.
            UsageError: mixup in a batch of one.
        """
        waveform, applied, left_out = batch[index], [], []
        for step in self.steps:
            share = step.settings.probability
            if share < 1 and float(torch.rand((), generator=generator)) >= share:
                continue
            parameters = step.draw(Place(len(waveform), index, len(batch)), generator)
            if step.needs_sound and self.settings.on_silence == "keep" and is_silent(waveform):
                left_out.append(f"{step.settings.kind}: silence has no ratio to noise")
                continue
            waveform = step.apply(waveform, parameters, batch)
            applied.append(Applied(step.settings.kind, parameters))
        if self.settings.keep_length:
            waveform = fitted(waveform, len(batch[index]))
        return waveform, Augmented(len(waveform), tuple(applied), tuple(left_out))

    def repeat(self, waveforms: Tensor, records: Sequence[Augmented], lengths: Tensor | None = None) -> list[Tensor]:
        """Do again what records say, with nothing drawn.

        Args:
            waveforms: (N, T) as they were given before.
            records: what was done to them then, by a chain of the same steps.
            lengths: as before.

        Returns:
            N waveforms, each without padding.
        """
        batch = _rows(waveforms, lengths)
        return [self._again(waveform, record, batch) for waveform, record in zip(batch, records, strict=True)]

    def _again(self, waveform: Tensor, record: Augmented, batch: Sequence[Tensor]) -> Tensor:
        waiting = iter(self.steps)
        for applied in record.steps:
            step = next(step for step in waiting if step.settings.kind == applied.kind)
            waveform = step.apply(waveform, applied.parameters, batch)
        return fitted(waveform, record.length)


def _rows(waveforms: Tensor, lengths: Tensor | None) -> list[Tensor]:
    """The valid part of each waveform, on the CPU."""
    if waveforms.ndim != 2 or waveforms.shape[1] == 0:
        raise UsageError("augmentations take (N, T) waveforms", found=f"shape {tuple(waveforms.shape)}")
    valid = [waveforms.shape[1]] * len(waveforms) if lengths is None else lengths.tolist()
    if len(valid) != len(waveforms) or not all(1 <= length <= waveforms.shape[1] for length in valid):
        raise UsageError(
            "lengths that do not fit the waveforms", found=valid, expected=f"1 to {waveforms.shape[1]} for each of them"
        )
    plain = waveforms.detach().to("cpu", torch.float32)
    return [row[:length] for row, length in zip(plain, valid, strict=True)]
