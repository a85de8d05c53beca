"""What a model attends to in the clearest stretches of a recording."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from serenade.core.records import Prediction
from serenade.core.timelines import Attended
from serenade.inference.explanation import MOST_S, Explainer
from serenade.signal.audio import SAMPLE_RATE

__all__ = ["attended_in", "clearest_spans", "cut_spans"]

_LOOKED_INTO_S = 60.0  # in all, of a recording


def clearest_spans(rows: Sequence[Prediction]) -> list[tuple[float, float]]:
    """Start and end of rows that do not overlap: the surest of every class, then the surest of all, up to a minute."""
    by_score = sorted(rows, key=lambda row: -row.score)
    surest: dict[str, Prediction] = {}
    for row in by_score:
        surest.setdefault(row.label, row)
    chosen: list[tuple[float, float]] = []
    for row in [*surest.values(), *by_score]:
        start_s, end_s = row.start_s, min(row.end_s, row.start_s + MOST_S)
        total_s = sum(end - start for start, end in chosen) + end_s - start_s
        apart = all(end_s <= start or start_s >= end for start, end in chosen)
        if apart and total_s <= _LOOKED_INTO_S:
            chosen.append((start_s, end_s))
    return sorted(chosen)


def cut_spans(
    blocks: Iterable[NDArray[np.float32]], spans: Sequence[tuple[float, float]]
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """The sound of spans, in one pass; nothing else of it is held.

    Args:
        blocks: (n,) at 16 kHz that follow each other.
        spans: in order and apart.

    Yields:
        Where a span begins, in seconds, and its (T,) samples.
    """
    waiting = list(spans)
    held: list[NDArray[np.float32]] = []
    place = 0
    for block in blocks:
        while waiting:
            first, last = (round(seconds * SAMPLE_RATE) for seconds in waiting[0])
            held.append(block[max(0, first - place) : max(0, last - place)])
            if last > place + len(block):
                break
            yield waiting.pop(0)[0], np.concatenate(held)
            held = []
        if not waiting:
            return
        place += len(block)
    if waiting and sum(map(len, held)):  # the last row may end a rounding behind the recording
        yield waiting[0][0], np.concatenate(held)


def attended_in(explainer: Explainer, parts: Iterable[tuple[float, NDArray[np.float32]]]) -> list[Attended]:
    """What a model attends to in parts of a recording; nothing where it has no attention.

    Args:
        explainer: of the model.
        parts: of `cut_spans`.
    """
    if not explainer.attends:
        return []
    found = []
    for start_s, samples in parts:
        explanation = explainer(samples, SAMPLE_RATE, method="attention")
        maps = [overlay.values[:, ~np.isnan(overlay.values).all(0)] for overlay in explanation.overlays]
        weights = [np.nanmean(values, axis=0) for values in maps if values.size]
        if weights and len({len(values) for values in weights}) == 1:
            first_s, last_s = explanation.span_s
            found.append(Attended(start_s + first_s, start_s + last_s, _shares(np.mean(weights, axis=0))))
    return found


def _shares(weights: NDArray[np.floating]) -> NDArray[np.float32]:
    """From 0 for the least to 1 for the most; a few outliers at either end do not set the scale."""
    low, high = np.percentile(weights, (5, 95))
    shares: NDArray[np.float32] = np.clip((weights - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)
    return shares
