"""What one plain figure of a recording, such as its loudness, tells of the class.

Loudness, length, noise and sample rate are often set by how a corpus was made. Where such a figure alone names the
class, a model can score by reading it, and its score says nothing about voices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CueScore", "cue_score"]

_Integers = np.ndarray[Any, np.dtype[np.int64]]

_BINS = 10
_PERMUTATIONS = 20
_FOLDS = 5  # where there are no speakers to hold out
_ONE_CLASS = 0.8  # mean recall of one class and all others
_FEWEST = 10  # utterances of a class of which that can be said
_MUCH, _SOME = 0.25, 0.1  # of the way from chance to a perfect score


@dataclass(frozen=True, slots=True)
class CueScore:
    """How well one figure alone names the class of speakers it has not seen.

    Args:
        ua: mean recall of the classes.
        ua_by_chance: the same with shuffled labels (mean of 20 seeded shuffles), at least one over the number of
            classes.
        classes: those that the figure tells from all others together with a mean recall of at least 80 %;
            classes with fewer than 10 utterances are not looked at.
    """

    ua: float
    ua_by_chance: float
    classes: tuple[str, ...] = ()

    @property
    def strength(self) -> str:
        """How far from chance to perfect, in words.

        "gives the class away" from a quarter of the way or where it tells one class from all others; "tells something"
        from a tenth; "tells little".
        """
        way = (self.ua - self.ua_by_chance) / max(1 - self.ua_by_chance, 1e-9)
        if self.classes or way >= _MUCH:
            return "gives the class away"
        return "tells something" if way >= _SOME else "tells little"


def cue_score(values: Sequence[float], labels: Sequence[str], speakers: Sequence[str]) -> CueScore | None:
    """The score of a histogram classifier that sees one figure, each speaker in turn held out.

    The values are put into ten bins with equally many each. A bin is given the class that fills the greatest share of
    its own utterances into it (all classes count alike, one is added to every count). With fewer than two speakers a
    fifth of the utterances is held out in turn instead.

    Args:
        values: one per utterance.
        labels: their classes.
        speakers: who talks.

    Returns:
        The score; None with fewer than two classes.
    """
    names, truth = np.unique(np.asarray(labels), return_inverse=True)
    if len(names) < 2:
        return None
    figures = np.asarray(values, dtype=np.float64)
    edges = np.unique(np.quantile(figures, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, figures, side="left").astype(np.int64)  # (N,)
    held_out = list(_held_out(np.asarray(speakers)))
    generator = np.random.default_rng(0)
    shape = (len(names), len(edges) + 1)
    ua = _recall(bins, truth, held_out, shape)
    chance = [_recall(bins, generator.permutation(truth), held_out, shape) for _ in range(_PERMUTATIONS)]
    alone = [_recall(bins, (truth == place).astype(np.int64), held_out, (2, shape[1])) for place in range(len(names))]
    enough = np.bincount(truth) >= _FEWEST
    classes = tuple(str(name) for name in names[enough & (np.array(alone) >= _ONE_CLASS)])
    return CueScore(ua, max(float(np.mean(chance)), 1 / len(names)), classes)


def _held_out(speakers: np.ndarray[Any, Any]) -> Iterator[_Integers]:
    """The places of each speaker, or of each fifth."""
    names, index = np.unique(speakers, return_inverse=True)
    if len(names) < 2:
        index = np.random.default_rng(0).permutation(len(speakers)) % _FOLDS
    order = np.argsort(index, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(index[order])) + 1)


def _recall(bins: _Integers, truth: _Integers, held_out: Sequence[_Integers], shape: tuple[int, int]) -> float:
    """Mean recall of the classes; bins and truth are (N,), the shape is classes by bins."""
    counts = np.zeros(shape)
    np.add.at(counts, (truth, bins), 1)
    hits = np.zeros(shape[0])
    for places in held_out:
        own = np.zeros(shape)
        np.add.at(own, (truth[places], bins[places]), 1)
        seen = counts - own + 1
        named = (seen / seen.sum(axis=1, keepdims=True)).argmax(axis=0)  # (bins,)
        right = named[bins[places]] == truth[places]
        hits += np.bincount(truth[places], weights=right, minlength=shape[0])
    return float((hits / counts.sum(axis=1)).mean())
