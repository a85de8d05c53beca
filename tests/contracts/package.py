"""What the contract suites walk over: the sources and modules of the package."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "serenade"


def sources() -> list[Path]:
    """Every Python file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def short(path: Path) -> str:
    """A source as a test's name."""
    return path.relative_to(PACKAGE).as_posix()


def module_name(path: Path) -> str:
    parts = ["serenade", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> Iterator[ModuleType]:
    """Every module of the package, imported."""
    return (importlib.import_module(module_name(path)) for path in sources() if path.stem != "__main__")


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
