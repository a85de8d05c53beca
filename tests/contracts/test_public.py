"""The public surface is written down, and nothing heavy is loaded before it is needed."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contracts.package import PACKAGE, module_name, parse, short, sources

HEAVY = {
    "torch",
    "numpy",
    "scipy",
    "sklearn",
    "matplotlib",
    "jinja2",
    "pandas",
    "pyarrow",
    "av",
    "soundfile",
    "soxr",
    "captum",
    "PIL",
    "transformers",
}


def defined(tree: ast.Module) -> set[str]:
    """Public names that a module defines itself; type variables are not for others."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not is_type_variable(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def is_type_variable(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) in {"TypeVar", "ParamSpec"}


def declared(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


@pytest.mark.parametrize("path", [path for path in sources() if path.stem != "__main__"], ids=short)
def test_public_names_are_declared(path: Path) -> None:
    tree = parse(path)
    public = declared(tree)
    if public is None:
        assert defined(tree) == set(), "a module with public names needs __all__"
        return
    assert len(set(public)) == len(public)
    module = importlib.import_module(module_name(path))
    assert [name for name in public if not hasattr(module, name)] == []
    own = defined(tree)
    assert own - set(public) == set(), "public by its name, but not in __all__: add it, or begin it with _"
    if path.name != "__init__.py":  # a package may pass on names of its modules
        assert set(public) - own == set(), "in __all__, but not defined here"


def test_package_offers_what_the_readme_promises() -> None:
    import serenade

    assert set(serenade.__all__) == {"Recognizer", "__version__", "load"}
    assert callable(serenade.load)
    assert serenade.Recognizer.__module__ == "serenade.inference.recognizer"


@pytest.mark.parametrize(
    "code",
    [
        "import serenade",
        "import serenade.app.main",
        "from serenade.app.main import main; main(['--help'])",
        "from serenade.app.main import main; main(['--version'])",
        "from serenade.app.main import main; main(['predit'])",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    probe = f"import json, sys\n{code}\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert "serenade" in loaded
    assert loaded & HEAVY == set()


def test_help_takes_little_time() -> None:
    # The promise is 0.35 s of wall time on an idle machine (benchmarks); CPU time holds on a busy one too.
    probe = "from serenade.app.main import main; main(['--help']); import time; print(time.process_time())"
    spent = [
        float(
            subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True).stdout.split()[-1]
        )
        for _ in range(3)
    ]
    assert min(spent) < 0.7


def test_every_folder_with_code_is_a_package_and_typed() -> None:
    folders = {path.parent for path in sources()}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
    assert (PACKAGE / "py.typed").exists()
