"""Emotions over time: who talks when, what was heard of each stretch, and what that makes of a speaker and a file."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from serenade.core.records import Attributes, Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["UNCERTAIN", "Attended", "SoundOverview", "SpeakerTurn", "Summariser", "Summary", "Timeline", "shown_label"]

UNCERTAIN = "uncertain"
"""What is shown instead of a class that is not probable enough."""


def shown_label(row: Prediction) -> str:
    """What a caption or a tier shows of a row: its class, or `UNCERTAIN`."""
    return UNCERTAIN if row.uncertain else row.label


@dataclass(frozen=True, slots=True)
class SpeakerTurn:
    """A stretch in which a person talks.

    Args:
        start_s: where it begins.
        end_s: where it ends.
        speaker: who talks.
    """

    start_s: float
    end_s: float
    speaker: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a speaker, or everyone in a recording, sounded like.

    Args:
        speaker: who; None for everyone.
        rows: stretches that were scored.
        covered_s: how long they are together; where they overlap, the time counts for the earlier one.
        label: the class with the highest mean.
        scores: mean probability of every class, each stretch weighted by the time it covers.
        seconds: the time of every class called, and that of `UNCERTAIN`.
        attributes: mean valence, arousal and dominance; None where the model does not tell them.
    """

    speaker: str | None
    rows: int
    covered_s: float
    label: str
    scores: Mapping[str, float]
    seconds: Mapping[str, float]
    attributes: Attributes | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The emotions of a recording over time.

    Args:
        file: the path as the user gave it; None for audio in memory.
        duration_s: length of the recording.
        labels: the classes.
        rows: stretches in order of their beginning; those of different speakers may overlap.
        summaries: of everyone first, then of each speaker by name; empty where nothing was scored.
        about: how it was made: model, temperature, threshold, detector, window and so on.
    """

    file: str | None
    duration_s: float
    labels: tuple[str, ...]
    rows: tuple[Prediction, ...]
    summaries: tuple[Summary, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def speakers(self) -> tuple[str | None, ...]:
        """Who has rows, by name; (None,) where nobody said who talks."""
        named = {row.speaker for row in self.rows}
        return tuple(sorted(named, key=lambda name: (name is not None, name if name is not None else "")))

    def of(self, speaker: str | None) -> tuple[Prediction, ...]:
        """The rows of one speaker."""
        return tuple(row for row in self.rows if row.speaker == speaker)

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


@dataclass(slots=True)
class _Sum:
    """The running sums of a speaker."""

    rows: int = 0
    covered_s: float = 0.0
    end_s: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    attributes: dict[str, float] = field(default_factory=dict)
    scale: tuple[float, float] = (0.0, 1.0)

    def add(self, row: Prediction) -> None:
        weight = max(0.0, row.end_s - max(row.start_s, self.end_s))
        self.end_s = max(self.end_s, row.end_s)
        self.rows += 1
        self.covered_s += weight
        shown = shown_label(row)
        self.seconds[shown] = self.seconds.get(shown, 0.0) + weight
        for name, score in row.scores.items():
            self.scores[name] = self.scores.get(name, 0.0) + weight * score
        if row.attributes is not None:
            self.scale = row.attributes.low, row.attributes.high
            for name in ("valence", "arousal", "dominance"):
                value = getattr(row.attributes, name)
                if value is not None:
                    self.attributes[name] = self.attributes.get(name, 0.0) + weight * value

    def summary(self, speaker: str | None) -> Summary:
        total = self.covered_s if self.covered_s > 0 else 1.0
        scores = {name: score / total for name, score in self.scores.items()}
        attributes = None
        if self.attributes:
            low, high = self.scale
            means = {name: min(high, max(low, value / total)) for name, value in self.attributes.items()}
            attributes = Attributes(low, high, **means)
        label = max(scores, key=scores.__getitem__)
        return Summary(speaker, self.rows, self.covered_s, label, scores, dict(self.seconds), attributes)


class Summariser:
    """Sums rows up as they come; memory does not grow with them."""

    def __init__(self) -> None:
        self._everyone = _Sum()
        self._speakers: dict[str, _Sum] = {}

    def add(self, rows: Iterable[Prediction]) -> None:
        """Take rows in; those of one speaker in order of their beginning."""
        for row in rows:
            self._everyone.add(row)
            if row.speaker is not None:
                self._speakers.setdefault(row.speaker, _Sum()).add(row)

    def summaries(self) -> tuple[Summary, ...]:
        """Of everyone first, then of each speaker by name; empty before the first row."""
        if self._everyone.rows == 0:
            return ()
        return (self._everyone.summary(None), *(self._speakers[name].summary(name) for name in sorted(self._speakers)))


@dataclass(frozen=True, slots=True)
class SoundOverview:
    """A recording of any length as two pictures.

    Args:
        duration_s: its length.
        step_s: from column to column of the envelope.
        envelope: (N, 2) int8, lowest and highest sample of each column, 127 is full scale.
        frame_s: from column to column of the spectrogram.
        levels: (F, L) uint8, mel bands from 0 Hz up, 0 is -90 dB and 255 is -10 dB.
    """

    duration_s: float
    step_s: float
    envelope: "NDArray[np.int8]"
    frame_s: float
    levels: "NDArray[np.uint8]"


@dataclass(frozen=True, slots=True)
class Attended:
    """How much a model attends to each moment of a stretch.

    Args:
        start_s: where the stretch begins.
        end_s: where it ends.
        weights: (L,) evenly spread over the stretch, from 0 for the least to 1 for the most.
    """

    start_s: float
    end_s: float
    weights: "NDArray[np.float32]"
