"""What is installed: torch stays the CPU build and pinned, and every import is declared."""

import ast
import importlib.metadata as metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from tests.contracts.package import PACKAGE, ROOT, parse, short, sources
from tests.contracts.test_imports import imports_of

# Packages whose import name is not their name.
IMPORT_NAMES = {
    "scikit-learn": "sklearn",
    "tomli-w": "tomli_w",
    "pytest-xdist": "xdist",
    "myst-parser": "myst_parser",
    "pillow": "PIL",
    "prometheus-client": "prometheus_client",
    "python-multipart": "python_multipart",
    "webrtcvad-wheels": "webrtcvad",
    "pyyaml": "yaml",
    "opencv-python-headless": "cv2",
}


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def import_names(requirements: list[str]) -> set[str]:
    names = [Requirement(text).name for text in requirements]
    return {IMPORT_NAMES.get(name, name) for name in names}


CORE = import_names(project()["dependencies"])
EXTRAS = {name: import_names(texts) for name, texts in project()["optional-dependencies"].items()}
PLUGINS = {"opensmile"}  # installed by the user alone: its licence forbids use in products, so no extra may bring it
OPTIONAL = set().union(*EXTRAS.values()) - CORE


def installed() -> set[str]:
    return {re.sub(r"[-_.]+", "-", dist.metadata["Name"]).lower() for dist in metadata.distributions()}


def test_torch_is_the_cpu_build() -> None:
    if torch.version.cuda is not None:
        pytest.skip(f"torch {torch.__version__} was chosen for a GPU here")
    assert not [name for name in installed() if name.startswith("nvidia-")]


def test_nothing_that_breaks_torch_came_in() -> None:
    assert installed() & {"torchaudio", "torchvision", "torchcodec"} == set()


def test_what_constraints_pin_is_what_is_installed() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert [pin.name for pin in pins] == ["torch"]
    for pin in pins:
        assert pin.specifier.contains(metadata.version(pin.name).partition("+")[0])


def test_installed_packages_are_what_the_project_asks_for() -> None:
    wanted = [Requirement(text) for text in project()["dependencies"]]
    assert [str(need) for need in wanted if not need.specifier.contains(metadata.version(need.name))] == []


def test_no_extra_brings_a_plugin() -> None:
    assert set.union(CORE, OPTIONAL) & PLUGINS == set()


@pytest.mark.parametrize("path", sources(), ids=short)
def test_every_import_is_declared(path: Path) -> None:
    used = {name.partition(".")[0] for _, name in imports_of(path.read_text(encoding="utf-8"))}
    assert used - set(sys.stdlib_module_names) - {"serenade"} - CORE - OPTIONAL - PLUGINS == set()


def at_import(tree: ast.Module) -> set[str]:
    """Top names imported when the module is, not under TYPE_CHECKING and not inside a function."""
    nodes = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {name.partition(".")[0] for _, name in imports_of(ast.unparse(ast.Module(nodes, [])))}


@pytest.mark.parametrize("path", sources(), ids=short)
def test_optional_packages_are_imported_where_they_are_needed(path: Path) -> None:
    assert at_import(parse(path)) & OPTIONAL == set()


def test_extras_named_in_errors_exist() -> None:
    named = {
        (short(path), keyword.value.value)
        for path in sources()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingExtraError"
        for keyword in node.keywords
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Constant)
    }
    assert named, "no error names an extra: has the search gone blind?"
    assert [(where, extra) for where, extra in sorted(named) if extra not in EXTRAS] == []


@pytest.mark.parametrize("folder", ["src", "docs", "scripts", "benchmarks", ".ci"])
def test_no_path_of_one_machine_stands_in_the_project(folder: str) -> None:
    found = []
    for path in sorted((ROOT / folder).rglob("*")):
        if not path.is_file() or path.suffix not in {".py", ".md", ".toml", ".sh", ".html", ".j2", ""}:
            continue
        if "_build" in path.parts or "__pycache__" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        found += [
            f"{path}: {hit}" for hit in re.findall(r"(?<![\w.~])/(?:work|root|farm|home/\w+|opt/venvs)/\S*", text)
        ]
    assert found == []


def test_typed_package_and_presets_lie_in_the_package() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert list((PACKAGE / "systems" / "presets").glob("*.toml"))
