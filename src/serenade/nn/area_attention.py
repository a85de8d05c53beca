"""Attention over areas: every query may look at any rectangle of neighbouring items at once.

Y. Li, L. Kaiser, S. Bengio, S. Si, "Area Attention", ICML 2019; for speech emotion M. Xu, F. Zhang, X. Cui, W. Zhang,
"Speech Emotion Recognition with Multiscale Area Attention and Data Augmentation", ICASSP 2021.

For an area a with items I_a: key k_a = mean of the items' keys, value v_a = sum of their values; for a query q:
``out = sum_a softmax_a(q . k_a) v_a``.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.errors import SettingsError
from serenade.nn.attention_maps import AttentionMap

__all__ = ["AreaAttention", "area_map", "area_sums", "area_sums_by_integral", "num_areas"]

_VARIANCE_FLOOR = 1e-6


def num_areas(height: int, width: int, max_height: int, max_width: int) -> int:
    """How many rectangles of at most max_height x max_width lie in a grid of height x width."""
    heights = sum(max(0, height - r + 1) for r in range(1, max_height + 1))
    return heights * sum(max(0, width - c + 1) for c in range(1, max_width + 1))


def area_sums(items: Tensor, max_height: int, max_width: int) -> list[Tensor]:
    """Sums over all rectangles, by adding one shifted grid after the other.

    Args:
        items: (B, H, W, D).
        max_height: rows of the tallest rectangle.
        max_width: columns of the widest.

    Returns:
        One tensor (B, H - r + 1, W - c + 1, D) for each size, r outer and c inner; sizes that do not fit are not there.
    """
    return [total for _, _, total in _sliding(items, max_height, max_width, torch.add)]


def area_sums_by_integral(items: Tensor, max_height: int, max_width: int) -> list[Tensor]:
    """The same as `area_sums` from a summed-area table: four lookups per rectangle, but in float32 digits are lost."""
    table = functional.pad(items.cumsum(1).cumsum(2), (0, 0, 1, 0, 1, 0))
    height, width = items.shape[1:3]
    return [
        table[:, r:, c:] - table[:, :-r, c:] - table[:, r:, :-c] + table[:, :-r, :-c]
        for r in range(1, min(max_height, height) + 1)
        for c in range(1, min(max_width, width) + 1)
    ]


def _sliding(items: Tensor, max_height: int, max_width: int, merge: object) -> Iterator[tuple[int, int, Tensor]]:
    """Rows, columns and merged items of every size of rectangle."""
    height, width = items.shape[1:3]
    rows = items
    for r in range(1, min(max_height, height) + 1):
        if r > 1:
            rows = merge(rows[:, :-1], items[:, r - 1 :])  # type: ignore[operator]  # a torch function of two tensors
        area = rows
        for c in range(1, min(max_width, width) + 1):
            if c > 1:
                area = merge(area[:, :, :-1], rows[:, :, c - 1 :])  # type: ignore[operator]
            yield r, c, area


class AreaAttention(nn.Module):
    """Attention over all rectangles of items up to a size; without weights of its own.

    Args:
        max_height: rows of the tallest rectangle; without effect in the layouts "flat" and "rows".
        max_width: columns of the widest.
        key: what stands for an area: "mean" of its keys, "max", or "sample", the mean plus Gaussian noise of their
            standard deviation in training.
        value: what is taken from it: "sum", "mean" or "max".
        layout: "grid" has rectangles over height and width (as the paper describes); "flat" has runs over the flattened
            grid, which wrap across row ends (the authors' PyTorch network); in "rows" every row of the grid attends to
            itself only (the authors' TensorFlow network).
        scale: whether scores are divided by sqrt(D); neither reference does.
        dropout: share of the weights dropped in training.
        top_k: only so many areas of the highest weight are kept, with renormalised weights; None keeps all.
        method: "direct" sums, or an "integral" image.

    Raises:
        SettingsError: a size or top_k is not positive.
    """

    def __init__(
        self,
        *,
        max_height: int = 3,
        max_width: int = 3,
        key: Literal["mean", "max", "sample"] = "mean",
        value: Literal["sum", "mean", "max"] = "sum",
        layout: Literal["flat", "grid", "rows"] = "flat",
        scale: bool = False,
        dropout: float = 0.0,
        top_k: int | None = None,
        method: Literal["direct", "integral"] = "direct",
    ) -> None:
        super().__init__()
        for name, number in (("max_height", max_height), ("max_width", max_width), ("top_k", top_k)):
            if number is not None and number < 1:
                raise SettingsError(f"{name} of area attention must be positive", found=str(number))
        self.max_height, self.max_width, self.layout = max_height, max_width, layout
        self.key, self.value, self.scale, self.top_k = key, value, scale, top_k
        self.dropout = nn.Dropout(dropout)
        self._sums = area_sums if method == "direct" else area_sums_by_integral

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend from every cell of a grid to the areas of another.

        Args:
            query: (B, H, W, D).
            key: (B, H, W, D).
            value: (B, H, W, E).

        Returns:
            (B, H, W, E).
        """
        weights, areas = self._weights_and_values(query, key, value)
        return torch.matmul(self.dropout(weights), areas).reshape(*query.shape[:3], value.shape[-1])

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """(B, Q, A) softmax weights of the areas for every query, without dropout, in the order of `area_sums`.

        Q = H W; with the layout "rows" it is (B H, W, A).
        """
        return self._weights_and_values(query, key, key)[0]

    def cell_weights(self, query: Tensor, key: Tensor) -> Tensor:
        """How much of each cell is in the output, averaged over the queries.

        The weight of an area counts for each of its cells: in full where areas sum their values, divided by the number
        of cells where they average. So with these two ``mean over queries of output = sum over cells of weight times
        value``, exactly; with maxima, of which one cell per channel gets through, the weight is divided too.

        Args:
            query: (B, H, W, D).
            key: (B, H, W, D).

        Returns:
            (B, H, W), without dropout. They sum to 1 where areas average.
        """
        batch, height, width = key.shape[:3]
        laid_out = self._lay_out(key)
        rows, columns = laid_out.shape[1:3]
        areas = self.weights(query, key).mean(dim=1)  # (B or B H, A)
        cells, start = areas.new_zeros(len(areas), rows, columns), 0
        for r in range(1, min(self.max_height, rows) + 1):
            for c in range(1, min(self.max_width, columns) + 1):
                tall, wide = rows - r + 1, columns - c + 1
                weights = areas[:, start : start + tall * wide].reshape(-1, tall, wide)
                _add_areas(cells, weights if self.value == "sum" else weights / (r * c), r, c)
                start += tall * wide
        cells = cells.reshape(batch, height, width)
        return cells / height if self.layout == "rows" else cells

    def _weights_and_values(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value = (self._lay_out(grid) for grid in (query, key, value))
        queries = query.flatten(1, 2)  # (B, Q, D)
        scores = torch.matmul(queries, self._keys(key).transpose(1, 2))  # (B, Q, A)
        if self.scale:
            scores = scores / queries.shape[-1] ** 0.5
        return self._keep_highest(scores.softmax(dim=-1)), self._values(value)

    def _lay_out(self, grid: Tensor) -> Tensor:
        batch, height, width, depth = grid.shape
        if self.layout == "flat":
            return grid.reshape(batch, 1, height * width, depth)
        return grid.reshape(batch * height, 1, width, depth) if self.layout == "rows" else grid

    def _keys(self, key: Tensor) -> Tensor:
        """(B, A, D)."""
        if self.key == "max":
            return self._maxima(key)
        mean = self._means(key)
        if self.key == "mean" or not self.training:
            return mean
        deviation = torch.sqrt((self._means(key.square()) - mean.square()).abs() + _VARIANCE_FLOOR)
        return mean + deviation * torch.randn_like(mean)

    def _values(self, value: Tensor) -> Tensor:
        """(B, A, E)."""
        if self.value == "max":
            return self._maxima(value)
        return self._means(value) if self.value == "mean" else _join(self._sums(value, *self._sizes))

    @property
    def _sizes(self) -> tuple[int, int]:
        return self.max_height, self.max_width

    def _means(self, items: Tensor) -> Tensor:
        height, width = items.shape[1:3]
        sums = self._sums(items, *self._sizes)
        cells = [(height - s.shape[1] + 1) * (width - s.shape[2] + 1) for s in sums]
        return _join([s / count for s, count in zip(sums, cells, strict=True)])

    def _maxima(self, items: Tensor) -> Tensor:
        return _join([area for _, _, area in _sliding(items, *self._sizes, torch.maximum)])

    def _keep_highest(self, weights: Tensor) -> Tensor:
        if self.top_k is None or self.top_k >= weights.shape[-1]:
            return weights
        kept = torch.zeros_like(weights).scatter(-1, weights.topk(self.top_k, dim=-1).indices, 1.0)
        weights = weights * kept
        return weights / weights.sum(dim=-1, keepdim=True)


def area_map(attention: AreaAttention, cells: Tensor, stacked: int) -> AttentionMap:
    """What area attention of cells to themselves looks at, averaged over the cells that look.

    Args:
        attention: the layer.
        cells: (B, H, W, D) queries and keys.
        stacked: how often H runs through the feature axis.

    Returns:
        A map (B, 1, H, W); see `AreaAttention.cell_weights`.
    """
    counted = "in full for each of its cells" if attention.value == "sum" else "in equal parts for its cells"
    return AttentionMap(
        attention.cell_weights(cells, cells).unsqueeze(1),
        "area attention",
        f"How much of a cell all cells take over on average; the weight of an area counts {counted}.",
        stacked=stacked,
    )


def _add_areas(cells: Tensor, weights: Tensor, r: int, c: int) -> None:
    """Add weights (B, H - r + 1, W - c + 1) of areas, placed by their first cell, to all r x c cells of each."""
    tall, wide = weights.shape[1:]
    for down in range(r):
        for right in range(c):
            cells[:, down : down + tall, right : right + wide] += weights


def _join(areas: list[Tensor]) -> Tensor:
    """(B, A, D) all areas of all sizes, row by row within a size."""
    return torch.cat([area.flatten(1, 2) for area in areas], dim=1)
