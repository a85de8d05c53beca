"""What is shipped: the wheel's contents, the changelog, the command, and the environment's script."""

import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import serenade

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    assert built.name == f"serenade-{serenade.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_wheel_holds_all_that_the_package_reads(wheel: list[str]) -> None:
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "serenade").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert {"serenade/py.typed", "serenade/systems/presets/glam.toml"} <= wanted
    assert wanted - set(wheel) == set()


def test_wheel_holds_nothing_else(wheel: list[str]) -> None:
    own = f"serenade-{serenade.__version__}.dist-info/"
    assert [name for name in wheel if not name.startswith(("serenade/", own))] == []
    assert [name for name in wheel if "__pycache__" in name or name.endswith((".pyc", ".tmp"))] == []
    assert f"{own}licenses/LICENSE" in wheel


def test_changelog_speaks_of_this_version_first() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^\]]+)\] - (\d{4}-\d\d-\d\d|unreleased)$", text, re.MULTILINE)
    assert versions[0][0] == serenade.__version__
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(versions), "a heading in another form"
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }


def test_installed_version_is_the_package_s() -> None:
    assert metadata.version("serenade") == serenade.__version__


def test_command_says_its_version() -> None:
    command = Path(sys.executable).with_name("serenade")
    done = subprocess.run([command, "--version"], check=True, capture_output=True, text=True)
    assert done.stdout == f"serenade {serenade.__version__}\n"


def find_python(tmp_path: Path, **interpreters: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/find_python.sh where only the interpreters given exist, as shell scripts."""
    for name, body in interpreters.items():
        file = tmp_path / name.replace("_", ".")
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", ROOT / "scripts" / "find_python.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_python_that_is_new_enough_is_found(tmp_path: Path) -> None:
    old = 'case "$2" in *print*) echo 3.9;; *) exit 1;; esac'
    done = find_python(tmp_path, python3=old, python3_12=f'exec "{sys.executable}" "$@"')
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).samefile(sys.executable)


def test_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    done = find_python(tmp_path, python3='case "$2" in *print*) echo 3.9;; *) exit 1;; esac')
    assert done.returncode == 1
    assert "needs Python 3.11 or newer; found: python3 (3.9)" in done.stderr


def test_python_without_venv_is_named_with_the_way_out(tmp_path: Path) -> None:
    done = find_python(tmp_path, python3='case "$2" in *print*) echo 3.11;; *ensurepip*) exit 1;; esac')
    assert done.returncode == 1
    assert "without venv and pip: python3 (3.11)" in done.stderr
    assert "apt install python3-venv" in done.stderr


def test_no_python_at_all_is_said(tmp_path: Path) -> None:
    done = find_python(tmp_path)
    assert done.returncode == 1
    assert "no Python was found (tried: python3 " in done.stderr


def test_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    command = [sys.executable, ROOT / "scripts" / "setup_env.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "holds something else than a virtual environment" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_make_without_a_target_lists_every_target() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    done = subprocess.run(["make", "-C", ROOT, "--no-print-directory"], check=True, capture_output=True, text=True)
    assert {"demo", "test", "check"} <= set(targets)
    assert [target for target in targets if f"make {target} " not in done.stdout] == []
