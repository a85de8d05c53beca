"""Attacks on a trained system: its input moved, within a bound, towards whatever makes it wrong.

FGSM: I. Goodfellow, J. Shlens, C. Szegedy, ICLR 2015, one step along the sign of the gradient. BIM: A. Kurakin,
I. Goodfellow, S. Bengio, 2017, small steps, each projected into the ball around the input. PGD: A. Madry et al., ICLR
2018, the same from a random start. All are white box, against the cross-entropy of the system under test, with the
weights as they are at test time. The bound is on the largest change of any cell (or sample).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from serenade.core.errors import UsageError
from serenade.signal.normaliser import Normaliser
from serenade.training.system import Batch, Example, Outputs, System

__all__ = ["ATTACKS", "Attack", "AttackMethod", "attack_features", "attack_waveforms", "feature_scale"]

AttackMethod = Literal["fgsm", "bim", "pgd"]
ATTACKS: tuple[AttackMethod, ...] = get_args(AttackMethod)
_STEPS = {"fgsm": 1, "bim": 10, "pgd": 40}
_PGD_RATE = 2.5  # of epsilon over all steps, so that the edge is reached from anywhere in the ball
_FRAMES = "_frames"
"""Suffix of the input that says how many frames of another are valid; the rest is padding and is not touched."""


@dataclass(frozen=True, slots=True)
class Attack:
    """How far and in which steps an input is moved.

    Args:
        method: of the three.
        epsilon: largest change; of features in units of their standard deviation over the training part, of a waveform
            in units of full scale.
        steps: None for 1 (FGSM), 10 of epsilon / 10 (BIM), 40 of epsilon / 16 (PGD).

    Raises:
        UsageError: epsilon is negative or not a number, or there is no step.
    """

    method: AttackMethod
    epsilon: float
    steps: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < float("inf"):
            raise UsageError("an attack's bound is a number from 0 on", found=f"epsilon {self.epsilon:g}")
        if self.steps is not None and self.steps < 1:
            raise UsageError("an attack has at least one step", found=self.steps)

    @property
    def number_of_steps(self) -> int:
        """Gradients that it takes."""
        return _STEPS[self.method] if self.steps is None or self.method == "fgsm" else self.steps

    @property
    def rate(self) -> float:
        """Length of a step."""
        return self.epsilon * (_PGD_RATE if self.method == "pgd" else 1.0) / self.number_of_steps


def attack_features(
    system: System, batch: Batch, attack: Attack, scale: Tensor, generator: Generator | None = None
) -> Batch:
    """The batch with its features moved; padding is left as it is.

    Args:
        system: under attack, on the device of the batch.
        batch: of examples with known classes, whose features are ``audio: (N, F, ...)``.
        attack: what to do.
        scale: (F,) unit of epsilon for each bin, from `feature_scale`.
        generator: of PGD's start, on the CPU.

    Raises:
        UsageError: the scores of the system have no gradient.
    """
    batch = replace(batch, inputs={name: tensor.clone() for name, tensor in batch.inputs.items()})
    features = batch.inputs["audio"]
    bound = scale.to(features).view(-1, *[1] * (features.ndim - 2)).expand(features.shape)
    frames = batch.inputs.get(f"audio{_FRAMES}")
    if frames is not None:
        valid = torch.arange(features.shape[-1], device=features.device) < frames[:, None]
        bound = bound * valid.unsqueeze(1)

    def loss(moved: Sequence[Tensor]) -> Tensor:
        return _loss(system, replace(batch, inputs={**batch.inputs, "audio": moved[0]}))

    (moved,) = _move([features], [bound], loss, attack, generator)
    return replace(batch, inputs={**batch.inputs, "audio": moved})


def attack_waveforms(
    system: System,
    examples: Sequence[Example],
    waveforms: Sequence[Tensor],
    attack: Attack,
    device: torch.device,
    generator: Generator | None = None,
) -> list[Tensor]:
    """Waveforms moved, with the front end differentiated through; samples stay between -1 and 1.

    Args:
        system: under attack.
        examples: the utterances with their classes; their inputs are not used.
        waveforms: (T,) of each.
        attack: what to do.
        device: of the system.
        generator: of PGD's start, on the CPU.

    Raises:
        UsageError: the scores of the system have no gradient by the waveform, as with features made outside of torch.
    """

    def loss(moved: Sequence[Tensor]) -> Tensor:
        items = [
            replace(example, inputs=system.extract(waveform, training=False))
            for example, waveform in zip(examples, moved, strict=True)
        ]
        return _loss(system, system.collate(items).to(device))

    starts = [waveform.clone() for waveform in waveforms]
    moved = _move(starts, [torch.ones_like(start) for start in starts], loss, attack, generator)
    # what lies outside already, as MP3 may, stays where it is
    limits = [start.abs().clamp_min(1.0) for start in starts]
    return [torch.clamp(m, -limit, limit) for m, limit in zip(moved, limits, strict=True)]


def _loss(system: System, batch: Batch) -> Tensor:
    """Cross-entropy summed over examples: one does not change the gradient of another."""
    outputs = system.predict(batch)
    return -_logarithms(outputs).gather(1, batch.targets.unsqueeze(1)).sum()


def _logarithms(outputs: Outputs) -> Tensor:
    if outputs.log_probabilities is not None:
        return outputs.log_probabilities
    return outputs.probabilities.clamp_min(torch.finfo(torch.float32).tiny).log()


def _move(
    starts: Sequence[Tensor],
    bounds: Sequence[Tensor],
    loss: Callable[[Sequence[Tensor]], Tensor],
    attack: Attack,
    generator: Generator | None,
) -> list[Tensor]:
    """Each start moved by at most epsilon times its bound, uphill of the loss."""
    radii = [attack.epsilon * bound for bound in bounds]
    moved = list(starts)
    if attack.method == "pgd":
        moved = [start + radius * _uniform(start, generator) for start, radius in zip(starts, radii, strict=True)]
    for _ in range(attack.number_of_steps):
        uphill = _signs(moved, loss)
        steps = [m + attack.rate * bound * sign for m, bound, sign in zip(moved, bounds, uphill, strict=True)]
        moved = [
            torch.clamp(step, start - radius, start + radius)
            for step, start, radius in zip(steps, starts, radii, strict=True)
        ]
    return moved


def _uniform(like: Tensor, generator: Generator | None) -> Tensor:
    """Between -1 and 1."""
    return (2 * torch.rand(like.shape, generator=generator) - 1).to(like)


def _signs(moved: Sequence[Tensor], loss: Callable[[Sequence[Tensor]], Tensor]) -> list[Tensor]:
    leaves = [tensor.detach().requires_grad_(True) for tensor in moved]
    # cuDNN has no gradient of a recurrent layer at test time
    with torch.inference_mode(False), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        value = loss(leaves)
        if not value.requires_grad:
            raise UsageError(
                "the scores of this system have no gradient by its input, so it cannot be attacked this way",
                hint="Attack the features instead of the waveform, or test it with noise",
            )
        gradients = torch.autograd.grad(value, leaves)
    return [gradient.sign() for gradient in gradients]


def feature_scale(system: System, training: Sequence[Example]) -> Tensor:
    """(F,) standard deviation of every bin over the training part: the unit in which features are moved.

    That of the system's own normaliser where it was fitted to the training part, else that of the examples given.

    Args:
        system: trained.
        training: examples of the training part, some if they are many.
    """
    for module in system.network.modules():
        if isinstance(module, Normaliser) and module.settings.kind in ("global", "per_bin", "per_corpus"):
            return module.std.flatten().expand(module.num_bins).clone()
    return _deviation([example.inputs["audio"] for example in training])


def _deviation(features: Sequence[Tensor]) -> Tensor:
    by_bin = torch.cat([item.double().transpose(0, 1).flatten(1) for item in features], dim=1)
    return by_bin.std(dim=1, correction=0)
