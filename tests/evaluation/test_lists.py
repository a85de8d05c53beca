"""The user's own columns: taken as they are; what does not meet is told."""

import pytest
from tests.evaluation.people import crowd

from serenade.core.errors import SplitError
from serenade.core.records import Split, Utterance
from serenade.evaluation.splits import make_split, parse_split


def names(utterances: list[Utterance], *speakers: str) -> list[str]:
    return [u.id for u in utterances if u.speaker in speakers]


def columns(utterances: list[Utterance], text: str = "columns") -> Split:
    return make_split(utterances, parse_split(text))


PARTS = {"s01": "train", "s02": "train", "s03": "validation", "s04": "test"}


def test_the_users_split_is_taken_as_it_is() -> None:
    people = [u.with_(split=PARTS[u.speaker]) for u in crowd(4)]
    (fold,) = columns(people).folds
    assert list(fold.train) == names(people, "s01", "s02")
    assert list(fold.validation) == names(people, "s03")
    assert list(fold.test) == names(people, "s04")


def test_validation_is_taken_from_the_training_side_where_there_is_none() -> None:
    people = [u.with_(split=PARTS[u.speaker].replace("validation", "train")) for u in crowd(4)]
    (fold,) = columns(people).folds
    assert list(fold.test) == names(people, "s04")
    assert list(fold.validation) == names(people, "s01")


def test_the_users_folds_are_left_out_in_turn() -> None:
    people = [u.with_(fold="ab"[int(u.speaker[1:]) % 2] + "/x") for u in crowd(6)]
    split = columns(people)
    assert [fold.name for fold in split.folds] == ["fold-a_x", "fold-b_x"]
    assert list(split.folds[1].test) == names(people, "s01", "s03", "s05")
    assert list(split.folds[1].validation) == names(people, "s06")


def test_rows_without_a_value_are_told() -> None:
    people = [u.with_(split=PARTS.get(u.speaker)) for u in crowd(5)]
    assert columns(people).notes == ("8 of 40 utterances have no split and are not used, such as s05-000",)


def test_columns_must_be_there_and_clear() -> None:
    people = crowd(4)
    with pytest.raises(SplitError, match="no utterance has a value in the column split or fold"):
        columns(people)
    with pytest.raises(SplitError, match="no utterance has a value in the column fold"):
        columns([u.with_(split=PARTS[u.speaker]) for u in people], "columns:fold")
    both = [u.with_(split=PARTS[u.speaker], fold=u.speaker) for u in people]
    with pytest.raises(SplitError, match="Say columns:split or columns:fold"):
        columns(both)
    assert len(columns(both, "columns:fold").folds) == 4
    with pytest.raises(SplitError, match=r"the column split has no test.*Found: train, validation"):
        columns([u.with_(split=PARTS[u.speaker]) for u in crowd(3)])
    with pytest.raises(SplitError, match="at least two different values"):
        columns([u.with_(fold="1") for u in people])


def test_unknown_speakers_need_a_validation_part_of_the_users_own() -> None:
    nobody = [u.with_(split=PARTS[u.speaker].replace("validation", "train"), speaker="unknown") for u in crowd(4)]
    with pytest.raises(SplitError, match=r"validation speakers cannot be taken.*validation_speakers=0"):
        columns(nobody)
    assert len(columns(nobody, "columns,validation_speakers=0").folds) == 1
