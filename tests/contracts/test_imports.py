"""Imports point downwards: the map in CONTRIBUTING.md, held against every import of the package."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.package import PACKAGE, ROOT, short, sources


def read_floors() -> dict[str, int]:
    """Room to floor, from the table in CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return {room: int(floor) for floor, room in re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)}


FLOORS = read_floors()
# Any room may ask the package for these.
OPEN_TO_ALL = {"serenade.__version__"}
# Rooms that floors alone would allow, but that a room must not know.
CLOSED = {"training": {"models", "corpora"}, "reports": set(FLOORS) - {"core", "reports"}}
REPORTS_MAY_USE = {"numpy", "jinja2", "PIL", "serenade"}


def imports_of(source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a source imports, at any depth, name tables included.

    Relative imports begin with a dot.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value
        elif isinstance(node, ast.Constant) and re.fullmatch(r"serenade(\.\w+)+:\w+", str(node.value)):
            yield node.lineno, str(node.value).replace(":", ".")  # the target of a name table


def faults(source: str, room: str) -> list[str]:
    """What is wrong with the imports of a source that stands in a room ("" is the top of the package)."""
    found = []
    for line, name in imports_of(source):
        first, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if name.startswith("."):
            found.append(f"{line}: relative import {name}")
        elif room == "reports" and first not in REPORTS_MAY_USE and first not in sys.stdlib_module_names:
            found.append(f"{line}: reports imports {name}")
        elif first != "serenade" or name in OPEN_TO_ALL or room == "":
            continue
        elif target not in FLOORS:
            found.append(f"{line}: {name} is in no room")
        elif target != room and FLOORS[target] >= FLOORS[room]:
            found.append(f"{line}: {room} (floor {FLOORS[room]}) imports {name} (floor {FLOORS[target]})")
        elif target in CLOSED.get(room, set()):
            found.append(f"{line}: {room} must not know {name}")
    return found


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def test_map_and_folders_agree() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(FLOORS), "a folder that CONTRIBUTING.md does not name"
    assert set(FLOORS) <= folders, "CONTRIBUTING.md names a room that is not there"


@pytest.mark.parametrize("path", sources(), ids=short)
def test_imports_point_downwards(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8"), room_of(path)) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("core", "from serenade.signal.audio import read"),
        ("core", "def f():\n    import serenade.app.main"),
        ("signal", "from serenade.corpora import CORPORA"),
        ("signal", "if TYPE_CHECKING:\n    from serenade.training.system import System"),
        ("training", "from serenade.models.glam import Glam"),
        ("training", "import importlib\nimportlib.import_module('serenade.corpora.emodb')"),
        ("reports", "from serenade.evaluation.metrics import score"),
        ("reports", "import torch"),
        ("reports", "def f():\n    import sklearn.manifold"),
        ("systems", "from ..training import loop"),
        ("models", "from serenade import load"),
        ("models", "import serenade"),
        ("models", "TABLE = NameTable('model', [('glam', 'serenade.systems.glam:Glam')])"),
    ],
)
def test_planted_fault_is_found(room: str, source: str) -> None:
    assert len(faults(source, room)) == 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("app", "from serenade import __version__\nfrom serenade.reports.page import write"),
        ("training", "from serenade.core.labels import LabelSet\nfrom serenade.signal.segments import SegmentSettings"),
        ("reports", "import json\nimport numpy as np\nfrom serenade.core.records import Split"),
        ("", "from serenade.inference.recognizer import Recognizer"),
    ],
)
def test_downward_import_passes(room: str, source: str) -> None:
    assert faults(source, room) == []
