"""Metrics, intervals, significance tests, calibration, splits and the leak check: pure functions."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from serenade.core.names import NameTable
from serenade.core.records import Split, Utterance

if TYPE_CHECKING:
    from serenade.evaluation.metrics import Metric
    from serenade.evaluation.splits import SplitSettings

__all__ = ["METRICS", "SPLITS"]

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

SPLITS: "NameTable[Callable[[Sequence[Utterance], SplitSettings], Split]]" = NameTable(
    "split",
    [
        ("loso", "serenade.evaluation.splits:leave_one_speaker_out"),
        ("session", "serenade.evaluation.splits:leave_one_group_out"),
        ("kfold", "serenade.evaluation.kfold:grouped_kfold"),
        ("corpus", "serenade.evaluation.cross_corpus:leave_one_corpus_out"),
        ("nested", "serenade.evaluation.nested:nested"),
        ("fewshot", "serenade.evaluation.fewshot:few_shot"),
        ("superb", "serenade.evaluation.superb:superb"),
        ("emobox", "serenade.evaluation.emobox:from_emobox"),
        ("mesm", "serenade.evaluation.mesm:from_mesm"),
        ("file", "serenade.evaluation.reproduction:from_file"),
        ("columns", "serenade.evaluation.lists:from_columns"),
        ("random82_best_test", "serenade.evaluation.splits:random_82_best_test"),
        ("random811", "serenade.evaluation.splits:random_811"),
    ],
)
