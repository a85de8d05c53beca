"""Targets of masked prediction: clusters of cepstra, as in the first iteration of HuBERT.

13 MFCC of a step's log-mel with their first and second differences, each of the 39 standardised, then k-means (Lloyd
1982; started as in Arthur and Vassilvitskii 2007).
"""

import torch
from torch import Tensor

from serenade.core.errors import TrainingError
from serenade.core.wording import counted
from serenade.signal.spectra import cosine_transform

__all__ = ["MelClusters", "cepstra", "fit_clusters", "kmeans", "nearest"]

_COEFFICIENTS = 13
_REACH = 2  # steps on each side of a difference
_LEAST_DEVIATION = 1e-3
_AT_ONCE = 8192  # points whose distances are in memory


def cepstra(mels: Tensor, num_bands: int) -> Tensor:
    """(L, 39) MFCC of steps, with first and second differences.

    Args:
        mels: (L, P F) log-mel of P frames each, L at least 1; the mean of the P is taken.
        num_bands: F.
    """
    means = mels.float().reshape(len(mels), -1, num_bands).mean(dim=1)
    static = means @ cosine_transform(_COEFFICIENTS, num_bands).float().T
    first = _differences(static)
    return torch.cat([static, first, _differences(first)], dim=1)


def _differences(x: Tensor) -> Tensor:
    """Regression slope over five steps (Young et al., HTK book, eq. 5.16); the ends are repeated."""
    last = len(x) - 1
    places = torch.arange(len(x))
    slope = torch.zeros_like(x)
    for shift in range(1, _REACH + 1):
        slope += shift * (x[(places + shift).clamp_max(last)] - x[(places - shift).clamp_min(0)])
    return slope / (2 * sum(shift**2 for shift in range(1, _REACH + 1)))


class MelClusters:
    """Says the cluster of every step of log-mel.

    Args:
        tensors: ``mean`` and ``deviation``, (39,), and ``centres``, (K, 39), from `fit_clusters`.
        num_bands: F.
    """

    def __init__(self, tensors: dict[str, Tensor], num_bands: int) -> None:
        self.mean, self.deviation, self.centres = tensors["mean"], tensors["deviation"], tensors["centres"]
        self.num_bands = num_bands

    def __call__(self, mels: Tensor) -> Tensor:
        """(L,) int64 clusters of (L, P F) log-mel steps."""
        return nearest((cepstra(mels, self.num_bands) - self.mean) / self.deviation, self.centres)


def fit_clusters(sample: list[Tensor], num_bands: int, count: int, *, seed: int, most: int = 100_000) -> MelClusters:
    """Clusters of a sample of log-mel.

    Args:
        sample: (L, P F) log-mel of pieces.
        num_bands: F.
        count: K.
        seed: of the draws.
        most: points that are used, drawn without replacement.

    Raises:
        TrainingError: there are fewer steps than clusters.
    """
    points = torch.cat([cepstra(mels, num_bands) for mels in sample])
    mean, deviation = points.mean(dim=0), points.std(dim=0).clamp_min(_LEAST_DEVIATION)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(points), generator=generator)[:most]
    centres = kmeans((points[drawn] - mean) / deviation, count, generator)
    return MelClusters({"mean": mean, "deviation": deviation, "centres": centres}, num_bands)


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """(N,) int64: the centre that is nearest to each of (N, D) points."""
    halves = centres.square().sum(dim=1) / 2
    return torch.cat([(halves - part @ centres.T).argmin(dim=1) for part in torch.split(points, _AT_ONCE)])


def kmeans(points: Tensor, count: int, generator: torch.Generator, *, rounds: int = 30) -> Tensor:
    """(K, D) centres of (N, D) points; a cluster that loses all its points begins anew at a drawn one.

    Args:
        points: of float32.
        count: K.
        generator: of the draws.
        rounds: at most so many; it ends earlier once no point changes its cluster.

    Raises:
        TrainingError: there are fewer points than clusters.
    """
    if len(points) < count:
        raise TrainingError(
            "there is too little speech for so many clusters",
            found=counted(len(points), "step"),
            expected=f"at least {count}",
            hint="Give more speech, or set fewer clusters",
        )
    centres = _first_centres(points, count, generator)
    before: Tensor | None = None
    for _ in range(rounds):
        owner = nearest(points, centres)
        if before is not None and bool((owner == before).all()):
            break
        before = owner
        sizes = torch.bincount(owner, minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, owner, points)
        fresh = points[torch.randint(len(points), (count,), generator=generator)]
        centres = torch.where(sizes[:, None] > 0, sums / sizes.clamp_min(1)[:, None], fresh)
    return centres


def _first_centres(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """k-means++: each further centre is drawn with the squared distance to the nearest one so far."""
    centres = [points[int(torch.randint(len(points), (1,), generator=generator))]]
    distances = (points - centres[0]).square().sum(dim=1)
    for _ in range(count - 1):
        # multinomial takes at most 2**24 weights; fewer points are ever given
        place = int(torch.multinomial(distances.clamp_min(1e-12), 1, generator=generator))
        centres.append(points[place])
        distances = torch.minimum(distances, (points - points[place]).square().sum(dim=1))
    return torch.stack(centres)
