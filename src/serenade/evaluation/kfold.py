"""Grouped stratified folds: speakers and recording groups stay whole, classes are spread as evenly as can be."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from serenade.core.errors import SplitError
from serenade.core.records import Split, Utterance
from serenade.core.seeding import derive_seed
from serenade.evaluation.splits import SplitSettings, choose_validation, clusters_of, make_fold, require_speakers

__all__ = ["grouped_kfold"]

_Shares = np.ndarray[Any, np.dtype[np.float64]]

_MOST_IMPROVED = 1000  # clusters; with more, dealing alone is even enough and exchanging is slow


def grouped_kfold(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """Folds of about equal size and class shares that keep speakers and recording groups whole.

    Speakers who share a recording group stay together. The clusters are dealt out from the largest to the smallest,
    each to the fold where the classes then are spread most evenly, and exchanged while that helps. The seed breaks ties
    between equal clusters.

    Raises:
        SplitError: speakers are unknown, or there are fewer clusters than folds.
    """
    require_speakers(utterances, at_least=settings.folds)
    clusters = clusters_of(utterances)
    if len(clusters) < settings.folds:
        raise SplitError(
            "too few speakers for so many folds",
            found=f"{len(clusters)} (speakers who share a recording group count as one)",
            expected=f"at least {settings.folds}",
        )
    order = list(range(len(clusters)))
    random.Random(derive_seed(settings.seed, "kfold")).shuffle(order)
    order.sort(key=lambda place: -len(clusters[place]))  # stable: equal sizes stay shuffled
    fold_of = _deal(_class_shares(clusters), order, settings.folds)
    folds = []
    for number in range(settings.folds):
        test = [u for place, cluster in enumerate(clusters) if fold_of[place] == number for u in cluster]
        rest = [u for place, cluster in enumerate(clusters) if fold_of[place] != number for u in cluster]
        validation = choose_validation(rest, test, settings.validation_speakers)
        folds.append(make_fold(f"fold-{number + 1}", rest, test, validation))
    return Split(f"kfold-{settings.folds}", tuple(folds))


def _class_shares(clusters: Sequence[Sequence[Utterance]]) -> _Shares:
    """(G, K) of all utterances of a class, the part that each cluster has."""
    labels = sorted({str(u.emotion) for cluster in clusters for u in cluster})
    by_class = [Counter(str(u.emotion) for u in cluster) for cluster in clusters]
    counts = np.array([[counter[label] for label in labels] for counter in by_class], dtype=np.float64)
    shares: _Shares = counts / counts.sum(axis=0)
    return shares


def _deal(shares: _Shares, order: Sequence[int], folds: int) -> list[int]:
    """The fold of every cluster, so that the classes are spread evenly.

    The sum over folds and classes of squared shares is least where all folds are equal. Each cluster goes where it adds
    least, F.s for a fold of shares F; then clusters move and change places as long as that lowers the sum.

    Args:
        shares: (G, K) from `_class_shares`.
        order: clusters in the order in which they are dealt.
        folds: how many.
    """
    filled = np.zeros((folds, shares.shape[1]))
    fold_of = np.zeros(len(shares), dtype=np.int64)
    for cluster in order:
        added = filled @ shares[cluster]
        fold_of[cluster] = min(range(folds), key=lambda fold: (round(float(added[fold]), 12), filled[fold].sum(), fold))
        filled[fold_of[cluster]] += shares[cluster]
    if len(shares) <= _MOST_IMPROVED:
        while _improve(shares, fold_of, filled):
            pass
    return [int(fold) for fold in fold_of]


def _improve(shares: _Shares, fold_of: "np.ndarray[Any, np.dtype[np.int64]]", filled: _Shares) -> bool:
    """Make the one move or exchange that lowers the sum of squares most; whether there was any."""
    clusters = np.arange(len(shares))
    fits = shares @ filled.T  # (G, F)
    own = fits[clusters, fold_of]  # (G,)
    gram = shares @ shares.T  # (G, G)
    square = gram.diagonal()
    moves = square[:, None] - own[:, None] + fits  # (G, F)
    moves[clusters, fold_of] = 0.0
    theirs = fits[:, fold_of]  # (G, G): how cluster g fits the fold of cluster h
    exchanges = square[:, None] + square[None] - 2 * gram - own[:, None] + theirs.T + theirs - own[None]
    exchanges[fold_of[:, None] == fold_of[None]] = 0.0
    if min(moves.min(), exchanges.min()) > -1e-9:
        return False
    if moves.min() <= exchanges.min():
        one, target = (int(place) for place in np.unravel_index(moves.argmin(), moves.shape))
        changes = [(one, target)]
    else:
        one, other = (int(place) for place in np.unravel_index(exchanges.argmin(), exchanges.shape))
        changes = [(one, int(fold_of[other])), (other, int(fold_of[one]))]
    for cluster, target in changes:
        filled[fold_of[cluster]] -= shares[cluster]
        filled[target] += shares[cluster]
        fold_of[cluster] = target
    return True
