"""Nested folds: inner ones lie inside the training side, speakers whole."""

from collections import Counter
from dataclasses import replace

import pytest
from tests.evaluation.iemocap import iemocap
from tests.evaluation.people import crowd

from serenade.core.errors import SplitError
from serenade.core.records import Split
from serenade.evaluation.leaks import check_split
from serenade.evaluation.nested import flatten, require_inside
from serenade.evaluation.splits import make_split, parse_split


@pytest.mark.parametrize("text", ["nested:3", "nested:2,outer=kfold,folds=4", "nested:2,outer=session"])
def test_inner_folds_divide_the_training_side(text: str) -> None:
    people = iemocap((32, 32, 32, 32, 32)) if "session" in text else crowd(8)
    settings = parse_split(text)
    split = make_split(people, settings)
    outer = make_split(people, settings.model_copy(update={"kind": settings.outer}))
    assert [replace(fold, inner=()) for fold in split.folds] == list(outer.folds)
    by_id = {u.id: u for u in people}
    for fold in split.folds:
        assert len(fold.inner) == settings.inner
        tested = Counter(name for inner in fold.inner for name in inner.test)
        assert tested == dict.fromkeys([*fold.train, *fold.validation], 1)
        held_out = {by_id[name].speaker for name in fold.test}
        for inner in fold.inner:
            parts = [{by_id[name].speaker for name in part} for part in (inner.train, inner.validation, inner.test)]
            assert not held_out & set.union(*parts)
            assert not parts[0] & parts[2]
            assert not parts[1] & parts[2]
    assert Split.from_json(split.to_json()) == split


def test_flat_folds_pass_the_leak_check() -> None:
    people = crowd(6)
    split = make_split(people, parse_split("nested:2"))
    flat = flatten(split)
    assert [fold.name for fold in flat.folds[:4]] == [
        "speaker-s01",
        "speaker-s01/inner-1",
        "speaker-s01/inner-2",
        "speaker-s02",
    ]
    assert check_split(flat, people).errors == ()
    assert len(flatten(split, outer=False).folds) == 12
    assert flatten(flatten(split)) == flat


def test_an_inner_fold_with_a_tested_utterance_is_refused() -> None:
    split = make_split(crowd(5), parse_split("nested:2"))
    require_inside(split)
    first = split.folds[0]
    spoilt = replace(first.inner[0], test=(*first.inner[0].test, first.test[0]))
    wrong = replace(split, folds=(replace(first, inner=(spoilt,)), *split.folds[1:]))
    with pytest.raises(
        SplitError, match=r"beyond the training side.*speaker-s01/inner-1.*1 utterance, such as s01-000"
    ):
        require_inside(wrong)
    deep = replace(first.inner[0], inner=(first.inner[1],))
    with pytest.raises(SplitError, match="folds inside an inner fold"):
        require_inside(replace(split, folds=(replace(first, inner=(deep,)),)))


def test_too_few_speakers_for_inner_folds_name_the_fold() -> None:
    with pytest.raises(SplitError, match=r"inner folds: fold speaker-s01.*too few speakers.*number of inner folds"):
        make_split(crowd(4), parse_split("nested:5"))
