"""The tables of MTL-AUG: figures of every model, which orderings hold, and a drawing for each sweep of conditions."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from serenade.core.files import write_text
from serenade.core.wording import counted
from serenade.reports.page import template_environment
from serenade.reports.paper_figures import PaperFigure, write_pictures
from serenade.reports.published import unread_tables
from serenade.reports.raster import standalone_svg
from serenade.reports.robustness import sweep_figure, sweeps_of
from serenade.reports.tables import Bounds, Figure, Table, marks_of, p_text, to_csv, to_latex, to_markdown

__all__ = ["mtl_table", "ordering_table", "write_mtl_table"]

_TITLES = {
    "within": "MTL-AUG and its rivals within corpora",
    "cross": "MTL-AUG and its rivals across corpora",
    "noise": "MTL-AUG and single-task systems under noise",
    "attacks": "MTL-AUG and single-task systems under attacks",
    "ablations": "Ablations of MTL-AUG",
}
_MEANING = (
    "In per cent. UA: of each held-out speaker, then the mean over speakers; ± is the standard deviation over repeats "
    "(seeds). Pooled: all test utterances of a repeat together; its interval is a bootstrap over speakers."
)
_ORDERING = (
    "Difference: points of UA, mean over speakers, the first model minus the second on the same utterances and "
    "repeats; the interval resamples speakers. p: Wilcoxon's signed-rank test over repeats, the same seed being a "
    "pair. Holds: the interval is above 0. Reversed: it is below 0. Not shown: it covers 0."
)
_UNREAD, _UNKNOWN, _UNPUBLISHED = "could not be read", "not known", "not published"
_PUBLISHED = (
    "Published: could not be read = the paper's table has the row, but no cell of it could be read; not known = "
    "whether it has the row is not known; not published = no table of the paper on these data is known."
)
_ARROW = " → "
_FIRST_P = 0.05
_Cell = str | Figure | Bounds


def mtl_table(document: Mapping[str, Any]) -> Table:
    """A row for every model on every corpus, direction or condition.

    Args:
        document: from `experiments.mtl_tables.read_mtl_table`.
    """
    rows = []
    for row in document["rows"]:
        condition = () if document["bench"] is None else (_condition(row),)
        figures = _figures(row["figures"])
        rows.append((_data(row), *condition, _model(row), *figures, _published(document["table"], row)))
    head = ("data",) if document["bench"] is None else ("data", "condition")
    columns = (*head, "model", "UA", "pooled UA", "95 % interval", "WA", "repeats", "published")
    return Table(columns, tuple(rows), tuple(_notes(document)))


def _data(row: Mapping[str, Any]) -> str:
    return _ARROW.join(row["titles"])


def _condition(row: Mapping[str, Any]) -> str:
    return "" if row["condition"] is None else str(row["condition"]["text"])


def _model(row: Mapping[str, Any]) -> str:
    if row["skipped"] is not None:
        return f"{row['title']} (not run)"
    if row["head"] is None:
        return f"{row['title']} (not begun)"
    marks = marks_of(row["head"])
    return f"{row['title']} ({', '.join(marks)})" if marks else str(row["title"])


def _figures(figures: Mapping[str, Any] | None) -> tuple[_Cell, ...]:
    if figures is None:
        return (Figure(None), Figure(None), Bounds(None, None), Figure(None), "")
    of_speakers, ua, wa = figures["ua_speakers"], figures["ua"], figures["wa"]
    return (_figure(of_speakers), _figure(ua), _bounds(ua), _figure(wa), str(figures["repeats"]))


def _figure(metric: Mapping[str, Any]) -> Figure:
    mean, std = (None if metric[key] is None else 100 * metric[key] for key in ("mean", "std"))
    return Figure(mean, std)


def _bounds(metric: Mapping[str, Any], *, signed: bool = False) -> Bounds:
    low, high = (None if metric[key] is None else 100 * metric[key] for key in ("low", "high"))
    return Bounds(low, high, signed)


def _published(table: str, row: Mapping[str, Any]) -> str:
    data = " > ".join(row["data"])
    of_data = [unread for unread in unread_tables(table) if data in unread.data]
    if not of_data:
        return _UNPUBLISHED
    return _UNREAD if any(row["name"] in unread.rows for unread in of_data) else _UNKNOWN


def _notes(document: Mapping[str, Any]) -> list[str]:
    rows = document["rows"]
    notes = [_MEANING, *_about_bench(document["bench"]), *_sizes(rows), *_own_notes(rows)]
    notes += _skipped(rows)
    unfinished = {row["run"] for row in rows if row["skipped"] is None and not (row["head"] or {}).get("complete")}
    if unfinished:
        notes.append(f"Not finished: {', '.join(sorted(unfinished))}. The same command goes on with them.")
    notes.append(_PUBLISHED)
    notes += [
        f"{unread.source} ({', '.join(unread.data)}): {unread.order}." for unread in unread_tables(document["table"])
    ]
    return list(dict.fromkeys(notes))


def _skipped(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is not run, why, and on which data."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["skipped"] is not None:
            found.setdefault((row["title"], row["skipped"]), []).append(_data(row))
    return [f"Not run: {title} on {', '.join(data)}: {reason}." for (title, reason), data in found.items()]


def _about_bench(bench: Mapping[str, Any] | None) -> list[str]:
    notes = []
    texts = [] if bench is None else bench["conditions"]
    if bench is not None and bench["noise"] is not None:
        used = f", environments {', '.join(bench['environments'])}" if bench["environments"] else ""
        notes.append(
            f"Noise: recordings of {bench['noise']}{used}, at ratios of the active speech level (ITU-T P.56) to the "
            "noise; recording and start are drawn from seed, utterance and ratio, so all models hear the same."
        )
    if any(text.startswith(("fgsm:", "bim:", "pgd:")) for text in texts):
        notes.append(
            "FGSM, BIM, PGD: white box, against the model that is tested; the bound is in standard deviations of each "
            "feature over the training part."
        )
    return notes


def _sizes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was tested of each data."""
    largest: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row["figures"] is not None:
            known = largest.get(_data(row))
            if known is None or row["figures"]["tested"] > known["figures"]["tested"]:
                largest[_data(row)] = row
    notes = []
    for data, row in largest.items():
        speakers, labels = row["figures"]["speakers"], row["head"]["labels"]
        people = "speakers that are not known" if speakers is None else counted(speakers, "speaker")
        notes.append(
            f"{data}: {row['figures']['tested']:,} test utterances of {people}, {counted(len(labels), 'class')} "
            f"({', '.join(labels)}), split {row['head']['split']}."
        )
    return notes


def _own_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What must be said of our rows, each once, with the runs it holds for."""
    done = {row["run"]: row for row in rows if row["head"] is not None}
    runs: dict[str, list[str]] = {}
    for run, row in done.items():
        head, notes = row["head"], list(row["notes"])
        if head["leaky"] is not None:
            notes.append(f"LEAKY: {head['leaky']}. The figures are too high.")
        if head["protocol"] is not None:
            notes.append(f"TRANSDUCTIVE: {head['protocol']}.")
        if head["synthetic"]:
            notes.append("Tested on synthetic voices, not on people.")
        for note in dict.fromkeys(notes):
            runs.setdefault(note, []).append(run)
    return [note if len(of) == len(done) else f"{', '.join(of)}: {note}" for note, of in runs.items()]


def ordering_table(document: Mapping[str, Any]) -> Table:
    """A row for every pair of models that is to be in an order, and where.

    Args:
        document: from `experiments.mtl_tables.read_mtl_table`.
    """
    rows = [
        (
            row["id"],
            " ".join(part for part in (_ARROW.join(row["titles"]), row["condition"]) if part),
            f"{row['better']} > {row['worse']}",
            *_compared(row),
        )
        for row in document["orderings"]
    ]
    columns = ("ordering", "where", "pair", "difference", "95 % interval", "repeats", "p", "verdict")
    return Table(columns, tuple(rows), tuple(_ordering_notes(document["orderings"])))


def _compared(row: Mapping[str, Any]) -> tuple[_Cell, ...]:
    found = row["found"]
    if found is None:
        return (Figure(None, signed=True), Bounds(None, None), "", "–", _verdict(row))
    difference = Figure(100 * found["difference"], signed=True)
    return (difference, _bounds(found, signed=True), str(found["repeats"]), p_text(found["p"]), _verdict(row))


def _verdict(row: Mapping[str, Any]) -> str:
    if row["missing"]:
        return f"not tested: {', '.join(row['missing'])} not run"
    if row["found"] is None:
        return "not tested: nothing in common yet"
    verdict = str(row["found"]["verdict"])
    return verdict if row["complete"] else f"{verdict} (unfinished)"


def _ordering_notes(orderings: Sequence[Mapping[str, Any]]) -> list[str]:
    if not orderings:
        return []
    notes = [_ORDERING]
    found = [row["found"] for row in orderings if row["found"] is not None]
    for repeats in sorted({one["repeats"] for one in found}):
        least = next(one["least_p"] for one in found if one["repeats"] == repeats)
        if least >= _FIRST_P:
            times = "1 repeat allows" if repeats == 1 else f"{repeats} repeats allow"
            notes.append(f"{times} no p below {p_text(least)}: too few for any p below 0.05, which needs 6.")
    return [*notes, *_counts(orderings)]


def _counts(orderings: Sequence[Mapping[str, Any]]) -> list[str]:
    """How often each ordering holds."""
    notes = []
    for name in dict.fromkeys(row["id"] for row in orderings):
        if name == "ablation":
            continue
        of_name = [row for row in orderings if row["id"] == name]
        verdicts = ["not tested" if row["found"] is None else row["found"]["verdict"] for row in of_name]
        told = (f"{verdict} in {verdicts.count(verdict)} of {len(verdicts)}" for verdict in dict.fromkeys(verdicts))
        whole = " (MTL-AUG is best in a direction where all of its pairs hold)" if name == "T4" else ""
        notes.append(f"{name}: {', '.join(told)}{whole}.")
    return notes


def _sweeps(document: Mapping[str, Any]) -> list[PaperFigure]:
    """A drawing for every sweep and data, with all models in it."""
    figures = []
    for data in dict.fromkeys(_data(row) for row in document["rows"]):
        rows = [row for row in document["rows"] if _data(row) == data and row["figures"] and row["condition"]]
        runs = {row["title"]: {"name": row["title"], "labels": row["head"]["labels"], "conditions": []} for row in rows}
        for row in rows:
            runs[row["title"]]["conditions"].append({**row["condition"], "metrics": {"ua": row["figures"]["ua"]}})
        drawn = {"runs": list(runs.values())}
        for sweep in sweeps_of(drawn):
            caption = f"{data}, {sweep}: pooled UA of all models, with its interval over speakers."
            name = f"{sweep}-{'-'.join(rows[0]['data'])}"
            figures.append(PaperFigure(name, caption, sweep_figure(drawn, sweep)))
    return figures


def write_mtl_table(document: Mapping[str, Any], out: Path) -> list[Path]:
    """Write both tables as Markdown, LaTeX, CSV and a page, named after the table, and its figures as SVG and PNG.

    Returns:
        What was written; no PNG where Pillow is not installed.

    Raises:
        MissingExtraError: jinja2 is not installed.
        StorageError: the disk is full or refuses.
    """
    table, orderings, figures = mtl_table(document), ordering_table(document), _sweeps(document)
    stem = document["stem"]
    both = [table, orderings] if orderings.rows else [table]
    texts = {
        f"{stem}.md": "\n\n".join(to_markdown(one) for one in both),
        f"{stem}.tex": "\n\n".join(to_latex(one) for one in both),
        f"{stem}.csv": to_csv(_whole(document)),
        **({f"{stem}-orderings.csv": to_csv(_whole_orderings(document))} if orderings.rows else {}),
        f"{stem}.html": _page(document, table, orderings, figures),
        **{f"{figure.name}.svg": standalone_svg(figure.figure) for figure in figures},
    }
    for file, content in texts.items():
        write_text(out / file, f"{content}\n")
    return [*(out / file for file in texts), *write_pictures(figures, out)]


def _whole(document: Mapping[str, Any]) -> Table:
    """The table as programs want it: names instead of titles, marks in columns of their own."""
    rows: list[tuple[_Cell, ...]] = []
    for row in document["rows"]:
        head, figures = row["head"] or {}, row["figures"]
        spread = None if figures is None else figures["ua_speakers"]["std_speakers"]
        marks = ("yes" if head.get("leaky") else "no", "yes" if head.get("complete") else "no")
        over_speakers = Figure(None if spread is None else 100 * spread)
        named = (" > ".join(row["data"]), _condition(row), row["name"], row["run"] or "", row["skipped"] or "")
        rows.append((*named, *marks, *_figures(figures), over_speakers, _published(document["table"], row)))
    columns = ("data", "condition", "model", "run", "not run", "leaky", "complete", "UA", "pooled UA")
    return Table((*columns, "interval", "WA", "repeats", "UA std over speakers", "published"), tuple(rows))


def _whole_orderings(document: Mapping[str, Any]) -> Table:
    """The orderings as programs want them: p as a number, or nothing."""
    table = ordering_table(document)
    place = table.columns.index("p")
    values = [row["found"]["p"] if row["found"] is not None else None for row in document["orderings"]]
    texts = ["" if p is None else f"{p:.6g}" for p in values]
    rows = [(*row[:place], text, *row[place + 1 :]) for row, text in zip(table.rows, texts, strict=True)]
    return Table(table.columns, tuple(rows))


def _page(document: Mapping[str, Any], table: Table, orderings: Table, figures: Sequence[PaperFigure]) -> str:
    heads = [row["head"] for row in document["rows"] if row["head"] is not None]
    return (
        template_environment()
        .get_template("mtl_table.html.j2")
        .render(
            style=files("serenade.reports").joinpath("templates/style.css").read_text(encoding="utf-8"),
            title=_TITLES[document["table"]],
            tables=[("", _shown(table)), ("Which orderings hold", _shown(orderings))],
            figures=figures,
            leaky=any(head["leaky"] is not None for head in heads),
            synthetic=any(head["synthetic"] for head in heads),
            version=heads[0]["version"],
        )
    )


def _shown(table: Table) -> dict[str, Any]:
    """A table as the page's template takes it: texts, and which of them are figures."""
    figures = [
        name in ("repeats", "p") or any(not isinstance(row[place], str) for row in table.rows)
        for place, name in enumerate(table.columns)
    ]
    rows = [
        [(cell if isinstance(cell, str) else cell.text(), figure) for cell, figure in zip(row, figures, strict=True)]
        for row in table.rows
    ]
    return {"columns": list(zip(table.columns, figures, strict=True)), "rows": rows, "notes": table.notes}
