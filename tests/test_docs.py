"""Every example in the documentation runs.

The `python` and `sh` blocks of a page run one after the other in one empty folder; a `toml` block that begins with a
file's name in a comment is written there. A line above a block may say::

    <!-- slow -->                        runs with the slow tests only
    <!-- not run: needs EMO-DB -->       never runs, for that reason
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(
    r"(?:^<!--\s*(?P<mark>[^\n]*?)\s*-->\n)?^```(?P<kind>python|sh|toml(?=\n# \S+\.toml\n))\n(?P<code>.*?)^```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    kind: str
    mark: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(m["kind"], m["mark"] or "", m["code"], text.count("\n", 0, m.start("code")) + 1)
        for m in BLOCK.finditer(text)
        if not (m["mark"] or "").startswith("not run")
    ]


def run_block(page: Path, block: Block, names: dict[str, object]) -> None:
    if block.kind == "python":
        source = "\n" * (block.line - 1) + block.code  # so that a traceback names the line of the page
        exec(compile(source, str(page), "exec"), names)
        return
    if block.kind == "toml":
        Path(block.code.split()[1]).write_text(block.code, encoding="utf-8")
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.code],
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{page.name}, line {block.line}:\n{done.stdout}\n{done.stderr}"


def run_page(page: Path, chosen: list[Block], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in chosen:
        run_block(page, block, names)


def with_blocks(*, slow: bool) -> list[Path]:
    return [page for page in PAGES if any((block.mark == "slow") == slow for block in blocks(page))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", with_blocks(slow=False), ids=name_of)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(page, [block for block in blocks(page) if block.mark != "slow"], tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("page", with_blocks(slow=True), ids=name_of)
def test_all_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(page, blocks(page), tmp_path, monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_marks_of_blocks_are_known(page: Path) -> None:
    marks = [match["mark"] for match in BLOCK.finditer(page.read_text(encoding="utf-8")) if match["mark"]]
    assert [mark for mark in marks if mark != "slow" and not re.fullmatch(r"not run: \S.+", mark)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    inside = [target for target in targets if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_a_failing_example_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n```python\nx = 1\n```\n\n<!-- slow -->\n```sh\nserenade no-such-command\n```\n\n```sh\nfalse\n```\n"
    )
    assert [(b.kind, b.mark, b.line) for b in blocks(page)] == [("python", "", 4), ("sh", "slow", 9), ("sh", "", 13)]
    for block in blocks(page)[1:]:
        with pytest.raises(AssertionError, match=rf"page\.md, line {block.line}:"):
            run_page(page, [block], tmp_path, monkeypatch)
