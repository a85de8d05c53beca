"""From a trained model to the emotions of a file, a folder, an array or a long recording."""

from typing import Any

from serenade.core.names import NameTable

__all__ = ["FORMATS", "METHODS"]

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

# What `serenade explain --method` takes; each gives maps of the features of segments (`inference.attribution`).
METHODS: NameTable[Any] = NameTable(
    "method",
    [
        ("attention", "serenade.inference.attribution:attention"),
        ("integrated-gradients", "serenade.inference.attribution:integrated_gradients"),
        ("gradcam", "serenade.inference.attribution:gradcam"),
        ("occlusion", "serenade.inference.attribution:occlusion"),
    ],
)
