"""Metrics, intervals, significance tests, calibration, splits and the leak check: pure functions."""

from typing import TYPE_CHECKING

from serenade.core.names import NameTable

if TYPE_CHECKING:
    from serenade.evaluation.metrics import Metric

__all__ = ["METRICS"]

METRICS: "NameTable[Metric]" = NameTable(
    "metric",
    [
        ("wa", "serenade.evaluation.metrics:wa"),
        ("ua", "serenade.evaluation.metrics:ua"),
        ("macro_f1", "serenade.evaluation.metrics:macro_f1"),
        ("weighted_f1", "serenade.evaluation.metrics:weighted_f1"),
        ("micro_f1", "serenade.evaluation.metrics:micro_f1"),
    ],
)
