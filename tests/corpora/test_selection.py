"""Asking for a part of a corpus: facts, mapped classes, classes."""

from pathlib import Path

import pytest

from serenade.core.errors import UsageError
from serenade.core.label_maps import LABEL_MAPS, parse_label_map
from serenade.core.labels import LabelSet
from serenade.core.records import Listing, Utterance
from serenade.corpora import Selection
from serenade.corpora.selection import select

ROOT = Path(__file__).parent  # a folder that is there


def utterance(name: str, emotion: str | None, part: str, speaker: str = "a", **votes: float) -> Utterance:
    return Utterance(name, ROOT / name, "c", speaker, emotion, extra={"part": part}, votes=votes)


LISTING = Listing(
    (
        utterance("1", "happy", "improvised", happy=2, excited=1, other=1),
        utterance("2", "excited", "improvised"),
        utterance("3", "sad", "scripted", "b"),
        utterance("4", None, "scripted", "b"),
        utterance("5", "angry", "read", "b"),
    )
)


def chosen(selection: Selection) -> list[tuple[str, str | None]]:
    return [(u.id, u.emotion) for u in select(LISTING, selection, ROOT).utterances]


def reasons(selection: Selection) -> list[tuple[str, str, str]]:
    return [(item.where, item.reason, item.detail) for item in select(LISTING, selection, ROOT).left_out]


def test_nothing_asked_changes_nothing() -> None:
    assert select(LISTING, Selection(), ROOT) == LISTING


def test_condition_keeps_those_with_the_fact_and_names_the_others() -> None:
    selection = Selection(where={"part": "improvised"})
    assert chosen(selection) == [("1", "happy"), ("2", "excited")]
    assert reasons(selection)[0] == ("3", "not selected", "part scripted")


def test_conditions_hold_together_and_values_are_alternatives() -> None:
    assert [name for name, _ in chosen(Selection(where={"part": "scripted|read", "speaker": "b"}))] == ["3", "4", "5"]
    assert chosen(Selection(where={"part": "improvised|read", "speaker": "b"})) == [("5", "angry")]


def test_those_without_words_can_be_left_out() -> None:
    first, second, *others = LISTING.utterances
    listing = Listing((first.with_(text="oh no"), second.with_(text=" "), *others))
    found = select(listing, Selection(where={"transcript": "yes"}), ROOT)
    assert [u.id for u in found.utterances] == ["1"]
    assert found.left_out[0].detail == "transcript no"
    assert len(select(LISTING, Selection(where={"transcript": "no"}), ROOT).utterances) == 5
    with pytest.raises(UsageError, match=r"no utterance has transcript 'yes'.*some of no"):
        select(LISTING, Selection(where={"transcript": "yes"}), ROOT)


def test_map_comes_before_the_choice_of_classes() -> None:
    selection = Selection(LabelSet(("happy", "sad")), LABEL_MAPS["exc_as_hap"])
    assert chosen(selection) == [("2", "happy"), ("3", "sad")]
    assert reasons(selection) == [
        ("1", "not in the label set", "happy, by the label map"),
        ("4", "no label", ""),
        ("5", "not in the label set", "angry"),
    ]


def test_map_moves_the_votes_too() -> None:
    first = select(LISTING, Selection(label_map=parse_label_map("excited=happy,other=-")), ROOT).utterances[0]
    assert first.votes == {"happy": 3}


@pytest.mark.parametrize(
    ("where", "match"),
    [
        ({"prt": "improvised"}, r"does not know the prt .*corpus, emotion, id, part, speaker\. Did you mean 'part'"),
        ({"part": "improvized"}, r"no utterance has part 'improvized'.*Did you mean 'improvised'"),
    ],
)
def test_condition_that_the_corpus_does_not_know(where: dict[str, str], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        select(LISTING, Selection(where=where), ROOT)


def test_map_of_an_unknown_class() -> None:
    with pytest.raises(UsageError, match=r"changes the class 'hapy'"):
        select(LISTING, Selection(label_map=parse_label_map("hapy=sad")), ROOT)
