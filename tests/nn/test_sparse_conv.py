"""Sparse convolution against the masked dense one, written plainly here: values, gradients, statistics, pooling."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.nn.sparse_conv import (
    ActiveBatchNorm,
    Sites,
    SubmanifoldConv2d,
    gather_conv,
    masked_dense_conv,
    max_pool_sites,
    submanifold_conv,
)

SHAPE = (3, 7, 6)


def mask_of(kind: str) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    if kind == "full":
        return ~mask
    if kind == "one cell":
        mask[1, 0, 5] = True
    if kind == "corners":
        mask[:, ::6, ::5] = True
    if kind == "block":
        mask[0, 2:5, 1:4] = True
    if kind.startswith("random"):
        mask = torch.rand(SHAPE, generator=generator) < float(kind.split()[1])
    return mask


MASKS = ("empty", "one cell", "corners", "block", "random 0.02", "random 0.3", "random 0.7", "full")
every_mask = pytest.mark.parametrize("kind", MASKS)
every_way = pytest.mark.parametrize("conv", [gather_conv, masked_dense_conv, submanifold_conv])


def plain(maps: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    """y = m conv(m x), one kernel offset after the other, by the definition."""
    out = torch.zeros(*mask.shape, weight.shape[2], dtype=maps.dtype)
    for frame, row, column in mask.nonzero().tolist():
        for offset in range(9):
            r, c = row + offset // 3 - 1, column + offset % 3 - 1
            if 0 <= r < mask.shape[1] and 0 <= c < mask.shape[2] and mask[frame, r, c]:
                out[frame, row, column] = out[frame, row, column] + maps[frame, :, r, c] @ weight[offset]
    return out.permute(0, 3, 1, 2)


@every_mask
@every_way
def test_convolution_is_that_of_the_definition(conv: Callable[..., Tensor], kind: str) -> None:
    mask = mask_of(kind)
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 4, 7, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    pull = torch.randn(3, 5, 7, 6, generator=generator, dtype=torch.float64)
    sites = Sites(mask)
    ours = sites.scatter(conv(sites.gather(maps), weight, sites))
    expected = plain(maps, weight, mask)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    if mask.any():
        wanted = torch.autograd.grad((expected * pull).sum(), (maps, weight))
        found = torch.autograd.grad((ours * pull).sum(), (maps, weight))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("density", [0.02, 0.25, 0.5, 0.75, 1.0])
def test_both_ways_agree_in_single_precision_at_the_size_of_a_block(density: float) -> None:
    generator = torch.Generator().manual_seed(1)
    sites = Sites(torch.rand(2, 24, 24, generator=generator) < density)
    rows = torch.randn(len(sites.places), 64, generator=generator, requires_grad=True)
    weight = (torch.randn(9, 64, 128, generator=generator) / 24).requires_grad_()
    results = [conv(rows, weight, sites) for conv in (gather_conv, masked_dense_conv)]
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-4)
    gradients = [torch.autograd.grad(result.square().mean(), (rows, weight)) for result in results]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("density", [0.02, 0.5, 1.0])
def test_a_gpu_gives_the_same_values_and_gradients(density: float) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(2, 24, 24, generator=generator) < density
    rows = torch.randn(int(mask.sum()), 64, generator=generator)
    weight = torch.randn(9, 64, 128, generator=generator) / 24
    results = []
    for where, conv in (("cpu", gather_conv), ("cuda", gather_conv), ("cuda", masked_dense_conv)):
        given = [tensor.to(where).requires_grad_() for tensor in (rows, weight)]
        out = conv(*given, Sites(mask.to(where)))
        results.append([found.cpu() for found in (out, *torch.autograd.grad(out.square().mean(), given))])
    for found in results[1:]:
        torch.testing.assert_close(found, results[0], rtol=0, atol=5e-3)  # TF32


@every_mask
def test_pairs_are_the_rules_and_the_multiplications(kind: str) -> None:
    sites = Sites(mask_of(kind))
    by_definition = plain(torch.ones(3, 1, 7, 6), torch.ones(9, 1, 1), sites.mask).sum()
    assert sites.pairs == int(by_definition)
    assert sites.pairs == len(sites.places) + sum(len(outputs) for outputs, _ in sites.rules)
    assert SubmanifoldConv2d(4, 5).multiply_adds(sites) == sites.pairs * 20


def test_weights_start_with_the_deviation_of_the_release() -> None:
    weight = SubmanifoldConv2d(64, 128).weight
    assert weight.shape == (9, 64, 128)
    assert abs(float(weight.detach().std()) - (2 / (9 * 64)) ** 0.5) < 1e-3


@pytest.mark.parametrize("kind", ["corners", "random 0.3", "full"])
def test_normalisation_counts_active_cells_only(kind: str) -> None:
    sites = Sites(mask_of(kind))
    maps = 3 + torch.randn(3, 4, 7, 6, generator=torch.Generator().manual_seed(2))
    norm = ActiveBatchNorm(4)
    out = sites.scatter(norm(sites.gather(maps)))
    m = sites.mask[:, None].float()
    count = m.sum()
    mean = (m * maps).sum(dim=(0, 2, 3), keepdim=True) / count
    variance = (m * (maps - mean).square()).sum(dim=(0, 2, 3), keepdim=True) / count
    torch.testing.assert_close(out, m * (maps - mean) / (variance + 1e-4).sqrt(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_mean, 0.01 * mean.flatten(), rtol=1e-5, atol=1e-6)
    unbiased = variance.flatten() * count / (count - 1)
    torch.testing.assert_close(norm.running_var, 0.99 + 0.01 * unbiased, rtol=1e-5, atol=1e-6)


def test_normalisation_of_no_cell_and_of_one() -> None:
    norm = ActiveBatchNorm(2)
    assert norm(torch.zeros(0, 2)).shape == (0, 2)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    assert norm.running_var.tolist() == [1, 1]
    one = norm(torch.tensor([[5.0, -3.0]]))
    assert one.tolist() == [[0, 0]]
    torch.testing.assert_close(norm.running_mean, torch.tensor([0.05, -0.03]))
    torch.testing.assert_close(norm.running_var, torch.tensor([0.99, 0.99]))
    assert torch.isfinite(norm.eval()(torch.zeros(1, 2))).all()


@every_mask
def test_pooling_takes_the_maximum_of_active_cells(kind: str) -> None:
    sites = Sites(mask_of(kind))
    maps = torch.randn(3, 4, 7, 6, generator=torch.Generator().manual_seed(3))  # negative maxima too
    rows, pooled = max_pool_sites(sites.gather(maps), sites)
    assert pooled.mask.shape == (3, 3, 3)
    found = pooled.scatter(rows)
    for frame in range(3):
        for row in range(3):
            for column in range(3):
                window = (frame, slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
                active = sites.mask[window]
                assert bool(pooled.mask[frame, row, column]) == bool(active.any())
                values = maps[frame, :, *window[1:]][:, active]
                expected = values.amax(1) if active.any() else torch.zeros(4)
                assert torch.equal(found[frame, :, row, column], expected)


def test_pooling_of_rectified_maps_is_dense_pooling() -> None:
    sites = Sites(mask_of("random 0.3"))
    maps = (torch.randn(3, 4, 7, 6, generator=torch.Generator().manual_seed(5)) * sites.mask[:, None]).relu()
    rows, pooled = max_pool_sites(sites.gather(maps), sites)
    assert torch.equal(pooled.scatter(rows), functional.max_pool2d(maps, 2))


def test_half_precision_under_autocast_trains() -> None:
    sites = Sites(mask_of("random 0.3"))
    conv = SubmanifoldConv2d(4, 5)
    rows = torch.randn(len(sites.places), 4, generator=torch.Generator().manual_seed(6))
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(rows, sites)
    assert out.dtype == torch.bfloat16
    out.float().square().sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.dtype == torch.float32
    torch.testing.assert_close(out.float(), conv(rows, sites), rtol=0.05, atol=0.05)


def test_what_does_not_fit_is_refused() -> None:
    sites = Sites(mask_of("block"))
    with pytest.raises(UsageError, match=r"Found: \(9, 3\).*Expected: .*= \(9, 4\)"):
        SubmanifoldConv2d(4, 5)(torch.zeros(9, 3), sites)
    with pytest.raises(UsageError, match=r"\(9, 4\)"):
        SubmanifoldConv2d(4, 5)(torch.zeros(8, 4), sites)
    with pytest.raises(UsageError, match=r"mask of active cells.*\(7, 6\)"):
        Sites(torch.ones(7, 6, dtype=torch.bool))
    with pytest.raises(UsageError, match="float32"):
        Sites(torch.ones(SHAPE))
