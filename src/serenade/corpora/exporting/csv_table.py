"""A corpus as the table that `serenade.corpora.table` reads back."""

import csv
import io

from serenade.core.files import write_text
from serenade.corpora.cells import COLUMNS, cells_of
from serenade.corpora.exporting.export import Export, Format

__all__ = ["FORMAT"]

_ALWAYS = ("file", "utterance", "speaker", "gender", "emotion")


def _write(export: Export) -> None:
    rows = []
    for utterance in export.utterances:
        end = "" if utterance.end_s is None else repr(utterance.end_s)
        span = {"start": repr(utterance.start_s) if end or utterance.start_s else "", "end": end}
        rows.append({"file": export.files[utterance.audio], **span, **cells_of(utterance)})
        rows[-1].pop("line", None)  # the line of another table
    used = {name for row in rows for name, cell in row.items() if cell}
    known = [name for name in dict.fromkeys((*_ALWAYS, *COLUMNS)) if name in used or name in _ALWAYS]
    text = io.StringIO(newline="")
    columns = [*known, *sorted(used - set(known))]
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(export.folder / f"{export.corpus.name}.csv", text.getvalue())


FORMAT = Format(reader="table", entry="{name}.csv", write=_write)
