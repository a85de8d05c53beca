"""Area attention against loops over rectangles."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from serenade.core.errors import SettingsError
from serenade.nn.area_attention import AreaAttention, area_sums, area_sums_by_integral, num_areas


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rectangles(height: int, width: int, max_height: int, max_width: int) -> list[tuple[slice, slice]]:
    sizes = product(range(1, max_height + 1), range(1, max_width + 1))
    return [
        (slice(top, top + r), slice(left, left + c))
        for r, c in sizes
        for top in range(height - r + 1)
        for left in range(width - c + 1)
    ]


def slow(q: Tensor, k: Tensor, v: Tensor, most: tuple[int, int], key: str, value: str) -> Tensor:
    """Attention of one grid (H, W, D) over all rectangles, one after the other."""
    how = {"mean": lambda x: x.mean(0), "sum": lambda x: x.sum(0), "max": lambda x: x.amax(0)}
    areas = rectangles(*q.shape[:2], *most)
    keys = torch.stack([how[key](k[area].flatten(0, 1)) for area in areas])
    values = torch.stack([how[value](v[area].flatten(0, 1)) for area in areas])
    out = [(keys @ q[i, j]).softmax(0) @ values for i in range(q.shape[0]) for j in range(q.shape[1])]
    return torch.stack(out).reshape(*q.shape[:2], -1)


@pytest.mark.parametrize("method", ["direct", "integral"])
@pytest.mark.parametrize(("key", "value"), [("mean", "sum"), ("max", "max"), ("mean", "mean"), ("max", "sum")])
@pytest.mark.parametrize("most", [(1, 1), (2, 3), (9, 9)])
def test_grid_is_attention_over_all_rectangles(method: str, key: str, value: str, most: tuple[int, int]) -> None:
    q, k, v = (draw(2, 4, 5, 3, seed=seed) for seed in range(3))
    attention = AreaAttention(max_height=most[0], max_width=most[1], key=key, value=value, layout="grid", method=method)  # type: ignore[arg-type]
    fits = (min(most[0], 4), min(most[1], 5))
    for got, *grids in zip(attention(q, k, v), q, k, v, strict=True):
        torch.testing.assert_close(got, slow(*grids, fits, key, value), rtol=1e-11, atol=1e-11)


def test_flat_is_attention_over_runs_that_wrap() -> None:
    q, k, v = (draw(1, 3, 4, 5, seed=seed) for seed in range(3))
    got = AreaAttention(max_height=3, max_width=3)(q, k, v)
    wanted = slow(*(grid.reshape(1, 12, 5) for grid in (q[0], k[0], v[0])), (1, 3), "mean", "sum")
    torch.testing.assert_close(got.reshape(1, 12, 5), wanted, rtol=1e-11, atol=1e-11)


def test_rows_attend_to_themselves_only() -> None:
    q, k, v = (draw(1, 3, 4, 5, seed=seed) for seed in range(3))
    got = AreaAttention(max_width=3, layout="rows")(q, k, v)
    for row in range(3):
        wanted = slow(q[0, row : row + 1], k[0, row : row + 1], v[0, row : row + 1], (1, 3), "mean", "sum")
        torch.testing.assert_close(got[0, row : row + 1], wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("size", "most", "count"),
    [((1, 180), (1, 3), 537), ((1, 90), (1, 3), 267), ((1, 20), (1, 3), 57), ((12, 15), (3, 3), 1386)],
)
def test_numbers_of_areas_are_the_published_ones(size: tuple[int, int], most: tuple[int, int], count: int) -> None:
    assert num_areas(*size, *most) == count
    sums = area_sums(torch.ones(1, *size, 1), *most)
    assert sum(area[0].numel() for area in sums) == count


def test_integral_image_loses_digits_only_in_single_precision() -> None:
    items = draw(2, 12, 15, 80, seed=0).relu()  # as after a ReLU: sums over a large table grow
    exact = area_sums(items, 3, 3)
    for wanted, integral in zip(exact, area_sums_by_integral(items, 3, 3), strict=True):
        torch.testing.assert_close(integral, wanted, rtol=0, atol=1e-12)

    def error(sums: list[Tensor]) -> float:
        return max(float((ours - wanted).abs().max()) for ours, wanted in zip(sums, exact, strict=True))

    assert error(area_sums_by_integral(items.float(), 3, 3)) > 5 * error(area_sums(items.float(), 3, 3))


def test_only_the_highest_areas_are_kept_and_weigh_one_in_all() -> None:
    q = draw(2, 3, 4, 5, seed=0)
    attention = AreaAttention(layout="grid", top_k=4)
    weights = attention.weights(q, q)
    assert (weights > 0).sum(dim=-1).eq(4).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 12, dtype=torch.float64))
    free = AreaAttention(layout="grid").weights(q, q)
    kept = free * (weights > 0)
    torch.testing.assert_close(weights, kept / kept.sum(dim=-1, keepdim=True))
    assert (free.masked_fill(weights > 0, 0).amax(-1) <= kept.masked_fill(weights == 0, math.inf).amin(-1)).all()


def test_scores_are_scaled_where_asked_for() -> None:
    q = draw(1, 2, 3, 4, seed=0)
    scaled = AreaAttention(scale=True).weights(q, q)
    torch.testing.assert_close(scaled, AreaAttention().weights(q / 4**0.5, q))


def test_sampled_keys_are_the_mean_with_noise_in_training_only() -> None:
    q = draw(1, 2, 3, 4, seed=0)
    sampled, mean = AreaAttention(key="sample"), AreaAttention()
    torch.manual_seed(0)
    assert not torch.allclose(sampled.train()(q, q, q), mean(q, q, q))
    torch.testing.assert_close(sampled.eval()(q, q, q), mean(q, q, q))


@pytest.mark.parametrize("wrong", [{"max_width": 0}, {"max_height": 0}, {"top_k": 0}])
def test_an_area_without_size_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=f"{next(iter(wrong))} of area attention must be positive"):
        AreaAttention(**wrong)  # type: ignore[arg-type]
