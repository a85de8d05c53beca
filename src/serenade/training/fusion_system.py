"""What systems share that look at several modalities of an utterance, any of which may be missing.

An example holds ``audio``, ``face`` and ``text`` as far as the utterance has them: rows along the first axis, such as
pieces of a spectrogram, pictures of a face, numbers or vectors of words. A batch holds them one utterance after the
other, with ``audio_lengths``, ``face_lengths`` and ``text_lengths``, 0 for what is missing.

Source: W. Dai, S. Cahyawijaya, Z. Liu, P. Fung, "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL
2021. What happens where a modality is missing is ours.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Generator, Tensor, device, nn
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.core.settings import Settings
from serenade.training.answers import AnswerKind, answers_of, fit_thresholds, positive_weights
from serenade.training.batches import target_shares
from serenade.training.settings import TrainingSettings
from serenade.training.system import Batch, Example, Outputs, System

__all__ = ["FusionNetwork", "FusionSettings", "FusionSystem", "Judged", "UtteranceSystem"]


@runtime_checkable
class UtteranceSystem(System, Protocol):
    """A system that looks at more of an utterance than its sound."""

    def utterance_key(self, utterance: Utterance) -> str:
        """Names everything that `extract_utterance` depends on besides the settings."""
        ...

    def extract_utterance(self, utterance: Utterance) -> dict[str, Tensor]:
        """Network inputs of what there is of an utterance; empty where there is nothing.

        Deterministic, as it is cached; the same for training and scoring.
        """
        ...


class FusionSettings(Settings):
    """How such a system is taught; the defaults are the published ones."""

    loss: Literal["bce", "cross_entropy"] = Field(
        "bce", description="bce: every emotion is a yes-or-no task; cross_entropy: exactly one emotion is right"
    )
    answers: AnswerKind = Field(
        "one", description="several: an utterance may have any number of emotions, as in CMU-MOSEI"
    )
    positive_weight: Literal["balanced", "none"] = Field(
        "balanced", description="bce: weight of a yes; balanced: as many as there are no for each yes"
    )
    modality_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="chance that a modality of an utterance trained on is left out, one always stays; 0 as published",
    )
    most_frames: int | None = Field(
        None,
        ge=1,
        description="of a longer utterance trained on, so many faces and so many pieces of sound, drawn anew every "
        "epoch; unset: all",
    )

    @model_validator(mode="after")
    def _losses_fit(self) -> Self:
        if self.loss == "cross_entropy" and self.answers == "several":
            raise ValueError("several emotions cannot be learnt with loss = cross_entropy: set loss = bce")
        return self


@dataclass(frozen=True, slots=True)
class Judged:
    """Scores of a batch before the sigmoid or softmax.

    Args:
        fused: (B, K).
        branches: (B, K) of each modality alone, in the order of the network; of no meaning where it is missing. Empty
            where a network has no branches of its own.
    """

    fused: Tensor
    branches: Mapping[str, Tensor]


class FusionNetwork(nn.Module, ABC):
    """The base of such a network: weights of the answers, and thresholds.

    Args:
        num_classes: K.
        modalities: what it looks at, in the order of its fusion.
    """

    positive_weights: Tensor
    thresholds: Tensor

    def __init__(self, num_classes: int, modalities: Sequence[str]) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        self.register_buffer("positive_weights", torch.ones(num_classes), persistent=False)
        self.register_buffer("thresholds", torch.full((num_classes,), 0.5))

    @abstractmethod
    def judge(self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Judged:
        """Scores of a batch.

        Args:
            inputs: of the batch.
            present: (B,) bool for each modality.
        """


class FusionSystem:
    """Batches, losses and scoring of such a system.

    A system sets `network` and `empty`, and adds how an utterance is read. Its embeddings are the scores before the
    sigmoid: the fused ones, then those of each branch, 0 where its modality is missing.

    Args:
        fusion: how it is taught.
        training: of the loop.
        labels: classes.
    """

    network: FusionNetwork
    empty: Mapping[str, Tensor]
    """No rows of each modality, in the order of an example's inputs: audio, face, text."""

    def __init__(self, fusion: FusionSettings, training: TrainingSettings, labels: LabelSet) -> None:
        self.fusion, self.labels = fusion, labels
        self._soft = training.targets == "votes"

    def to(self, where: device) -> Self:
        """The system with its network on a device; utterances are read on the CPU."""
        self.network.to(where)
        return self

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Count how often each emotion is there in the training part of a fold."""
        if self.fusion.loss == "bce" and self.fusion.positive_weight == "balanced":
            answers = torch.stack([self._answers(example) for example in train])
            self.network.positive_weights.copy_(positive_weights(answers))

    def training_items(self, examples: Sequence[Example], generator: Generator) -> list[Example]:
        """Every example once, without the modalities and frames that are left out this time."""
        return [self._item(example, generator) for example in examples]

    def _item(self, example: Example, generator: Generator) -> Example:
        names = [name for name in self.empty if name in example.inputs]  # a cache may give them in another order
        kept = [name for name in names if torch.rand((), generator=generator) >= self.fusion.modality_dropout]
        if not kept:
            kept = [names[int(torch.randint(len(names), (), generator=generator))]]
        inputs = {name: self._some(name, example.inputs[name], generator) for name in kept}
        return Example(example.utterance, inputs, example.target)

    def _some(self, name: str, rows: Tensor, generator: Generator) -> Tensor:
        most = self.fusion.most_frames
        if name == "text" or most is None or len(rows) <= most:
            return rows
        return rows[torch.randperm(len(rows), generator=generator)[:most].sort().values]

    def collate(self, items: Sequence[Example]) -> Batch:
        """What the items have, one utterance after the other, with its lengths."""
        inputs, lengths = dict[str, Tensor](), dict[str, Tensor]()
        for name, empty in self.empty.items():
            parts = [item.inputs.get(name, empty) for item in items]
            inputs[name] = torch.cat(parts)
            lengths[f"{name}_lengths"] = torch.tensor([len(part) for part in parts])
        answers = torch.stack([self._answers(item) for item in items])
        return Batch(
            inputs={**inputs, **lengths, "answers": answers},
            lengths=next(iter(lengths.values())),
            targets=torch.tensor([-1 if item.target is None else item.target for item in items]),
            ids=tuple(item.utterance.id for item in items),
            shares=torch.stack([target_shares(item, self.labels) for item in items]) if self._soft else None,
        )

    def _answers(self, example: Example) -> Tensor:
        return answers_of(example.utterance, self.labels, self.fusion.answers)

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """``emotion``: the mean over utterances and, with bce, over emotions."""
        fused = self._judge(batch).fused.float()
        if self.fusion.loss == "bce":
            answers = batch.inputs["answers"] if batch.shares is None else batch.shares
            weights = self.network.positive_weights
            return {"emotion": functional.binary_cross_entropy_with_logits(fused, answers, pos_weight=weights)}
        targets = batch.targets if batch.shares is None else batch.shares
        return {"emotion": functional.cross_entropy(fused, targets)}

    def predict(self, batch: Batch) -> Outputs:
        """Probabilities that sum to 1, and all scores as embeddings; `answer_probabilities` are the separate ones."""
        self.network.eval()
        with torch.no_grad():
            judged = self._judge(batch)
        present = self._present(batch)
        branches = [torch.where(present[name][:, None], score, 0.0) for name, score in judged.branches.items()]
        return Outputs(self.class_log_probabilities(judged.fused).exp(), torch.cat([judged.fused, *branches], dim=1))

    def class_log_probabilities(self, scores: Tensor) -> Tensor:
        """Logarithms of (B, K) probabilities that sum to 1: softmax, or with bce the shares of the sigmoids."""
        return (functional.logsigmoid(scores) if self.fusion.loss == "bce" else scores).log_softmax(dim=1)

    def answer_probabilities(self, scores: Tensor) -> Tensor:
        """(B, K) probabilities of yes for each emotion by itself; with cross_entropy they sum to 1."""
        return scores.sigmoid() if self.fusion.loss == "bce" else scores.softmax(dim=1)

    def choose_thresholds(self, examples: Sequence[Example], embeddings: NDArray[np.float32]) -> float:
        """Thresholds with the best F1 on these examples, kept in the network; the mean of these F1."""
        scores = torch.from_numpy(embeddings[:, : len(self.labels)])
        answers = torch.stack([self._answers(example) for example in examples])
        thresholds, mean_f1 = fit_thresholds(answers, self.answer_probabilities(scores))
        self.network.thresholds.copy_(thresholds)
        return mean_f1

    def _present(self, batch: Batch) -> dict[str, Tensor]:
        return {name: batch.inputs[f"{name}_lengths"] > 0 for name in self.network.modalities}

    def _judge(self, batch: Batch) -> Judged:
        present = self._present(batch)
        nothing = ~torch.stack(list(present.values())).any(0)
        if nothing.any():
            raise UsageError(
                "an utterance has none of the modalities that this system looks at",
                where=batch.ids[int(nothing.nonzero()[0])] or None,
                expected=" or ".join(present),
            )
        return self.network.judge(batch.inputs, present)
