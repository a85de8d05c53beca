"""The records that rooms hand to each other: utterances, what was left out, folds, scores, predictions, runs.

All are frozen. Time is float seconds. `to_json` gives plain dictionaries, `from_json` reads them back.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "Attributes",
    "Fold",
    "LeftOut",
    "LeftOutReason",
    "Listing",
    "NO_RECORDING",
    "NearDuplicate",
    "Prediction",
    "RunRecord",
    "Score",
    "Split",
    "UNKNOWN_SPEAKER",
    "Utterance",
    "Video",
]

NO_RECORDING = Path()
"""The audio of an utterance that has none, such as one that is only written."""

UNKNOWN_SPEAKER = "unknown"  # the speaker of an utterance when nobody said who talks

LeftOutReason = Literal[
    "missing",
    "empty",
    "undecodable",
    "silent",
    "not finite",
    "duplicate",
    "unreadable name",
    "unknown label",
    "no label",
    "bad span",
    "not in the label set",
    "not selected",
    "other material",
    "too short",
    "too long",
    "no text",
]


@dataclass(frozen=True, slots=True)
class Attributes:
    """Valence, arousal and dominance of an utterance on the scale that is stated with them.

    Args:
        low: the lower end of the scale: least pleasant, least aroused, weakest.
        high: its upper end.
        valence: None where the corpus does not say, as the other two.
        arousal: called activation in IEMOCAP and MSP-IMPROV.
        dominance: strength or control.

    Raises:
        ValueError: the scale has no extent, or a value lies outside it.
    """

    low: float
    high: float
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"a scale from {self.low} to {self.high} has no extent")
        for name in ("valence", "arousal", "dominance"):
            value = getattr(self, name)
            if value is not None and not self.low <= value <= self.high:
                raise ValueError(f"{name} {value} lies outside the scale from {self.low} to {self.high}")

    def on_scale(self, low: float, high: float) -> "Attributes":
        """The same attributes on another scale."""

        def moved(value: float | None) -> float | None:
            if value is None:
                return None
            share = (value - self.low) / (self.high - self.low)
            return min(high, low * (1 - share) + high * share)  # rounding must not leave the scale

        return Attributes(low, high, moved(self.valence), moved(self.arousal), moved(self.dominance))


@dataclass(frozen=True, slots=True)
class Video:
    """Where an utterance is to be seen.

    Args:
        path: the video file.
        start_s: where the utterance begins in it.
        end_s: where it ends; None for the end of the video.
        side: half of the picture that shows who talks, where two people share it; None for the whole picture.
    """

    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    side: Literal["left", "right"] | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of one person's speech and what is known about it.

    Args:
        id: unique within its corpus and stable across machines (no absolute path in it).
        audio: the recording; `NO_RECORDING` where there is none.
        corpus: the corpus's name.
        speaker: the person who talks (not the dialogue), unique within the corpus; `UNKNOWN_SPEAKER` where unknown.
        emotion: the class, in the words of `core.labels` where the table knows it; None for unlabelled speech.
        start_s: where it begins in the recording.
        end_s: where it ends; None for the end of the recording.
        gender: "female", "male", or what the corpus says; None where unknown.
        language: ISO 639-1 code, None where unknown.
        group: recording group (session, dialogue) that must not straddle train and test; None where there is none.
        dialogue: the conversation the utterance is a turn of; finer than its group. None where there is none.
        sentence: identifies the words spoken; equal for equal words, None where unknown.
        text: the words.
        split: the user's own part ("train", "validation", "test").
        fold: the user's own fold name.
        attributes: valence, arousal and dominance with their scale; None where the corpus has none.
        votes: how many raters chose each class (or their share in per cent); empty where the corpus does not say. An
            utterance without a majority has votes and no emotion.
        extra: further facts of the corpus by name, such as intensity.
        duration_s: length of the stretch; None before the file was examined.
        content: hash of the file's bytes plus the span; None before the file was examined.
        channel: of the recording in which this person talks, from 0; None for the mean of all.
        video: where the utterance is to be seen; None where there is no picture of it.
        faces: pictures of the face that were cut from the video before; None where they were not.
    """

    id: str
    audio: Path
    corpus: str
    speaker: str
    emotion: str | None
    start_s: float = 0.0
    end_s: float | None = None
    gender: str | None = None
    language: str | None = None
    group: str | None = None
    dialogue: str | None = None
    sentence: str | None = None
    text: str | None = None
    split: str | None = None
    fold: str | None = None
    attributes: Attributes | None = None
    votes: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    duration_s: float | None = None
    content: str | None = None
    channel: int | None = None
    video: Video | None = None
    faces: Path | None = None

    @property
    def has_audio(self) -> bool:
        """Whether there is a recording, or a video whose sound is the recording."""
        return self.audio != NO_RECORDING

    def with_(self, **changes: Any) -> "Utterance":
        """A changed copy."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        values = {**asdict(self), "audio": str(self.audio), "votes": dict(self.votes), "extra": dict(self.extra)}
        for name in ("attributes", "dialogue", "votes", "channel", "video", "faces"):
            if values[name] in (None, {}):
                del values[name]
        if self.video is not None:
            values["video"] = {**asdict(self.video), "path": str(self.video.path)}
        if self.faces is not None:
            values["faces"] = str(self.faces)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Utterance":
        """The inverse of `to_json`."""
        stated = values.get("attributes")
        attributes = None if stated is None else Attributes(**stated)
        seen, faces = values.get("video"), values.get("faces")
        return cls(
            **{
                **values,
                "audio": Path(values["audio"]),
                "attributes": attributes,
                "video": None if seen is None else Video(**{**seen, "path": Path(seen["path"])}),
                "faces": None if faces is None else Path(faces),
            }
        )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something found in a corpus that is not used, and why.

    Args:
        where: file or table line, relative to the corpus root where possible.
        reason: one of a fixed list of reasons.
        detail: what was found.
    """

    where: str
    reason: LeftOutReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a corpus holds: usable utterances, sorted by id, and everything left out."""

    utterances: tuple[Utterance, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two utterances that hold the same take: re-encoded, resampled, cut at the ends, louder, a bit noisier.

    Args:
        first: id of the one.
        second: id of the other, later in the sequence that was searched.
        bit_error_rate: share of the bits of their acoustic fingerprints that differ.
        offset_s: where in the first the second begins; negative where it begins earlier.
        overlap_s: length of what both hold.
        gain_db: how much louder the second is.
    """

    first: str
    second: str
    bit_error_rate: float
    offset_s: float
    overlap_s: float
    gain_db: float


@dataclass(frozen=True, slots=True)
class Fold:
    """Utterance ids of one fold. Validation is taken from the training side; parts share no id.

    Args:
        name: unique within its split.
        train: what is trained on.
        validation: what picks the epoch; empty where the length of training is fixed.
        test: what is tested.
        inner: folds over the training side (train and validation) on which settings are chosen; empty where the split
            is not nested.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    inner: tuple["Fold", ...] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Fold":
        """The inverse of `dataclasses.asdict`; what was written before folds could be nested has no inner ones."""
        train, validation, test = (tuple(values[part]) for part in ("train", "validation", "test"))
        inner = tuple(cls.from_json(fold) for fold in values.get("inner", ()))
        return cls(values["name"], train, validation, test, inner)


@dataclass(frozen=True, slots=True)
class Split:
    """Named folds over one list of utterances.

    Args:
        name: the protocol, such as "loso".
        folds: at least one.
        leaky: why the split is not speaker-independent or not honest; None where it is both. Shown wherever a number
            of it is shown.
        select_on_test: whether the epoch is picked on the test part (the published way; always leaky).
        notes: what a reader must know besides, such as list entries that have no recording here.
    """

    name: str
    folds: tuple[Fold, ...]
    leaky: str | None = None
    select_on_test: bool = False
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Split":
        """The inverse of `to_json`."""
        folds = tuple(Fold.from_json(fold) for fold in values["folds"])
        return cls(values["name"], folds, values["leaky"], values["select_on_test"], tuple(values["notes"]))


@dataclass(frozen=True, slots=True)
class Score:
    """What a model says of one test utterance.

    Args:
        id: the utterance.
        truth: its class name; empty for an utterance of several emotions or none.
        probabilities: one per class, in label order; they sum to 1.
        segments: how many segments the score is the mean of.
    """

    id: str
    truth: str
    probabilities: tuple[float, ...]
    segments: int = 1


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One training run (one fold, one seed): the primary result from which all figures are computed.

    Args:
        system: name of the system.
        fold: name of the fold.
        seed: the run's seed.
        labels: class names in index order.
        scores: test utterances, sorted by id.
        epochs: one entry per epoch: epoch, learning_rate, losses, validation figures, seconds.
        chosen_epoch: the epoch whose weights were tested (1-based).
        settings: the resolved settings of the system.
        versions: versions of serenade, python, torch, numpy.
        data: fingerprint of the utterances and their contents.
        timing: wall and CPU seconds, share of wall time spent in the network.
        embeddings: file name of the (N, D) float32 array of test utterances beside the record, in the order of
            scores; None where there is none.
        protocol: what the system saw besides the training part, such as the unlabelled recordings of the tested
            speakers; None for nothing. Shown wherever a number of it is shown.
        notes: what a reader must know of the system, such as the licence of what computed its features.
        unlabelled: the unlabelled speech it learnt from: corpora, recordings, speakers, minutes, fingerprint; None
            where there was none.
        averaged: epochs whose weights were averaged, best first, and the validation figures of their mean; None where
            one epoch was tested.
    """

    system: str
    fold: str
    seed: int
    labels: tuple[str, ...]
    scores: tuple[Score, ...]
    epochs: tuple[Mapping[str, Any], ...]
    chosen_epoch: int
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    data: str
    timing: Mapping[str, float]
    embeddings: str | None = None
    protocol: str | None = None
    notes: tuple[str, ...] = ()
    unlabelled: Mapping[str, Any] | None = None
    averaged: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RunRecord":
        """The inverse of `to_json`."""
        scores = tuple(Score(s["id"], s["truth"], tuple(s["probabilities"]), s["segments"]) for s in values["scores"])
        return cls(
            **{
                **values,
                "labels": tuple(values["labels"]),
                "scores": scores,
                "epochs": tuple(values["epochs"]),
                "notes": tuple(values.get("notes", ())),
            }
        )


@dataclass(frozen=True, slots=True)
class Prediction:
    """The emotion of a file or of a stretch of it.

    Args:
        file: the path as the user gave it; None for audio in memory.
        start_s: where the stretch begins.
        end_s: where it ends.
        label: the most probable class.
        score: its probability.
        scores: probability of every class, in label order.
        speaker: who talks; None where unknown.
        uncertain: whether the probability is below what the model is trusted from.
        attributes: valence, arousal and dominance, where the model tells them; None where it does not.
    """

    file: str | None
    start_s: float
    end_s: float
    label: str
    score: float
    scores: Mapping[str, float]
    speaker: str | None = None
    uncertain: bool = False
    attributes: Attributes | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)
