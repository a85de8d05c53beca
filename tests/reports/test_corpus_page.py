"""The page of a corpus: one file, every part, nothing from elsewhere, usable by keyboard."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.reports.test_page import Reader

from serenade.core.errors import UsageError
from serenade.reports.corpus_figures import heat_figure, ridge_figure, round_ticks
from serenade.reports.corpus_page import write_corpus_report


def summary(**changes: Any) -> dict[str, Any]:
    rows = [
        {
            "id": f"{speaker}{number}",
            "place": f"{speaker}{number}.wav",
            "speaker": speaker,
            "gender": "female",
            "emotion": emotion,
            "language": "de",
            "duration_s": 1.0 + number,
            "level_db": -30.0 - number,
            "snr_db": None if number == 3 else 20.0,
            "silent_share": 0.1 * number,
        }
        for speaker in ("anna", "<ben>")
        for number, emotion in enumerate(("angry", "sad", "relieved", None))
    ]
    counts = [
        {
            "speaker": row["speaker"],
            "gender": "female",
            "emotion": row["emotion"] or "(no label)",
            "utterances": 1,
            "minutes": 0.1,
        }
        for row in rows
        if (row["speaker"], row["emotion"]) != ("<ben>", "sad")
    ]
    worst = [
        {"id": r["id"], "place": r["place"], "speaker": r["speaker"], "emotion": r["emotion"], "found": "3.1 dB"}
        for r in rows
    ]
    share = [{"name": None, "utterances": 8, "speakers": 2, "minutes": 0.4}]
    return {
        "format": 1,
        "serenade": "0.1.0",
        "corpus": {
            "name": "table",
            "title": "your own recordings",
            "licence": "yours to know",
            "path": "my/own & data.csv",
        },
        "statistics": {
            "classes": ["angry", "relieved", "sad", "(no label)"],
            "speakers": ["<ben>", "anna"],
            "counts": counts,
            "utterances": 8,
            "minutes": 0.4,
            "shortest_s": 1.0,
            "median_s": 2.5,
            "longest_s": 4.0,
        },
        "sexes": share,
        "languages": share,
        "formats": [{"sample_rate": 16000, "channels": 1, "utterances": 8}],
        "criteria": [
            {
                "name": "noise",
                "title": "Noisy",
                "threshold": "below 10 dB",
                "advice": "Listen.",
                "count": 8,
                "share": 1.0,
                "worst": worst * 3,
            },
            {
                "name": "quiet",
                "title": "Very quiet",
                "threshold": "below -50 dB",
                "advice": "",
                "count": 0,
                "share": 0.0,
                "worst": [],
            },
        ],
        "cues": [
            {
                "name": "level_db",
                "title": "level",
                "ua": 0.9,
                "ua_by_chance": 0.3,
                "classes": ["sad"],
                "strength": "gives the class away",
            },
            {
                "name": "snr_db",
                "title": "signal-to-noise ratio",
                "ua": 0.3,
                "ua_by_chance": 0.3,
                "classes": [],
                "strength": "tells little",
            },
        ],
        "majority": {
            "wa": 0.3,
            "ua": 0.3,
            "wa_by_chance": 0.3,
            "ua_by_chance": 0.3,
            "speakers": 2,
            "one_label": 0,
            "gives_label": False,
        },
        "left_out": [
            {"where": "x.wav (line 3)", "reason": "undecodable", "detail": "not sound", "damage": True},
            {"where": "y.wav", "reason": "duplicate", "detail": "the same content", "damage": False},
        ],
        "utterances": rows,
        "findings": [{"severity": "warning", "message": "the level alone gives the class away"}],
        **changes,
    }


def page(tmp_path: Path, **changes: Any) -> tuple[str, Reader]:
    write_corpus_report(summary(**changes), tmp_path / "page.html")
    source = (tmp_path / "page.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(source)
    assert not reader.faults
    assert not reader.open
    return source, reader


def test_every_part_is_there_and_user_text_is_escaped(tmp_path: Path) -> None:
    source, reader = page(tmp_path)
    for words in (
        "Recordings of own & data.csv",
        "the level alone gives the class away.",
        "1 damaged",
        "x.wav (line 3)",
        "the same content",
        "sad from all others",
        "Nothing was found for: very quiet (below -50 dB).",
        "<ben>",
        "not said",
        "16000 Hz",
    ):
        assert words in reader.text
    assert "<ben>" not in source
    anchors = set(re.findall(r'href="#([^"]+)"', source))
    assert anchors <= set(re.findall(r'id="([^"]+)"', source))


def test_only_the_worst_are_named(tmp_path: Path) -> None:
    source, reader = page(tmp_path)
    assert source.count("3.1 dB") == 12
    assert "8 of 8" in reader.text


def test_it_loads_nothing_and_can_be_used_by_keyboard(tmp_path: Path) -> None:
    source, reader = page(tmp_path)
    assert all(link is None or link.startswith("#") for link in reader.links)
    assert not re.search(r"https?://|@import|url\(", source)
    scrollers = re.findall(r'<div class="scroll[^>]*>', source)
    assert scrollers
    assert all('tabindex="0"' in each and "aria-label=" in each for each in scrollers)
    assert all("aria-label=" in each for each in re.findall(r"<svg[^>]*>", source))
    assert "prefers-color-scheme: dark" in source


def test_a_corpus_without_faults_or_labels_has_a_page(tmp_path: Path) -> None:
    clean = {"criteria": [], "cues": [], "left_out": [], "findings": []}
    _, reader = page(tmp_path, **clean)
    assert "no fault found" in reader.text
    assert "There are fewer than two classes." in reader.text
    assert "Left out" not in reader.text


def test_many_speakers_are_counted_not_drawn(tmp_path: Path) -> None:
    known = summary()
    names = [f"p{number:02d}" for number in range(70)]
    times = {name: 3 if number >= 65 else 1 for number, name in enumerate(names)}
    counts = [
        {"speaker": name, "gender": None, "emotion": "sad", "utterances": times[name], "minutes": 0.1} for name in names
    ]
    rows = [{**known["utterances"][0], "speaker": name} for name in names]
    statistics = {**known["statistics"], "speakers": names, "counts": counts}
    source, reader = page(tmp_path, statistics=statistics, utterances=rows)
    assert "70 speakers with 1 to 3 utterances, median 1." in reader.text
    assert "10 speakers with fewer utterances are not drawn" in reader.text
    assert ">p69</text>" in source
    assert ">p64</text>" not in source


def test_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another version"):
        write_corpus_report(summary(format=2), tmp_path / "page.html")


def test_heat_map_writes_every_count_and_marks_empty_cells() -> None:
    figure = heat_figure({("a", "sad"): 12, ("b", "sad"): 3, ("b", "angry"): 7}, ["a", "b"], ["angry", "sad"])
    assert re.findall(r">(\d+)</text>", figure) == ["12", "7", "3"]
    assert figure.count('class="hole"') == 1
    assert "a, angry: 0" in figure


def test_labels_of_many_or_long_classes_are_slanted_and_stay_within_the_drawing() -> None:
    long = ["pleasantly surprised", "very disappointed", *(f"class{n}" for n in range(20))]
    figure = heat_figure({("a", name): 1 for name in long}, ["a"], long)
    assert figure.count("rotate(-40") == len(long)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', figure)[1])  # type: ignore[index]
    assert max(float(x) for x in re.findall(r'<text x="([\d.]+)"', figure)) < width


def test_histograms_mark_the_median_and_hold_outliers_at_the_edge() -> None:
    figure = ridge_figure(
        {"a": [1, 2, 3, 2, 2, 3, 1, 2, 900], "none": []}, {"a": "red", "none": "blue"}, title="length", unit="s"
    )
    assert figure is not None
    assert "a: median 2 s" in figure
    assert ">none<" not in figure
    assert "900" not in figure
    assert ridge_figure({"a": []}, {"a": "red"}, title="length", unit="s") is None
    flat = ridge_figure({"a": [0.0, 0.0]}, {"a": "red"}, title="silence", unit="%", scale=100)
    assert flat is not None
    assert "nan" not in flat


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-61.3, -12.2), (3.1, 4.9), (0.4, 0.41), (0, 22_050)])
def test_ticks_are_few_round_and_within(low: float, high: float) -> None:
    ticks = round_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)
