"""``serenade split``: make a split as a file, check it for leaks, show it, write it for other tools."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from serenade.app.commands.corpus import print_table
from serenade.app.console import Progress, say
from serenade.app.experiment import experiment_settings
from serenade.core.errors import PartialFailure, SplitError, UsageError
from serenade.core.records import UNKNOWN_SPEAKER
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.core.records import Fold, Utterance
    from serenade.evaluation.leaks import LeakReport
    from serenade.evaluation.reproduction import Differences
    from serenade.evaluation.split_files import SplitDocument
    from serenade.experiments.settings import ExperimentSettings

__all__ = ["SPLIT_FORMS", "app", "check", "export", "make", "show"]

app = typer.Typer(help="Make a split as a file, check it for leaks, show and export it.", no_args_is_help=True)

SPLIT_FORMS = (
    "loso, loso:2, session, kfold:5, corpus, nested:3, fewshot:5, superb, emobox:PATH, mesm:PATH, columns, file:PATH; "
    "leaky: random811, random82_best_test."
)
"""The text forms of all protocols, for the help of every command that takes one."""

_PARTS = ("train", "validation", "test")

_SOURCE = typer.Argument(
    metavar="SOURCE...", help="A split file, a run's folder, or corpora as NAME=PATH.", show_default=False
)
_CORPORA = typer.Argument(metavar="NAME=PATH...", help="Corpora, such as emodb=/data/emodb.", show_default=False)
_SPLIT = typer.Option(None, "--split", help=f"Of corpora: {SPLIT_FORMS} loso if not given.")
_LABELS = typer.Option(None, "--labels", help="Classes used, separated by commas; all if not given.")
_MAP = typer.Option(None, "--map", help="What counts as which class: merge, or such as excited=happy,other=-.")
_WHERE = typer.Option(None, "--where", help="Only utterances with this fact, such as part=improvised; repeat.")
_JSON = typer.Option(False, "--json", help="Print JSON.")
_QUIET = typer.Option(False, "--quiet", "-q", help="Show no progress and no notes.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the user gave to name a split."""

    split: str | None
    labels: str | None
    label_map: str | None
    where: list[str] | None
    quiet: bool

    @property
    def says_how(self) -> bool:
        """Whether anything but the data is given."""
        return any(value for value in (self.split, self.labels, self.label_map, self.where))


@app.command("make")
def make(
    corpora: list[str] = _CORPORA,
    split: str | None = _SPLIT,
    labels: str | None = _LABELS,
    label_map: str | None = _MAP,
    where: list[str] | None = _WHERE,
    out: Path = typer.Option(..., "--out", help="The split file to write.", show_default=False),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace another split in the file."),
    quiet: bool = _QUIET,
) -> None:
    """Divide corpora and write the split as a file that others can run: serenade run --split file:FILE.

    Nothing is written if parts share what they must not, unless the split is declared leaky. A run's folder in place of
    corpora writes the split of that run.
    """
    from serenade.evaluation.split_files import check_value, read_split_file, write_split_file

    loaded = _load(corpora, _Asked(split, labels, label_map, where, quiet))
    document, report = loaded.document, loaded.check()
    _tell(document, report, quiet)
    report.raise_if_leaking(document.split)
    if out.is_file() and not overwrite and read_split_file(out) != document:
        raise UsageError(
            "there is another split in the file", where=out, hint="Give another --out, or replace it with --overwrite"
        )
    write_split_file(out, document)
    print(f"{out}: {_summary(document)}, check value {check_value(document.split, document.utterances)}")


@app.command("check")
def check(
    sources: list[str] = _SOURCE,
    split: str | None = _SPLIT,
    labels: str | None = _LABELS,
    label_map: str | None = _MAP,
    where: list[str] | None = _WHERE,
    as_json: bool = _JSON,
    quiet: bool = _QUIET,
) -> None:
    """Find what the parts of a split share: speakers, groups, recordings, words.

    A split file alone is checked by what it says; with corpora beside it, also against the recordings here. Ends with
    code 1 if parts share what they must not and the split is not declared leaky, with code 3 if recordings are missing
    or are not those of the file.
    """
    loaded = _load(sources, _Asked(split, labels, label_map, where, quiet))
    document, differences, report = loaded.document, loaded.differences, loaded.check()
    if as_json:
        _print_json(_check_as_json(document, report, differences))
    else:
        _print_check(document, report, differences)
    report.raise_if_leaking(document.split)
    if differences is not None and differences.damaging:
        raise PartialFailure("comparing with the split file", failures=_failures(differences), done=_same(differences))


@app.command("show")
def show(
    sources: list[str] = _SOURCE,
    split: str | None = _SPLIT,
    labels: str | None = _LABELS,
    label_map: str | None = _MAP,
    where: list[str] | None = _WHERE,
    ids: str | None = typer.Option(None, "--ids", metavar="FOLD", help="List the utterances of this fold."),
    part: str | None = typer.Option(None, "--part", help="With --ids: train, validation or test only."),
    as_json: bool = _JSON,
    quiet: bool = _QUIET,
) -> None:
    """Show the folds: utterances, speakers and classes of every part."""
    if part is not None and (part not in _PARTS or ids is None):
        raise UsageError("--part goes with --ids", found=part, expected=f"one of {', '.join(_PARTS)}")
    document = _load(sources, _Asked(split, labels, label_map, where, quiet)).document
    if ids is not None:
        _print_ids(document, ids, part)
    elif as_json:
        _print_json({**_facts(document), "folds": _counts(document)})
    else:
        _print_show(document)


@app.command("export")
def export(
    sources: list[str] = _SOURCE,
    split: str | None = _SPLIT,
    labels: str | None = _LABELS,
    label_map: str | None = _MAP,
    where: list[str] | None = _WHERE,
    kind: str = typer.Option("csv", "--format", help="csv, ids, emobox, superb or audformat."),
    out: Path = typer.Option(..., "--out", help="The folder to write to, new or empty.", show_default=False),
    quiet: bool = _QUIET,
) -> None:
    """Write a split for other tools.

    csv: one table of file, fold and part. ids: a text file per part. emobox: JSONL lists. superb: the lists that
    SUPERB's emotion task reads. audformat: a table per part. A split that leaks undeclared is not written.
    """
    from serenade.core.files import write_text
    from serenade.core.names import nearest
    from serenade.evaluation.split_export import FORMATS, export_split

    if kind not in FORMATS:
        close = nearest(kind, FORMATS)
        hint = f"Did you mean {close}?" if close else None
        raise UsageError("there is no such format", found=kind, expected=f"one of {', '.join(FORMATS)}", hint=hint)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("the folder to write to is not empty", where=out, hint="Give a new folder with --out")
    loaded = _load(sources, _Asked(split, labels, label_map, where, quiet))
    document = loaded.document
    loaded.check().raise_if_leaking(document.split)
    files = export_split(document, kind)
    for path, text in files.items():
        write_text(out / path, text)
    print(f"{out}: {counted(len(files), 'file')} in the format {kind}; {_summary(document)}")
    if document.split.leaky is not None:
        say(f"LEAKY: {document.split.leaky}", quiet=quiet)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A split, and what is known of its recordings here.

    Args:
        document: the split.
        utterances: of the corpora given; empty where a file or run stands alone.
        differences: how they differ from the split file; None where there was no file to compare with.
    """

    document: "SplitDocument"
    utterances: "Sequence[Utterance]" = ()
    differences: "Differences | None" = None

    def check(self) -> "LeakReport":
        """The leak check; near-duplicates are looked for where the recordings are at hand."""
        from serenade.evaluation.reproduction import check_document

        if not self.utterances:
            return check_document(self.document)
        from serenade.experiments.near_duplicates import find_near_duplicates

        named = {u.id for u in self.document.utterances}
        here = [u for u in self.utterances if u.id in named]
        return check_document(self.document, find_near_duplicates(here))


def _load(sources: Sequence[str], asked: _Asked) -> _Loaded:
    """The split that is meant, and how corpora given beside a split file differ from it."""
    from serenade.evaluation.reproduction import compare

    files = [text for text in sources if "=" not in text or Path(text).exists()]
    corpora = [text for text in sources if text not in files]
    if len(files) > 1:
        raise UsageError("one split file or run at a time", found=", ".join(files))
    if not files:
        return _from_corpora(corpora, asked)
    if asked.says_how:
        raise UsageError(
            "a split file brings its protocol and classes",
            where=files[0],
            hint="Leave out --split, --labels, --map and --where, or name corpora instead of the file",
        )
    document = _from_path(Path(files[0]))
    if not corpora:
        return _Loaded(document)
    utterances = _read(document, corpora, asked.quiet)
    return _Loaded(document, utterances, compare(document, utterances))


def _from_path(path: Path) -> "SplitDocument":
    """The split in a file, or of a run."""
    from serenade.evaluation.split_files import read_split_file

    if not path.is_dir():
        return read_split_file(path)
    from serenade.experiments.folder import RunFolder
    from serenade.experiments.published import document_of_run

    return document_of_run(RunFolder(path))


def _from_corpora(corpora: Sequence[str], asked: _Asked) -> _Loaded:
    from serenade.experiments.published import document_of_corpora

    settings = _settings(corpora, asked)
    with Progress("Examining", unit="recordings", quiet=asked.quiet) as progress:
        document, listing = document_of_corpora(settings, lambda done, total: _advance(progress, done, total))
    if listing.left_out:
        say(f"{len(listing.left_out)} left out of the corpora; see `serenade corpus check`", quiet=asked.quiet)
    return _Loaded(document, listing.utterances)


def _read(document: "SplitDocument", corpora: Sequence[str], quiet: bool) -> "tuple[Utterance, ...]":
    """The utterances of corpora in the classes of the split."""
    from serenade.experiments.data import read_corpora
    from serenade.experiments.published import with_labels_of

    settings = with_labels_of(document, _settings(corpora, _Asked(None, None, None, None, quiet)))
    with Progress("Examining", unit="recordings", quiet=quiet) as progress:
        return read_corpora(settings, lambda done, total: _advance(progress, done, total)).utterances


def _advance(progress: Progress, done: int, total: int) -> None:
    progress.set_total(total)
    progress.advance(done - progress.done)


def _settings(corpora: Sequence[str], asked: _Asked) -> "ExperimentSettings":
    given = {
        "corpora": list(corpora),
        "split": asked.split,
        "labels": asked.labels,
        "label_map": asked.label_map,
        "where": asked.where or None,
    }
    return experiment_settings(None, given, [])


def _summary(document: "SplitDocument") -> str:
    inner = sum(len(fold.inner) for fold in document.split.folds)
    count = len(document.split.folds)
    folds = counted(count, "fold") + (f" with {inner} inner ones" if inner else "")
    speakers = _known_speakers(document.utterances)
    return (
        f"split {document.split.name} of {', '.join(document.corpora)}, {folds}, "
        f"{counted(len(document.utterances), 'utterance')} "
        f"of {counted(speakers, 'speaker')} in {counted(len(document.labels), 'class')}"
    )


def _known_speakers(utterances: "Sequence[Utterance]") -> int:
    return len({(u.corpus, u.speaker) for u in utterances if u.speaker != UNKNOWN_SPEAKER})


def _tell(document: "SplitDocument", report: "LeakReport", quiet: bool) -> None:
    """Notes and findings on stderr."""
    for line in _remarks(document, report):
        say(line, quiet=quiet)


def _remarks(document: "SplitDocument", report: "LeakReport") -> list[str]:
    lines = [f"note: {note}" for note in document.split.notes]
    lines += [f"{finding.severity}: {finding.message}" for finding in report.findings]
    return lines + ([f"LEAKY: {document.split.leaky}"] if document.split.leaky is not None else [])


def _print_check(document: "SplitDocument", report: "LeakReport", differences: "Differences | None") -> None:
    print(_summary(document))
    for line in _remarks(document, report):
        print(line)
    for message in [] if differences is None else differences.messages():
        print(f"here: {message}")
    if not report.errors:
        print("Nothing of the test parts is in train or validation.")
    elif document.split.leaky is not None:
        print("The split leaks and says so: every figure on it is marked.")


def _facts(document: "SplitDocument") -> dict[str, Any]:
    from serenade.evaluation.split_files import check_value

    split = document.split
    return {
        "name": split.name,
        "check": check_value(split, document.utterances),
        "protocol": dict(document.protocol),
        "corpora": list(document.corpora),
        "labels": list(document.labels),
        "leaky": split.leaky,
        "notes": list(split.notes),
    }


def _check_as_json(
    document: "SplitDocument", report: "LeakReport", differences: "Differences | None"
) -> dict[str, Any]:
    return {
        **_facts(document),
        "findings": [asdict(finding) for finding in report.findings],
        "leaks": bool(report.errors),
        "differences": None if differences is None else asdict(differences),
    }


def _failures(differences: "Differences") -> list[SplitError]:
    kinds = (
        (differences.absent, "not here"),
        (differences.changed, "other bytes than those of the split file"),
        (differences.relabelled, "another class than in the split file"),
    )
    return [SplitError(words, where=name) for ids, words in kinds for name in ids]


def _same(differences: "Differences") -> int:
    differing = {*differences.absent, *differences.changed, *differences.relabelled}
    return differences.total - len(differing)


def _counts(document: "SplitDocument") -> list[dict[str, Any]]:
    """Per fold, inner ones too, and part: utterances, speakers, utterances of every class."""
    from serenade.evaluation.nested import flatten

    by_id = {u.id: u for u in document.utterances}
    counts = []
    for fold in flatten(document.split).folds:
        parts: dict[str, Any] = {"name": fold.name}
        for part in _PARTS:
            found = [by_id[name] for name in getattr(fold, part)]
            classes = Counter(str(u.emotion) for u in found)
            parts[part] = {
                "utterances": len(found),
                "speakers": _known_speakers(found),
                "classes": {name: classes[name] for name in document.labels},
            }
        counts.append(parts)
    return counts


def _print_show(document: "SplitDocument") -> None:
    from serenade.evaluation.split_files import check_value

    rows = [["fold", "part", "utterances", "speakers", *document.labels]]
    for fold in _counts(document):
        rows += [[fold["name"], part, *_cells(fold[part])] for part in _PARTS]
    print_table(rows)
    print(f"\n{_summary(document)}; check value {check_value(document.split, document.utterances)}")
    for note in document.split.notes:
        print(f"note: {note}")
    if document.split.leaky is not None:
        print(f"LEAKY: {document.split.leaky}")


def _cells(counts: Mapping[str, Any]) -> list[str]:
    return [str(value) for value in (counts["utterances"], counts["speakers"], *counts["classes"].values())]


def _print_ids(document: "SplitDocument", name: str, part: str | None) -> None:
    fold = _find(document, name)
    for one in _PARTS if part is None else (part,):
        for utterance in getattr(fold, one):
            print(utterance if part is not None else f"{one}\t{utterance}")


def _find(document: "SplitDocument", name: str) -> "Fold":
    from serenade.core.names import nearest
    from serenade.evaluation.nested import flatten

    folds = {fold.name: fold for fold in flatten(document.split).folds}
    if name not in folds:
        close = nearest(name, folds)
        hint = f"Did you mean {close}?" if close else None
        raise UsageError("there is no such fold", found=name, expected=f"one of {', '.join(folds)}", hint=hint)
    return folds[name]


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))
