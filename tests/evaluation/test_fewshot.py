"""Few-shot protocols: how many, whose, and what is said about it."""

from collections import Counter

import pytest
from tests.evaluation.people import CLASSES, crowd, uneven_crowd

from serenade.core.errors import LeakError, SplitError
from serenade.core.records import Split, Utterance
from serenade.evaluation.leaks import check_split
from serenade.evaluation.splits import make_split, parse_split


def split_of(utterances: list[Utterance], text: str) -> Split:
    return make_split(utterances, parse_split(text))


def pairs(ids: tuple[str, ...], utterances: list[Utterance]) -> Counter[tuple[str, str]]:
    by_id = {u.id: u for u in utterances}
    return Counter((by_id[name].speaker, str(by_id[name].emotion)) for name in ids)


@pytest.mark.parametrize("shots", [1, 3])
def test_every_training_speaker_gives_n_of_each_class(shots: int) -> None:
    people = crowd(5, each=16)
    split = split_of(people, f"fewshot:{shots}")
    assert split.name == f"fewshot-{shots}"
    for number, fold in enumerate(split.folds, start=1):
        speakers = [f"s{n:02d}" for n in range(1, 6) if n not in (number, number % 5 + 1)]
        assert pairs(fold.train, people) == {(s, c): shots for s in speakers for c in CLASSES}
        assert pairs(fold.test, people) == {(f"s{number:02d}", c): 4 for c in CLASSES}
        assert len(fold.validation) == 16
    assert check_split(split, people).errors == ()
    assert split.leaky is None


def test_more_shots_keep_those_of_fewer_and_folds_agree() -> None:
    people = uneven_crowd(1, speakers=6)
    few, more = split_of(people, "fewshot:2"), split_of(people, "fewshot:4")
    for one, two in zip(few.folds, more.folds, strict=True):
        assert set(one.train) < set(two.train)
        assert (one.test, one.validation) == (two.test, two.validation)
    of_third = [{name for name in fold.train if name.startswith("s03")} for fold in few.folds]
    assert len({frozenset(names) for names in of_third if names}) == 1


def test_the_seed_decides() -> None:
    people = crowd(4, each=40)
    assert split_of(people[::-1], "fewshot:2") == split_of(people, "fewshot:2")
    assert split_of(people, "fewshot:2,seed=1").folds != split_of(people, "fewshot:2").folds


def test_target_shots_are_a_protocol_of_their_own() -> None:
    people = crowd(4, each=16)
    split = split_of(people, "fewshot:3,target_shots=1")
    plain = split_of(people, "fewshot:3")
    assert split.name == "fewshot-3+1"
    for fold, unseen in zip(split.folds, plain.folds, strict=True):
        moved = set(fold.train) - set(unseen.train)
        assert Counter(str(next(u.emotion for u in people if u.id == name)) for name in moved) == dict.fromkeys(
            CLASSES, 1
        )
        assert set(fold.test) == set(unseen.test) - moved
    assert "adaptation protocol: 1 utterance per class of the tested speaker trained on" in str(split.leaky)
    report = check_split(split, people)
    assert [finding.kind for finding in report.errors] == ["speaker"]
    report.raise_if_leaking(split)
    with pytest.raises(LeakError):
        report.raise_if_leaking(plain)


def test_speakers_with_too_few_are_told() -> None:
    people = [u for u in crowd(4, each=8) if u.id not in ("s02-000", "s03-001")]
    assert split_of(people, "fewshot:2").notes[1:] == (
        "2 of 16 pairs of speaker and class have fewer utterances than that, such as s02, angry: 1",
    )


def test_nothing_left_to_test_and_no_number_are_errors() -> None:
    with pytest.raises(SplitError, match=r"nothing is left to test.*speaker-s01.*target_shots=2"):
        split_of(crowd(4), "fewshot:1,target_shots=2")
    with pytest.raises(SplitError, match="fewshot:5"):
        split_of(crowd(4), "fewshot")
    with pytest.raises(SplitError, match=r"too few speakers.*at least 3"):
        split_of(crowd(2), "fewshot:1")
