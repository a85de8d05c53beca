"""What runs reach under conditions: a table, one drawing per sweep with all runs in it, a page, a CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from serenade.core.files import write_text
from serenade.reports.page import Clip, template_environment
from serenade.reports.raster import standalone_svg
from serenade.reports.svg import Axes, circle, drawing, line, path, text
from serenade.reports.tables import Bounds, Figure, Table, marks_of, p_text, to_csv, to_markdown

__all__ = ["Sample", "robustness_table", "sweep_figure", "sweeps_of", "write_robustness"]

_COLOURS = ("#3f51b5", "#e4572e", "#2e9e6b", "#c2733a", "#9c6ade", "#26a6c6", "#d4548c", "#7a8a2a")
_WIDTH, _HEIGHT = 760.0, 330.0
_LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 46.0, 28.0, 470.0, 254.0
_TITLES = {
    "noise": "Noise, by signal-to-noise ratio",
    "fgsm": "FGSM on features, by bound",
    "bim": "BIM on features, by bound",
    "pgd": "PGD on features, by bound",
    "fgsm-wave": "FGSM on the waveform, by bound",
    "bim-wave": "BIM on the waveform, by bound",
    "pgd-wave": "PGD on the waveform, by bound",
}
_AXES = {"noise": "signal-to-noise ratio, dB"}
_FEATURES, _WAVEFORM = "bound, standard deviations of a feature", "bound, parts of full scale"
_MEANING = (
    "In per cent; ± is the standard deviation over seeds, the interval a bootstrap over speakers. Change: points of UA "
    "against the clean recordings on the same utterances; p swaps clean and changed speaker by speaker."
)


@dataclass(frozen=True, slots=True)
class Sample:
    """How an utterance sounds under a condition.

    Args:
        condition: its text.
        utterance: its id.
        clip: the sound.
    """

    condition: str
    utterance: str
    clip: Clip


def robustness_table(document: Mapping[str, Any]) -> Table:
    """A row for every run and condition.

    Args:
        document: from `experiments.robustness.robustness_of`.
    """
    rows: list[tuple[str | Figure | Bounds, ...]] = []
    for run in document["runs"]:
        marks = marks_of(run)
        name = f"{run['name']} ({', '.join(marks)})" if marks else run["name"]
        for place, condition in enumerate(run["conditions"]):
            rows.append((name if place == 0 else "", *_row(condition)))
    columns = ("run", "condition", "tested", "UA", "95 % interval", "WA", "change", "its interval", "p")
    return Table(columns, tuple(rows), tuple(_notes(document)))


def _row(condition: Mapping[str, Any]) -> tuple[str | Figure | Bounds, ...]:
    ua, wa, change = condition["metrics"]["ua"], condition["metrics"]["wa"], condition["change"]
    figures = (_figure(ua), _bounds(ua), _figure(wa))
    if change is None:
        return (condition["text"], f"{condition['tested']:,}", *figures, Figure(None), Bounds(None, None), "–")
    moved = Figure(100 * change["difference"], signed=True)
    return (condition["text"], f"{condition['tested']:,}", *figures, moved, _bounds(change, True), p_text(change["p"]))


def _figure(metric: Mapping[str, Any]) -> Figure:
    mean, std = (None if metric[key] is None else 100 * metric[key] for key in ("mean", "std"))
    return Figure(mean, std)


def _bounds(metric: Mapping[str, Any], signed: bool = False) -> Bounds:
    low, high = (None if metric[key] is None else 100 * metric[key] for key in ("low", "high"))
    return Bounds(low, high, signed)


def _notes(document: Mapping[str, Any]) -> list[str]:
    notes = [_MEANING, *document["about"]]
    for run in document["runs"]:
        if run["leaky"] is not None:
            notes.append(f"{run['name']} is LEAKY: {run['leaky']}. Its figures are too high.")
        if run["synthetic"]:
            notes.append(f"{run['name']} was tested on synthetic voices, not on people.")
        for condition in run["conditions"]:
            lost = ", ".join(f"{count} {reason}" for reason, count in condition["left_out"].items())
            if lost:
                notes.append(f"{run['name']}, {condition['text']}: left out {lost}.")
        notes += [f"{run['name']}: {note}" for note in run["notes"]]
    return list(dict.fromkeys(notes))


def sweeps_of(document: Mapping[str, Any]) -> list[str]:
    """Names of the sweeps with at least two values, in order."""
    values: dict[str, set[float]] = {}
    for run in document["runs"]:
        for condition in run["conditions"]:
            if condition["sweep"] is not None:
                values.setdefault(condition["sweep"], set()).add(condition["value"])
    return [name for name, found in values.items() if len(found) > 1]


def sweep_figure(document: Mapping[str, Any], sweep: str) -> str:
    """UA of every run over a sweep, with its interval, and beside it that of the clean recordings.

    The values stand at equal distances, as bounds are a few to a decade.
    """
    values = sorted({c["value"] for run in document["runs"] for c in run["conditions"] if c["sweep"] == sweep})
    quiet_last = sweep == "noise"  # clean is beyond the best ratio, and before the smallest bound
    ticks = [*map(_number, values), "clean"] if quiet_last else ["clean", *map(_number, values)]
    axes = Axes(_LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT, (-0.4, len(ticks) - 0.6), (0, 100))
    y_ticks = {float(y): f"{y}" for y in range(0, 101, 20)}
    label = _AXES.get(sweep, _WAVEFORM if sweep.endswith("-wave") else _FEATURES)
    parts = [axes.frame({float(x): tick for x, tick in enumerate(ticks)}, y_ticks, label, "UA, %")]
    for place, run in enumerate(document["runs"]):
        colour = _COLOURS[place % len(_COLOURS)]
        at: dict[float | None, Any] = {c["value"]: c["metrics"]["ua"] for c in run["conditions"] if c["sweep"] == sweep}
        at[None] = next(c["metrics"]["ua"] for c in run["conditions"] if c["kind"] == "clean")
        order = [*values, None] if quiet_last else [None, *values]
        shift = 0.05 * (place - (len(document["runs"]) - 1) / 2)  # intervals beside each other, not on each other
        points = [(x + shift, at[value]) for x, value in enumerate(order) if value in at]
        parts += _curve(axes, points, colour, run["name"])
        parts.append(_legend(place, run["name"], colour))
    chance = 100 / len(document["runs"][0]["labels"])
    edge = axes.at(-0.4, chance), axes.at(len(ticks) - 0.6, chance)
    parts.append(line(*edge[0], *edge[1], class_="ideal"))
    parts.append(text(_LEFT + 4, edge[0][1] + 15, "guessing", class_="tick"))
    return drawing(_WIDTH, _HEIGHT, parts, label=f"{_TITLES.get(sweep, sweep)}: UA of all runs")


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _curve(axes: Axes, points: Sequence[tuple[float, Mapping[str, Any]]], colour: str, name: str) -> list[str]:
    places = [axes.at(x, 100 * ua["mean"]) for x, ua in points]
    parts = [path(places, fill="none", stroke=colour, stroke_width=2)] if len(places) > 1 else []
    for (x, ua), (left, top) in zip(points, places, strict=True):
        if ua["low"] is not None:
            low, high = axes.at(x, 100 * ua["low"])[1], axes.at(x, 100 * ua["high"])[1]
            parts.append(line(left, low, left, high, stroke=colour, stroke_width=1.2, opacity=0.6))
        parts.append(circle(left, top, 3.4, fill=colour, tip=f"{name}: {100 * ua['mean']:.1f} %"))
    return parts


def _legend(place: int, name: str, colour: str) -> str:
    x, y = _LEFT + _PLOT_WIDTH + 20, _TOP + 10 + 20 * place
    return line(x, y, x + 18, y, stroke=colour, stroke_width=2.4) + text(x + 25, y + 4, name, class_="tick")


def write_robustness(document: Mapping[str, Any], out: Path, samples: Sequence[Sample] = ()) -> list[Path]:
    """Write the table as Markdown and CSV, a drawing for each sweep, and the page.

    Returns:
        What was written, the page last.

    Raises:
        MissingExtraError: jinja2 is not installed.
        StorageError: the disk is full or refuses.
    """
    table = robustness_table(document)
    figures = {sweep: sweep_figure(document, sweep) for sweep in sweeps_of(document)}
    texts = {
        "conditions.md": to_markdown(table),
        "conditions.csv": to_csv(_whole(table)),
        **{f"{sweep}.svg": standalone_svg(figure) for sweep, figure in figures.items()},
        "conditions.html": _page(document, table, figures, samples),
    }
    for name, content in texts.items():
        write_text(out / name, f"{content}\n")
    return [out / name for name in texts]


def _whole(table: Table) -> Table:
    """The table with the run in every row, as programs want it."""
    rows, name = [], ""
    for first, *rest in table.rows:
        name = str(first) or name
        rows.append((name, *rest))
    return Table(table.columns, tuple(rows), table.notes)


def _page(document: Mapping[str, Any], table: Table, figures: Mapping[str, str], samples: Sequence[Sample]) -> str:
    rows = [[(cell if isinstance(cell, str) else cell.text(), not isinstance(cell, str)) for cell in row]
            for row in table.rows]  # fmt: skip
    return (
        template_environment()
        .get_template("robustness.html.j2")
        .render(
            style=files("serenade.reports").joinpath("templates/style.css").read_text(encoding="utf-8"),
            title="How robust: " + ", ".join(run["name"] for run in document["runs"]),
            columns=table.columns,
            rows=rows,
            notes=table.notes,
            figures=[(_TITLES.get(sweep, sweep), figure) for sweep, figure in figures.items()],
            samples=samples,
            leaky=any(run["leaky"] is not None for run in document["runs"]),
            synthetic=any(run["synthetic"] for run in document["runs"]),
        )
    )
