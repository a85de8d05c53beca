"""The `split` and `fold` columns of the user's own table, and folds that somebody else has fixed."""

from collections.abc import Iterable, Sequence

from serenade.core.errors import SplitError
from serenade.core.records import UNKNOWN_SPEAKER, Fold, Split, Utterance
from serenade.evaluation.splits import SplitSettings, choose_validation, file_names, make_fold

__all__ = ["fixed_fold", "from_columns"]


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
    return (fixed_fold("columns", parts["train"] + parts["validation"], parts["test"], validation, settings),)


def _by_fold(utterances: Sequence[Utterance], settings: SplitSettings) -> tuple[Fold, ...]:
    names = sorted({str(u.fold) for u in utterances})
    if len(names) < 2:
        raise SplitError("the column fold needs at least two different values", found=", ".join(names))
    folds = []
    for name, safe in zip(names, file_names(names), strict=True):
        test = [u for u in utterances if u.fold == name]
        rest = [u for u in utterances if u.fold != name]
        folds.append(fixed_fold(f"fold-{safe}", rest, test, None, settings))
    return tuple(folds)


def fixed_fold(
    name: str,
    rest: Sequence[Utterance],
    test: Sequence[Utterance],
    validation: Sequence[Utterance] | None,
    settings: SplitSettings,
) -> Fold:
    """A fold with its own validation part, or with speakers taken from the training side.

    Args:
        name: of the fold.
        rest: the training side, validation included.
        test: the tested side.
        validation: its own part; None takes `validation_speakers` speakers of the training side.
        settings: of the split.

    Raises:
        SplitError: a part is empty, or validation speakers are needed and not known.
    """
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
