"""What it takes to train an upstream along: steps are measured here, and a whole training is reckoned from them."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from serenade.core.labels import LabelSet
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.models.upstreams.text import TEN_WORDS
from serenade.models.upstreams.upstream import Modality
from serenade.signal.audio import SAMPLE_RATE
from serenade.systems import PRESETS, make_system, system_settings
from serenade.systems.upstream_downstream import UpstreamDownstreamSystem
from serenade.training.averaging import PUBLISHED_EPOCHS
from serenade.training.steps import Steps
from serenade.training.system import Example

__all__ = ["FineTuningCost", "FineTuningPace", "fine_tuning_cost", "measure_fine_tuning"]

_GIB = 2**30
_STEPS = 2  # the first one warms up, and makes room for what the optimiser remembers
_PRESETS = {"speech": ("ssl-finetune", "speech"), "text": ("ssl-text-finetune", "text")}  # preset, its branch


@dataclass(frozen=True, slots=True)
class FineTuningPace:
    """A measured step of fine-tuning, with the preset's settings.

    Args:
        count: recordings or transcripts that go through the network at once.
        speed: seconds of sound, or transcripts, per second.
        epochs: of the preset.
        memory_gib: the most that the process held (on a GPU: that torch held there); None where that is not told.
        model_gib: weights of the network in float32.
    """

    count: int
    speed: float
    epochs: int
    memory_gib: float | None
    model_gib: float


@dataclass(frozen=True, slots=True)
class FineTuningCost:
    """What one training costs.

    Args:
        hours: of computing, all epochs, without validation.
        disk_gib: while it lasts: the five best epochs, and the state to go on from (weights and two moments).
        model_gib: of the model that is left.
    """

    hours: float
    disk_gib: float
    model_gib: float


def measure_fine_tuning(
    upstream: str, modality: Modality, device: torch.device, *, clip_s: float = 5.0
) -> FineTuningPace:
    """Train an upstream for two steps as the presets ``ssl-finetune`` and ``ssl-text-finetune`` do.

    Args:
        upstream: its folder.
        modality: what it takes.
        device: where to train.
        clip_s: length of a clip of noise; transcripts have ten words.

    Raises:
        UsageError: it has nothing to train, or the clip is longer than it takes.
        CheckpointError: it cannot be read.
    """
    preset, branch = _PRESETS[modality]
    settings = system_settings(preset, {"branches": {branch: {"upstream": upstream}}})
    system = make_system(PRESETS[preset], settings.model_dump(), LabelSet(("one", "other")))
    assert isinstance(system, UpstreamDownstreamSystem)
    training = system.to(device).settings.training
    count = training.micro_batch_size or training.batch_size
    batch = system.collate([_example(system, clip_s, place) for place in range(count)]).to(device)
    steps, generator = Steps(system, training, device), torch.Generator().manual_seed(0)
    system.network.train()
    _forget_peak(device)
    for _ in range(_STEPS):
        began = time.perf_counter()
        losses = steps.step([(batch, 1.0)], generator)
        torch.stack(list(losses.values())).cpu()  # waits for a device that computes on its own
        spent = time.perf_counter() - began
    amount = count * (1.0 if modality == "text" else clip_s)
    weights = sum(parameter.numel() for parameter in system.network.parameters())
    return FineTuningPace(count, amount / spent, training.epochs, _peak_gib(device), 4 * weights / _GIB)


def _example(system: UpstreamDownstreamSystem, clip_s: float, place: int) -> Example:
    noise = 0.1 * torch.randn(round(clip_s * SAMPLE_RATE), generator=torch.Generator().manual_seed(place))
    inputs = {**system.extract(noise, training=True), **system.extract_text(TEN_WORDS)}
    return Example(Utterance(str(place), Path(), "", UNKNOWN_SPEAKER, None), inputs, place % 2)


def fine_tuning_cost(pace: FineTuningPace, amount: float) -> FineTuningCost:
    """What training an upstream along costs.

    Args:
        pace: measured.
        amount: seconds of sound, or transcripts, that are trained on in an epoch.
    """
    hours = pace.epochs * amount / pace.speed / 3600
    return FineTuningCost(hours, (PUBLISHED_EPOCHS + 3) * pace.model_gib, pace.model_gib)


def _forget_peak(device: torch.device) -> None:
    """Begin to count the most memory anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):  # another system, or not allowed: then it is that of the process so far
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_gib(device: torch.device) -> float | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    told = status.partition("VmHWM:")[2].split()  # kiB; some kernels do not tell it
    return int(told[0]) / 2**20 if told else None
