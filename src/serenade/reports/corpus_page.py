"""The HTML page of a measured corpus: one file, nothing loaded from elsewhere."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

from serenade.core.errors import UsageError
from serenade.core.files import write_text
from serenade.core.wording import counted
from serenade.reports.corpus_figures import heat_figure, ridge_figure
from serenade.reports.figures import class_colour
from serenade.reports.page import Badge, template_environment

__all__ = ["write_corpus_report"]

_FORMAT = 1
_WORST = 12  # recordings named per criterion
_NO_LABEL = "(no label)"
_MOST_ROWS = 60  # speakers drawn; the table has them all
_MEASURES = (
    ("duration_s", "length", "s", 1.0),
    ("level_db", "level of the speech", "dB of full scale", 1.0),
    ("snr_db", "signal-to-noise ratio (estimate)", "dB", 1.0),
    ("silent_share", "silence", "% of the frames", 100.0),
)
_WORDS = {"error": "bad", "warning": "warn", "note": "note"}


def write_corpus_report(summary: Mapping[str, Any], out: Path) -> None:
    """Write the page of a corpus.

    Args:
        summary: from `experiments.corpus_summary.summarise_corpus`.
        out: the HTML file.

    Raises:
        UsageError: the summary is of another version.
        MissingExtraError: jinja2 is not installed.
        StorageError: the page cannot be written.
    """
    if summary.get("format") != _FORMAT:
        raise UsageError("the summary is of another version", found=summary.get("format"), expected=f"format {_FORMAT}")
    environment = template_environment()
    folder = files("serenade.reports").joinpath("templates")
    style = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", "corpus.css"))
    page = environment.get_template("corpus.html.j2").render(style=style, words=_WORDS, **_view(summary))
    write_text(out, page)


def _view(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary with everything that the template shows of it."""
    about, counted = summary["corpus"], summary["statistics"]
    labels = [name for name in counted["classes"] if name != _NO_LABEL]
    damaged = [item for item in summary["left_out"] if item["damage"]]
    speakers, table = counted["speakers"], _table(counted)
    return {
        **summary,
        "title": f"Recordings of {Path(about['path']).name if about['name'] == 'table' else about['title']}",
        "labels": labels,
        "colours": {name: class_colour(name, labels) for name in labels} | {_NO_LABEL: "#9aa4b2"},
        "damaged": damaged,
        "not_used": [item for item in summary["left_out"] if not item["damage"]],
        "badges": _badges(summary, damaged),
        "heat": _heat(counted) if len(speakers) <= _MOST_ROWS else None,
        "table": table,
        "per_speaker": _per_speaker(table),
        "by_class": _ridges(summary["utterances"], "emotion", counted["classes"], labels),
        "by_speaker": _ridges(summary["utterances"], "speaker", _most_heard(table), labels),
        "speakers_not_drawn": max(0, len(speakers) - _MOST_ROWS),
        "failed": [{**entry, "shown": entry["worst"][:_WORST]} for entry in summary["criteria"] if entry["count"]],
        "passed": [entry for entry in summary["criteria"] if not entry["count"]],
    }


def _badges(summary: Mapping[str, Any], damaged: Sequence[Any]) -> list[Badge]:
    """What a reader must know at once."""
    badges = [Badge("bad", f"{len(damaged)} damaged", "They are listed below.")] if damaged else []
    badges += [
        Badge("warn", f"{entry['count']} {entry['title'].lower()}") for entry in summary["criteria"] if entry["count"]
    ]
    if summary["majority"]["gives_label"]:
        badges.append(Badge("warn", "speaker gives the class away"))
    badges += [
        Badge("warn", f"{cue['title']} {cue['strength']}")
        for cue in summary["cues"]
        if cue["strength"].startswith("gives")
    ]
    return badges or [Badge("good", "no fault found", "No recording failed a criterion.")]


def _heat(counted: Mapping[str, Any]) -> str:
    counts = {(entry["speaker"], entry["emotion"]): entry["utterances"] for entry in counted["counts"]}
    return heat_figure(counts, counted["speakers"], counted["classes"])


def _table(counted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Speakers with their sex, utterances by class, and minutes."""
    by_speaker: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in counted["counts"]:
        by_speaker[entry["speaker"]].append(entry)
    return [
        {
            "speaker": speaker,
            "gender": entries[0]["gender"],
            "counts": {entry["emotion"]: entry["utterances"] for entry in entries},
            "utterances": sum(entry["utterances"] for entry in entries),
            "minutes": sum(entry["minutes"] for entry in entries),
        }
        for speaker, entries in sorted(by_speaker.items())
    ]


def _most_heard(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """The speakers with the most utterances, in their order."""
    most = sorted(table, key=lambda row: (-row["utterances"], row["speaker"]))[:_MOST_ROWS]
    return sorted(row["speaker"] for row in most)


def _per_speaker(table: Sequence[Mapping[str, Any]]) -> str:
    """How utterances are spread over speakers, in words."""
    counts = sorted(row["utterances"] for row in table)
    return f"{counted(len(counts), 'speaker')} with {counts[0]} to {counts[-1]} utterances, median {median(counts):g}."


def _ridges(rows: Sequence[Mapping[str, Any]], key: str, names: Sequence[str], labels: Sequence[str]) -> list[str]:
    """The histograms of every measure by class or by speaker."""
    is_class = key == "emotion"
    colours = {name: class_colour(name, labels) if is_class and name in labels else "var(--accent)" for name in names}
    figures = []
    for measure, title, unit, scale in _MEASURES:
        groups: dict[str, list[float]] = {name: [] for name in names}
        for row in rows:
            name = _NO_LABEL if row[key] is None else row[key]
            if name in groups and row[measure] is not None:
                groups[name].append(row[measure])
        figure = ridge_figure(groups, colours, title=title, unit=unit, scale=scale)
        figures += [figure] if figure is not None else []
    return figures
