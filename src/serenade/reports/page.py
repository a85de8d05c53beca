"""The HTML page of one or several runs: one file, no script from elsewhere, nothing loaded from the network."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serenade.core.errors import MissingExtraError, SerenadeError, UsageError
from serenade.core.files import read_json, write_text
from serenade.core.settings import dump_toml
from serenade.core.wording import counted
from serenade.reports.figures import (
    class_colour,
    confusion_figure,
    curves_figure,
    interval_figure,
    map_figure,
    reliability_figure,
    risk_figure,
)
from serenade.reports.tables import METRIC_TITLES, Figure, marks_of, p_text

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["CLIP_BYTES", "Badge", "Clip", "ClipMaker", "badges_of", "template_environment", "write_report"]

_SUMMARY_FORMAT = 1
CLIP_BYTES = 6_000_000
"""Sound put into one page, before base64; further utterances are listed without a player."""
_MAPS = 24
"""Maps shown per run."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A piece of sound that a browser plays.

    Args:
        data: the bytes of the file.
        mime: its type, such as "audio/mpeg".
    """

    data: bytes
    mime: str

    @property
    def uri(self) -> str:
        """The sound as an address that holds it."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode()}"


ClipMaker = Callable[[Mapping[str, Any]], Clip | None]
"""From an entry of a summary's ``worst`` to its sound; None where there is none."""


@dataclass(frozen=True, slots=True)
class Badge:
    """A word beside a run's name.

    Args:
        kind: "good", "bad", "warn" or "note".
        text: what it says.
        detail: the reason.
    """

    kind: str
    text: str
    detail: str = ""


def write_report(
    runs: Sequence[Path],
    out: Path,
    *,
    clip: ClipMaker | None = None,
    comparisons: Sequence[Mapping[str, Any]] = (),
    explained: Sequence[Sequence[tuple[str, str]]] = (),
) -> None:
    """Write the page of runs.

    Args:
        runs: run folders with a summary.json.
        out: the HTML file.
        clip: gives the sound of the worst utterances; None makes a page without players.
        comparisons: from `experiments.comparison.compare`, shown above the runs.
        explained: for each run captions and figures of what its models attend to; nothing for runs without.

    Raises:
        UsageError: no run is given, or one has no summary of this version.
        MissingExtraError: jinja2 is not installed.
        StorageError: the page cannot be written.
    """
    if not runs:
        raise UsageError("a report needs at least one run")
    environment = template_environment()
    summaries = [_read_summary(run) for run in runs]
    views = [_view(summary, f"run{place + 1}") for place, summary in enumerate(summaries)]
    for place, view in enumerate(views):
        figures = explained[place] if place < len(explained) else ()
        view["explained"] = [{"caption": caption, "figure": figure} for caption, figure in figures]
    _add_clips(views, clip)
    page = environment.get_template("page.html.j2").render(
        title=_title(summaries),
        style=files("serenade.reports").joinpath("templates/style.css").read_text(encoding="utf-8"),
        runs=views,
        comparisons=comparisons,
        metric_titles=METRIC_TITLES,
    )
    write_text(out, page)


def template_environment() -> "Environment":
    """What renders the templates of this room, with its filters.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("jinja2", extra="train", purpose="The HTML report") from error
    environment = Environment(
        loader=PackageLoader("serenade.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "spread": _spread, "signed": _signed, "p": p_text}
    environment.filters |= {"duration": _duration, "badges": badges_of}
    return environment


def _read_summary(run: Path) -> dict[str, Any]:
    path = run / "summary.json"
    if not path.is_file():
        raise UsageError("the run has no summary", where=run, expected="summary.json, which `serenade report` makes")
    try:
        summary: dict[str, Any] = read_json(path)
    except ValueError as error:
        raise SerenadeError("the summary of the run is damaged", where=path, found=str(error)) from error
    if summary.get("format") != _SUMMARY_FORMAT:
        raise UsageError(
            "the summary is of another version of Serenade",
            where=path,
            found=f"format {summary.get('format')}",
            expected=f"format {_SUMMARY_FORMAT}",
            hint="Run `serenade report` on the run again",
        )
    return summary


def _title(summaries: Sequence[Mapping[str, Any]]) -> str:
    return _name_of(summaries[0]) if len(summaries) == 1 else f"{counted(len(summaries), 'run')} compared"


def _name_of(summary: Mapping[str, Any]) -> str:
    return f"{summary['system']} on {' + '.join(summary['corpus_titles'])}"


def _risk(calibration: Mapping[str, Any]) -> str | None:
    """The selective-risk curve; None of a summary made before there was one."""
    return risk_figure(calibration["selective"]) if "selective" in calibration else None


def _view(summary: dict[str, Any], anchor: str) -> dict[str, Any]:
    """A summary with everything that the template shows of it."""
    labels, curves = summary["labels"], summary["curves"]
    maps = summary["maps"]["panels"] if summary["maps"] is not None else []
    selection = "test (epoch picked here)" if summary["split"]["select_on_test"] else "validation"
    losses = {name: "training" for name in curves["series"] if name.startswith("losses/")}
    if len(losses) > 1:
        losses = {name: name.removeprefix("losses/") for name in losses}
    return {
        **summary,
        "anchor": anchor,
        "title": _name_of(summary),
        "badges": badges_of(summary),
        "marks": marks_of(summary),
        "sentence": _sentence(summary),
        "colours": {label: class_colour(label, labels) for label in labels},
        "scales": {
            name: interval_figure(figures["pooled"], summary["chance"].get(name))
            for name, figures in summary["metrics"].items()
        },
        "figures": {
            "confusion": confusion_figure(summary["confusion"], labels),
            "reliability": reliability_figure(summary["calibration"]),
            "risk": _risk(summary["calibration"]),
            "loss": curves_figure(curves, {**losses, "selection/loss": selection}, "loss"),
            "scores": curves_figure(curves, {"selection/ua": "UA", "selection/wa": "WA"}, f"{selection} score"),
        },
        "panels": [{**panel, "figure": map_figure(panel, labels)} for panel in maps[:_MAPS]],
        "panels_left_out": max(0, len(maps) - _MAPS),
        "folds_name_speakers": all(
            len(fold["speakers"]) == 1 and fold["fold"].endswith(fold["speakers"][0]) for fold in summary["folds"]
        ),
        "worst": [{**entry, "uri": None} for entry in summary["worst"]],
        "experiment_toml": dump_toml(summary["experiment"]),
    }


def badges_of(head: Mapping[str, Any]) -> list[Badge]:
    """The badges of a run: leak status first, then whatever else limits its figures.

    Args:
        head: a summary.
    """
    badges = [_leak_badge(head)]
    findings = head["leaks"]["findings"] if head["leaks"] is not None else []
    badges += [
        Badge("warn", "speaker gives the label away", finding["message"])
        for finding in findings
        if finding["kind"] == "speaker_gives_label"
    ]
    if head.get("protocol") is not None:
        badges.append(Badge("warn", "TRANSDUCTIVE", head["protocol"]))
    if head["synthetic"]:
        badges.append(Badge("note", "synthetic voices", "Made by Serenade, not recorded: says nothing about people."))
    state = head["state"]
    if not state["complete"]:
        missing = f"{state['jobs'] - state['done']} of {state['jobs']} jobs are missing."
        badges.append(Badge("warn", f"unfinished: {state['done']} of {state['jobs']} jobs", missing))
    return badges


def _leak_badge(head: Mapping[str, Any]) -> Badge:
    leaky, leaks = head["split"]["leaky"], head["leaks"]
    if leaky is not None:
        return Badge("bad", "LEAKY", leaky)
    if leaks is None:
        return Badge("warn", "not checked for leaks", "The run folder holds no result of the check.")
    kinds = {finding["kind"] for finding in leaks["findings"]}
    if any(finding["severity"] == "error" for finding in leaks["findings"]):
        return Badge("bad", "LEAKY", "; ".join(f["message"] for f in leaks["findings"] if f["severity"] == "error"))
    if "unknown_speaker" in kinds:
        return Badge("warn", "speakers unknown", "It cannot be told whether a tested person was trained on.")
    return Badge("good", "speaker-independent, checked", "No tested speaker, recording or sound was trained on.")


def _sentence(summary: Mapping[str, Any]) -> str:
    """The result as one would tell it."""
    data, chance = summary["data"], summary["chance"]
    ua = summary["metrics"]["ua"]["pooled"]
    heard = "whom it never heard in training" if _leak_badge(summary).kind == "good" else "in this split"
    voices = "synthetic speakers" if summary["synthetic"] else "speakers"
    return (
        f"Over {data['tested']:,} utterances of {len(summary['speakers'])} {voices} {heard}, "
        f"it names the right one of {len(summary['labels'])} emotions with a mean recall of {_percent(ua['mean'])} "
        f"(guessing reaches {_percent(chance['ua'])})."
    )


def _add_clips(views: Sequence[dict[str, Any]], clip: ClipMaker | None) -> None:
    """Put sound beside the worst utterances, of each run in turn, as long as there is room."""
    room = CLIP_BYTES
    made: dict[tuple[str, float, float | None], Clip | None] = {}
    longest = max(len(view["worst"]) for view in views)
    entries = [view["worst"][place] for place in range(longest) for view in views if place < len(view["worst"])]
    for entry in entries if clip is not None else ():
        assert clip is not None
        key = (entry["audio"], entry["start_s"], entry["end_s"])
        if key not in made:
            made[key] = clip(entry)
        sound = made[key]
        if sound is not None and len(sound.data) <= room:
            room -= len(sound.data)
            entry["uri"] = sound.uri


def _percent(value: float | None, digits: int = 1) -> str:
    """A share as per cent, with a narrow space that does not break."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _spread(values: Mapping[str, Any], std: str = "std") -> str:
    """Mean ± standard deviation in per cent."""
    if values["mean"] is None:
        return "–"
    return Figure(100 * values["mean"], None if values[std] is None else 100 * values[std]).text()


def _signed(value: float | None) -> str:
    """A difference in per cent with its sign."""
    return Figure(None if value is None else 100 * value, signed=True).text()


def _duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
