"""The table of emotions and ordered label sets."""

import itertools
import unicodedata
from pathlib import Path

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
        ("hüzünlü", "sad"),
        ("neutro", "neutral"),
        ("радость", "happy"),
        ("medo", "fearful"),
        ("غضب", "angry"),
        ("悲しい", "sad"),
        ("공포", "fearful"),
        ("disqust", "disgusted"),
        (unicodedata.normalize("NFD", "Ärger"), "angry"),
    ],
)
def test_spellings_of_people_and_corpora_are_known(spelling: str, name: str) -> None:
    assert canonical_emotion(spelling) == name


@pytest.mark.parametrize("page", ["cafe", "emodb", "emovo", "nemo", "turevdb"])
def test_the_corpora_own_words_are_known(page: str) -> None:
    """Every page's table of words against the class beside it, whichever way the table stands."""
    text = (Path(__file__).parents[2] / "docs" / "corpora" / f"{page}.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    pairs = [(row[-3], row[-2]) for row in rows if len(row) > 2 and row[-2].startswith("`")]  # a row per class
    across = {row[0]: row[1:] for row in rows if len(row) > 6}
    if "class" in across:  # a column per class
        words = across.get("French") or across["Italian"]
        pairs = list(zip(words, across["class"], strict=True))
    assert len(pairs) > 3
    assert {word: canonical_emotion(word.partition(" ")[0]) for word, _ in pairs} == {
        word: name.strip("`") for word, name in pairs
    }


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
