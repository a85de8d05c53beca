"""Splits that somebody else has fixed: EmoBox's lists, and the `split` and `fold` columns of the user's table."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from serenade.core.errors import SplitError
from serenade.core.records import UNKNOWN_SPEAKER, Fold, Split, Utterance
from serenade.evaluation.splits import SplitSettings, choose_validation, file_names, make_fold

__all__ = ["from_columns", "from_emobox"]

_FOLD_FOLDER = re.compile(r"fold_(\d+)")


def from_emobox(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """The folds of EmoBox: ``fold_N/*_train_fold_N.jsonl`` and ``*_test_fold_N.jsonl``, matched by file stem.

    List entries without an utterance, and utterances in no list, are told in the split's notes. The lists have no
    validation part; `validation_speakers` speakers of the training side are taken.

    Raises:
        SplitError: there are no lists, a line cannot be read, or the lists are of another corpus.
    """
    folder = _list_folder(settings.path)
    by_stem: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        by_stem[utterance.audio.stem].append(utterance)
    _require_unambiguous(by_stem)
    folds, listed = [], set()
    for fold_folder in sorted(folder.glob("fold_*"), key=_number):
        train, test = (_read_list(fold_folder, part) for part in ("train", "test"))
        listed |= train | test
        rest, tested = ([u for stem in sorted(stems) for u in by_stem.get(stem, [])] for stems in (train, test))
        folds.append(_fixed_fold(fold_folder.name, rest, tested, None, settings))
    notes = _notes(listed, by_stem, folder)
    return Split(f"emobox-{folder.name}", tuple(folds), notes=notes)


def from_columns(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """The user's own parts (column split) or folds, each left out once (column fold).

    Where there is no validation part, `validation_speakers` speakers of the training side are taken.

    Raises:
        SplitError: there is no such column, both are there and none was chosen, or a part is missing.
    """
    columns = [name for name in ("split", "fold") if any(getattr(u, name) is not None for u in utterances)]
    column = settings.column if settings.column is not None else columns[0] if len(columns) == 1 else None
    if column is None and columns:
        raise SplitError("the table has both a split and a fold column", hint="Say columns:split or columns:fold")
    if column is None or column not in columns:
        raise SplitError(
            f"no utterance has a value in the column {column if column is not None else 'split or fold'}",
            hint="Fill the column of your table, or use another split such as loso",
        )
    used = [u for u in utterances if getattr(u, column) is not None]
    notes = () if len(used) == len(utterances) else (_without(column, utterances),)
    make = _by_split if column == "split" else _by_fold
    return Split(f"columns-{column}", make(used, settings), notes=notes)


def _by_split(utterances: Sequence[Utterance], settings: SplitSettings) -> tuple[Fold, ...]:
    parts = {name: [u for u in utterances if u.split == name] for name in ("train", "validation", "test")}
    for name in ("train", "test"):
        if not parts[name]:
            seen = ", ".join(sorted({str(u.split) for u in utterances}))
            raise SplitError(f"the column split has no {name}", found=seen, expected="train, validation (or dev), test")
    validation = parts["validation"] if parts["validation"] else None
    return (_fixed_fold("columns", parts["train"] + parts["validation"], parts["test"], validation, settings),)


def _by_fold(utterances: Sequence[Utterance], settings: SplitSettings) -> tuple[Fold, ...]:
    names = sorted({str(u.fold) for u in utterances})
    if len(names) < 2:
        raise SplitError("the column fold needs at least two different values", found=", ".join(names))
    folds = []
    for name, safe in zip(names, file_names(names), strict=True):
        test = [u for u in utterances if u.fold == name]
        rest = [u for u in utterances if u.fold != name]
        folds.append(_fixed_fold(f"fold-{safe}", rest, test, None, settings))
    return tuple(folds)


def _fixed_fold(
    name: str,
    rest: Sequence[Utterance],
    test: Sequence[Utterance],
    validation: Sequence[Utterance] | None,
    settings: SplitSettings,
) -> Fold:
    """A fold with its own validation part, or with speakers taken from the training side."""
    for part, found in (("train", rest), ("test", test)):
        if not found:
            raise SplitError(f"the {part} part is empty", where=f"fold {name}")
    if validation is None:
        _require_known(rest, settings.validation_speakers)
        validation = choose_validation(rest, test, settings.validation_speakers)
    return make_fold(name, rest, test, validation)


def _require_known(rest: Iterable[Utterance], count: int) -> None:
    unknown = [u.id for u in rest if u.speaker == UNKNOWN_SPEAKER]
    if count > 0 and unknown:
        raise SplitError(
            "validation speakers cannot be taken from utterances whose speaker is not known",
            found=f"{len(unknown)}, such as {unknown[0]}",
            hint="Name speakers, give a validation part in the column split, or use validation_speakers=0",
        )


def _without(column: str, utterances: Sequence[Utterance]) -> str:
    without = [u.id for u in utterances if getattr(u, column) is None]
    return f"{len(without)} of {len(utterances)} utterances have no {column} and are not used, such as {without[0]}"


def _list_folder(path: Path | None) -> Path:
    """The folder that holds ``fold_1``; one level off is an error that names the right one."""
    if path is None:
        raise SplitError("the split emobox needs the folder of its lists", expected="emobox:PATH/data/ravdess")
    if any(path.glob("fold_*")):
        return path
    near = [folder for folder in (path.parent, *sorted(path.glob("*"))) if any(folder.glob("fold_*"))]
    raise SplitError(
        "there are no EmoBox lists",
        where=path,
        expected="folders fold_1, fold_2, ... with *_train_fold_1.jsonl and *_test_fold_1.jsonl",
        hint=f"There are lists in {', '.join(map(str, near))}" if near else None,
    )


def _number(folder: Path) -> tuple[int, str]:
    found = _FOLD_FOLDER.fullmatch(folder.name)
    return (int(found[1]) if found else 0, folder.name)


def _read_list(folder: Path, part: str) -> set[str]:
    """The file stems of one list."""
    files = sorted(folder.glob(f"*_{part}_{folder.name}.jsonl"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files)
        raise SplitError(
            f"expected one {part} list", where=folder, found=found if found else "none", expected=f"*_{part}_*.jsonl"
        )
    stems = set()
    for number, line in enumerate(files[0].read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            stems.add(PurePosixPath(json.loads(line)["wav"]).stem)
        except (ValueError, KeyError, TypeError) as error:
            raise SplitError(
                "a line of the list cannot be read",
                where=f"{files[0]}, line {number}",
                found=line[:80],
                expected='a JSON object with "wav"',
            ) from error
    return stems


def _require_unambiguous(by_stem: dict[str, list[Utterance]]) -> None:
    for stem, found in by_stem.items():
        files = sorted({str(u.audio) for u in found})
        if len(files) > 1:
            raise SplitError("two recordings have the name that the lists know", where=stem, found=", ".join(files))


def _notes(listed: set[str], by_stem: dict[str, list[Utterance]], folder: Path) -> tuple[str, ...]:
    """What does not meet; raises where so little meets that the lists must be of another corpus."""
    absent, unlisted = sorted(listed - by_stem.keys()), sorted(by_stem.keys() - listed)
    if 2 * len(unlisted) > len(by_stem):
        raise SplitError(
            "most recordings are in none of the lists; are they of another corpus?",
            where=folder,
            found=f"{len(unlisted)} of {len(by_stem)} not listed, such as {unlisted[0]}",
            expected=f"recordings such as {min(listed)}" if listed else None,
        )
    notes = []
    if absent:
        notes.append(f"{len(absent)} of {len(listed)} listed recordings are not here or not used, such as {absent[0]}")
    if unlisted:
        notes.append(f"{len(unlisted)} of {len(by_stem)} recordings are in no list and not used, such as {unlisted[0]}")
    return tuple(notes)
