"""Looking at every recording of a listing before anyone trusts it: what cannot be used is left out with its reason."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from serenade.core.devices import cpu_budget
from serenade.core.errors import AudioError, CorpusError
from serenade.core.records import NO_RECORDING, LeftOut, LeftOutReason, Listing, Utterance
from serenade.core.stored_listing import StoredListing
from serenade.corpora.collector import collector_paused
from serenade.corpora.corpus import Examine, Facts
from serenade.corpora.layout import name_below, place_below, shown_base
from serenade.corpora.memo import FactsMemo

__all__ = ["DAMAGE", "validate", "validate_stored"]

DAMAGE: frozenset[LeftOutReason] = frozenset(
    ("missing", "empty", "undecodable", "silent", "not finite", "bad span", "unreadable name", "unknown label")
)
"""Reasons that mean something is wrong with the corpus; the others are a choice."""

_SILENT_PEAK = 1e-4  # -80 dB of full scale: three steps of 16 bit, below the noise of any microphone
_SPAN_TOLERANCE_S = 0.05  # tables round their times
_CHUNK = 256  # recordings between two visits to the memo; a process that is killed loses no more than these

_ABSENT = AudioError("there is no such recording", reason="missing")  # one for all: there may be 100,000
_STEP = 100  # of what validation leaves out, behind the steps of a selection

_Folders = dict[str, dict[str, str]]  # of folders that were looked into: the first name with each stem

_log = logging.getLogger(__name__)


def validate(
    listing: Listing,
    *,
    examine: Examine,
    root: Path,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
    soundless: bool = False,
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
        soundless: whether utterances whose sound cannot be used stay where they have a picture or words.

    Raises:
        CorpusError: two utterances have one id.
    """
    utterances = sorted(listing.utterances, key=lambda utterance: utterance.id)
    _require_unique(utterances)
    paths = sorted({str(utterance.audio) for utterance in utterances})
    facts = _examine_all(paths, examine, progress, cpu_budget() if workers is None else workers)
    with collector_paused():
        return _judge_all(utterances, listing.left_out, facts, root, soundless=soundless)


def validate_stored(
    listing: StoredListing,
    *,
    examine: Examine,
    root: Path,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> StoredListing:
    """`validate` of a listing that is not in memory; another one, that tells what was left out sorted by place.

    Arguments and errors are those of `validate`.
    """
    for _, first, second in listing.twins("id", "id"):
        raise _two_of_one_id(first, second)
    judged = StoredListing(by_place=True)
    try:
        judged.take_left_out(listing)
        base, workers = shown_base(root), cpu_budget() if workers is None else workers
        judged.add(_judge_stored(listing, examine, base, progress, workers))
        twins = judged.twins("content", "id")
        judged.leave_out(_STEP, ((row, _duplicate(first, second, base)) for row, first, second in twins))
        judged.drop_twins("content", "id")
    except BaseException:
        judged.close()
        raise
    return judged


def _judge_stored(
    listing: StoredListing,
    examine: Examine,
    base: str,
    progress: Callable[[int, int], None] | None,
    workers: int,
) -> Iterator[Utterance | tuple[int, LeftOut]]:
    """The utterances that can be used, recording by recording, and why others cannot."""
    total = listing.value("SELECT count(DISTINCT audio) FROM utterances")
    paths = (audio for (audio,) in listing.query("SELECT DISTINCT audio FROM utterances ORDER BY audio"))
    folders: _Folders = {}
    facts: dict[str, Facts | AudioError] = {}
    with _Examiner(examine, total, progress, workers) as examiner:
        for audio, row, rest in listing.recordings():
            if audio not in facts:
                facts = examiner(list(islice(paths, _CHUNK)))
            found = facts[audio]
            if found is _ABSENT:  # of 100,000 rows all may be: nothing is made of them
                where = name_below(audio, listing.extra_of(rest), base)
                yield _STEP, LeftOut(where, _ABSENT.reason, _detail(_ABSENT, audio, folders))
                continue
            judged = _judge(listing.utterance(row), found, base, folders)
            yield judged if isinstance(judged, Utterance) else (_STEP, judged)


def _judge_all(
    utterances: Sequence[Utterance],
    before: Sequence[LeftOut],
    facts: Mapping[str, Facts | AudioError],
    root: Path,
    *,
    soundless: bool,
) -> Listing:
    """The listing once all recordings were looked at."""
    left_out = list(before)
    kept: dict[str, Utterance] = {}
    folders: _Folders = {}
    base = shown_base(root)
    for utterance in utterances:
        found = _judge(utterance, facts[str(utterance.audio)], base, folders)
        if soundless and isinstance(found, LeftOut) and _says_more(utterance):
            found = _without_sound(utterance)
        if isinstance(found, Utterance) and found.content in kept:
            found = _duplicate(kept[str(found.content)], found, base)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            kept[str(found.content)] = found
    return Listing(tuple(kept.values()), tuple(sorted(left_out, key=lambda item: (item.where, item.reason))))


def _says_more(utterance: Utterance) -> bool:
    """Whether there is more of an utterance than its sound: a picture or words."""
    return bool(utterance.video or utterance.faces or utterance.text)


def _without_sound(utterance: Utterance) -> Utterance:
    """The utterance without its recording; no other is taken for the same, though it may say the same words."""
    return replace(utterance, audio=NO_RECORDING, content=f"no sound: {utterance.id}")


def _duplicate(first: Utterance, second: Utterance, base: str) -> LeftOut:
    return LeftOut(place_below(second, base), "duplicate", _compare(first, second))


def _require_unique(utterances: Sequence[Utterance]) -> None:
    for first, second in pairwise(utterances):
        if first.id == second.id:
            raise _two_of_one_id(first, second)


def _two_of_one_id(first: Utterance, second: Utterance) -> CorpusError:
    return CorpusError("two utterances have one id", where=first.id, found=f"{first.audio}, {second.audio}")


def _examine_all(
    paths: Sequence[str], examine: Examine, progress: Callable[[int, int], None] | None, workers: int
) -> dict[str, Facts | AudioError]:
    """What `examine` says of every path, from the memo where the file has not changed."""
    facts: dict[str, Facts | AudioError] = {}
    with _Examiner(examine, len(paths), progress, workers) as examiner:
        for start in range(0, len(paths), _CHUNK):
            facts |= examiner(paths[start : start + _CHUNK])
    return facts


class _Examiner:
    """Says of some recordings after others what `examine` says, from the memo where the file has not changed.

    Args:
        examine: decodes one recording.
        total: how many there will be.
        progress: called with the number of recordings examined so far and in all.
        workers: threads that decode.
    """

    def __init__(self, examine: Examine, total: int, progress: Callable[[int, int], None] | None, workers: int) -> None:
        self._examine = examine
        self._total = total
        self._progress = progress
        self._done = 0
        self._memo = FactsMemo(examine)
        self._pool = ThreadPoolExecutor(max(1, workers))

    def __enter__(self) -> Self:
        self._memo.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=error is None, cancel_futures=True)
        self._memo.__exit__(kind, error, trace)

    def __call__(self, paths: Sequence[str]) -> dict[str, Facts | AudioError]:
        facts: dict[str, Facts | AudioError] = dict.fromkeys(_absent(paths), _ABSENT)
        there = {Path(path): path for path in paths if path not in facts}
        known = self._memo.recall(list(there))
        facts.update((there[path], found) for path, found in known.items())
        self._tell(len(facts))
        unknown = [path for path in there if path not in known]
        states = {path: self._memo.state(path) for path in unknown}
        told: dict[Path, Facts | AudioError] = {}
        try:
            for path, found in zip(
                unknown, self._pool.map(lambda path: _try(self._examine, path), unknown), strict=True
            ):
                told[path] = found
                self._tell(1)
        finally:
            self._memo.remember(_pairs(unknown, states, told))
        return facts | {there[path]: found for path, found in told.items()}

    def _tell(self, more: int) -> None:
        self._done += more
        if self._progress is not None:
            self._progress(self._done, self._total)


def _absent(paths: Iterable[str]) -> Iterator[str]:
    """The paths where nothing lies; of a folder that is not there it is asked once."""
    known, there = None, False
    for path in paths:
        folder = os.path.split(path)[0] or os.curdir
        if folder != known:
            known, there = folder, os.path.lexists(folder)
        if not there or not os.path.lexists(path):
            yield path


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

    if not utterance.has_audio:
        if _says_more(utterance):
            return LeftOut(utterance.id, "not selected", "there is no recording; systems that see or read take it")
        return LeftOut(utterance.id, "missing", "there is no recording")
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


def _detail(error: AudioError, path: str | Path, folders: _Folders) -> str:
    detail = error.what if error.found is None else f"{error.what}; {error.found}"
    if error.reason != "missing":
        return detail
    folder, _, name = str(path).rpartition(os.sep)  # strings: of 100,000 rows all may be missing
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
