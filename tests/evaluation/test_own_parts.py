"""What the parts of a corpus share is the same whether its utterances are in memory or in a file."""

import random
from pathlib import Path

import pytest

from serenade.core.records import UNKNOWN_SPEAKER, NearDuplicate, Utterance
from serenade.core.stored_listing import StoredListing
from serenade.evaluation.giveaway import majority_of, speaker_majority
from serenade.evaluation.leaks import LeakReport
from serenade.evaluation.own_parts import check_own_parts, check_stored_parts


def made_up(rng: random.Random, count: int, corpora: int) -> list[Utterance]:
    """Utterances that share a little of everything."""
    rare, opened = max(2, count // 2), rng.random() < 0.5

    def some(letter: str) -> str | None:
        return rng.choice([None, f"{letter}{rng.randrange(rare)}", f"corpus0/{letter}{rng.randrange(rare)}"])

    def one(number: int) -> Utterance:
        start_s = rng.choice([0.0, 0.5, 1.0])
        whole = start_s == 0 and rng.random() < 0.5
        recording = rng.randrange(rare)
        span = "" if whole else f"@{start_s:.3f}-{start_s + 1:.3f}"
        return Utterance(
            id=f"u{number:03d}",
            audio=Path(f"{rng.choice(['x', 'x/../x'])}/{recording}.wav"),
            corpus=f"corpus{rng.randrange(corpora)}",
            speaker=rng.choice([UNKNOWN_SPEAKER, f"s{rng.randrange(rare)}"]),
            emotion=rng.choice(["happy", "sad", "angry", None]),
            start_s=start_s,
            end_s=None if whole else start_s + 1,
            group=some("g"),
            dialogue=some("g"),
            sentence=some("t"),
            text=rng.choice([None, "", f"Wort  {rng.randrange(rare)}", f"wort {rng.randrange(rare)}"]),
            split=rng.choice([None, "train", "train", "validation", "test"]),
            fold=rng.choice([None, "1", "2/a", "2 a", "it's"]),
            duration_s=1.0 if opened else None,
            content=f"{recording % 5}{span}" if opened else None,
        )

    return [one(number) for number in range(count)]


def stored_parts(utterances: list[Utterance], pairs: list[NearDuplicate]) -> tuple[LeakReport, ...]:
    with StoredListing() as listing:
        listing.add(utterances)
        spoken = listing.query("SELECT corpus, speaker, emotion FROM utterances ORDER BY id")
        majority = majority_of(((corpus, speaker), emotion) for corpus, speaker, emotion in spoken)
        assert majority == speaker_majority(utterances)
        return check_stored_parts(listing, majority, pairs)


@pytest.mark.parametrize("corpora", [1, 2])
@pytest.mark.parametrize("seed", range(15))
def test_both_ways_find_the_same(seed: int, corpora: int) -> None:
    rng = random.Random(seed)
    utterances = made_up(rng, rng.choice([3, 8, 40, 200]), corpora)
    ids = [u.id for u in utterances]
    pairs = [NearDuplicate(*rng.sample(ids, 2), 0.1, 0.0, 1.0, 0.0) for _ in range(rng.randrange(6))]
    reports = check_own_parts(utterances, pairs)
    assert stored_parts(utterances, pairs) == reports


def test_every_kind_is_among_them() -> None:
    found = set()
    for seed in range(8):
        rng = random.Random(seed)
        utterances = made_up(rng, 40, 1)
        pairs = [NearDuplicate("u001", f"u{number:03d}", 0.1, 0.0, 1.0, 0.0) for number in range(2, 9)]
        found |= {finding.kind for report in stored_parts(utterances, pairs) for finding in report.findings}
    assert found >= {"speaker", "unknown_speaker", "group", "dialogue", "file", "content", "near_duplicate", "sentence"}


def test_columns_that_compare_nothing_are_passed_over() -> None:
    utterances = [Utterance(f"{n}", Path(f"{n}.wav"), "c", "s", "sad", split="train", fold="1") for n in range(3)]
    assert stored_parts(utterances, []) == check_own_parts(utterances) == ()
