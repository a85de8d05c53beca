"""From a trained model to the emotions of a file, a folder, an array or a long recording."""

from serenade.core.names import NameTable

__all__ = ["FORMATS"]

# What `serenade predict --format` takes; each is a writer of rows (`serenade.inference.formats`).
FORMATS: NameTable[type] = NameTable(
    "output format",
    [
        ("table", "serenade.inference.formats:TableWriter"),
        ("json", "serenade.inference.formats:JsonWriter"),
        ("jsonl", "serenade.inference.formats:JsonLinesWriter"),
        ("csv", "serenade.inference.formats:CsvWriter"),
        ("hf", "serenade.inference.formats:HuggingFaceWriter"),
    ],
)
