"""Label words of a user's own data."""

import pytest

from serenade.corpora.own_labels import Slip, read_labels


def test_known_spellings_become_the_tables_names() -> None:
    meanings = read_labels(["Anger", "HAPPINESS", " sad ", "Freude"])
    assert list(meanings.values()) == ["angry", "happy", "sad", "happy"]


def test_other_words_are_classes_of_the_users_own_as_written() -> None:
    meanings = read_labels(["Stressed", "stressed", "Stressed ", "relaxed", "level 1", "level 2"])
    assert meanings == {
        "Stressed": "Stressed",
        "stressed": "Stressed",
        "Stressed ": "Stressed",
        "relaxed": "relaxed",
        "level 1": "level 1",
        "level 2": "level 2",
    }


@pytest.mark.parametrize("word", ["", " ", "-", "?", "NaN", "N/A", "none", "unlabelled"])
def test_words_for_no_label(word: str) -> None:
    assert read_labels([word, "happy"])[word] is None


@pytest.mark.parametrize("slip", ["hapy", "happpy", "hpapy", "haply"])
def test_one_letter_off_a_known_emotion_is_a_slip(slip: str) -> None:
    meaning = read_labels(["happy"] * 5 + ["sad"] * 5 + [slip])[slip]
    assert isinstance(meaning, Slip)
    assert str(meaning) == f"{slip!r} stands once, one letter away from 'happy'; correct it"


def test_one_letter_off_an_own_word_is_a_slip() -> None:
    meaning = read_labels(["stressed"] * 9 + ["relaxed"] * 9 + ["stresed"])["stresed"]
    assert meaning == Slip("stresed", "stressed", 1)


def test_a_word_that_stands_often_is_meant() -> None:
    assert read_labels(["happy"] * 50 + ["hapy"] * 3)["hapy"] == "hapy"


@pytest.mark.parametrize(
    ("one", "other"), [("happy", "unhappy"), ("sad", "mad"), ("stress1", "stress2"), ("calm", "tense")]
)
def test_different_words_are_not_slips(one: str, other: str) -> None:
    assert read_labels([one] * 20 + [other])[other] == other


def test_single_letters_are_translated_only_where_all_words_are_known() -> None:
    # A is anger in one corpus and Angst (fear) in EMO-DB, where W is anger.
    assert read_labels(["A", "happy"])["A"] == "angry"
    assert read_labels(["A", "W", "F"]) == {"A": "A", "W": "W", "F": "F"}
