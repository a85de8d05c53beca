"""A corpus as lhotse manifests: recordings and supervisions, the emotion in ``custom``."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from serenade.core.files import write_bytes
from serenade.core.records import Utterance
from serenade.corpora.cells import cells_of
from serenade.corpora.exporting.export import Export, Format

__all__ = ["FORMAT"]

_FIELDS = ("text", "language", "speaker", "gender")


def _write(export: Export) -> None:
    names = _names(export)
    recordings = [_recording(export, audio, name) for audio, name in names.items()]
    channels = {audio: _channels(export, audio) for audio in names}
    supervisions = [_supervision(u, names[u.audio], channels[u.audio]) for u in export.utterances]
    for kind, values in (("recordings", recordings), ("supervisions", supervisions)):
        _write_lines(export.folder / f"{export.corpus.name}_{kind}.jsonl.gz", values)


def _names(export: Export) -> dict[Path, str]:
    """Ids of recordings: the stem where stems differ, else the whole path."""
    stems = {audio: PurePosixPath(file).stem for audio, file in export.files.items()}
    return stems if len(set(stems.values())) == len(stems) else dict(export.files)


def _channels(export: Export, audio: Path) -> list[int]:
    return list(range(export.facts(audio).channels))


def _recording(export: Export, audio: Path, name: str) -> dict[str, Any]:
    facts, channels = export.facts(audio), _channels(export, audio)
    samples = round(facts.duration_s * facts.sample_rate)
    return {
        "id": name,
        "sources": [{"type": "file", "channels": channels, "source": export.files[audio]}],
        "sampling_rate": facts.sample_rate,
        "num_samples": samples,
        "duration": samples / facts.sample_rate,
        "channel_ids": channels,
    }


def _supervision(utterance: Utterance, recording: str, channels: list[int]) -> dict[str, Any]:
    cells = cells_of(utterance)
    custom = {name: cell for name, cell in cells.items() if name not in (*_FIELDS, "utterance", "line")}
    duration_s = utterance.duration_s if utterance.end_s is None else utterance.end_s - utterance.start_s
    return {
        "id": utterance.id,
        "recording_id": recording,
        "start": utterance.start_s,
        "duration": duration_s,
        "channel": channels if len(channels) > 1 else 0,
        **{name: cells[name] for name in _FIELDS if name in cells},
        **({"custom": custom} if custom else {}),
    }


def _write_lines(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n" for value in values)
    write_bytes(path, gzip.compress(text.encode(), mtime=0))  # the same corpus gives the same bytes


FORMAT = Format(reader="lhotse", entry="", write=_write, absolute=True)
