"""What the speaker alone tells of the label: a corpus where that is much rewards knowing voices, not emotions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serenade.core.records import Utterance

__all__ = ["SpeakerMajority", "speaker_majority"]

_Integers = np.ndarray[Any, np.dtype[np.int64]]

_FAR_ABOVE_CHANCE = 0.25  # of the way from chance to a perfect score
_PERMUTATIONS = 20


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
    labelled = [u for u in utterances if u.emotion is not None]
    speakers = sorted({(u.corpus, u.speaker) for u in labelled})
    classes = sorted({str(u.emotion) for u in labelled})
    speaker_index = {speaker: place for place, speaker in enumerate(speakers)}
    class_index = {name: place for place, name in enumerate(classes)}
    voices = np.array([speaker_index[u.corpus, u.speaker] for u in labelled], dtype=np.int64)  # (N,)
    labels = np.array([class_index[str(u.emotion)] for u in labelled], dtype=np.int64)  # (N,)
    if not labelled:
        return SpeakerMajority(0.0, 0.0, 0.0, 0.0, 0, 0)
    shape = (len(speakers), len(classes))
    wa, ua, counts = _majority_scores(voices, labels, shape)
    generator = np.random.default_rng(0)
    chance = [_majority_scores(voices, generator.permutation(labels), shape)[:2] for _ in range(_PERMUTATIONS)]
    wa_chance, ua_chance = (float(value) for value in np.mean(chance, axis=0))
    one_label = int(((counts > 0).sum(axis=1) == 1).sum())
    return SpeakerMajority(wa, ua, wa_chance, ua_chance, len(speakers), one_label)


def _majority_scores(voices: _Integers, labels: _Integers, shape: tuple[int, int]) -> tuple[float, float, _Integers]:
    """Accuracy and mean recall of every speaker's most frequent class, and the (S, K) counts."""
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, (voices, labels), 1)
    majority = counts.argmax(axis=1)  # the first of equals
    hits = counts[np.arange(shape[0]), majority]
    recalled = np.bincount(majority, weights=hits, minlength=shape[1])
    return float(hits.sum() / len(labels)), float((recalled / counts.sum(axis=0)).mean()), counts
