"""Nested folds: settings are chosen on inner folds of the training side, so that no tested voice has a say in them.

Choosing settings on the folds whose figures are published makes those figures too good (G. Cawley, N. Talbot, "On
over-fitting in model selection and subsequent selection bias in performance evaluation", JMLR 11, 2010). Here every
outer fold carries folds of its own: ``Fold.inner``. `serenade run --grid` trains every candidate on them, takes the
best of each outer fold, and tests that one once.
"""

from collections.abc import Sequence
from dataclasses import replace

from serenade.core.errors import SplitError
from serenade.core.records import Fold, NearDuplicate, Split, Utterance
from serenade.core.wording import counted
from serenade.evaluation import SPLITS
from serenade.evaluation.kfold import grouped_kfold
from serenade.evaluation.leaks import LeakReport, check_split
from serenade.evaluation.splits import SplitSettings

__all__ = ["check_folds", "flatten", "inner_name", "nested", "require_inside"]


def nested(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """The folds of the protocol `outer`, each with `inner` grouped folds over its training side.

    Inner folds keep speakers and recording groups whole as kfold does, and take validation speakers of their own. They
    divide train and validation of the outer fold; its tested speakers are in none of them.

    Raises:
        SplitError: the outer folds cannot be made, or a training side has too few speakers for the inner ones.
    """
    outer = SPLITS.resolve(settings.outer)(utterances, settings)
    inner_settings = settings.model_copy(update={"kind": "kfold", "folds": settings.inner})
    by_id = {u.id: u for u in utterances}
    folds = []
    for fold in outer.folds:
        side = [by_id[name] for name in sorted((*fold.train, *fold.validation))]
        try:
            inner = grouped_kfold(side, inner_settings).folds
        except SplitError as error:
            raise SplitError(
                "the training side cannot be divided into inner folds",
                where=f"fold {fold.name}",
                found=str(error),
                hint="Use another number of inner folds, or validation_speakers=0",
            ) from error
        named = (replace(part, name=f"inner-{number}") for number, part in enumerate(inner, start=1))
        folds.append(replace(fold, inner=tuple(named)))
    return replace(outer, name=f"nested-{outer.name}-{settings.inner}", folds=tuple(folds))


def inner_name(fold: Fold, inner: Fold) -> str:
    """How an inner fold is called beside all others, such as ``speaker-03/inner-1``."""
    return f"{fold.name}/{inner.name}"


def flatten(split: Split, *, outer: bool = True) -> Split:
    """The inner folds as folds of their own, named after their outer fold, for what knows no nesting.

    Args:
        split: nested or not.
        outer: whether the outer folds are in it too, each before its inner ones.
    """
    folds: list[Fold] = []
    for fold in split.folds:
        folds += [replace(fold, inner=())] if outer else []
        folds += [replace(inner, name=inner_name(fold, inner)) for inner in fold.inner]
    return replace(split, folds=tuple(folds))


def require_inside(split: Split) -> None:
    """Pass where every inner fold lies inside the training side of its outer fold.

    Raises:
        SplitError: an inner fold names something else, such as a tested utterance, or is nested itself.
    """
    for fold in split.folds:
        side = {*fold.train, *fold.validation}
        for inner in fold.inner:
            outside = sorted({*inner.train, *inner.validation, *inner.test} - side)
            if outside or inner.inner:
                found = (
                    f"{counted(len(outside), 'utterance')}, such as {outside[0]}"
                    if outside
                    else "folds inside an inner fold"
                )
                raise SplitError(
                    "an inner fold reaches beyond the training side of its fold",
                    where=f"split {split.name}, fold {inner_name(fold, inner)}",
                    found=found,
                )


def check_folds(
    split: Split, utterances: Sequence[Utterance], near_duplicates: Sequence[NearDuplicate] = ()
) -> LeakReport:
    """The leak check of a split, inner folds included: of those only errors are told, first.

    Args:
        split: from `make_split` or from elsewhere.
        utterances: at least those that the split names.
        near_duplicates: pairs of them that hold the same take.

    Raises:
        SplitError: the folds are not valid, see `check_split`, or an inner fold reaches beyond its training side.
    """
    report = check_split(split, utterances, near_duplicates)
    if not any(fold.inner for fold in split.folds):
        return report
    require_inside(split)
    inner = check_split(flatten(split, outer=False), utterances, near_duplicates)
    return replace(report, findings=(*inner.errors, *report.findings))
