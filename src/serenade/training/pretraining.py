"""Pretraining without labels: masked steps are predicted from those around them.

Every step draws its pieces and its masks from seeds of its own, and the network has no dropout (masks that are drawn
anew regularise), so that a run that was killed goes on as if it had not been.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from serenade.core.errors import TrainingError
from serenade.core.seeding import derive_seed
from serenade.core.settings import Settings
from serenade.nn.masked_prediction import draw_spans, masked_losses
from serenade.training.state import TrainingState, optimiser_tensors, read_state, restore_optimiser, write_state
from serenade.training.unlabelled import ahead, endless

__all__ = ["SpeechPieces", "Piece", "PretrainingSettings", "Reported", "evaluate", "pretrain"]

_BATCHES_AHEAD = 4
_BETAS = (0.9, 0.98)  # as HuBERT
_HELD_OUT_BATCH = 16
_LENGTHS_OF = 32  # batches are padded to multiples, because each new size is compiled for, which takes memory


class PretrainingSettings(Settings):
    """How a network is pretrained."""

    steps: int = Field(6000, ge=1, description="optimiser steps")
    batch_size: int = Field(8, ge=1, description="pieces of a step")
    learning_rate: float = Field(1e-3, gt=0, description="the highest; reached after the warm-up, then falls to 0")
    warm_up: float = Field(0.08, ge=0, lt=1, description="share of the steps in which the rate rises from 0")
    weight_decay: float = Field(0.01, ge=0, description="decoupled")
    clip_norm: float = Field(1.0, gt=0, description="largest L2 norm of all gradients of a step together")
    masked_share: float = Field(0.65, gt=0, le=1, description="of the steps, if spans did not overlap; about half are")
    mask_span: int = Field(10, ge=1, description="steps hidden in a row; 10 are 0.2 s")
    mel_weight: float = Field(1.0, ge=0, description="of the error of log-mel beside that of the clusters")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="arithmetic of the network in training")
    report_every: int = Field(100, ge=1, description="steps from one line of the log, and one saved state, to the next")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some seconds of speech.

    Args:
        mels: (L, F) log-mel steps, float32.
        clusters: (L,) int64 targets.
    """

    mels: Tensor
    clusters: Tensor


class SpeechPieces(Protocol):
    """Pieces of speech, each read when it is asked for; may be called from another thread."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, index: int) -> Piece:
        """One of them."""
        ...


Reported = Callable[[int, Mapping[str, Any]], None]
"""Told the number of steps done after each, with the latest line of the log (empty before the first)."""


def pretrain(
    network: nn.Module,
    training: SpeechPieces,
    held_out: Sequence[Piece],
    settings: PretrainingSettings,
    *,
    seed: int,
    device: torch.device,
    folder: Path,
    key: str,
    reported: Reported | None = None,
) -> tuple[Mapping[str, Any], ...]:
    """Pretrain a network; afterwards it holds the weights of the last step.

    Killed at any moment and called again with the same arguments, it goes on from the last saved state and gives the
    losses and weights of an unbroken run.

    Args:
        network: (mels, lengths, masked) to scores, log-mel and true log-mel of the masked steps; freshly made.
        training: what is learnt from.
        held_out: what the log tells the progress on; not learnt from. May be empty.
        settings: of the loop.
        seed: of the run.
        device: where to compute.
        folder: where the state is kept.
        key: names the run; a state of another one is ignored.
        reported: is told after every step.

    Returns:
        The log: one entry for every `report_every` steps and for the last one.

    Raises:
        TrainingError: the loss is no finite number.
    """
    network.to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        betas=_BETAS,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    path = folder / "state.safetensors"
    log, done = _resume(network, optimiser, path, key)
    if reported is not None:
        reported(done, log[-1] if log else {})
    order = endless(len(training), seed, start=done * settings.batch_size)
    drawn = _batches(training, order, settings, seed, done)
    meter = _Meter()
    with closing(ahead(drawn, _BATCHES_AHEAD)) as batches:
        for batch in islice(batches, settings.steps - done):
            _set_rate(optimiser, _rate(settings, done))
            found = _step(network, optimiser, batch.to(device), settings, done)
            done += 1
            meter.add(found, batch)
            if done % settings.report_every == 0 or done == settings.steps:
                judged = evaluate(network, held_out, settings, seed=seed, device=device)
                log = [*log, meter.entry(done, _rate(settings, done - 1), judged)]
                _save(network, optimiser, path, key, log, done)
            if reported is not None:
                reported(done, log[-1] if log else {})
    return tuple(log)


@dataclass(frozen=True, slots=True)
class _Batch:
    mels: Tensor  # (B, L, F)
    clusters: Tensor  # (B, L)
    lengths: Tensor
    masked: Tensor

    def to(self, device: torch.device) -> "_Batch":
        return _Batch(*(t.to(device) for t in (self.mels, self.clusters, self.lengths, self.masked)))


def _batches(
    pieces: SpeechPieces, order: Iterator[int], settings: PretrainingSettings, seed: int, done: int
) -> Iterator[_Batch]:
    step = done
    while True:
        generator = torch.Generator().manual_seed(derive_seed(seed, "masks", step))
        yield _collate([pieces[place] for place in islice(order, settings.batch_size)], settings, generator)
        step += 1


def _collate(pieces: Sequence[Piece], settings: PretrainingSettings, generator: torch.Generator) -> _Batch:
    lengths = torch.tensor([len(piece.mels) for piece in pieces])
    more = -int(lengths.max()) % _LENGTHS_OF
    mels = functional.pad(pad_sequence([piece.mels for piece in pieces], batch_first=True), (0, 0, 0, more))
    clusters = functional.pad(pad_sequence([piece.clusters for piece in pieces], batch_first=True), (0, more))
    masked = draw_spans(lengths, mels.shape[1], settings.masked_share, settings.mask_span, generator)
    return _Batch(mels, clusters, lengths, masked)


def _losses(network: nn.Module, batch: _Batch, settings: PretrainingSettings) -> dict[str, Tensor]:
    with torch.autocast(batch.mels.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
        scores, mels, truth = network(batch.mels, batch.lengths, batch.masked)
    return masked_losses(scores, mels, batch.clusters[batch.masked], truth, mel_weight=settings.mel_weight)


def _step(
    network: nn.Module, optimiser: torch.optim.Optimizer, batch: _Batch, settings: PretrainingSettings, done: int
) -> dict[str, float]:
    network.train()
    optimiser.zero_grad(set_to_none=True)
    losses = _losses(network, batch, settings)
    if not bool(losses["loss"].isfinite()):
        raise TrainingError(
            "the loss is no finite number",
            where=f"step {done + 1}",
            found=float(losses["loss"].detach()),
            hint="Lower training.learning_rate, or train in float32; the state before is kept",
        )
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
    optimiser.step()
    return {name: float(value.detach()) for name, value in losses.items()}


def _rate(settings: PretrainingSettings, done: int) -> float:
    """The learning rate of the step after `done`: a straight line up, then a straight line down to 0."""
    rise = round(settings.warm_up * settings.steps)
    if done < rise:
        return settings.learning_rate * (done + 1) / rise
    return settings.learning_rate * (settings.steps - done) / max(1, settings.steps - rise)


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


class _Meter:
    """Means since the last line of the log."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._began, self._cpu = time.perf_counter(), time.process_time()
        self._sums: dict[str, float] = {}
        self._steps = self._frames = 0

    def add(self, found: Mapping[str, float], batch: _Batch) -> None:
        for name, value in found.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._steps += 1
        self._frames += int(batch.lengths.sum())

    def entry(self, step: int, rate: float, held_out: Mapping[str, float]) -> dict[str, Any]:
        seconds, cpu = time.perf_counter() - self._began, time.process_time() - self._cpu
        entry = {
            "step": step,
            "learning_rate": rate,
            "training": {name: value / self._steps for name, value in self._sums.items()},
            "held_out": dict(held_out),
            "frames": self._frames,
            "seconds": seconds,
            "cpu_seconds": cpu,
        }
        self._reset()
        return entry


def evaluate(
    network: nn.Module, pieces: Sequence[Piece], settings: PretrainingSettings, *, seed: int, device: torch.device
) -> dict[str, float]:
    """Losses on pieces under masks that are the same every time, and what guessing would reach.

    ``majority`` is the accuracy of always naming the most frequent cluster of these masked steps, ``chance`` the
    cross-entropy of an even guess among the clusters. Empty where there are no pieces.
    """
    if not pieces:
        return {}
    network.eval()
    generator = torch.Generator().manual_seed(derive_seed(seed, "held-out masks"))
    sums: dict[str, float] = {}
    targets, num_clusters = [], 1
    with torch.inference_mode():
        for start in range(0, len(pieces), _HELD_OUT_BATCH):
            batch = _collate(pieces[start : start + _HELD_OUT_BATCH], settings, generator).to(device)
            scores, mels, truth = network(batch.mels, batch.lengths, batch.masked)
            targets.append(batch.clusters[batch.masked])
            num_clusters = scores.shape[1]
            found = masked_losses(scores, mels, targets[-1], truth, mel_weight=settings.mel_weight)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(targets[-1])
    every = torch.cat(targets)
    told = {name: value / len(every) for name, value in sums.items()}
    majority = float(torch.bincount(every).max()) / len(every)
    return {**told, "majority": majority, "chance": math.log(num_clusters)}


def _resume(
    network: nn.Module, optimiser: torch.optim.Optimizer, path: Path, key: str
) -> tuple[list[Mapping[str, Any]], int]:
    state = read_state(path, key)
    if state is None:
        return [], 0
    network.load_state_dict(dict(state.weights))
    restore_optimiser(network, optimiser, state.optimiser)
    return list(state.epochs), state.chosen_epoch


def _save(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    path: Path,
    key: str,
    log: Sequence[Mapping[str, Any]],
    done: int,
) -> None:
    """The state after a step; `TrainingState` counts epochs, here they are steps."""
    tensors = optimiser_tensors(network, optimiser)
    write_state(path, TrainingState(key, tuple(log), done, network.state_dict(), {}, tensors, {}))
