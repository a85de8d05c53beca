"""What the speaker alone tells of the label: a corpus where that is much rewards knowing voices, not emotions."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serenade.core.records import Utterance

__all__ = ["SpeakerMajority", "majority_of", "speaker_majority"]

_Integers = np.ndarray[Any, np.dtype[np.int64]]
_Codes = np.ndarray[Any, np.dtype[np.int32]]

_FAR_ABOVE_CHANCE = 0.25  # of the way from chance to a perfect score
_PERMUTATIONS = 20
_AT_ONCE = 1 << 16  # utterances counted at a time: bounds memory


@dataclass(frozen=True, slots=True)
class SpeakerMajority:
    """The score of naming, for every utterance, the most frequent class of its speaker.

    Where it is far above chance the speaker gives the label away, and a model that knows voices looks like one that
    knows emotions.

    Args:
        wa: accuracy.
        ua: mean recall of the classes.
        wa_by_chance: the mean accuracy if labels were dealt out at random (20 seeded shuffles), which also accounts for
            speakers with few utterances.
        ua_by_chance: the same for the mean recall.
        speakers: how many there are.
        one_label: how many of them have utterances of one class only.
    """

    wa: float
    ua: float
    wa_by_chance: float
    ua_by_chance: float
    speakers: int
    one_label: int

    @property
    def gives_label(self) -> bool:
        """Whether either score lies at least a quarter of the way from chance to perfect."""
        pairs = ((self.wa, self.wa_by_chance), (self.ua, self.ua_by_chance))
        return any(score - chance >= _FAR_ABOVE_CHANCE * (1 - chance) and chance < 1 for score, chance in pairs)


def speaker_majority(utterances: Sequence[Utterance]) -> SpeakerMajority:
    """What the speaker alone tells of the label; unlabelled utterances are not looked at.

    A corpus without labels scores 0.
    """
    return majority_of(((u.corpus, u.speaker), u.emotion) for u in utterances)


def majority_of(spoken: Iterable[tuple[tuple[str, str], str | None]]) -> SpeakerMajority:
    """`speaker_majority` of more utterances than are at hand at once; takes 20 bytes of memory for each.

    Args:
        spoken: corpus and speaker of every utterance, and its class, in the order of the utterances.
    """
    speakers: dict[tuple[str, str], int] = {}
    classes: dict[str, int] = {}
    said, meant = array("i"), array("i")
    for speaker, emotion in spoken:
        if emotion is not None:
            said.append(speakers.setdefault(speaker, len(speakers)))
            meant.append(classes.setdefault(emotion, len(classes)))
    if not said:
        return SpeakerMajority(0.0, 0.0, 0.0, 0.0, 0, 0)
    voices, labels = np.frombuffer(said, np.int32), _places(classes)[np.frombuffer(meant, np.int32)]  # (N,), (N,)
    shape = (len(speakers), len(classes))
    wa, ua, counts = _majority_scores(voices, labels, shape)
    generator = np.random.default_rng(0)
    chance = [_majority_scores(voices, generator.permutation(labels), shape)[:2] for _ in range(_PERMUTATIONS)]
    wa_chance, ua_chance = (float(value) for value in np.mean(chance, axis=0))
    one_label = int(((counts > 0).sum(axis=1) == 1).sum())
    return SpeakerMajority(wa, ua, wa_chance, ua_chance, len(speakers), one_label)


def _places(names: Mapping[str, int]) -> _Codes:
    """(K,) the place of each name among all, sorted: of two equally frequent classes the first by name is meant."""
    places = np.empty(len(names), dtype=np.int32)
    places[[names[name] for name in sorted(names)]] = np.arange(len(names), dtype=np.int32)
    return places


def _majority_scores(voices: _Codes, labels: _Codes, shape: tuple[int, int]) -> tuple[float, float, _Integers]:
    """Accuracy and mean recall of every speaker's most frequent class, and the (S, K) counts."""
    counts = np.zeros(shape[0] * shape[1], dtype=np.int64)
    for start in range(0, len(labels), _AT_ONCE):
        pairs = voices[start : start + _AT_ONCE].astype(np.int64) * shape[1] + labels[start : start + _AT_ONCE]
        counts += np.bincount(pairs, minlength=len(counts))
    counts = counts.reshape(shape)
    majority = counts.argmax(axis=1)  # the first of equals
    hits = counts[np.arange(shape[0]), majority]
    recalled = np.bincount(majority, weights=hits, minlength=shape[1])
    return float(hits.sum() / len(labels)), float((recalled / counts.sum(axis=0)).mean()), counts
