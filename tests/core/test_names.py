"""Tables of names: what they hold, what they refuse, and what they load."""

import sys

import pytest

from serenade.core.errors import UnknownNameError
from serenade.core.names import NameTable, nearest


@pytest.fixture
def table() -> NameTable[object]:
    return NameTable("model", [("glam", "fractions:Fraction"), ("baseline", "a.module.that.is.not:There")])


def test_table_keeps_names_in_order(table: NameTable[object]) -> None:
    assert list(table) == ["glam", "baseline"]
    assert len(table) == 2
    assert "glam" in table
    assert "Glam" not in table


def test_table_resolves_only_what_is_asked(table: NameTable[object]) -> None:
    from fractions import Fraction

    assert table.resolve("glam") is Fraction
    assert not any(name.startswith("a.module") for name in sys.modules)
    with pytest.raises(ModuleNotFoundError):
        table.resolve("baseline")


def test_name_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="the model 'a' is registered twice"):
        NameTable("model", [("a", "x:y"), ("b", "x:y"), ("a", "x:z")])


def test_unknown_name_lists_the_known_and_the_nearest(table: NameTable[object]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        table.resolve("baselin")
    assert str(caught.value) == (
        "there is no model called 'baselin'. Expected: one of glam, baseline. Did you mean 'baseline'?"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("emobd", "emodb"), ("EMODB", "emodb"), ("EmoDB", "emodb"), ("ravdes", "RAVDESS"), ("zzz", None), ("", None)],
)
def test_nearest_name_whatever_its_case(name: str, expected: str | None) -> None:
    assert nearest(name, iter(["emodb", "RAVDESS", "table"])) == expected


def test_nearest_of_nothing_is_none() -> None:
    assert nearest("glam", []) is None
