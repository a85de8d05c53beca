"""Which utterances of a listing hold the same take, and how the two differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from serenade.core.records import UNKNOWN_SPEAKER, NearDuplicate, Utterance
from serenade.corpora.fingerprints import recall_fingerprints
from serenade.signal.audio import examine
from serenade.signal.fingerprints import Fingerprint, frames_between
from serenade.signal.near_duplicates import find_matches

__all__ = ["describe_near_duplicate", "find_copies", "find_near_duplicates", "near_duplicate_to_json", "same_speaker"]

_HEARD_DB = 0.75  # smaller changes of level come from the steps of the fingerprint
_CUT_S = 0.08  # smaller ones from the delay of codecs and the rate of the fingerprint
_COPIES_AT_ONCE = 4000  # unlabelled recordings compared with the labelled ones at a time: bounds memory
_NO_FRAMES = Fingerprint.from_bytes(b"")


def find_near_duplicates(
    utterances: Sequence[Utterance], progress: Callable[[int, int], None] | None = None
) -> tuple[NearDuplicate, ...]:
    """All pairs of utterances from two recordings that hold the same take, in the order of the utterances.

    What has the same bytes is no near-duplicate but a duplicate, which `read_corpus` leaves out.

    Args:
        utterances: as `read_corpus` gave them; their fingerprints are in the memo since then.
        progress: called with the number of fingerprints at hand so far and in all, where some have to be made.
    """
    return _pairs(utterances, lambda first, second: True, progress)


def find_copies(labelled: Sequence[Utterance], unlabelled: Sequence[Utterance]) -> tuple[NearDuplicate, ...]:
    """Pairs of a labelled and an unlabelled utterance, in this order, that hold the same take.

    The unlabelled ones are gone through part by part, so that memory does not grow with them.

    Args:
        labelled: as `read_corpus` gave them.
        unlabelled: so too.
    """
    found: list[NearDuplicate] = []
    for start in range(0, len(unlabelled), _COPIES_AT_ONCE):
        part = (*labelled, *unlabelled[start : start + _COPIES_AT_ONCE])
        found += _pairs(part, lambda first, second: (first < len(labelled)) != (second < len(labelled)), None)
    return tuple(found)


def _pairs(
    utterances: Sequence[Utterance],
    wanted: Callable[[int, int], bool],
    progress: Callable[[int, int], None] | None,
) -> tuple[NearDuplicate, ...]:
    """Near-duplicates among those pairs of places that are wanted."""
    stored = recall_fingerprints([u.audio for u in utterances], examine=examine, progress=progress)
    whole = {path: Fingerprint.from_bytes(fingerprint) for path, fingerprint in stored.items()}
    spans = [frames_between(whole[u.audio], u.start_s, u.end_s) if u.audio in whole else _NO_FRAMES for u in utterances]

    def related(first: int, second: int) -> bool:
        one, two = utterances[first], utterances[second]
        return wanted(first, second) and one.audio != two.audio and _bytes(one) != _bytes(two)

    return tuple(
        NearDuplicate(
            utterances[match.first].id,
            utterances[match.second].id,
            match.bit_error_rate,
            match.offset_s,
            match.overlap_s,
            match.gain_db,
        )
        for match in find_matches(spans, related)
    )


def _bytes(utterance: Utterance) -> str:
    """What stands for the bytes of the recording."""
    return str(utterance.audio) if utterance.content is None else utterance.content.partition("@")[0]


def describe_near_duplicate(pair: NearDuplicate, by_id: Mapping[str, Utterance]) -> str:
    """How the second utterance differs from the first, in words.

    Args:
        pair: of utterances that `by_id` has.
        by_id: utterances by id.
    """
    one, two = by_id[pair.first], by_id[pair.second]
    parts = []
    kinds = [u.audio.suffix.lower().lstrip(".") for u in (one, two)]
    if kinds[0] != kinds[1]:
        parts.append(f"{kinds[0]} and {kinds[1]}")
    if abs(pair.gain_db) >= _HEARD_DB:
        parts.append(f"{abs(pair.gain_db):.1f} dB {'louder' if pair.gain_db > 0 else 'softer'}")
    behind_s = (one.duration_s or 0.0) - pair.offset_s - (two.duration_s or 0.0)
    for side, cut_s in (("beginning", pair.offset_s), ("end", behind_s)):
        if abs(cut_s) >= _CUT_S:
            parts.append(f"{abs(cut_s):.2f} s {'less' if cut_s > 0 else 'more'} at the {side}")
    if one.emotion != two.emotion:
        parts.append(f"labels differ: {one.emotion} and {two.emotion}")
    if same_speaker(one, two) is False:
        parts.append(f"speakers differ: {one.speaker} and {two.speaker}")
    return ", ".join(parts) if parts else "nothing that can be heard differs"


def near_duplicate_to_json(pair: NearDuplicate, by_id: Mapping[str, Utterance]) -> dict[str, Any]:
    """The pair with what tells whether it matters, as plain values.

    Args:
        pair: of utterances that `by_id` has.
        by_id: utterances by id.
    """
    one, two = by_id[pair.first], by_id[pair.second]
    return {
        **asdict(pair),
        "same_label": one.emotion == two.emotion,
        "same_speaker": same_speaker(one, two),
        "differences": describe_near_duplicate(pair, by_id),
    }


def same_speaker(one: Utterance, two: Utterance) -> bool | None:
    """Whether two utterances are said to be of one person; None where that is not known of either."""
    if UNKNOWN_SPEAKER in (one.speaker, two.speaker):
        return None
    return one.speaker == two.speaker
