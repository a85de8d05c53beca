"""The training loop: epochs over items, selection on validation, a state after every epoch, the same result resumed."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serenade.core.errors import TrainingError
from serenade.core.seeding import derive_seed
from serenade.evaluation.metrics import confusion, ua, wa
from serenade.training.averaging import WeightAverage
from serenade.training.batches import batches, num_segments
from serenade.training.settings import TrainingSettings
from serenade.training.state import TrainingState, optimiser_tensors, read_state, restore_optimiser, write_state
from serenade.training.system import Example, FittedSystem, System

__all__ = ["EpochCallback", "Scored", "Trained", "learning_rate", "make_optimiser", "score", "train"]

_SCORING_SEGMENTS = 128  # segments per forward pass when scoring: measured flat from 64 to 256 on a CPU
EpochCallback = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Scored:
    """Outputs for a list of examples, in their order.

    Args:
        probabilities: (N, K) float32.
        embeddings: (N, D) float32.
        loss: mean cross-entropy of the labelled examples; NaN where there is none.
        wa: weighted accuracy.
        ua: unweighted accuracy (mean recall over the classes present).
    """

    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    loss: float
    wa: float
    ua: float


@dataclass(frozen=True, slots=True)
class Trained:
    """What training did; the system then holds the chosen weights.

    Args:
        epochs: history, one entry per epoch.
        chosen_epoch: 1-based.
        timing: ``wall_s``, ``cpu_s``, and ``network_share``, the part of the epochs' wall time spent in the network:
            forward, backward, optimiser step and scoring.
    """

    epochs: tuple[Mapping[str, Any], ...]
    chosen_epoch: int
    timing: Mapping[str, float]


def score(system: System, examples: Sequence[Example], device: torch.device) -> Scored:
    """Score examples in evaluation mode and float32.

    Args:
        system: on `device`.
        examples: whole utterances.
        device: where to compute.
    """
    outputs = []
    with torch.inference_mode():
        for chunk in _chunks(examples):
            outputs.append(system.predict(system.collate(chunk).to(device)))
    probabilities = torch.cat([o.probabilities for o in outputs]).float().cpu().numpy()
    embeddings = torch.cat([o.embeddings for o in outputs]).float().cpu().numpy()
    return _judge(probabilities, embeddings, np.array([-1 if e.target is None else e.target for e in examples]))


def _chunks(examples: Sequence[Example]) -> list[list[Example]]:
    """Examples grouped so that a group holds about `_SCORING_SEGMENTS` segments."""
    groups: list[list[Example]] = [[]]
    held = 0
    for example in examples:
        if groups[-1] and held + num_segments(example) > _SCORING_SEGMENTS:
            groups.append([])
            held = 0
        groups[-1].append(example)
        held += num_segments(example)
    return [group for group in groups if group]


def _judge(probabilities: NDArray[np.float32], embeddings: NDArray[np.float32], targets: NDArray[np.int64]) -> Scored:
    known = targets >= 0
    if not known.any():
        return Scored(probabilities, embeddings, float("nan"), float("nan"), float("nan"))
    of_truth = probabilities[known, targets[known]]
    counts = confusion(targets[known], probabilities[known].argmax(axis=1), probabilities.shape[1])
    loss = float(-np.log(np.maximum(of_truth, 1e-12)).mean())
    return Scored(probabilities, embeddings, loss, float(wa(counts)), float(ua(counts)))


def train(
    system: System,
    training: Sequence[Example],
    selection: Sequence[Example],
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    folder: Path | None = None,
    key: str = "",
    on_epoch: EpochCallback | None = None,
) -> Trained:
    """Train a system; afterwards it holds the weights of the chosen epoch.

    Killed at any moment and called again with the same arguments, it goes on after the last finished epoch and ends
    with the result of an unbroken run, because every epoch draws from seeds of its own.

    Args:
        system: freshly made, weights drawn from `seed`; its inputs are fitted here.
        training: training part of the fold.
        selection: the part on which the epoch is chosen; may be empty when ``settings.selection`` is "last".
        settings: of the loop.
        seed: of the run.
        device: where to compute.
        folder: where state and log are kept; None keeps nothing.
        key: names the run, so that the state of another one is not taken up.
        on_epoch: called with each epoch's entry.

    Raises:
        TrainingError: nothing to train or select on, or a loss that is not finite.
        StorageError: the state cannot be written.
    """
    started, cpu_started = time.perf_counter(), time.process_time()
    _check(training, selection, settings)
    system.fit_inputs(training)
    if isinstance(system, FittedSystem):
        system.fit(training, selection, seed)
        return Trained((), 1, _timing(started, cpu_started, ()))
    run = _Run(system, settings, seed, device)
    chosen = run.resume(folder, key)
    for epoch in range(len(run.history) + 1, settings.epochs + 1):
        if _out_of_patience(settings, epoch - 1, run.chosen_epoch):
            break
        entry = run.one_epoch(epoch, training, selection)
        chosen = run.keep_best(entry, chosen)
        if folder is not None:
            write_state(folder / "state.safetensors", run.state(key, chosen))
            _write_log(folder / "log.jsonl", run.history)
        if on_epoch is not None:
            on_epoch(entry)
    system.network.load_state_dict(dict(chosen))
    return Trained(tuple(run.history), run.chosen_epoch, _timing(started, cpu_started, run.history))


class _Run:
    """A network in training: optimiser, history and the best epoch so far."""

    def __init__(self, system: System, settings: TrainingSettings, seed: int, device: torch.device) -> None:
        self.system, self.settings, self.seed, self.device = system, settings, seed, device
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.network = system.network.to(device=device, memory_format=layout)  # type: ignore[call-overload] # torch stub
        self.optimiser = make_optimiser(self.network, settings)
        self.average = WeightAverage(self.network, settings.weight_average)
        self.history: list[Mapping[str, Any]] = []
        self.chosen_epoch = 0

    def resume(self, folder: Path | None, key: str) -> Mapping[str, Tensor]:
        """Take up the state of an interrupted run where there is one; the weights of the best epoch so far."""
        state = read_state(folder / "state.safetensors", key) if folder is not None else None
        if state is None:
            return {}
        self.network.load_state_dict(dict(state.weights))
        restore_optimiser(self.network, self.optimiser, state.optimiser)
        self.average.restore(state.average, sum(entry["steps"] for entry in state.epochs))
        self.history, self.chosen_epoch = list(state.epochs), state.chosen_epoch
        return state.chosen_weights

    def state(self, key: str, chosen: Mapping[str, Tensor]) -> TrainingState:
        """What a resumed run needs."""
        return TrainingState(
            key=key,
            epochs=tuple(self.history),
            chosen_epoch=self.chosen_epoch,
            weights=self.network.state_dict(),
            chosen_weights=chosen,
            optimiser=optimiser_tensors(self.network, self.optimiser),
            average=self.average.tensors,
        )

    def one_epoch(self, epoch: int, training: Sequence[Example], selection: Sequence[Example]) -> dict[str, Any]:
        """Train one epoch and score the selection part."""
        started = time.perf_counter()
        rate = learning_rate(self.settings, epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses, network_s, steps = self._steps(epoch, training)
        entry: dict[str, Any] = {"epoch": epoch, "learning_rate": rate, "steps": steps, "losses": losses}
        if selection:
            began = time.perf_counter()
            with self.average.applied():
                scored = score(self.system, selection, self.device)
            network_s += time.perf_counter() - began
            entry["selection"] = {"loss": scored.loss, "wa": scored.wa, "ua": scored.ua}
        entry["seconds"] = time.perf_counter() - started
        entry["network_seconds"] = network_s
        return entry

    def _steps(self, epoch: int, training: Sequence[Example]) -> tuple[dict[str, float], float, int]:
        torch.manual_seed(derive_seed(self.seed, "dropout", epoch))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "epoch", epoch))
        items = self.system.training_items(training, generator)
        order = torch.randperm(len(items), generator=generator).tolist()
        self.network.train()
        totals: dict[str, Tensor] = {}
        network_s, seen, steps = 0.0, 0, 0
        for chunk in batches(items, self.settings.batch_size, order):
            batch = self.system.collate(chunk).to(self.device)
            began = time.perf_counter()
            losses = self._step(batch, generator)
            network_s += time.perf_counter() - began
            for name, loss in losses.items():
                totals[name] = totals.get(name, torch.zeros((), device=self.device)) + loss * len(chunk)
            seen, steps = seen + len(chunk), steps + 1
        means = {name: float(total) / seen for name, total in totals.items()}
        _check_finite(means, epoch)
        return means, network_s, steps

    def _step(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        self.optimiser.zero_grad(set_to_none=True)
        with self._precision():
            losses = self.system.losses(batch, generator)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.average.update()
        return {name: loss.detach() for name, loss in losses.items()}

    def _precision(self) -> AbstractContextManager[object]:
        if self.settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def keep_best(self, entry: Mapping[str, Any], chosen: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Add an epoch to the history; its weights if it is the one to keep, else those kept so far."""
        best = self.history[self.chosen_epoch - 1] if self.chosen_epoch else None
        self.history.append(entry)
        if self.settings.selection == "validation" and best is not None and _merit(entry) <= _merit(best):
            return chosen
        self.chosen_epoch = int(entry["epoch"])
        return self.average.weights()


def make_optimiser(network: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam, or stochastic gradient descent with Nesterov's momentum, as the settings say."""
    if settings.optimiser == "adam":
        return torch.optim.Adam(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
    return torch.optim.SGD(
        network.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def learning_rate(settings: TrainingSettings, epoch: int) -> float:
    """The rate of a 1-based epoch: multiplied by the decay after every epoch, divided at the drops, above the minimum.

    The decay is no longer applied once the rate is below the minimum.
    """
    rate = settings.learning_rate
    for _ in range(epoch - 1):
        if rate >= settings.min_learning_rate:
            rate *= settings.learning_rate_decay
    drops = sum(epoch >= drop for drop in settings.learning_rate_drops)
    return float(rate / settings.learning_rate_drop**drops)


def _merit(entry: Mapping[str, Any]) -> tuple[float, float]:
    """(WA + UA) / 2, ties broken by the lower loss."""
    figures = entry["selection"]
    return (figures["wa"] + figures["ua"]) / 2, -figures["loss"]


def _out_of_patience(settings: TrainingSettings, done: int, chosen_epoch: int) -> bool:
    return settings.patience is not None and chosen_epoch > 0 and done - chosen_epoch >= settings.patience


def _check(training: Sequence[Example], selection: Sequence[Example], settings: TrainingSettings) -> None:
    if len(training) < 2:
        raise TrainingError("there is too little to train on", found=f"{len(training)} utterances")
    if not selection and (settings.selection == "validation" or settings.patience is not None):
        raise TrainingError(
            "there is no validation part to choose the epoch on",
            hint="Give the split validation speakers, or set training.selection=last and no patience",
        )


def _check_finite(losses: Mapping[str, float], epoch: int) -> None:
    for name, value in losses.items():
        if not np.isfinite(value):
            raise TrainingError(
                f"the {name} loss is not finite",
                where=f"epoch {epoch}",
                found=value,
                hint="Lower training.learning_rate, or set training.precision=float32",
            )


def _timing(started: float, cpu_started: float, history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    seconds = sum(entry["seconds"] for entry in history)
    network = sum(entry["network_seconds"] for entry in history)
    return {
        "wall_s": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu_started,
        "network_share": network / seconds if seconds else 0.0,
    }


def _write_log(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Append the last epoch; written anew where a resumed run finds lines it does not know."""
    lines = [json.dumps(entry) + "\n" for entry in history]
    kept = path.read_text(encoding="utf-8").count("\n") if path.exists() else 0
    mode = "a" if kept == len(lines) - 1 else "w"
    with path.open(mode, encoding="utf-8") as file:
        file.writelines(lines[-1:] if mode == "a" else lines)
