"""Two-dimensional maps of the embeddings of test utterances.

Every fold and seed has a network of its own, and the axes of one network's embedding mean nothing in another's. So a
map is drawn per fold, of the first seed, and never over folds. One mark is one utterance (the mean over its segments).
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import MissingExtraError, SerenadeError
from serenade.experiments.results import Results, Scores

__all__ = ["PERPLEXITY", "project", "tsne"]

PERPLEXITY = 30.0
"""As in the figures of the GLAM paper; less where a fold is small."""
_FEWEST = 10
"""Utterances below which a map says nothing."""
_MOST = 2000
"""Utterances drawn of a fold; t-SNE takes seconds for so many."""
_COMPONENTS = 50
"""Principal components kept before t-SNE, as van der Maaten and Hinton do."""


def project(results: Results, *, most: int | None = None) -> dict[str, Any]:
    """Maps of the finished folds of the first seed.

    Args:
        results: of a run.
        most: folds mapped at most, the first; None for all.

    Returns:
        ``method``, ``seed`` and ``panels``: fold, perplexity, and per utterance x, y, true and predicted class index.
        A fold without embeddings, or with too few utterances to show a structure, has no panel.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        SerenadeError: an embeddings file is damaged.
    """
    seed = results.done_seeds[0]
    panels = []
    for fold in results.split.folds[:most]:
        record = results.records.get((fold.name, seed))
        if record is None or record.embeddings is None:
            continue
        embeddings = _load(results.folders[fold.name, seed] / record.embeddings)
        if embeddings is not None and len(embeddings) == len(record.scores):
            panel = _panel(fold.name, embeddings, results.scores(seed, fold.name))
            panels += [panel] if panel is not None else []
    return {"method": "t-SNE", "seed": seed, "panels": panels}


def tsne(embeddings: NDArray[np.floating[Any]], *, seed: int = 0) -> tuple[NDArray[np.float64], float] | None:
    """A t-SNE map of embeddings, deterministic for a seed.

    Args:
        embeddings: (N, D).
        seed: of the map.

    Returns:
        (N, 2) coordinates and the perplexity, 30 or (N - 1) / 3 where that is smaller; None where there are fewer than
        10 vectors, where they are all alike, or not finite.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    if len(embeddings) < _FEWEST or not np.isfinite(embeddings).all():
        return None
    centred = np.asarray(embeddings, dtype=np.float64) - embeddings.mean(0, dtype=np.float64)
    left, scales, _ = np.linalg.svd(centred, full_matrices=False)
    if scales[0] <= 1e-9 * max(1.0, float(np.abs(embeddings).max())):
        return None
    components = (left * scales)[:, :_COMPONENTS]
    perplexity = min(PERPLEXITY, (len(components) - 1) / 3)
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingExtraError("sklearn", extra="train", purpose="The map of embeddings") from error
    # its gradient takes all processors whatever n_jobs says, and on a busy machine they wait for each other: 20 minutes
    # instead of seconds beside two trainings
    with threadpool_limits(1):
        placed = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(components)
    return np.asarray(placed, dtype=np.float64), perplexity


def _load(path: Path) -> NDArray[np.float32] | None:
    """The embeddings of a job; None where the file was removed to save space."""
    if not path.is_file():
        return None
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    except (ValueError, EOFError) as error:
        raise SerenadeError("the embeddings of a job are damaged", where=path, found=str(error)) from error


def _panel(fold: str, embeddings: NDArray[np.float32], scores: Scores) -> dict[str, Any] | None:
    kept = np.linspace(0, len(embeddings) - 1, min(len(embeddings), _MOST)).round().astype(np.int64)
    placed = tsne(embeddings[kept])
    if placed is None:
        return None
    points, perplexity = placed
    return {
        "fold": fold,
        "perplexity": round(perplexity, 2),
        "x": [round(float(value), 3) for value in points[:, 0]],
        "y": [round(float(value), 3) for value in points[:, 1]],
        "truth": scores.truth[kept].tolist(),
        "predicted": scores.predicted[kept].tolist(),
    }
