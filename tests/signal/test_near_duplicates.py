"""The same take is found whatever was done to the copy, different takes are not, and the index misses no pair."""

import numpy as np
import pytest
from tests.signal.takes import RATE, copies, take

from serenade.signal.fingerprints import Fingerprint, fingerprint_of
from serenade.signal.near_duplicates import Match, compare, find_matches


def slow_matches(fingerprints: list[Fingerprint]) -> dict[tuple[int, int], float]:
    """All pairs at all shifts."""
    found = {}
    for second in range(len(fingerprints)):
        for first in range(second):
            one, two = fingerprints[first], fingerprints[second]
            rates = [compare(one, two, shift) for shift in range(-len(two), len(one) + 1)]
            best = min((rate[0] for rate in rates if rate is not None), default=1.0)
            if best <= 0.18:
                found[first, second] = best
    return found


@pytest.fixture(scope="module")
def originals() -> list[Fingerprint]:
    return [fingerprint_of([take(seed)], RATE) for seed in range(12)]


@pytest.mark.parametrize("name", sorted(copies(take(0))))
def test_a_copy_is_found(originals: list[Fingerprint], name: str) -> None:
    (match,) = find_matches([*originals, copies(take(5))[name]])
    assert (match.first, match.second) == (5, 12)


def test_what_was_done_shows_in_the_match(originals: list[Fingerprint]) -> None:
    made = copies(take(5))

    def only(name: str) -> Match:
        return find_matches([originals[5], made[name]])[0]

    assert only("12 dB softer").gain_db == pytest.approx(-12, abs=0.5)
    assert only("flac").bit_error_rate < 0.01
    cut = only("cut by 0.5 s")
    assert cut.offset_s == pytest.approx(0.5, abs=0.03)
    assert cut.overlap_s == pytest.approx(1.5, abs=0.05)
    (turned,) = find_matches([made["cut by 0.5 s"], originals[5]])
    assert turned.offset_s == -cut.offset_s


def test_different_takes_are_not_matched(originals: list[Fingerprint]) -> None:
    assert find_matches(originals) == []


def test_the_index_finds_what_comparing_all_pairs_finds(originals: list[Fingerprint]) -> None:
    some = [*originals[:3], *copies(take(0)).values(), *copies(take(1)).values()]
    expected = slow_matches(some)
    assert len(expected) > 90
    found = {(m.first, m.second): m.bit_error_rate for m in find_matches(some)}
    assert set(expected) == set(found)
    assert all(found[pair] == pytest.approx(rate) for pair, rate in expected.items())


def test_many_copies_of_one_take_are_all_found() -> None:
    one = fingerprint_of([take(0)], RATE)
    assert len(find_matches([one] * 20)) == 190
    many = find_matches([one] * 100)  # more than are looked at behind one frame
    assert {m.second for m in many} == set(range(1, 100))


def test_unrelated_pairs_are_not_compared(originals: list[Fingerprint]) -> None:
    asked = []

    def related(first: int, second: int) -> bool:
        asked.append((first, second))
        return False

    assert find_matches([originals[0], originals[0]], related) == []
    assert asked == [(0, 1)]


def test_what_is_short_or_silent_matches_nothing() -> None:
    nothing = Fingerprint(np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.uint8))
    silence = fingerprint_of([np.zeros(3 * RATE, dtype=np.float32)], RATE)
    short = fingerprint_of([take(0)[RATE : RATE + 9_000]], RATE)
    assert find_matches([]) == []
    assert find_matches([nothing, nothing, silence, silence, short, short]) == []


def test_six_hundred_and_fifty_milliseconds_are_enough() -> None:
    short = fingerprint_of([take(0)[RATE : RATE + 10_400]], RATE)
    assert len(find_matches([short, short])) == 1


def test_the_same_twice_gives_the_same(originals: list[Fingerprint]) -> None:
    some = [*originals, *copies(take(3)).values()]
    assert find_matches(some) == find_matches(some)
