"""The table of emotions and ordered label sets."""

import itertools
import unicodedata

import pytest

from serenade.core.errors import UsageError
from serenade.core.labels import EMOTIONS, LabelSet, canonical_emotion


def test_every_spelling_stands_for_one_emotion() -> None:
    spellings = [spelling for name, others in EMOTIONS.items() for spelling in (name, *others)]
    assert len(set(spellings)) == len(spellings)
    assert all(canonical_emotion(other) == name for name, others in EMOTIONS.items() for other in (name, *others))


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Anger", "angry"),
        ("  HAPPINESS ", "happy"),
        ("pleasant surprise", "surprised"),
        ("Pleasant-Surprise", "surprised"),
        ("Freude", "happy"),
        ("boredem", "bored"),
        ("生气/angry", "angry"),
        ("<|SAD|>", "sad"),
        ("Dégoût", "disgusted"),
        ("radość", "happy"),
        (unicodedata.normalize("NFD", "Ärger"), "angry"),
    ],
)
def test_spellings_of_people_and_corpora_are_known(spelling: str, name: str) -> None:
    assert canonical_emotion(spelling) == name


@pytest.mark.parametrize("label", ["", "content", "anger2", "yawning", "angry/sad", "angry/quux", "<|EMO_UNKNOWN|>"])
def test_unknown_label_is_none(label: str) -> None:
    assert canonical_emotion(label) is None


def test_index_is_the_place_and_names_come_back() -> None:
    labels = LabelSet(("sad", "angry", "happy"))
    assert [labels.names[labels.index(name)] for name in ("angry", "happy", "sad")] == ["angry", "happy", "sad"]
    assert labels.index("sad") == 0
    assert len(labels) == 3
    assert "angry" in labels
    assert "Angry" not in labels


@pytest.mark.parametrize("names", [(), ("angry",), ("angry", "angry"), ("angry", "")])
def test_set_without_two_different_names_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"a label set needs at least two different names\. Found: "):
        LabelSet(names)


def test_unknown_class_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no class 'hapy'\. Expected: one of angry, happy\. Did you mean 'happy'\?"):
        LabelSet(("angry", "happy")).index("hapy")


def test_set_of_labels_is_sorted_whatever_the_order_seen() -> None:
    seen = ["sad", "angry", "happy", "angry"]
    assert {LabelSet.of(order) for order in itertools.permutations(seen)} == {LabelSet(("angry", "happy", "sad"))}


def test_parse_takes_words_as_people_write_them() -> None:
    assert LabelSet.parse([" Wut", "anger", "joy", "drowsy "]).names == ("angry", "drowsy", "happy")
