"""A listing in a temporary file gives back what was put into it, whatever an utterance knows."""

from pathlib import Path

import pytest

from serenade.core.records import Attributes, LeftOut, Utterance, Video
from serenade.core.stored_listing import StoredListing

BARE = Utterance("c/a", Path("/a.wav"), "c", "anna", "happy")
KNOWN = [
    BARE,
    BARE.with_(extra={"line": "12"}),
    BARE.with_(extra={"line": '{"votes": 1}'}),
    BARE.with_(extra={"line": ""}),
    BARE.with_(extra={"line": "3", "intensity": "stärker \U0001f600"}),
    BARE.with_(votes={"happy": 2.0, "sad": 1 / 3}, extra={"line": "4"}),
    BARE.with_(attributes=Attributes(1, 5, 2.5, None, 0.1 + 4)),
    BARE.with_(attributes=Attributes(-1.0, 1.0), channel=1, faces=Path("/faces/a.npz")),
    BARE.with_(video=Video(Path("/v/a.mp4"), 1.25, 2.5, "left"), start_s=0.1, end_s=0.7, duration_s=0.6),
    BARE.with_(video=Video(Path("/v/a.mp4")), text="so, so", content="x@0-1"),
]
ODD = Utterance("c/\udce4", Path("/\udce4.wav"), "c", "anna", None)  # a file's name that is no valid text
ODD_ONES = [ODD, ODD.with_(extra={"line": "5"}), ODD.with_(extra={"of": "\udce4", "line": "6"}, votes={"sad": 1.0})]


@pytest.mark.parametrize("utterances", [KNOWN, ODD_ONES, [*KNOWN, *ODD_ONES, *KNOWN]], ids=["plain", "odd", "both"])
def test_utterances_come_back_as_they_were(utterances: list[Utterance]) -> None:
    left_out = LeftOut("b.wav", "missing", "it is not there")
    with StoredListing() as listing:
        listing.add([*utterances, left_out])
        assert list(listing.utterances("row")) == utterances
        extras = [
            dict(listing.extra_of(rest)) for _, _, rest in sorted(listing.recordings(), key=lambda cells: cells[1])
        ]
        assert extras == [dict(utterance.extra) for utterance in utterances]
        assert list(listing.left_out()) == [left_out]
