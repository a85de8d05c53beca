"""From the scores of a model to a prediction: the classes to choose from, calibration, what is uncertain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from serenade.core.errors import UsageError
from serenade.core.labels import LabelSet, canonical_emotion
from serenade.core.records import Attributes, Prediction
from serenade.training.description import Calibration

__all__ = ["Answers"]

_EVEN_ODDS = 0.5


@dataclass(frozen=True, slots=True)
class Answers:
    """How a model's scores are told.

    Args:
        known: the classes of the model, in the order of its scores.
        kept: indices of the classes to choose from, in that order; None for all.
        calibration: what makes its probabilities mean what they say; None takes them as they are.
    """

    known: LabelSet
    kept: tuple[int, ...] | None
    calibration: Calibration | None

    @classmethod
    def among(cls, known: LabelSet, classes: Sequence[str] | None, calibration: Calibration | None) -> "Answers":
        """Answers that choose among some classes; any known spelling of a class will do.

        Args:
            known: the classes of the model.
            classes: the only ones to choose from; None for all.
            calibration: of the model.

        Raises:
            UsageError: the model does not know one of the classes, or they are fewer than two.
        """
        if classes is None:
            return cls(known, None, calibration)
        names = [name if name in known else canonical_emotion(name) or name for name in classes]
        kept = tuple(sorted({known.index(name) for name in names}))
        if len(kept) < 2:
            raise UsageError("fewer than two classes leave nothing to choose", found=", ".join(classes) or "none")
        return cls(known, kept, calibration)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes to choose from."""
        return self.known.names if self.kept is None else tuple(self.known.names[index] for index in self.kept)

    @property
    def temperature(self) -> float:
        """Scores are divided by it."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    @property
    def uncertain_below(self) -> float:
        """A class less probable than this is marked as uncertain: it is as likely wrong as right."""
        return _EVEN_ODDS if self.calibration is None else self.calibration.uncertain_below

    def prediction(
        self, file: str | None, start_s: float, end_s: float, logits: Sequence[float], speaker: str | None = None
    ) -> Prediction:
        """The prediction of a stretch.

        Args:
            file: the recording.
            start_s: where the stretch begins.
            end_s: where it ends.
            logits: a score of every class, then, where the model tells them, valence, arousal and dominance.
            speaker: who talks.
        """
        classes = len(self.known)
        told = logits[classes:]
        kept = logits[:classes] if self.kept is None else [logits[index] for index in self.kept]
        # The softmax over some classes is the softmax over all, restricted and made to sum to 1.
        scores = dict(zip(self.labels, _softmax([value / self.temperature for value in kept]), strict=True))
        label = max(scores, key=scores.__getitem__)
        attributes = Attributes(0.0, 1.0, *told) if told else None
        uncertain = scores[label] < self.uncertain_below
        return Prediction(file, start_s, end_s, label, scores[label], scores, speaker, uncertain, attributes)


def _softmax(values: Sequence[float]) -> list[float]:
    most = max(values)
    if not math.isfinite(most):  # a model that gives no numbers is seen by its NaN, not by an error here
        return [math.nan] * len(values)
    weights = [math.exp(value - most) for value in values]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
