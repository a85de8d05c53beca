"""Tables of names: every entry leads somewhere, and every file that should be in a table is in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.package import PACKAGE, modules
from tests.contracts.test_imports import imports_of

from serenade.app.main import COMMANDS
from serenade.core.names import NameTable
from serenade.corpora import CORPORA
from serenade.models import MODELS
from serenade.systems import PRESETS, SYSTEMS, system_settings


def all_tables() -> list[NameTable[Any]]:
    found = {id(value): value for module in modules() for value in vars(module).values()}
    return sorted((value for value in found.values() if isinstance(value, NameTable)), key=lambda table: table.kind)


TABLES = all_tables()


def test_known_tables_are_found() -> None:
    assert {id(table) for table in (COMMANDS, CORPORA, MODELS, SYSTEMS)} <= {id(table) for table in TABLES}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_every_entry_resolves(table: NameTable[Any]) -> None:
    assert len(table) > 0
    for name in table:
        assert table.resolve(name) is not None


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_every_entry_is_its_own(table: NameTable[Any]) -> None:
    targets = [table.target(name) for name in table]
    assert len(set(targets)) == len(targets), "two names for one thing"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_entries_are_public_and_not_borrowed(table: NameTable[Any]) -> None:
    import importlib

    for name in table:
        module, _, attribute = table.target(name).partition(":")
        assert attribute in importlib.import_module(module).__all__


def is_corpus(path: Path) -> bool:
    return "\nCORPUS" in path.read_text(encoding="utf-8")


def every_file(path: Path) -> bool:
    return not path.stem.startswith("_")


def is_model(path: Path) -> bool:
    """Whether a file is a family of its own; ``mesm_cnn`` is a part of ``mesm``."""
    return every_file(path) and not ("_" in path.stem and path.stem.partition("_")[0] in MODELS)


def is_command(path: Path) -> bool:
    """Whether a file is a command of its own; ``corpus_fetch`` is a part of ``corpus``."""
    return every_file(path) and not is_part(path)


def is_part(path: Path) -> bool:
    return "_" in path.stem and path.stem.partition("_")[0] in COMMANDS


@pytest.mark.parametrize(
    ("table", "folder", "belongs"),
    [
        (MODELS, "models", is_model),
        (SYSTEMS, "systems", every_file),
        (COMMANDS, "app/commands", is_command),
        (CORPORA, "corpora", is_corpus),
    ],
    ids=lambda value: getattr(value, "kind", value if isinstance(value, str) else ""),
)
def test_every_file_of_the_folder_is_in_the_table(
    table: NameTable[Any], folder: str, belongs: Callable[[Path], bool]
) -> None:
    files = {path.stem for path in (PACKAGE / folder).glob("*.py") if path.stem != "__init__" and belongs(path)}
    named = {table.target(name).partition(":")[0].rpartition(".")[2] for name in table}
    assert files == named


def test_every_part_of_a_command_is_used_by_it() -> None:
    files = [path for path in (PACKAGE / "app" / "commands").glob("*.py") if is_part(path)]
    assert files, "has the search gone blind?"
    for path in files:
        group = path.with_stem(path.stem.partition("_")[0])
        imported = {name for _, name in imports_of(group.read_text(encoding="utf-8"))}
        assert any(f"{name}.".startswith(f"serenade.app.commands.{path.stem}.") for name in imported)


def test_every_preset_file_is_listed_and_valid() -> None:
    files = {path.stem for path in (PACKAGE / "systems" / "presets").glob("*.toml")}
    assert files == set(PRESETS)
    for preset, system in PRESETS.items():
        assert isinstance(system_settings(preset, {}), SYSTEMS.resolve(system).settings_class)
