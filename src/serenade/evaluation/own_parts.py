"""What the parts that come with a corpus share: its official train and test, or the folds of the user's table."""

from collections.abc import Iterable, Sequence

from serenade.core.errors import SplitError
from serenade.core.records import NearDuplicate, Utterance
from serenade.evaluation.leaks import LeakReport, check_split
from serenade.evaluation.lists import from_columns
from serenade.evaluation.splits import SplitSettings

__all__ = ["check_own_parts"]


def check_own_parts(
    utterances: Sequence[Utterance], near_duplicates: Iterable[NearDuplicate] = ()
) -> tuple[LeakReport, ...]:
    """The leak check of the parts, and of the folds, that the utterances themselves name.

    Args:
        utterances: of a corpus.
        near_duplicates: pairs of them that hold the same take.

    Returns:
        One report where there is a train and a test part, one where there are at least two folds; most corpora have
        neither.
    """
    pairs, reports = tuple(near_duplicates), []
    for column in ("split", "fold"):
        settings = SplitSettings.model_validate({"kind": "columns", "column": column, "validation_speakers": 0})
        try:
            split = from_columns(utterances, settings)
        except SplitError:
            continue  # no such column, or only one part of it is here: nothing to compare
        reports.append(check_split(split, utterances, pairs))
    return tuple(reports)
