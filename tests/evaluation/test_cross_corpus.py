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


def msp_improv() -> list[Utterance]:
    """As many utterances of each class as MSP-IMPROV has of the usual four, and another corpus."""
    counts = {"angry": 792, "sad": 885, "happy": 2644, "neutral": 3477}
    target = [
        say(f"msp/{label}-{n}", f"s{n % 12}", corpus="msp").with_(emotion=label, audio=Path(f"/msp/{label}-{n}.wav"))
        for label, count in counts.items()
        for n in range(count)
    ]
    return [*target, *corpora(a=3)]


def test_a_share_of_the_target_picks_the_epoch_and_the_rest_is_tested() -> None:
    utterances = msp_improv()
    split = make_split(utterances, parse_split("corpus,target_dev=0.3"))
    fold = next(fold for fold in split.folds if fold.name == "corpus-msp")
    assert (len(fold.validation), len(fold.test)) == (2339, 5459)  # the group's own split of MSP-IMPROV
    assert corpus_of(fold.train) == {"a"}
    assert corpus_of(fold.validation) == corpus_of(fold.test) == {"msp"}
    labels = {u.id: u.emotion for u in utterances}
    happy = sum(labels[name] == "happy" for name in fold.validation)
    assert abs(happy - 0.3 * 2644) < 1
    assert split.leaky is not None
    assert "30% of every class of the tested corpus" in split.leaky
    errors = check_split(split, utterances).errors
    assert [(error.kind, error.parts) for error in errors] == [("speaker", ("validation", "test"))]
    assert make_split(utterances, parse_split("corpus,target_dev=0.3")) == split
    assert make_split(utterances, parse_split("corpus,target_dev=0.3,seed=1")) != split


def test_a_target_too_small_to_share_is_an_error() -> None:
    with pytest.raises(SplitError, match=r"too small to pick the epoch.*tests b"):
        make_split([*corpora(a=3), say("b/1", "x", corpus="b")], parse_split("corpus,target_dev=0.3"))
