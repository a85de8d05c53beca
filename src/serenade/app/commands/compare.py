"""``serenade compare``: is one run better than another?"""

from pathlib import Path
from typing import Annotated

import typer

from serenade.app.console import say
from serenade.core.files import write_text
from serenade.core.names import NameTable

__all__ = ["compare"]


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Folder of the run compared with it.")],
    table_format: Annotated[
        str, typer.Option("--format", "-f", help="text, markdown, latex, csv, or json with everything.")
    ] = "text",
    out: Annotated[Path | None, typer.Option(help="Write the table to this file instead of showing it.")] = None,
    common: Annotated[
        bool, typer.Option("--common", help="Compare on the utterances that both runs tested, if not all are the same.")
    ] = False,
) -> None:
    """Compare two runs: paired differences B minus A, intervals and p values.

    Both must have tested the same utterances. Speakers are kept together in the intervals and in the test.
    """
    from serenade.experiments.comparison import compare as compare_runs
    from serenade.reports.tables import TABLE_FORMATS, comparison_table

    formats = (*TABLE_FORMATS, "json")
    NameTable("table format", [(name, name) for name in formats]).target(table_format)  # refused before the work
    comparison = compare_runs(first, second, common=common)
    if table_format == "json":
        import json

        text = json.dumps(comparison, indent=1, ensure_ascii=False, allow_nan=False)
    else:
        text = comparison_table(comparison, table_format)
    if out is None:
        print(text)
    else:
        write_text(out, f"{text}\n")
        say(f"Written: {out}")
