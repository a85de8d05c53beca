"""What the training loop and the recogniser know of a system: examples in, losses and outputs out.

The loop adds weighted losses and knows nothing of emotion, modality or corpus; a system knows nothing of folds and
files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self, runtime_checkable

from torch import Generator, Tensor, device, nn

from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.core.settings import Settings
from serenade.evaluation.unlabelled_leaks import Heard
from serenade.signal.segments import SegmentSettings

__all__ = [
    "AlternatingSystem",
    "Batch",
    "DeclaringSystem",
    "DemandingSystem",
    "Example",
    "FittedSystem",
    "GatheringSystem",
    "InheritingSystem",
    "Outputs",
    "Phase",
    "PretrainedSystem",
    "RateGroup",
    "RatedSystem",
    "ReadingSystem",
    "SegmentSystem",
    "SemiSupervisedSystem",
    "SteppingSystem",
    "System",
    "UnlabelledUse",
]

UnlabelledUse = Literal["refused", "optional", "required"]


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance (or one segment of it) with its network inputs.

    Args:
        utterance: where it comes from.
        inputs: name to tensor; the first axis counts segments: ``audio: (N, F, L)``.
        target: class index; None for unlabelled speech.
    """

    utterance: Utterance
    inputs: Mapping[str, Tensor]
    target: int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples put together; segments of all examples follow each other along the first axis.

    Args:
        inputs: name to tensor, ``audio: (sum of lengths, F, L)``.
        lengths: (B,) int64, segments per example.
        targets: (B,) int64 class indices; -1 for unlabelled.
        ids: utterance ids.
        shares: (B, K) what is to be predicted where the votes of raters are trained on; None where the targets are.
        attributes: (B, 3) valence, arousal and dominance, each from 0 (lower end of the corpus's scale) to 1 (upper
            end), NaN where the corpus does not say; None where a system collates none.
    """

    inputs: Mapping[str, Tensor]
    lengths: Tensor
    targets: Tensor
    ids: tuple[str, ...]
    shares: Tensor | None = None
    attributes: Tensor | None = None

    def to(self, where: device) -> "Batch":
        """The same batch on a device."""
        inputs = {name: tensor.to(where, non_blocking=True) for name, tensor in self.inputs.items()}
        shares = None if self.shares is None else self.shares.to(where)
        attributes = None if self.attributes is None else self.attributes.to(where)
        return Batch(inputs, self.lengths.to(where), self.targets.to(where), self.ids, shares, attributes)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a system says of a batch.

    Args:
        probabilities: (B, K) float32, one row per example.
        embeddings: (B, D) float32, the vector the classifier sees, averaged over segments.
        log_probabilities: (B, K) natural logarithms, where the system computes them: they have a gradient also where a
            probability is rounded to 1. None where it does not.
        attributes: (B, 3) valence, arousal and dominance, each from 0 to 1; None where a system does not tell them.
    """

    probabilities: Tensor
    embeddings: Tensor
    log_probabilities: Tensor | None = None
    attributes: Tensor | None = None


@runtime_checkable
class System(Protocol):
    """A published system: front end, networks, losses, and how examples become batches.

    Constructed as ``System(settings, labels)``; `settings_class` is the class of the settings.
    """

    settings_class: type[Settings]
    settings: Settings
    labels: LabelSet

    @property
    def network(self) -> nn.Module:
        """Everything with weights or fitted buffers (normaliser included): what a checkpoint stores."""
        ...

    def cache_key(self, *, training: bool) -> str:
        """Names everything that `extract` depends on besides the waveform."""
        ...

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """Network inputs of one utterance from its (T,) waveform at 16 kHz; deterministic, as it is cached.

        Where the front end is differentiable the inputs have a gradient if the waveform requires one.
        """
        ...

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Fit whatever is fitted to inputs (the normaliser) on the training part of a fold."""
        ...

    def training_items(self, examples: Sequence[Example], generator: Generator) -> Sequence[Example]:
        """What one epoch goes through, every utterance at least once: segments or whole utterances, shuffled later."""
        ...

    def collate(self, items: Sequence[Example]) -> Batch:
        """Put items together."""
        ...

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """Named scalar losses, already weighted; their sum is minimised."""
        ...

    def predict(self, batch: Batch) -> Outputs:
        """Probabilities and embeddings in evaluation mode; independent of what else is in the batch."""
        ...

    def to(self, where: device) -> Self:
        """The system with its network and front end on a device."""
        ...


@runtime_checkable
class FittedSystem(System, Protocol):
    """A system that is fitted in one step instead of by epochs, such as a logistic regression."""

    def fit(self, train: Sequence[Example], selection: Sequence[Example], seed: int) -> None:
        """Fit on the training part of a fold; `selection` (may be empty) is for choosing what is not fitted."""
        ...


@runtime_checkable
class SemiSupervisedSystem(System, Protocol):
    """A system that can learn from speech without emotion labels.

    Of every batch the labelled items come first, then the unlabelled ones with target -1; `losses` gets them together,
    so that one forward pass sees both.
    """

    @property
    def unlabelled_use(self) -> UnlabelledUse:
        """Whether a run may, must or must not give it unlabelled speech."""
        ...

    def meet_unlabelled(self, utterances: Sequence[Utterance]) -> None:
        """Told once, before `fit_inputs`, what the unlabelled speech of the run is, such as who speaks there."""
        ...


@runtime_checkable
class DemandingSystem(System, Protocol):
    """A system that cannot learn from every corpus."""

    def require_fitting_data(self, utterances: Sequence[Utterance]) -> None:
        """Told what a run is about before anything is extracted; raises a `SerenadeError` where it lacks something."""
        ...


@runtime_checkable
class SteppingSystem(System, Protocol):
    """A system with state of its own that moves with the steps, such as centers of classes."""

    def after_step(self) -> None:
        """Called without gradients after the optimiser steps of every batch; state lies in buffers of the network."""
        ...


@dataclass(frozen=True, slots=True)
class Phase:
    """One of several optimiser steps per batch.

    Args:
        name: unique within the system.
        losses: named scalar losses of a batch, already weighted; their sum is minimised.
        parameters: what this step moves; gradients that reach others are thrown away.
    """

    name: str
    losses: Callable[[Batch, Generator], dict[str, Tensor]]
    parameters: Sequence[nn.Parameter]


@runtime_checkable
class AlternatingSystem(System, Protocol):
    """A system that takes several optimiser steps per batch, such as one with an adversary.

    Every phase has an optimiser of its own with the same settings. `losses` gives those of all phases together.
    """

    def phases(self) -> Sequence[Phase]:
        """The steps of a batch, in order; names of losses differ between phases."""
        ...


@dataclass(frozen=True, slots=True)
class RateGroup:
    """Parameters that learn at a rate of their own.

    Args:
        parameters: what is moved.
        factor: their rate is the loop's times this.
    """

    parameters: Sequence[nn.Parameter]
    factor: float


@runtime_checkable
class RatedSystem(System, Protocol):
    """A system whose parts learn at different rates, such as a pretrained network and a fresh head."""

    def rate_groups(self) -> Sequence[RateGroup]:
        """All that is trained, each parameter once; what is in no group stays as it is."""
        ...


@runtime_checkable
class GatheringSystem(System, Protocol):
    """A system that gets the inputs of many utterances together, such as frames that it keeps in stores of its own."""

    @property
    def keeps_inputs(self) -> bool:
        """Whether what it computes is kept, so that it is worth doing before the jobs begin."""
        ...

    def gather(
        self, utterances: Sequence[Utterance], progress: Callable[[int], None] | None = None
    ) -> list[dict[str, Tensor]]:
        """Network inputs of each utterance, in order; the same for training and scoring.

        Args:
            utterances: examined ones.
            progress: told how many are done so far.
        """
        ...


@runtime_checkable
class InheritingSystem(System, Protocol):
    """A system that takes weights of models that were trained here before."""

    @property
    def origins(self) -> Sequence[Path]:
        """Their folders."""
        ...


@runtime_checkable
class ReadingSystem(System, Protocol):
    """A system that may look at words beside the sound."""

    @property
    def reads_words(self) -> bool:
        """Whether it does."""
        ...

    def extract_text(self, text: str) -> dict[str, Tensor]:
        """Network inputs of the words of one utterance, which go beside those of its waveform."""
        ...


@runtime_checkable
class DeclaringSystem(System, Protocol):
    """A system whose results need words beside them."""

    @property
    def protocol(self) -> str | None:
        """What it sees besides the training part, such as unlabelled recordings of tested speakers; None: nothing."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know, such as the licence of what computed its features."""
        ...

    def prepare(self, examples: Sequence[Example]) -> list[Example]:
        """All examples of a run, whatever their part, with the inputs that `protocol` tells of; classes are not used.

        Called only where there is a protocol.
        """
        ...


@runtime_checkable
class PretrainedSystem(System, Protocol):
    """A system with parts that were pretrained elsewhere: whom they heard there must not be tested."""

    @property
    def heard(self) -> Sequence[Heard]:
        """What is known of their pretraining; nothing of parts that do not tell."""
        ...


@runtime_checkable
class SegmentSystem(System, Protocol):
    """A system that scores fixed-length segments and averages them: it can score a stream of any length."""

    @property
    def evaluation_segments(self) -> SegmentSettings:
        """How a recording is cut for scoring."""
        ...

    def segment_logits(self, waveforms: Tensor) -> Tensor:
        """Scores (N, K), before the softmax, of (N, T) waveforms; an utterance's are their mean."""
        ...
