"""Means and spreads of figures of which some are not defined, and figures as plain values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["defined_means", "mean_and_std", "plain_values", "spread"]


def mean_and_std(values: ArrayLike) -> dict[str, Any]:
    """``mean`` and ``std`` (n - 1) over what is not NaN; None where they are not defined."""
    defined = np.asarray(values, dtype=np.float64)
    defined = defined[~np.isnan(defined)]
    return {"mean": defined.mean() if defined.size else None, "std": spread(defined)}


def spread(values: ArrayLike) -> float | None:
    """Standard deviation with n - 1 over what is defined; None for fewer than two values."""
    defined = np.asarray(values, dtype=np.float64)
    defined = defined[~np.isnan(defined)]
    return float(defined.std(ddof=1)) if defined.size > 1 else None


def defined_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means along the first axis over what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(0)
    return np.asarray(np.divide(total, defined.sum(0), out=np.full(total.shape, np.nan), where=defined.any(0)))


def plain_values(value: Any) -> Any:
    """The same in values that JSON has: lists for arrays, None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain_values(value.tolist())
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    if isinstance(value, np.generic):
        return plain_values(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
