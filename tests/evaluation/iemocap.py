"""Utterances named like IEMOCAP's, as many in every session as the four-class reading has."""

from collections.abc import Iterator

from tests.evaluation.people import CLASSES, say

from serenade.core.records import Utterance

SESSIONS = (1085, 1023, 1151, 1031, 1241)  # ssl_upstream_downstream.md, section 1.1


def dialogues(session: int) -> list[str]:
    """Some of the dialogues of a session, those that all sessions have."""
    return [
        f"Ses0{session}{wearer}_{scene}"
        for wearer in "FM"
        for scene in ("impro01", "impro03", "script01_1", "script03_2")
    ]


def names(session: int, count: int) -> Iterator[str]:
    found = dialogues(session)
    for place in range(count):
        turn = place // len(found)
        yield f"{found[place % len(found)]}_{'FM'[turn % 2]}{turn // 2:03d}"


def iemocap(counts: tuple[int, ...] = SESSIONS) -> list[Utterance]:
    """Speakers from the last part of the name, sessions as recording groups."""
    return [
        say(
            name,
            f"Ses0{session}{name[-4]}",
            CLASSES[place % len(CLASSES)],
            corpus="iemocap",
            group=f"Session{session}",
            gender={"F": "female", "M": "male"}[name[-4]],
        )
        for session, count in enumerate(counts, start=1)
        for place, name in enumerate(names(session, count))
    ]
