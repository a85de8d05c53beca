"""Settings: read, laid over each other, checked, and explained when they are off."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from serenade.core.errors import SettingsError
from serenade.core.settings import Settings, dump_toml, load_toml, make_settings, merge, parse_override


class Adam(Settings):
    kind: Literal["adam"] = "adam"
    learning_rate: float = Field(1e-4, gt=0)


class Sgd(Settings):
    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(0.9, ge=0, lt=1)


class Training(Settings):
    epochs: int = Field(50, ge=1, le=1000)
    batch_size: int = 32
    optimiser: Annotated[Adam | Sgd, Field(discriminator="kind")] = Adam()
    patience: int | None = None


class Night(Settings):
    """Sets other defaults for what it holds."""

    training: Training = Training(epochs=400, optimiser=Adam(learning_rate=0.5))


class Run(Settings):
    name: str = "run"
    training: Training = Training()
    sizes: tuple[int, ...] = (1, 2)


def test_defaults_need_no_values() -> None:
    assert make_settings(Run, {}).training.epochs == 50


def test_part_of_a_table_leaves_the_rest_as_the_outer_class_set_it() -> None:
    made = make_settings(Night, {"training": {"patience": 3}}, ["training.batch_size=8"]).training
    assert (made.epochs, made.batch_size, made.patience) == (400, 8, 3)
    assert made.optimiser == Adam(learning_rate=0.5)


def test_part_of_a_choice_keeps_the_choice_and_another_choice_has_its_own_defaults() -> None:
    kept = make_settings(Night, {}, ["training.optimiser.learning_rate=0.25"]).training
    assert (kept.optimiser, kept.epochs) == (Adam(learning_rate=0.25), 400)
    other = make_settings(Night, {}, ["training.optimiser.kind=sgd"]).training
    assert (other.optimiser, other.epochs) == (Sgd(), 400)


def test_overrides_win_over_tables() -> None:
    made = make_settings(Run, {"training": {"epochs": 3, "batch_size": 8}}, ["training.epochs=7", "name=a b"])
    assert (made.training.epochs, made.training.batch_size, made.name) == (7, 8, "a b")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "traning.epochs=3",
            r"unknown key 'traning': here\. Expected: one of name, sizes, training\. Did you mean 'tr",
        ),
        ("training.epoch=3", r"unknown key 'training\.epoch': here\. Expected: one of batch_size, .*'epochs'\?"),
        ("training.Epochs=3", r"Did you mean 'epochs'\?"),
        ("training.optimiser={kind='adam', momentum=1}", r"unknown key 'training\.optimiser\.adam\.momentum'"),
        ("zzz=3", r"unknown key 'zzz': here\. Expected: one of name, sizes, training\.$"),
        ("training.epochs=0", r"training\.epochs: Input should be greater than or equal to 1: here\. Found: 0"),
        ("training.epochs=many", r"training\.epochs: Input should be a valid integer.*Found: 'many'"),
        ("training.epochs=2.5", r"training\.epochs: Input should be a valid integer"),
        ("training.optimiser.learning_rate=inf", r"Input should be a finite number.*Found: inf"),
        ("training.optimiser.learning_rate=nan", r"learning_rate: Input should be"),
        ("training=3", r"training: Input should be a valid dictionary.*Found: 3"),
        ("sizes=[1, 'x']", r"sizes\.1: Input should be a valid integer.*Found: 'x'"),
    ],
)
def test_setting_that_is_off_is_explained(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_settings(Run, {"training": {"optimiser": {"kind": "adam"}}}, [override], where="here")


def test_several_faults_are_counted() -> None:
    with pytest.raises(SettingsError, match=r"\(and 2 more\)"):
        make_settings(Run, {"a": 1, "b": 2, "training": {"epochs": -1}})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_settings(Run, {}).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1", {"a": 1}),
        (" a . b = 1e-4 ", {"a": {"b": 1e-4}}),
        ("a.b.c=[1, 2]", {"a": {"b": {"c": [1, 2]}}}),
        ("a=true", {"a": True}),
        ("a='x=y'", {"a": "x=y"}),
        ("a=angry,sad", {"a": "angry,sad"}),
        ("speaker=010", {"speaker": "010"}),
        ("a=", {"a": ""}),
        ("a=b=c", {"a": "b=c"}),
    ],
)
def test_override_is_read_as_toml_or_text(text: str, expected: dict[str, object]) -> None:
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["epochs", "", "=3", " =3", "a..b=3", ".a=3", "a.=3"])
def test_override_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"an override must look like key\.sub=value\. Found: "):
        parse_override(text)


def test_merge_goes_into_tables_and_changes_nothing() -> None:
    base = {"a": {"x": 1, "y": 2}, "b": [1, 2], "c": {"z": 1}}
    change = {"a": {"y": 3}, "b": [9], "c": 4, "d": {"n": None}}
    assert merge(base, change) == {"a": {"x": 1, "y": 3}, "b": [9], "c": 4, "d": {"n": None}}
    assert base == {"a": {"x": 1, "y": 2}, "b": [1, 2], "c": {"z": 1}}
    assert change == {"a": {"y": 3}, "b": [9], "c": 4, "d": {"n": None}}


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_toml_comes_back(values: dict[str, object]) -> None:
    assert tomllib.loads(dump_toml(values)) == values


def test_settings_come_back_through_a_file(tmp_path: Path) -> None:
    made = make_settings(Run, {}, ["training.patience=5", "sizes=[3]"])
    (tmp_path / "run.toml").write_text(dump_toml(made.model_dump()), encoding="utf-8")
    assert make_settings(Run, load_toml(tmp_path / "run.toml")) == made


def test_none_is_left_out_of_toml() -> None:
    assert tomllib.loads(dump_toml({"a": None, "b": {"c": None, "d": 1}, "e": ({"f": None},)})) == {
        "b": {"d": 1},
        "e": [{}],
    }


def test_file_that_is_no_toml_names_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("a = 1\nb = = 2\n")
    with pytest.raises(SettingsError, match=r"not valid TOML: .*bad\.toml\. Found: .*line 2, column 5"):
        load_toml(tmp_path / "bad.toml")


def test_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes("name = 'Ärger'".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"not valid TOML: .*bad\.toml"):
        load_toml(tmp_path / "bad.toml")


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such settings file: .*absent\.toml"):
        load_toml(tmp_path / "absent.toml")
    with pytest.raises(SettingsError, match=r"the settings file cannot be read: .*Found: Is a directory"):
        load_toml(tmp_path)
