"""lhotse manifests: recordings with supervisions, or cuts, as JSON lines, JSON or YAML.

A folder (or one file of it) with ``*recordings*.jsonl[.gz]`` and ``*supervisions*.jsonl[.gz]``, which are paired by
their names, or with ``*cuts*.jsonl[.gz]``; in place of JSON lines also whole lists, ``.json`` and ``.yaml``. Where
supervisions are there, cuts are not read: they tell the same again. Recordings alone are unlabelled speech. A file
whose name has a part ``train``, ``dev`` or ``test`` gives that ``split``.

A supervision is an utterance: its ``speaker``, ``gender``, ``language``, ``text``, and what stands in ``custom``, where
lhotse keeps what it has no field for: ``emotion`` (or ``emo``, ``label``), ``valence``, ``arousal``, ``dominance``
with ``scale``, ``votes``. In a list of cuts the start of a supervision is seen from its cut, and what
lies outside of the cut does not belong to the utterance.

What cannot be had from the file as it lies there is left out with its reason: recordings that come from a command, a
URL or memory, that are changed on the fly (speed, volume), one channel of several, cuts that are mixed.

Citation: P. Żelasko, D. Povey, J. Trmal, S. Khudanpur, "Lhotse: a speech data representation library for the modern
deep learning ecosystem", 2021.
"""

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from serenade.core.errors import CorpusError
from serenade.core.records import LeftOut, Listing
from serenade.core.wording import counted
from serenade.corpora.cells import read_utterance, sort_cells
from serenade.corpora.choices import split_choices
from serenade.corpora.corpus import Corpus
from serenade.corpora.json_lines import LIST_ENDINGS, plain_cell, read_list
from serenade.corpora.layout import require_root
from serenade.corpora.manifests import AUDIO_CHOICE, Draft, assemble

__all__ = ["CORPUS", "list_files"]

_PARTS = {"train": "train", "dev": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_ROUNDING_S = 1e-6
_SPAN_TOLERANCE_S = 0.001  # durations are rounded in manifests

_log = logging.getLogger(__name__)

_WHOLE = (0.0, math.inf)

_Values = Mapping[str, Any]


def list_files(root: Path, *, recordings_needed: bool = True) -> Listing:
    """The utterances of manifests (a file, or the folder that holds them), by name alone.

    Args:
        root: the list, or the folder that it lies in.
        recordings_needed: whether one of the recordings at least must be at hand.

    Raises:
        CorpusError: there are none, they cannot be read, or not one recording is there.
        UsageError: a choice after ``#`` is not known.
    """
    path, choices = split_choices(root, AUDIO_CHOICE)
    if not path.is_file():
        require_root(path, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    folder = path.parent if path.is_file() else path
    rows = _rows(_manifests(folder), None if folder == path else path)
    return assemble(
        root, rows, folder=folder, title="manifest", recordings_needed=recordings_needed, audio=choices.get("audio")
    )


def _looks_right(root: Path) -> bool:
    return bool(_manifests(root))


def _manifests(folder: Path) -> dict[str, list[Path]]:
    """The manifests of a folder by kind; kinds of which there are none are not there."""
    if not folder.is_dir():
        return {}
    files = sorted(path for path in folder.iterdir() if path.name.endswith(LIST_ENDINGS))
    kinds = {kind: [path for path in files if kind in path.name] for kind in ("recordings", "supervisions", "cuts")}
    return {kind: paths for kind, paths in kinds.items() if paths}


def _rows(manifests: Mapping[str, Sequence[Path]], chosen: Path | None) -> Iterator[Draft | LeftOut]:
    if chosen is not None and "recordings" not in chosen.name and "supervisions" not in chosen.name:
        yield from _of_cuts(chosen)
    elif "supervisions" in manifests:
        for path in manifests["supervisions"]:
            if chosen is None or chosen in (path, _partner(path, manifests)):
                yield from _of_supervisions(path, _partner(path, manifests))
    elif "cuts" in manifests and chosen is None:
        for path in manifests["cuts"]:
            yield from _of_cuts(path)
    else:
        for path in [chosen] if chosen is not None else manifests["recordings"]:
            for place, recording in read_list(path):
                whole = {"id": recording.get("id"), "start": 0.0, "duration": recording.get("duration")}
                yield _utterance(path, place, whole, recording, _WHOLE)


def _partner(path: Path, manifests: Mapping[str, Sequence[Path]]) -> Path:
    """The recordings that belong to supervisions: the file of the same name but for that word, or the only one.

    Raises:
        CorpusError: there is none.
    """
    recordings = manifests.get("recordings", ())
    plain = {_stem(other): other for other in recordings}
    named = plain.get(_stem(path).replace("supervisions", "recordings"))
    if named is None and len(recordings) == 1:
        return recordings[0]
    if named is None:
        raise CorpusError(
            "the supervisions have no recordings beside them",
            where=path,
            found=", ".join(other.name for other in recordings) or "no manifest of recordings",
            expected=path.name.replace("supervisions", "recordings"),
        )
    return named


def _stem(path: Path) -> str:
    """The name without its ending, which may be another one for recordings than for supervisions."""
    return next(path.name.removesuffix(ending) for ending in LIST_ENDINGS if path.name.endswith(ending))


def _recordings(path: Path) -> dict[str, _Values]:
    """Recordings by their id.

    Raises:
        CorpusError: an id stands twice with different recordings.
    """
    recordings: dict[str, _Values] = {}
    for place, values in read_list(path):
        name = str(values.get("id"))
        if recordings.setdefault(name, values) != values:
            raise CorpusError(
                f"the recording {name} stands twice, with different entries",
                where=f"{path}, {place}",
                hint="Delete the one that is wrong",
            )
    return recordings


def _of_supervisions(path: Path, partner: Path) -> Iterator[Draft | LeftOut]:
    recordings = _recordings(partner)
    silent = dict.fromkeys(recordings)
    for place, supervision in read_list(path):
        recording = recordings.get(str(supervision.get("recording_id")))
        silent.pop(str(supervision.get("recording_id")), None)
        if recording is None:
            where = f"{supervision.get('id')} ({path.name}, {place})"
            detail = f"{partner.name} has no recording {supervision.get('recording_id')}"
            yield LeftOut(where, "missing", detail)
        else:
            yield _utterance(path, place, supervision, recording, _WHOLE)
    if silent:
        told = "%s says nothing of %d of %d recordings, such as %s"
        _log.warning(told, path, len(silent), len(recordings), next(iter(silent)))


def _of_cuts(path: Path) -> Iterator[Draft | LeftOut]:
    for place, cut in read_list(path):
        recording = cut.get("recording")
        where = f"{cut.get('id')} ({path.name}, {place})"
        if cut.get("type") in ("MixedCut", "PaddingCut"):
            yield LeftOut(where, "other material", f"a {cut['type']} is no stretch of one recording")
        elif not isinstance(recording, Mapping):
            yield LeftOut(where, "missing", "the cut names no recording")
        else:
            start_s = _number(cut, "start", path, place)
            bounds = (start_s, start_s + _number(cut, "duration", path, place))
            # a cut without supervisions is unlabelled speech
            whole = {"id": cut.get("id"), "start": 0.0, "duration": cut.get("duration"), "channel": cut.get("channel")}
            for supervision in _objects(cut, "supervisions", path, place) or [whole]:
                yield _utterance(path, place, supervision, recording, bounds)


def _utterance(
    path: Path, place: str, supervision: _Values, recording: _Values, bounds: tuple[float, float]
) -> Draft | LeftOut:
    """The utterance of a supervision, whose start is seen from the first of the bounds that it must not leave."""
    name = str(supervision.get("id"))
    where = f"{name} ({path.name}, {place})"
    sources = _objects(recording, "sources", path, place)
    fault = _fault(supervision, recording, sources)
    if fault is not None:
        return LeftOut(where, "other material", fault)
    start_s = bounds[0] + _number(supervision, "start", path, place)
    end_s = min(start_s + _number(supervision, "duration", path, place), bounds[1])
    start_s = max(start_s, bounds[0])
    told = {key: plain_cell(supervision.get(key)) for key in ("speaker", "gender", "language", "text")}
    custom = {key: plain_cell(value) for key, value in _object(supervision, "custom", path, place).items()}
    cells, extra = sort_cells({key: cell for key, cell in told.items() if cell} | custom | {"utterance": name})
    cells.setdefault("split", _part(path))
    total_s = _number(recording, "duration", path, place)
    if start_s > _ROUNDING_S or end_s < total_s - _SPAN_TOLERANCE_S:
        cells |= {"start": repr(round(start_s, 9)), "end": repr(round(end_s, 9))}
    found = read_utterance("lhotse", cells, extra, where=where, place=f"{path}, {place}")
    return found if isinstance(found, LeftOut) else Draft(where, str(sources[0]["source"]), found)


def _fault(supervision: _Values, recording: _Values, sources: Sequence[_Values]) -> str | None:
    """Why a supervision cannot be had from a file as it lies there; None where it can."""
    if len(sources) != 1:
        return f"the recording {recording.get('id')} has {counted(len(sources), 'source')}, expected one file"
    if sources[0].get("type") != "file" or not sources[0].get("source"):
        return f"the recording {recording.get('id')} is a {sources[0].get('type')}, expected a file"
    if recording.get("transforms"):
        return f"the recording {recording.get('id')} is changed on the fly"
    channels = _as_list(sources[0].get("channels", 0))
    wanted = channels if supervision.get("channel") is None else _as_list(supervision["channel"])
    if len(channels) > 1 and len(wanted) < len(channels):
        return f"channel {', '.join(map(str, wanted))} of {len(channels)}; write the channels to files of their own"
    return None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _objects(values: _Values, name: str, path: Path, place: str) -> list[_Values]:
    """The objects of a list; none where it is not there.

    Raises:
        CorpusError: it is no list of objects.
    """
    found = values.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise _wrong(name, found, "a list of objects", path, place)
    return found


def _object(values: _Values, name: str, path: Path, place: str) -> _Values:
    """An object, empty where it is not there.

    Raises:
        CorpusError: it is something else.
    """
    found = values.get(name)
    if found is not None and not isinstance(found, Mapping):
        raise _wrong(name, found, "an object", path, place)
    return {} if found is None else found


def _wrong(name: str, found: Any, expected: str, path: Path, place: str) -> CorpusError:
    return CorpusError(
        f"{name!r} is not what lhotse writes", where=f"{path}, {place}", found=repr(found)[:80], expected=expected
    )


def _number(values: _Values, name: str, path: Path, place: str) -> float:
    """A time in seconds.

    Raises:
        CorpusError: it is not there, or no number.
    """
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CorpusError(
            f"an entry of the manifest has no {name!r} in seconds",
            where=f"{path}, {place}",
            found=repr(value),
            expected="a number",
        )
    return float(value)


def _part(path: Path) -> str:
    """The part of the split that a file's name tells; nothing where it tells none, or two."""
    words = re.split(r"[^a-z]+", path.name.lower())
    parts = {_PARTS[word] for word in words if word in _PARTS}
    return parts.pop() if len(parts) == 1 else ""


CORPUS = Corpus(
    name="lhotse",
    title="lhotse manifests",
    language=None,
    licence="yours to know",
    citation=(
        "P. Żelasko, D. Povey, J. Trmal, S. Khudanpur: Lhotse: a speech data representation library for the modern "
        "deep learning ecosystem. 2021."
    ),
    homepage="https://lhotse.readthedocs.io",
    commercial_use=None,
    list_files=list_files,
    looks_right=_looks_right,
    list_labels=partial(list_files, recordings_needed=False),
    layout=(
        "*recordings*.jsonl(.gz) and *supervisions*.jsonl(.gz), or *cuts*.jsonl(.gz), also in .json or .yaml; the "
        "emotion in custom"
    ),
)
