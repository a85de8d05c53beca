"""The unlabelled speech of a run: any corpus without its labels, in pieces that are read when they are asked for."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np
import torch

from serenade.core.errors import CorpusError, UsageError
from serenade.core.records import LeftOut, Listing, Utterance
from serenade.core.seeding import derive_seed
from serenade.corpora import read_corpus
from serenade.experiments.data import ProgressCallback, data_fingerprint, make_examples
from serenade.experiments.settings import CorpusSettings, ExperimentSettings, UnlabelledSettings
from serenade.signal.audio import examine
from serenade.training.cache import FeatureCache
from serenade.training.system import Example, System

__all__ = ["Cuts", "Pieces", "describe_unlabelled", "read_speech", "read_unlabelled", "without_labels"]


def read_unlabelled(settings: ExperimentSettings, progress: ProgressCallback | None = None) -> Listing:
    """The unlabelled speech of a run without labels, texts and votes, and what was left out of it.

    Ids are ``unlabelled/CORPUS/ID``, so that none is that of a labelled utterance. Nothing where no corpus is given.

    Raises:
        CorpusError: a corpus is not there, or nothing usable is left.
        UsageError: more hours are asked for than there are.
    """
    return read_speech(settings.unlabelled, progress)


def read_speech(wanted: UnlabelledSettings, progress: ProgressCallback | None = None) -> Listing:
    """As `read_unlabelled`, of the settings of the unlabelled speech alone.

    Raises:
        CorpusError: a corpus is not there, or nothing usable is left.
        UsageError: more hours are asked for than there are.
    """
    if not wanted.corpora:
        return Listing(())
    names = Counter[str]()
    kept: dict[str, Utterance] = {}
    left_out: list[LeftOut] = []
    for corpus in wanted.corpora:
        names[corpus.name] += 1
        prefix = corpus.name if names[corpus.name] == 1 else f"{corpus.name}-{names[corpus.name]}"
        listing = read_corpus(corpus.name, corpus.root, examine=examine, progress=progress)
        left_out += listing.left_out
        for utterance in listing.utterances:
            refused = _refused(utterance, wanted, kept)
            if refused is not None:
                left_out.append(refused)
            else:
                kept[str(utterance.content)] = without_labels(utterance, f"unlabelled/{prefix}/{utterance.id}")
    _require_some(wanted.corpora, kept, left_out)
    return Listing(_some_hours(sorted(kept.values(), key=lambda u: u.id), wanted), tuple(left_out))


def _refused(utterance: Utterance, wanted: UnlabelledSettings, kept: dict[str, Utterance]) -> LeftOut | None:
    length_s = utterance.duration_s or 0.0
    if length_s < wanted.shortest_s:
        return LeftOut(utterance.id, "too short", f"{length_s:.2f} s, less than {wanted.shortest_s:g} s")
    if str(utterance.content) in kept:
        return LeftOut(utterance.id, "duplicate", f"the same sound as {kept[str(utterance.content)].id}")
    return None


def without_labels(utterance: Utterance, name: str) -> Utterance:
    """Without what is not used: 100 hours are some 30,000 of them."""
    return utterance.with_(id=name, emotion=None, text=None, votes={}, extra={}, split=None, fold=None, attributes=None)


def _require_some(corpora: Sequence[CorpusSettings], kept: dict[str, Utterance], left_out: Sequence[LeftOut]) -> None:
    if not kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(i.reason for i in left_out).most_common())
        raise CorpusError(
            "there is no unlabelled speech to learn from",
            where=", ".join(str(corpus.root) for corpus in corpora),
            found=f"{len(left_out)} left out: {reasons}" if left_out else "nothing",
            hint="Run `serenade corpus check` on it to see why, or lower unlabelled.shortest_s",
        )


def _some_hours(utterances: Sequence[Utterance], wanted: UnlabelledSettings) -> tuple[Utterance, ...]:
    """Recordings drawn until the hours are full, always the same ones, in the order of their ids."""
    if wanted.hours is None:
        return tuple(utterances)
    there = sum(u.duration_s or 0.0 for u in utterances) / 3600
    if there < wanted.hours:
        raise UsageError(
            "there are fewer hours of unlabelled speech than asked for",
            found=f"{there:.2f} hours",
            expected=f"at least {wanted.hours:g}",
            hint="Leave out --unlabelled-hours, or give more corpora",
        )
    generator = torch.Generator().manual_seed(derive_seed(0, "unlabelled hours"))
    drawn, held_s = [], 0.0
    for place in torch.randperm(len(utterances), generator=generator).tolist():
        if held_s >= wanted.hours * 3600:
            break
        drawn.append(place)
        held_s += utterances[place].duration_s or 0.0
    return tuple(utterances[place] for place in sorted(drawn))


def describe_unlabelled(utterances: Sequence[Utterance]) -> dict[str, object] | None:
    """What a record says of the unlabelled speech, as plain values; None where there is none."""
    if not utterances:
        return None
    return {
        "corpora": sorted({u.corpus for u in utterances}),
        "recordings": len(utterances),
        "speakers": len({(u.corpus, u.speaker) for u in utterances}),
        "minutes": sum(u.duration_s or 0.0 for u in utterances) / 60,
        "data": data_fingerprint(utterances),
    }


class Cuts:
    """Recordings cut into equal pieces where they are longer than a piece; only the list of them is in memory.

    Args:
        utterances: examined ones.
        piece_s: longest piece.
    """

    def __init__(self, utterances: Iterable[Utterance], piece_s: float) -> None:
        self.utterances: Sequence[Utterance] = tuple(utterances)
        counts = [max(1, math.ceil((u.duration_s or 0.0) / piece_s - 1e-6)) for u in self.utterances]
        self._ends = np.fromiter(accumulate(counts), dtype=np.int64, count=len(counts))

    def __len__(self) -> int:
        """How many pieces there are."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def piece(self, index: int) -> Utterance:
        """The part of a recording that a piece is.

        Raises:
            IndexError: there is no such piece.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"piece {index} of {len(self)}")
        place = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[place - 1]) if place else 0
        return _part(self.utterances[place], index - first, int(self._ends[place]) - first)


class Pieces(Cuts):
    """Unlabelled speech as training sees it: examples made from the cache, or from the recording, when asked for.

    Args:
        utterances: from `read_unlabelled`.
        system: makes the inputs.
        cache: keeps them.
        piece_s: longest piece.
    """

    def __init__(self, utterances: Iterable[Utterance], system: System, cache: FeatureCache, piece_s: float) -> None:
        super().__init__(utterances, piece_s)
        self._system, self._cache = system, cache

    def __getitem__(self, index: int) -> Example:
        """A piece as an example.

        Raises:
            AudioError: the recording cannot be read any more.
            IndexError: there is no such piece.
        """
        (example,) = make_examples([self.piece(index)], self._system, self._cache, training=True)
        return example


def _part(utterance: Utterance, number: int, count: int) -> Utterance:
    """One of so many equal parts, counted from 0."""
    if count == 1:
        return utterance
    length_s = (utterance.duration_s or 0.0) / count
    start_s, end_s = (utterance.start_s + length_s * place for place in (number, number + 1))
    file = str(utterance.content).partition("@")[0]
    return utterance.with_(
        id=f"{utterance.id}#{number + 1}",
        start_s=start_s,
        end_s=end_s,
        duration_s=length_s,
        content=f"{file}@{start_s:.3f}-{end_s:.3f}",
    )
