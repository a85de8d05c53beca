"""What systems share that answer yes or no for every emotion: the true answers, weights and thresholds.

Dai et al., "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL 2021, trains all emotions as separate
yes-or-no tasks, also where every utterance has one emotion only.
"""

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serenade.core.labels import LabelSet, canonical_emotion
from serenade.core.records import Utterance
from serenade.evaluation.multi_label import best_thresholds, decide, f1, mean_of_defined
from serenade.training.system import Example, System

__all__ = ["AnswerKind", "AnsweringSystem", "answers_of", "fit_thresholds", "positive_weights"]

AnswerKind = Literal["one", "several"]
"""Whether an utterance has one emotion, or any number of them."""


@runtime_checkable
class AnsweringSystem(System, Protocol):
    """A system that answers yes or no for every emotion, above thresholds that are chosen on the validation part."""

    def choose_thresholds(self, examples: Sequence[Example], embeddings: NDArray[np.float32]) -> float:
        """Choose thresholds on these examples, of which `embeddings` are the system's, and keep them in its network.

        Returns:
            Mean F1 over the emotions with these thresholds.
        """
        ...


def answers_of(utterance: Utterance, labels: LabelSet, kind: AnswerKind) -> Tensor:
    """(K,) 1 for each emotion that an utterance has.

    With ``several`` these are the emotions in ``extra["labels"]``, names separated by commas, where the corpus says so;
    else those that a rater has voted for; else its one. With ``one``, and for want of others, it is `emotion`.
    """
    named = _several(utterance) if kind == "several" else None
    names = {utterance.emotion} if named is None else named
    return torch.tensor([float(name in names) for name in labels.names])


def _several(utterance: Utterance) -> set[str] | None:
    stated = utterance.extra.get("labels")
    if stated is not None:
        return {canonical_emotion(name) or name.strip() for name in stated.split(",") if name.strip()}
    return {name for name, votes in utterance.votes.items() if votes > 0} or None


def positive_weights(answers: Tensor) -> Tensor:
    """(K,) how many no there are for each yes among (N, K) answers; 1 where there is no yes."""
    yes = answers.sum(0)
    return torch.where(yes > 0, (len(answers) - yes) / yes.clamp_min(1), 1.0)


def fit_thresholds(answers: Tensor, probabilities: Tensor) -> tuple[Tensor, float]:
    """(K,) float32 thresholds with the best F1 of each emotion on (N, K) utterances, and the mean of these F1."""
    truth, values = answers.numpy(), probabilities.double().numpy()
    thresholds = best_thresholds(truth, values)
    return torch.from_numpy(thresholds).float(), mean_of_defined(f1(truth, decide(values, thresholds)))
