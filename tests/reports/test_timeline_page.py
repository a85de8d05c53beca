"""The page of a timeline: one file with everything in it, and nothing of the recording's names runs as code."""

import base64
import json
import re

import numpy as np
import pytest

from serenade.core.records import Attributes, Prediction
from serenade.core.timelines import Attended, SoundOverview, Summariser, Timeline
from serenade.reports.page import Clip
from serenade.reports.timeline_page import TimelineView, timeline_page

LABELS = ("angry", "happy")
NASTY = "</script><script>alert(1)</script>"


def view(rows: list[Prediction], clip: Clip | None = None) -> TimelineView:
    summariser = Summariser()
    summariser.add(rows)
    about = {"model": "glam", "calibrated": True, "uncertain_below": 0.5, "settings": {"window_s": None}}
    timeline = Timeline(f"{NASTY}.wav", 10.0, LABELS, tuple(rows), summariser.summaries(), about)
    overview = SoundOverview(10.0, 0.02, np.zeros((500, 2), np.int8), 0.05, np.zeros((48, 5000), np.uint8))
    return TimelineView(timeline, overview, (Attended(0.0, 1.0, np.linspace(0, 1, 5, dtype=np.float32)),), clip)


def row(start_s: float, label: str, speaker: str | None, **more: object) -> Prediction:
    scores = {name: 0.75 if name == label else 0.25 for name in LABELS}
    return Prediction("a.wav", start_s, start_s + 2.0, label, 0.75, scores, speaker, **more)  # type: ignore[arg-type]


ROWS = [row(0.0, "happy", NASTY), row(3.0, "angry", "Bea", uncertain=True)]


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_holds_the_rows_and_the_sound() -> None:
    page = timeline_page(view(ROWS, Clip(b"sound", "audio/mpeg")))
    data = data_of(page)
    assert data["labels"] == ["angry", "happy", "uncertain"]
    assert data["speakers"] == [NASTY, "Bea"] or data["speakers"] == ["Bea", NASTY]
    rows = data["rows"]
    assert [(r[0], r[1], r[3], r[4]) for r in rows] == [(0.0, 2.0, 1, [0.25, 0.75]), (3.0, 5.0, 2, [0.75, 0.25])]  # type: ignore[union-attr]
    assert len(data["tiles"]) == 2  # type: ignore[arg-type]
    assert base64.b64encode(b"sound").decode() in page


def test_nothing_is_loaded_from_elsewhere_and_names_are_text() -> None:
    page = timeline_page(view(ROWS))
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
    assert "alert(1)</script>" not in page
    assert "&lt;/script&gt;" in page
    assert page.count("<script") == page.count("</script>") == 2
    assert 'type="file"' in page  # without the sound the reader chooses it


def test_attributes_and_silence() -> None:
    felt = [row(0.0, "happy", None, attributes=Attributes(0.0, 1.0, 0.2, 0.8, None))]
    data = data_of(timeline_page(view(felt)))
    assert data["felt"] is True
    assert data["rows"][0][5] == [0.2, 0.8]  # type: ignore[index]
    assert "No speech was found" in timeline_page(view([]))


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_model_that_was_not_calibrated_is_named(calibrated: bool) -> None:
    given = view(ROWS)
    given.timeline.about["calibrated"] = calibrated  # type: ignore[index]
    assert ("was not calibrated" in timeline_page(given)) is not calibrated
