"""The filter-shape study: how tall and how wide should the first filters on a spectrogram be?

P. Li, Y. Song, I. McLoughlin, W. Guo, L. Dai, Interspeech 2018, section 4 and Figure 2: a network of one convolution is
trained for a sweep over the filter's height at width 2, and one over its width at height 2. Every shape is a run.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from serenade.core.errors import SerenadeError, UsageError
from serenade.core.files import read_json, write_json
from serenade.experiments.series import Member, summaries_of
from serenade.experiments.statistics import plain_values

__all__ = ["HEIGHTS", "WIDTHS", "begin_study", "read_study", "shape_members"]

HEIGHTS = (2, 4, 6, 8, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
"""Heights of the paper's upper panel, in bins of 10 Hz; the width is 2."""
WIDTHS = (2, 4, 6, 8, 10, 20, 30, 40, 50, 60, 70, 80)
"""Widths of the paper's lower panel, in frames of 10 ms; the height is 2."""
_HELD = 2
"""What the other side has while one side is swept."""
_PRESET = "one-layer"
_FILE = "study.json"
_SAMPLE_RATE = 16_000


def shape_members(heights: Iterable[int] = HEIGHTS, widths: Iterable[int] = WIDTHS) -> list[Member]:
    """A run for every shape of both sweeps; the shape that both hold occurs once.

    >>> [member.name for member in shape_members([2, 10], [2, 8])]
    ['2x2', '10x2', '2x8']

    Raises:
        UsageError: a side is not positive, or there is nothing to sweep.
    """
    shapes = dict.fromkeys([*((h, _HELD) for h in heights), *((_HELD, w) for w in widths)])
    if not shapes:
        raise UsageError("there is no filter shape to study", hint="Give --heights or --widths")
    for height, width in shapes:
        if height < 1 or width < 1:
            raise UsageError("a filter has at least one bin and one frame", found=f"{height} x {width}")
    return [
        Member(_name(height, width), _PRESET, changes={"network": {"filter_height": height, "filter_width": width}})
        for height, width in shapes
    ]


def _name(height: int, width: int) -> str:
    return f"{height}x{width}"


def begin_study(out: Path, heights: Sequence[int], widths: Sequence[int]) -> None:
    """Write what is swept, so that the study can be shown from its folder alone.

    Raises:
        StorageError: the disk is full or refuses.
    """
    write_json(out / _FILE, {"format": 1, "heights": list(heights), "widths": list(widths)})


def read_study(out: Path) -> dict[str, Any]:
    """What is known of every shape so far.

    Returns:
        ``head`` (a summary's head: what was run), ``labels``, ``panels``: per side ``axis``, ``held``, ``unit`` (what a
        step of it is, such as 10 Hz) and ``points``: value, run, seeds, whether complete, ``wa`` (as a summary's pooled
        metric) and ``recall`` (mean and std per class); ``unfinished``: runs not finished or not begun.

    Raises:
        UsageError: the folder is not a study, or nothing of it is finished.
        SerenadeError: a file of it is damaged.
    """
    swept = _swept(out)
    sides = {"height": swept["heights"], "width": swept["widths"]}
    names = {
        side: [_name(*((value, _HELD) if side == "height" else (_HELD, value))) for value in values]
        for side, values in sides.items()
    }
    summaries = summaries_of(out, list(dict.fromkeys([*names["height"], *names["width"]])))
    head = next(summary for summary in summaries.values() if summary is not None)
    units = _units(head["settings"].get("front_end", {}))
    panels = [
        {
            "axis": side,
            "held": _HELD,
            "unit": units[side],
            "points": [
                _point(value, name, summary)
                for value, name in zip(sides[side], names[side], strict=True)
                if (summary := summaries[name]) is not None
            ],
        }
        for side in sides
        if sides[side]
    ]
    unfinished = [name for name, summary in summaries.items() if summary is None or not summary["state"]["complete"]]
    study = {"head": head, "labels": head["labels"], "panels": panels, "unfinished": unfinished}
    plain: dict[str, Any] = plain_values(study)
    return plain


def _swept(out: Path) -> dict[str, Any]:
    if not (out / _FILE).is_file():
        raise UsageError(
            "this folder is not a study of filter shapes",
            where=out,
            expected="a folder that `serenade study filter-shapes` wrote",
        )
    try:
        swept: dict[str, Any] = read_json(out / _FILE)
    except ValueError as error:
        raise SerenadeError("the study's file is damaged", where=out / _FILE, found=str(error)) from error
    return swept


def _point(value: int, name: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "value": value,
        "run": name,
        "seeds": len(summary["seeds"]),
        "complete": summary["state"]["complete"],
        "wa": summary["metrics"]["wa"]["pooled"],
        "ua": summary["metrics"]["ua"]["pooled"],
        "recall": {entry["label"]: entry["recall"] for entry in summary["classes"]},
    }


def _units(front_end: Mapping[str, Any]) -> dict[str, str]:
    """What one bin and one frame are; "bin" and "frame" where the front end's bins are not evenly spaced."""
    hop, length = front_end.get("hop_length"), front_end.get("fft_length")
    even = front_end.get("kind") in ("mu_law", "spectrogram") and length is not None
    return {
        "height": f"{_SAMPLE_RATE / length:.4g} Hz" if even and length is not None else "bin",
        "width": f"{1000 * hop / _SAMPLE_RATE:.4g} ms" if hop is not None else "frame",
    }
