"""Examples in docstrings are executed."""

import doctest
import importlib
from pathlib import Path

import pytest
from tests.contracts.package import module_name, short, sources

FILES = [path for path in sources() if ">>>" in path.read_text(encoding="utf-8")]


def test_there_are_examples() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=short)
def test_examples_in_docstrings_hold(path: Path) -> None:
    result = doctest.testmod(importlib.import_module(module_name(path)), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
