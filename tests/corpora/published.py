"""The tables of files that lie beside the real corpora, as something to hold loaders against."""

import csv
from pathlib import Path

from serenade.core.labels import canonical_emotion

Facts = tuple[str, str | None, str | None, str | None]

_SEXES = {"m": "male", "f": "female"}


def published_facts(root: Path) -> dict[str, Facts]:
    """Speaker, gender, class and words by the stem of the file; None for an empty cell."""
    with (root / "files.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {
        Path(row["path"]).stem: (
            row["speaker"],
            _SEXES.get(row["sex"]),
            canonical_emotion(row["emotion"]),
            row["text"] or None,
        )
        for row in rows
    }
