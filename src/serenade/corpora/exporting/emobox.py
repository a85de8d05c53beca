"""A corpus as EmoBox lists: ``<corpus>.jsonl``, ``label_map.json``, and lists per fold where the corpus has folds.

EmoBox has no words for speakers, spans and further facts; they stand in keys of their own, which its tools pass over.
Where an utterance is a part of its recording a warning says so: those tools would take the whole recording.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from serenade.core.files import write_json, write_json_lines
from serenade.core.labels import canonical_emotion
from serenade.core.records import Utterance
from serenade.corpora.cells import cells_of
from serenade.corpora.exporting.export import Export, Format

__all__ = ["FORMAT"]

_WORDS = {"bored": "Boredom", "disgusted": "Disgust", "fearful": "Fear", "surprised": "Surprise"}
_PARTS = {"train": "train", "validation": "valid", "test": "test"}

_log = logging.getLogger(__name__)


def _write(export: Export) -> None:
    lines = {utterance.id: _line(export, utterance) for utterance in export.utterances}
    name = export.corpus.name
    write_json_lines(export.folder / f"{name}.jsonl", lines.values())
    classes = sorted({u.emotion for u in export.utterances if u.emotion is not None})
    write_json(export.folder / "label_map.json", {label: _word(label) for label in classes})
    for (fold, part), ids in _lists(export.utterances).items():
        path = export.folder / f"fold_{fold}" / f"{name}_{part}_fold_{fold}.jsonl"
        write_json_lines(path, [lines[key] for key in ids])
    parts = sum(utterance.start_s > 0 or utterance.end_s is not None for utterance in export.utterances)
    if parts:
        _log.warning("%d utterances are parts of recordings, which EmoBox's own tools would take whole", parts)


def _word(label: str) -> str:
    """EmoBox's word for a class; classes of the user's own stay."""
    return label if canonical_emotion(label) is None else _WORDS.get(label, label.capitalize())


def _line(export: Export, utterance: Utterance) -> dict[str, Any]:
    facts = export.facts(utterance.audio)
    length_s = facts.duration_s if utterance.duration_s is None else utterance.duration_s
    cells = cells_of(utterance)
    span = (
        {}
        if utterance.end_s is None and utterance.start_s == 0
        else {"start": utterance.start_s, "end": utterance.end_s}
    )
    return {
        "key": utterance.id,
        "dataset": export.corpus.name,
        "wav": export.files[utterance.audio],
        "type": "raw",
        "sample_rate": facts.sample_rate,
        "num_frame": round(length_s * facts.sample_rate),
        "task": "category",
        "length": length_s,
        "emo": utterance.emotion,
        "channel": facts.channels,
        **span,
        **{name: cell for name, cell in cells.items() if name not in ("utterance", "emotion", "line", "dataset")},
    }


def _lists(utterances: Sequence[Utterance]) -> Mapping[tuple[str, str], list[str]]:
    """Ids by fold and part: of every fold where all utterances have one, else of the one split there is."""
    lists: dict[tuple[str, str], list[str]] = {}
    folds = sorted({u.fold for u in utterances if u.fold is not None})
    if len(folds) > 1 and all(u.fold is not None for u in utterances):
        for fold in folds:
            for u in utterances:
                lists.setdefault((fold, "test" if u.fold == fold else "train"), []).append(u.id)
    elif any(u.split is not None for u in utterances):
        for u in utterances:
            if u.split is not None:
                lists.setdefault(("1", _PARTS[u.split]), []).append(u.id)
    return lists


FORMAT = Format(reader="emobox", entry="{name}.jsonl", write=_write)
