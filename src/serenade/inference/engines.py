"""What scores segments for a recogniser: a trained system in torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from serenade.core.errors import UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.signal.segments import SegmentSettings
from serenade.training.system import Example, ReadingSystem, SegmentSystem, System

__all__ = ["AttributeSystem", "Engine", "LabelledEngine", "TorchSegments", "TorchUtterances", "torch_engine"]

# Segments per step of the network. On a CPU, 8 to 16 of GLAM are quickest: 4 take 5 % longer, and 32 take 20 % longer,
# in page faults. A single short recording pays for all of them (35 ms), so the smaller.
_BATCH_CPU, _BATCH_GPU = 8, 64


class Engine(Protocol):
    """Scores segments; safe to use from several threads.

    `segments` says how a piece is cut, None for not at all. `batch` is how many segments go through at a time.
    `attributes` says whether valence, arousal and dominance are told.
    """

    batch: int
    segments: SegmentSettings | None
    attributes: bool

    def logits(self, waveforms: Tensor) -> Tensor:
        """(N, K) float64 scores of (N, T) segments at 16 kHz; of a piece the mean counts.

        Where the model tells valence, arousal and dominance they follow as three more columns, from 0 to 1.
        """
        ...


@runtime_checkable
class LabelledEngine(Engine, Protocol):
    """An engine that knows its classes, such as a model that was exported."""

    labels: LabelSet


@runtime_checkable
class AttributeSystem(Protocol):
    """A system that may tell valence, arousal and dominance."""

    @property
    def tells_attributes(self) -> bool:
        """Whether it was trained to."""
        ...


def torch_engine(system: System) -> Engine:
    """The engine of a trained system."""
    return TorchSegments(system) if isinstance(system, SegmentSystem) else TorchUtterances(system)


class TorchSegments:
    """Scores of fixed-length segments, many at a time."""

    attributes = False

    def __init__(self, system: SegmentSystem) -> None:
        self._system = system
        self._device = _device_of(system)
        self.batch = _BATCH_CPU if self._device.type == "cpu" else _BATCH_GPU
        self.segments: SegmentSettings | None = system.evaluation_segments
        # Convolutions run a sixth quicker on this layout; the results are those of the other within rounding.
        system.network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs

    def logits(self, waveforms: Tensor) -> Tensor:
        """(N, K) float64 scores of (N, T) segments."""
        with torch.inference_mode():
            return self._system.segment_logits(waveforms.to(self._device)).cpu().double()


class TorchUtterances:
    """Scores of whole pieces, one at a time, for systems that do not cut."""

    batch = 1
    segments: SegmentSettings | None = None

    def __init__(self, system: System) -> None:
        self._system = system
        self.attributes = isinstance(system, AttributeSystem) and system.tells_attributes

    @property
    def reads_words(self) -> bool:
        """Whether the system looks at words beside the sound."""
        return isinstance(self._system, ReadingSystem) and self._system.reads_words

    def logits(self, waveforms: Tensor) -> Tensor:
        """(1, K) float64 logarithms of the probabilities of a (1, T) piece, and its attributes."""
        return self._scores(self._system.extract(waveforms[0], training=False))

    def logits_with_words(self, waveform: Tensor, words: str) -> Tensor:
        """The same of a (T,) recording and what is said in it.

        Raises:
            UsageError: there are no words.
        """
        if not isinstance(self._system, ReadingSystem) or not words.strip():
            raise UsageError(
                "this model looks at what is said too, and no words are told",
                hint="Put NAME.txt or NAME.srt beside NAME.wav, or give the words; see docs/prediction.md",
            )
        heard = self._system.extract(waveform, training=False)
        return self._scores({**heard, **self._system.extract_text(words)})

    def _scores(self, inputs: Mapping[str, Tensor]) -> Tensor:
        nobody = Utterance("", Path(), "", UNKNOWN_SPEAKER, None)
        with torch.inference_mode():
            outputs = self._system.predict(self._system.collate([Example(nobody, inputs, None)]))
        logs = outputs.probabilities.cpu().double().log()
        return logs if outputs.attributes is None else torch.cat([logs, outputs.attributes.cpu().double()], dim=1)


def _device_of(system: System) -> torch.device:
    return next((weight.device for weight in system.network.parameters()), torch.device("cpu"))
