"""Leave one corpus out."""

from pathlib import Path

import pytest
from tests.evaluation.people import crowd, say

from serenade.core.errors import SplitError
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.evaluation.leaks import check_split
from serenade.evaluation.splits import make_split, parse_split


def corpora(**speakers: int) -> list[Utterance]:
    """Several corpora whose speakers have the same names."""
    return [
        u.with_(id=f"{name}/{u.id}", corpus=name, audio=Path(f"/{name}/{u.id}.wav"))
        for name, count in speakers.items()
        for u in crowd(count)
    ]


def corpus_of(ids: tuple[str, ...]) -> set[str]:
    return {name.partition("/")[0] for name in ids}


def test_every_corpus_is_tested_once_and_validation_is_of_every_training_corpus() -> None:
    utterances = corpora(a=4, b=3, c=5)
    split = make_split(utterances, parse_split("corpus"))
    assert [fold.name for fold in split.folds] == ["corpus-a", "corpus-b", "corpus-c"]
    for fold, (tested, trained) in zip(split.folds, [("a", "bc"), ("b", "ac"), ("c", "ab")], strict=True):
        assert corpus_of(fold.test) == {tested}
        assert corpus_of(fold.train) == corpus_of(fold.validation) == set(trained)
        assert len({name[:5] for name in fold.validation}) == 2
        assert len(fold.train) + len(fold.validation) + len(fold.test) == len(utterances)
    report = check_split(split, utterances)
    assert report.errors == ()
    assert not any(finding.kind == "speaker" for finding in report.findings)


def test_a_corpus_of_few_or_unknown_speakers_gives_no_validation() -> None:
    utterances = [*corpora(a=3, b=1, d=2), *(say(f"c/{n}", UNKNOWN_SPEAKER, corpus="c") for n in range(4))]
    split = make_split(utterances, parse_split("corpus"))
    assert [corpus_of(fold.validation) for fold in split.folds] == [{"d"}, {"a", "d"}, {"a", "d"}, {"a"}]
    assert split.notes == ("b, c gives no validation speakers: they are too few, or not known",)


def test_no_validation_speakers_at_all_is_an_error() -> None:
    with pytest.raises(SplitError, match=r"no training corpus.*tests a.*validation_speakers=0"):
        make_split(corpora(a=3, b=1), parse_split("corpus"))
    split = make_split(corpora(a=3, b=1), parse_split("corpus,validation_speakers=0"))
    assert all(fold.validation == () for fold in split.folds)
    assert split.notes == ()


def test_one_corpus_is_too_few() -> None:
    with pytest.raises(SplitError, match=r"at least two corpora.*one: a.*Repeat --corpus"):
        make_split(corpora(a=3), parse_split("corpus"))
