"""The overview of corpora in the documentation is what the command prints."""

from pathlib import Path

import pytest

from serenade.app.main import main
from serenade.corpora import CORPORA

PAGE = Path(__file__).resolve().parents[1] / "docs" / "corpora" / "index.md"


def test_the_table_of_all_corpora_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "list", "--markdown"]) == 0
    table = capsys.readouterr().out
    assert table.count("\n") == len(CORPORA) + 2
    assert table in PAGE.read_text(encoding="utf-8"), "put the output of: serenade corpus list --markdown"


def test_markdown_and_json_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "list", "--markdown", "--json"]) == 2
    assert "exclude each other" in capsys.readouterr().err
