"""Finding recordings that hold the same take: re-encoded, resampled, cut at the ends, louder or softer, a bit noisier.

Candidates come from an index: frames of two fingerprints that agree in all bits of one of four masks of 24 bits are
neighbours when the frames are sorted by those bits. A pair of recordings that meets so at least twice with the same
shift is compared bit by bit there. Not all pairs are compared; of frames of different speech about four pairs in a
million meet by chance.

Two recordings hold the same take where, at some shift, at most 18 % of the bits differ in the frames with speech
(within 22 dB of the loudest there), over at least 60 % of the shorter one's speech and at least 0.4 s of it. The
figures that this rests on are in `benchmarks/near_duplicates.py`. Copies that were sped up, slowed down or shifted in
pitch are not found, and neither are recordings shorter than 0.61 s.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serenade.signal.fingerprints import FRAME_RATE, SPAN_S, Fingerprint

__all__ = ["MIN_FRAMES", "Match", "compare", "find_matches"]

MIN_FRAMES = 16
"""Least number of frames with speech that are compared."""

_MOST_WRONG = 0.18  # share of bits
_SPEECH = 44  # half decibels below the loudest frame
_LEAST_COVER = 0.6  # of the shorter recording's speech
_TABLES = 4
_MOST_NEIGHBOURS = 64  # frames with one key are compared with so many that follow
_LEAST_MEETINGS = 2
_NEAR_BY = (0, -1, 1)  # shifts tried around that of the meetings
_SHIFTS = 1 << 22  # more than any shift in frames, to both sides: 14 hours


@dataclass(frozen=True, slots=True)
class Match:
    """Two recordings with the same take.

    Args:
        first: place of the one in the sequence.
        second: place of the other, greater than `first`.
        bit_error_rate: share of bits that differ.
        offset_s: where in the first the second begins; negative where it begins earlier.
        overlap_s: length of what both hold.
        gain_db: how much louder the second is.
    """

    first: int
    second: int
    bit_error_rate: float
    offset_s: float
    overlap_s: float
    gain_db: float


def find_matches(
    fingerprints: Sequence[Fingerprint], related: Callable[[int, int], bool] = lambda first, second: True
) -> list[Match]:
    """All pairs that hold the same take, sorted by their places.

    Args:
        fingerprints: one per recording; empty ones match nothing.
        related: whether a pair is of interest; asked of candidates only.
    """
    matches = []
    for first, second, shifts in _candidates(fingerprints):
        if related(first, second):
            match = _verify(fingerprints, first, second, shifts)
            if match is not None:
                matches.append(match)
    return matches


def compare(one: Fingerprint, two: Fingerprint, shift: int) -> tuple[float, int] | None:
    """How well two fingerprints agree.

    Args:
        one: a recording.
        two: another.
        shift: frame of the first where the second begins.

    Returns:
        Share of wrong bits and number of frames compared; None where they have too little speech in common.
    """
    begin, end = max(0, shift), min(len(one), shift + len(two))
    if end - begin < MIN_FRAMES:
        return None
    ours, theirs = one[begin:end], two[begin - shift : end - shift]
    heard = _speech(ours) | _speech(theirs)
    count = int(heard.sum())
    if count < max(MIN_FRAMES, _LEAST_COVER * min(int(_speech(one).sum()), int(_speech(two).sum()))):
        return None
    wrong = int(np.bitwise_count(ours.bits[heard] ^ theirs.bits[heard]).sum())
    return wrong / (32 * count), count


def _speech(fingerprint: Fingerprint) -> NDArray[np.bool_]:
    """(L,) frames near the loudest."""
    levels = fingerprint.levels
    return np.asarray((levels > 0) & (levels >= int(levels.max(initial=0)) - _SPEECH))


def _verify(fingerprints: Sequence[Fingerprint], first: int, second: int, shifts: Sequence[int]) -> Match | None:
    """The match at the best of some shifts."""
    one, two = fingerprints[first], fingerprints[second]
    best: tuple[float, int] | None = None
    for shift in sorted({around + step for around in shifts for step in _NEAR_BY}, key=lambda s: (abs(s), s)):
        found = compare(one, two, shift)
        if found is not None and (best is None or found[0] < best[0]):
            best = found[0], shift
    if best is None or best[0] > _MOST_WRONG:
        return None
    rate, shift = best
    begin, end = max(0, shift), min(len(one), shift + len(two))
    ours, theirs = one[begin:end], two[begin - shift : end - shift]
    heard = _speech(ours) & _speech(theirs)
    gain_db = float(np.median((theirs.levels_db() - ours.levels_db())[heard])) if heard.any() else 0.0
    overlap_s = (end - begin - 1) / FRAME_RATE + SPAN_S
    return Match(first, second, rate, shift / FRAME_RATE, overlap_s, gain_db)


def _candidates(fingerprints: Sequence[Fingerprint]) -> Iterator[tuple[int, int, list[int]]]:
    """Pairs of recordings whose frames meet more than once at one shift, with those shifts."""
    heard = [np.flatnonzero(_speech(fingerprint)) for fingerprint in fingerprints]
    if sum(map(len, heard)) < 2:
        return
    words = np.concatenate([f.bits[places] for f, places in zip(fingerprints, heard, strict=True)])
    owners = np.repeat(np.arange(len(heard), dtype=np.int64), [len(places) for places in heard])
    frames = np.concatenate(heard).astype(np.int64)
    meetings = np.concatenate([_meetings(words & mask, owners, frames, len(heard)) for mask in _masks()])
    keys, counts = np.unique(meetings, return_counts=True)
    following = np.zeros_like(counts)  # a shift of half a frame makes meetings at two
    following[:-1] = np.where(keys[1:] == keys[:-1] + 1, counts[1:], 0)
    chosen = keys[counts + following >= _LEAST_MEETINGS]
    pairs, shifts = chosen // (2 * _SHIFTS), chosen % (2 * _SHIFTS) - _SHIFTS
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    for group, pair in zip(np.split(shifts, starts[1:]), pairs[starts], strict=False):
        yield int(pair) // len(heard), int(pair) % len(heard), [int(shift) for shift in group]


def _masks() -> list[np.uint32]:
    """Words of 24 bits, each bit in three of four."""
    return [np.uint32(sum(1 << bit for bit in range(32) if bit % _TABLES != left_out)) for left_out in range(_TABLES)]


def _meetings(
    keys: NDArray[np.uint32], owners: NDArray[np.int64], frames: NDArray[np.int64], recordings: int
) -> NDArray[np.int64]:
    """Pair of recordings and shift, in one number, of every two frames with the same key."""
    order = np.argsort(keys, kind="stable")  # within a key by recording
    keys, owners, frames = keys[order], owners[order], frames[order]
    found = [np.zeros(0, dtype=np.int64)]
    for distance in range(1, min(_MOST_NEIGHBOURS + 1, len(keys))):
        same = keys[distance:] == keys[:-distance]
        if not same.any():
            break
        places = np.flatnonzero(same & (owners[distance:] != owners[:-distance]))
        first, second = owners[places], owners[places + distance]
        shift = frames[places] - frames[places + distance]
        found.append((first * recordings + second) * 2 * _SHIFTS + shift + _SHIFTS)
    return np.concatenate(found)
