"""Maps between label sets: declared in words, checked, and written down."""

import pytest

from serenade.core.errors import UsageError
from serenade.core.label_maps import LABEL_MAPS, LabelMap, parse_label_map


@pytest.mark.parametrize("name", LABEL_MAPS)
def test_named_map_survives_its_text_form(name: str) -> None:
    known = LABEL_MAPS[name]
    assert parse_label_map(name) is known
    assert parse_label_map(str(known)).changes == known.changes
    assert known.about


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("merge", ["happy", "happy", "sad"]),
        ("exc_as_hap", [None, "happy", "sad"]),
        ("hap_only", ["happy", None, "sad"]),
    ],
)
def test_the_three_readings_of_iemocaps_happiness(name: str, kept: list[str | None]) -> None:
    assert [LABEL_MAPS[name].apply(label) for label in ("happy", "excited", "sad")] == kept
    assert LABEL_MAPS[name].apply(None) is None


def test_votes_move_with_their_class() -> None:
    votes = {"happy": 1, "excited": 2, "sad": 4, "other": 8}
    assert parse_label_map("excited=happy,other=-").apply_to_votes(votes) == {"happy": 3, "sad": 4}


def test_classes_of_ones_own_can_be_mapped() -> None:
    assert parse_label_map(" hum = singing , Anger=wild").changes == {"hum": "singing", "angry": "wild"}


@pytest.mark.parametrize("text", ["", "merged", "excited", "=happy", "excited=", "excited=happy,"])
def test_map_that_is_none_says_what_one_is(text: str) -> None:
    with pytest.raises(UsageError, match="a label map is a name or pairs OLD=NEW"):
        parse_label_map(text)


def test_misspelt_name_is_nearly_found() -> None:
    with pytest.raises(UsageError, match="Did you mean 'hap_only'"):
        parse_label_map("haponly")


def test_class_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="'angry' twice"):
        parse_label_map("angry=sad,anger=happy")


def test_class_that_nobody_knows_is_refused() -> None:
    own = LabelMap({"humm": "sad"})
    own.require_known(["humm", "sad"], "here")
    with pytest.raises(UsageError, match=r"'humm', which is not there.*Did you mean 'hum'"):
        own.require_known(["hum", "sad"], "here")
    LabelMap({"excited": "happy"}).require_known(["happy", "sad"], "a corpus without excitement")
