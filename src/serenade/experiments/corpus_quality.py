"""The quality of every recording of a corpus: validated and measured with one decoding each."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

from serenade.core.devices import cpu_budget
from serenade.core.errors import AudioError
from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora import CORPORA, Selection, read_corpus
from serenade.corpora.layout import shown_place
from serenade.signal.audio import AudioFacts, examine, facts_of
from serenade.signal.decoding import open_recording
from serenade.signal.quality import Quality, QualityMeter, measure_quality, tap

__all__ = ["MeasuredCorpus", "measure_corpus"]

_Span = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class MeasuredCorpus:
    """A corpus whose every usable utterance was measured.

    Args:
        name: the corpus.
        root: where it lies.
        listing: usable utterances, and what was left out and why.
        quality: the figures of every usable utterance, by its id.
    """

    name: str
    root: Path
    listing: Listing
    quality: Mapping[str, Quality]


def measure_corpus(
    name: str,
    root: Path,
    *,
    selection: Selection | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> MeasuredCorpus:
    """Every usable utterance of a corpus with its figures.

    Each recording is decoded once, also where several utterances lie in it: what `read_corpus` wants to know of it and
    the figures come from the same pass. Recordings that `read_corpus` remembers from an earlier look are measured
    after it.

    Args:
        name: a name of `CORPORA`.
        root: where the corpus lies.
        selection: which utterances are asked for; None is all.
        progress: called with the number of recordings measured so far and in all.
        workers: threads that decode (decoder and numpy release the interpreter lock); None takes what the process may
            use.

    Raises:
        UnknownNameError: there is no such corpus.
        CorpusError: the corpus does not lie there.
        UsageError: the selection names what the corpus does not have.
    """
    workers = cpu_budget() if workers is None else workers
    measurer = _Measurer(CORPORA.resolve(name).list_files(root).utterances, progress)

    @wraps(examine)  # under its name, so that what is found out is remembered as the same facts
    def look(path: Path) -> AudioFacts:
        return measurer.look(path)

    listing = read_corpus(name, root, examine=look, selection=selection, workers=workers)
    measurer.measure_rest(listing.utterances, workers)
    kept, left_out = [], list(listing.left_out)
    quality: dict[str, Quality] = {}
    for utterance in listing.utterances:
        found = measurer.found[utterance.audio]
        if isinstance(found, AudioError):
            left_out.append(LeftOut(shown_place(utterance, root), found.reason, found.what))
        else:
            kept.append(utterance)
            quality[utterance.id] = found[_span(utterance)]
    return MeasuredCorpus(name, root, Listing(tuple(kept), tuple(left_out)), quality)


class _Measurer:
    """Measures recordings and keeps what it found.

    Args:
        utterances: whose spans will be asked for.
        progress: called with the number of recordings measured so far and in all.
    """

    def __init__(self, utterances: Sequence[Utterance], progress: Callable[[int, int], None] | None) -> None:
        self.found: dict[Path, Mapping[_Span, Quality] | AudioError] = {}
        self._progress = progress
        self._spans: dict[Path, list[_Span]] = defaultdict(list)
        for utterance in utterances:
            self._spans[utterance.audio].append(_span(utterance))

    def look(self, path: Path) -> AudioFacts:
        """The facts of a recording; its spans are measured on the way.

        Raises:
            AudioError: it cannot be used.
        """
        with open_recording(path) as recording:
            meters = [QualityMeter(recording.sample_rate, recording.channels, *span) for span in self._spans[path]]
            facts = facts_of(tap(recording, meters), path)
        found = {}
        for span, meter in zip(self._spans[path], meters, strict=True):
            try:
                found[span] = meter.result(str(path))
            except AudioError:
                continue  # the span lies behind the end: the validation says so
        self._keep(path, found)
        return facts

    def measure_rest(self, utterances: Sequence[Utterance], workers: int) -> None:
        """Measure the recordings of utterances that nobody has looked at."""
        spans: dict[Path, list[_Span]] = defaultdict(list)
        for utterance in utterances:
            if utterance.audio not in self.found:
                spans[utterance.audio].append(_span(utterance))
        with ThreadPoolExecutor(max(1, workers)) as pool:
            try:
                for _ in pool.map(self._measure, spans, spans.values()):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _measure(self, path: Path, spans: Sequence[_Span]) -> None:
        try:
            self._keep(path, dict(zip(spans, measure_quality(path, spans), strict=True)))
        except AudioError as error:  # it was well when it was remembered, and has not changed since by its date
            self._keep(path, error)

    def _keep(self, path: Path, found: Mapping[_Span, Quality] | AudioError) -> None:
        self.found[path] = found
        if self._progress is not None:
            self._progress(len(self.found), len(self._spans))


def _span(utterance: Utterance) -> _Span:
    return utterance.start_s, utterance.end_s
