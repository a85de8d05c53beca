"""Looking at every recording of a listing before anyone trusts it: what cannot be used is left out with its reason."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

from serenade.core.devices import cpu_budget
from serenade.core.errors import AudioError, CorpusError
from serenade.core.records import LeftOut, LeftOutReason, Listing, Utterance
from serenade.corpora.collector import collector_paused
from serenade.corpora.corpus import Examine, Facts
from serenade.corpora.layout import place_below, shown_base
from serenade.corpora.memo import FactsMemo

__all__ = ["DAMAGE", "validate"]

DAMAGE: frozenset[LeftOutReason] = frozenset(
    ("missing", "empty", "undecodable", "silent", "not finite", "bad span", "unreadable name", "unknown label")
)
"""Reasons that mean something is wrong with the corpus; the others are a choice."""

_SILENT_PEAK = 1e-4  # -80 dB of full scale: three steps of 16 bit, below the noise of any microphone
_SPAN_TOLERANCE_S = 0.05  # tables round their times
_CHUNK = 256  # recordings between two visits to the memo; a process that is killed loses no more than these

_Folders = dict[str, dict[str, str]]  # of folders that were looked into: the first name with each stem

_log = logging.getLogger(__name__)


def validate(
    listing: Listing,
    *,
    examine: Examine,
    root: Path,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> Listing:
    """The utterances whose sound can be used, with duration and content; the rest is left out with its reason.

    What `examine` says of a file is kept on disk under its path, size and time of change, so that a corpus is decoded
    once. Of recordings with the same content and span the first by id stays.

    Args:
        listing: utterances by name.
        examine: decodes one recording.
        root: what paths in the report are relative to.
        progress: called with the number of recordings examined so far and in all.
        workers: threads that decode (the decoders release the interpreter lock); None takes what the process may use.

    Raises:
        CorpusError: two utterances have one id.
    """
    utterances = sorted(listing.utterances, key=lambda utterance: utterance.id)
    _require_unique(utterances)
    paths = sorted({utterance.audio for utterance in utterances}, key=str)
    facts = _examine_all(paths, examine, progress, cpu_budget() if workers is None else workers)
    with collector_paused():
        return _judge_all(utterances, listing.left_out, facts, root)


def _judge_all(
    utterances: Sequence[Utterance], before: Sequence[LeftOut], facts: Mapping[Path, Facts | AudioError], root: Path
) -> Listing:
    """The listing once all recordings were looked at."""
    left_out = list(before)
    kept: dict[str, Utterance] = {}
    folders: _Folders = {}
    base = shown_base(root)
    for utterance in utterances:
        found = _judge(utterance, facts[utterance.audio], base, folders)
        if isinstance(found, Utterance) and found.content in kept:
            found = LeftOut(place_below(utterance, base), "duplicate", _compare(kept[str(found.content)], found))
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            kept[str(found.content)] = found
    return Listing(tuple(kept.values()), tuple(sorted(left_out, key=lambda item: (item.where, item.reason))))


def _require_unique(utterances: Sequence[Utterance]) -> None:
    for first, second in pairwise(utterances):
        if first.id == second.id:
            raise CorpusError("two utterances have one id", where=first.id, found=f"{first.audio}, {second.audio}")


def _examine_all(
    paths: Sequence[Path], examine: Examine, progress: Callable[[int, int], None] | None, workers: int
) -> dict[Path, Facts | AudioError]:
    """What `examine` says of every path, from the memo where the file has not changed."""
    facts: dict[Path, Facts | AudioError] = {}
    absent = AudioError("there is no such recording", reason="missing")  # one for all: there may be 100,000
    facts.update((path, absent) for path in paths if not os.path.lexists(path))
    with FactsMemo(examine) as memo, ThreadPoolExecutor(max(1, workers)) as pool:
        facts.update(memo.recall([path for path in paths if path not in facts]))
        if progress is not None:
            progress(len(facts), len(paths))
        unknown = iter([path for path in paths if path not in facts])
        while chunk := list(islice(unknown, _CHUNK)):
            states = {path: memo.state(path) for path in chunk}
            try:
                for path, found in zip(chunk, pool.map(lambda path: _try(examine, path), chunk), strict=True):
                    facts[path] = found
                    if progress is not None:
                        progress(len(facts), len(paths))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                memo.remember(_pairs(chunk, states, facts))
    return facts


def _pairs(
    chunk: Iterable[Path], states: dict[Path, tuple[int, int] | None], facts: dict[Path, Facts | AudioError]
) -> Iterable[tuple[Path, tuple[int, int], Facts]]:
    """What is worth remembering; failures are not, since they may pass (a package installed, a disk mounted)."""
    for path in chunk:
        state, found = states[path], facts.get(path)
        if state is not None and found is not None and not isinstance(found, AudioError):
            yield path, state, found


def _try(examine: Examine, path: Path) -> Facts | AudioError:
    try:
        return examine(path)
    except AudioError as error:
        return error


def _judge(utterance: Utterance, facts: Facts | AudioError, base: str, folders: _Folders) -> Utterance | LeftOut:
    """The utterance with what is known of its sound, or why it cannot be used."""

    def left_out(reason: LeftOutReason, detail: str) -> LeftOut:
        return LeftOut(place_below(utterance, base), reason, detail)

    if isinstance(facts, AudioError):
        return left_out(facts.reason, _detail(facts, utterance.audio, folders))
    if facts.duration_s <= 0:
        return left_out("empty", "no samples")
    if facts.peak < _SILENT_PEAK:
        return left_out("silent", f"largest sample {facts.peak:.1e}")
    end_s = facts.duration_s if utterance.end_s is None else utterance.end_s
    if utterance.start_s < 0 or utterance.start_s >= end_s or end_s > facts.duration_s + _SPAN_TOLERANCE_S:
        span = f"{utterance.start_s:g} s to {end_s:g} s"
        return left_out("bad span", f"{span} of a recording of {facts.duration_s:.3f} s")
    end_s = min(end_s, facts.duration_s)
    if utterance.start_s >= end_s:
        return left_out("bad span", f"begins at the end of a recording of {facts.duration_s:.3f} s")
    whole = utterance.start_s == 0 and end_s == facts.duration_s
    content = facts.content if whole else f"{facts.content}@{utterance.start_s:.3f}-{end_s:.3f}"
    return replace(utterance, duration_s=end_s - utterance.start_s, content=content)


def _detail(error: AudioError, path: Path, folders: _Folders) -> str:
    detail = error.what if error.found is None else f"{error.what}; {error.found}"
    if error.reason != "missing":
        return detail
    folder, name = os.path.split(path)  # strings: of 100,000 rows all may be missing
    names = _names_by_stem(folder, folders)
    twin = names.get(os.path.splitext(name)[0]) if names else None  # noqa: PTH122
    return detail if twin is None else f"{detail}; but {twin} is there"


def _names_by_stem(folder: str, folders: _Folders) -> dict[str, str]:
    """The first name with each stem in a folder, which is listed once; nothing where it cannot be listed."""
    if folder not in folders:
        try:
            names = sorted(os.listdir(folder or "."), reverse=True)  # noqa: PTH208 - names are all that is needed
        except (OSError, ValueError):
            names = []
        folders[folder] = {os.path.splitext(name)[0]: name for name in names if "." in name[1:]}  # noqa: PTH122
    return folders[folder]


def _compare(first: Utterance, second: Utterance) -> str:
    """How two utterances with the same sound differ."""
    parts = [f"the same sound as {first.id}"]
    for name, there, here in (
        ("labelled", first.emotion, second.emotion),
        ("spoken by", first.speaker, second.speaker),
        ("in the part", first.split, second.split),
        ("in the fold", first.fold, second.fold),
    ):
        if there != here:
            parts.append(f"{name} {there} there and {here} here")
    return ", ".join(parts)
