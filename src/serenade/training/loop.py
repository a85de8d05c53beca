"""The training loop: epochs over items, selection on validation, a state after every epoch, the same result resumed."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serenade.core.errors import TrainingError, UsageError
from serenade.core.seeding import derive_seed
from serenade.core.wording import counted
from serenade.evaluation.metrics import confusion, ua, wa
from serenade.training.answers import AnsweringSystem
from serenade.training.averaging import BestEpochs, WeightAverage
from serenade.training.batches import batches, num_segments
from serenade.training.buckets import bucketed_order
from serenade.training.ranks import Ranks
from serenade.training.schedule import merit, plan_epoch, ranking, step_rate
from serenade.training.settings import TrainingSettings
from serenade.training.state import TrainingState, read_state, write_state
from serenade.training.steps import Part, Steps
from serenade.training.system import Example, FittedSystem, SemiSupervisedSystem, SteppingSystem, System
from serenade.training.unlabelled import UnlabelledSpeech, ahead, endless, require_fitting_use

__all__ = ["Augment", "EpochCallback", "Scored", "Trained", "score", "train"]

_SCORING_SEGMENTS = 128  # segments per forward pass when scoring: measured flat from 64 to 256 on a CPU
_BATCHES_AHEAD = 4  # read while the network works; memory is bounded by so many
EpochCallback = Callable[[Mapping[str, Any]], None]
Augment = Callable[[Example, torch.Generator], Example]
"""An utterance's example anew from its changed waveform; called from other threads."""


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
        averaged: with ``training.average_best``: ``epochs`` whose weights the system holds the mean of, best first, how
            many were ``asked`` for, and the ``selection`` figures of the mean where there is a validation part. None
            where one epoch was kept.
        single: with ``training.test_single`` the weights of the chosen epoch alone.
    """

    epochs: tuple[Mapping[str, Any], ...]
    chosen_epoch: int
    timing: Mapping[str, float]
    averaged: Mapping[str, Any] | None = None
    single: Mapping[str, Tensor] | None = None


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
    unlabelled: UnlabelledSpeech | None = None,
    augment: Augment | None = None,
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
        unlabelled: speech of which ``settings.unlabelled_batch_size`` examples join every batch; an epoch is one pass
            over `training` all the same. None for none.
        augment: makes the examples of every epoch, labelled or not, from changed waveforms; None leaves them alone.
        folder: where state and log are kept; None keeps nothing.
        key: names the run, so that the state of another one is not taken up.
        on_epoch: called with each epoch's entry.

    Raises:
        TrainingError: nothing to train or select on, or a loss that is not finite.
        UsageError: the system needs unlabelled speech and gets none, or the other way round; or its losses cannot be
            had in parts, and ``training.micro_batch_size`` is set.
        StorageError: the state cannot be written.
    """
    started, cpu_started = time.perf_counter(), time.process_time()
    _check(training, selection, settings)
    require_fitting_use(system, given=unlabelled is not None)
    if isinstance(system, SemiSupervisedSystem) and unlabelled is not None:
        system.meet_unlabelled(unlabelled.utterances)
    system.fit_inputs(training)
    if isinstance(system, FittedSystem):
        system.fit(training, selection, seed)
        return Trained((), 1, _timing(started, cpu_started, ()))
    ranks = Ranks()
    _require_parts(system, settings, unlabelled, ranks)
    _require_thresholds(system, settings)
    best = BestEpochs(settings.average_best, folder / "best" if folder is not None else None, key)
    run = _Run(system, settings, seed, device, unlabelled, augment, best, ranks)
    run.resume(folder, key)
    with closing(run.passes(training)) as passes:
        while len(run.history) < settings.epochs:
            entry = run.next_epoch(passes, selection)
            if entry is None:
                break
            if folder is not None and ranks.leads:
                write_state(folder / "state.safetensors", run.state(key))
                _write_log(folder / "log.jsonl", run.history)
            ranks.wait()
            run.forget()
            if on_epoch is not None and ranks.leads:
                on_epoch(entry)
    averaged = run.take_weights(training, selection)
    return Trained(
        tuple(run.history), run.chosen_epoch, _timing(started, cpu_started, run.history), averaged, run.single
    )


class _Run:
    """A network in training: optimisers, history and the best epochs so far."""

    def __init__(
        self,
        system: System,
        settings: TrainingSettings,
        seed: int,
        device: torch.device,
        unlabelled: UnlabelledSpeech | None,
        augment: Augment | None,
        best: BestEpochs,
        ranks: Ranks,
    ) -> None:
        self.system, self.settings, self.seed, self.device = system, settings, seed, device
        self.unlabelled, self.augment, self.best, self.ranks = unlabelled, augment, best, ranks
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.network = system.network.to(device=device, memory_format=layout)  # type: ignore[call-overload] # torch stub
        self.steps = Steps(system, settings, device, ranks)
        self.average = WeightAverage(self.network, settings.weight_average)
        self.history: list[Mapping[str, Any]] = []
        self.chosen: Mapping[str, Tensor] = {}
        self.chosen_epoch = 0

    @property
    def steps_done(self) -> int:
        """Batches so far, over all epochs."""
        return sum(entry["steps"] for entry in self.history)

    def resume(self, folder: Path | None, key: str) -> None:
        """Take up the state of an interrupted run where there is one."""
        state = read_state(folder / "state.safetensors", key) if folder is not None else None
        if state is None or not self.best.holds(ranking(self.settings, state.epochs)):
            return
        self.network.load_state_dict(dict(state.weights))
        self.steps.restore(state.optimiser)
        self.history, self.chosen_epoch = list(state.epochs), state.chosen_epoch
        self.average.restore(state.average, self.steps_done)
        self.chosen = state.chosen_weights

    def state(self, key: str) -> TrainingState:
        """What a resumed run needs."""
        return TrainingState(
            key=key,
            epochs=tuple(self.history),
            chosen_epoch=self.chosen_epoch,
            weights=self.network.state_dict(),
            chosen_weights=self.chosen,
            optimiser=self.steps.tensors(),
            average=self.average.tensors,
        )

    def passes(self, training: Sequence[Example]) -> Generator[Sequence[Example], None, None]:
        """The training part for one epoch after the other; augmented an epoch ahead in a thread, where it is."""
        if self.augment is None:
            while True:
                yield training
        first = len(self.history) + 1
        yield from ahead(([self._changed(each, epoch) for each in training] for epoch in count(first)), 1)

    def _changed(self, example: Example, epoch: int) -> Example:
        """The example of an epoch: what is drawn for it depends on nothing else."""
        if self.augment is None:
            return example
        seed = derive_seed(self.seed, "augmentation", epoch, example.utterance.id)
        return self.augment(example, torch.Generator().manual_seed(seed))

    def next_epoch(self, passes: Iterator[Sequence[Example]], selection: Sequence[Example]) -> dict[str, Any] | None:
        """Train one epoch and score the selection part; None where the schedule says that training is over."""
        started = time.perf_counter()
        epoch = len(self.history) + 1
        plan = plan_epoch(self.settings, self.history, self.chosen_epoch)
        if plan.stop:
            return None
        entry: dict[str, Any] = {"epoch": epoch, "learning_rate": plan.learning_rate}
        if plan.restore:
            self.network.load_state_dict(dict(self.chosen))
            self.steps.reset()
            entry["restored_epoch"] = self.chosen_epoch
        entry["losses"], network_s, entry["steps"] = self._train(epoch, plan.learning_rate, next(passes))
        if selection:
            began = time.perf_counter()
            with self.average.applied():
                scored = score(self.system, selection, self.device)
            network_s += time.perf_counter() - began
            entry["selection"] = self.ranks.told_by_leader(self._figures(scored, selection))
        entry["seconds"] = time.perf_counter() - started
        entry["network_seconds"] = network_s
        self._keep_best(entry)
        return entry

    @property
    def single(self) -> Mapping[str, Tensor] | None:
        """The weights of the chosen epoch alone, where they are asked for."""
        return self.chosen if self.settings.test_single else None

    def forget(self) -> None:
        """Let go of the weights of epochs that are no longer among the best, once the state is safe."""
        self.best.forget(ranking(self.settings, self.history))

    def take_weights(self, training: Sequence[Example], selection: Sequence[Example]) -> dict[str, Any] | None:
        """Give the network its final weights; what was averaged, where it was.

        The mean of several epochs is taken even if it is worse on the validation part than the best of them.
        """
        if self.settings.average_best == 1:
            self.network.load_state_dict(dict(self.chosen))
            return None
        order = ranking(self.settings, self.history)
        self.network.load_state_dict(self.best.mean(order))
        if self.settings.refresh_norms:
            self._refresh_norms(training)
        found: dict[str, Any] = {"epochs": order[: self.settings.average_best], "asked": self.settings.average_best}
        if selection:
            scored = score(self.system, selection, self.device)
            found["selection"] = self._figures(scored, selection)
        return found

    def _figures(self, scored: Scored, selection: Sequence[Example]) -> dict[str, float]:
        """Figures of the selection part, without those that want a class where no utterance has one.

        Where there are thresholds, they are chosen on it.
        """
        figures = {"loss": scored.loss, "wa": scored.wa, "ua": scored.ua}
        figures = {name: value for name, value in figures.items() if np.isfinite(value)}
        if isinstance(self.system, AnsweringSystem):
            figures["f1"] = self.system.choose_thresholds(selection, scored.embeddings)
        return figures

    def _refresh_norms(self, training: Sequence[Example]) -> None:
        """Statistics of batch normalisation of the weights at hand: the plain mean over the training part's batches."""
        norms = [module for module in self.network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        usual = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch: a cumulative mean
        torch.manual_seed(derive_seed(self.seed, "norms"))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "norms", "items"))
        items = self.system.training_items(training, generator)
        self.network.train()
        with torch.no_grad():
            for chunk in batches(items, self.settings.micro_batch_size or self.settings.batch_size, range(len(items))):
                self.system.losses(self.system.collate(chunk).to(self.device), generator)
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
        self.network.eval()

    def _train(self, epoch: int, rate: float, training: Sequence[Example]) -> tuple[dict[str, float], float, int]:
        """Mean losses over the labelled items, seconds in the network, and steps of an epoch."""
        torch.manual_seed(derive_seed(self.seed, "dropout", epoch, *self.ranks.mark))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "epoch", epoch))
        items = self.system.training_items(training, generator)
        order = _order(items, self.settings, generator)
        least = 2 * self.ranks.size
        chunks = list(batches(items, self.settings.batch_size, order, self.settings.batch_frames, least))
        if self.ranks.mark:  # what is drawn for the items is the same in all processes, what for the steps is not
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "epoch", epoch, *self.ranks.mark))
        self.network.train()
        totals: dict[str, Tensor] = {}
        network_s, seen, steps = 0.0, 0, 0
        before = self.steps_done
        with closing(self._collated(epoch, chunks)) as collated:
            for parts, labelled in collated:
                on_device = [(batch.to(self.device), share) for batch, share in parts]
                began = time.perf_counter()
                self.steps.set_learning_rate(step_rate(self.settings, rate, before + steps, len(chunks)))
                losses = self.steps.step(on_device, generator)
                self.average.update()
                network_s += time.perf_counter() - began
                for name, loss in losses.items():
                    totals[name] = totals.get(name, torch.zeros((), device=self.device)) + loss * labelled
                seen, steps = seen + labelled, steps + 1
        means = {name: float(total) / seen for name, total in totals.items()}
        _check_finite(means, epoch)
        return means, network_s, steps

    def _collated(
        self, epoch: int, chunks: Sequence[list[Example]]
    ) -> Generator[tuple[Sequence[Part], int], None, None]:
        """Batches and how many of their items are labelled; with unlabelled speech made ahead in a thread."""
        if self.unlabelled is None:
            return ((self._parts(chunk), len(chunk)) for chunk in chunks)
        drawn = self._unlabelled_items(epoch, self.unlabelled)
        joined = (([(self.system.collate([*chunk, *next(drawn)]), 1.0)], len(chunk)) for chunk in chunks)
        return ahead(joined, _BATCHES_AHEAD)

    def _parts(self, chunk: Sequence[Example]) -> list[Part]:
        """A batch in the parts that go through the network at once."""
        size = self.settings.micro_batch_size
        if size is None and self.ranks.size == 1:
            return [(self.system.collate(chunk), 1.0)]
        own = self.ranks.own(chunk)
        parts = batches(own, size or len(own), range(len(own))) if own else ()
        return [(self.system.collate(part), len(part) / len(chunk)) for part in parts]

    def _unlabelled_items(self, epoch: int, speech: UnlabelledSpeech) -> Iterator[list[Example]]:
        """The unlabelled items of each step, going on in the stream where the epochs before have left it."""
        wanted = self.settings.unlabelled_batch_size
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "unlabelled", epoch))
        places = endless(len(speech), self.seed, self.steps_done * wanted)
        while True:
            examples = [self._changed(speech[place], epoch) for place in islice(places, wanted)]
            yield list(self.system.training_items(examples, generator))

    def _keep_best(self, entry: Mapping[str, Any]) -> None:
        """Add an epoch to the history, and keep its weights if it is the one to keep."""
        best = self.history[self.chosen_epoch - 1] if self.chosen_epoch else None
        self.history.append(entry)
        order = ranking(self.settings, self.history)
        if int(entry["epoch"]) in order[: self.settings.average_best]:
            self.best.keep(int(entry["epoch"]), order, self.average.weights())
        by_merit = self.settings.selection == "validation"
        if best is not None and by_merit and merit(entry, self.settings) <= merit(best, self.settings):
            return
        self.chosen_epoch = int(entry["epoch"])
        self.chosen = self.average.weights()


def _require_parts(
    system: System, settings: TrainingSettings, unlabelled: UnlabelledSpeech | None, ranks: Ranks
) -> None:
    """Pass if the losses of a batch are means over its items, where they are to be had in parts."""
    if settings.micro_batch_size is None and ranks.size == 1:
        return
    if unlabelled is not None or isinstance(system, SteppingSystem):
        raise UsageError(
            "this system's losses are of whole batches and cannot be had in parts",
            found=f"training.micro_batch_size = {settings.micro_batch_size}, {counted(ranks.size, 'process')}",
            hint="Leave it out and train in one process; set training.batch_size lower if memory is short",
        )


def _require_thresholds(system: System, settings: TrainingSettings) -> None:
    if settings.criterion == "f1" and not isinstance(system, AnsweringSystem):
        raise UsageError(
            "this system has no thresholds, by which F1 of the emotions is counted",
            found="training.criterion = f1",
            expected="mean, ua or wa",
        )


def _check(training: Sequence[Example], selection: Sequence[Example], settings: TrainingSettings) -> None:
    if len(training) < 2:
        raise TrainingError("there is too little to train on", found=counted(len(training), "utterance"))
    needed = settings.selection == "validation" or settings.patience is not None or settings.schedule == "new_bob"
    if not selection and needed:
        raise TrainingError(
            "there is no validation part to choose the epoch on",
            hint="Give the split validation speakers (loso instead of loso:0), or set training.selection=last with "
            "training.schedule=decay and no patience",
        )
    by_class = settings.criterion != "f1" or settings.schedule == "new_bob"
    if needed and by_class and all(example.target is None for example in selection):
        raise TrainingError(
            "no utterance of the validation part has one class, so its accuracy cannot choose the epoch",
            found=f"training.criterion = {settings.criterion}",
            hint="Set training.criterion=f1",
        )


def _order(items: Sequence[Example], settings: TrainingSettings, generator: torch.Generator) -> list[int]:
    """A random order of the items; with `similar_lengths` neighbours are of similar size."""
    if settings.similar_lengths:
        sizes = [sum(tensor.numel() for tensor in item.inputs.values()) for item in items]
        return bucketed_order(sizes, settings.batch_size, generator)
    return torch.randperm(len(items), generator=generator).tolist()


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
