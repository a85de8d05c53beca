"""Clusters of cepstra, against scikit-learn, scipy and a slow plain version."""

import numpy as np
import pytest
import torch

from serenade.core.errors import TrainingError
from serenade.training.mel_clusters import cepstra, fit_clusters, kmeans, nearest


def blobs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """300 points around six corners that lie far apart."""
    generator = torch.Generator().manual_seed(seed)
    owner = torch.arange(300) % 6
    return 200 * torch.eye(6)[owner] + torch.randn(300, 6, generator=generator), owner


def test_clusters_that_are_there_are_found() -> None:
    points, owner = blobs()
    centres = kmeans(points, 6, torch.Generator().manual_seed(1))
    found = nearest(points, centres)
    assert len({(int(a), int(b)) for a, b in zip(found, owner, strict=True)}) == 6


def test_as_good_as_scikit_learn() -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    points = torch.randn(500, 3, generator=torch.Generator().manual_seed(2))
    centres = kmeans(points, 10, torch.Generator().manual_seed(0), rounds=300)
    ours = float((points - centres[nearest(points, centres)]).square().sum())
    theirs = cluster.KMeans(10, n_init=5, random_state=0).fit(points.numpy()).inertia_
    assert ours < 1.1 * theirs


def test_nearest_is_the_nearest() -> None:
    points, centres = torch.randn(40, 5), torch.randn(7, 5)
    assert torch.equal(nearest(points, centres), torch.cdist(points, centres).argmin(dim=1))


def test_more_clusters_than_points_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"too little speech for so many clusters.*3 steps.*at least 5"):
        kmeans(torch.randn(3, 2), 5, torch.Generator())


def test_cepstra_are_the_cosine_transform_and_its_slopes() -> None:
    fft = pytest.importorskip("scipy.fft")
    mels = torch.randn(9, 2 * 20, generator=torch.Generator().manual_seed(0))
    found = cepstra(mels, 20).numpy()
    static = fft.dct(mels.numpy().reshape(9, 2, 20).mean(axis=1), norm="ortho")[:, :13]
    assert np.allclose(found[:, :13], static, atol=1e-5)
    padded = np.pad(static, ((2, 2), (0, 0)), mode="edge")
    slopes = [np.polyfit(np.arange(-2, 3), padded[place : place + 5], 1)[0] for place in range(9)]
    assert np.allclose(found[:, 13:26], slopes, atol=1e-5)
    assert found.shape == (9, 39)


def test_one_step_and_constant_sound_have_clusters() -> None:
    sample = [torch.full((30, 40), -13.8), torch.zeros(1, 40)]
    clusters = fit_clusters(sample, 20, 2, seed=0)
    told = clusters(sample[1])
    assert told.shape == (1,)
    assert bool(clusters.centres.isfinite().all())
