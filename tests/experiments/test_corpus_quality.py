"""A corpus with planted faults: each is found, nothing else is, and every recording is decoded once."""

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from serenade.experiments import corpus_quality
from serenade.experiments.corpus_findings import CRITERIA, Norms
from serenade.experiments.corpus_quality import MeasuredCorpus, measure_corpus
from serenade.experiments.corpus_summary import summarise_corpus
from serenade.signal.quality import Quality, QualityMeter, measure_quality

RATE = 16_000


def voice(seed: int, seconds: float = 2.0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * rng.normal(size=len(time_s)) * np.clip(np.sin(2 * np.pi * 2 * time_s + seed) + 0.4, 0.003, None)


FAULTS = {
    "clipping": lambda x: np.clip(20 * soxr.resample(x, 8_000, RATE), -1, 1)[: len(x)],
    "noise": lambda x: x + np.random.default_rng(99).normal(size=len(x)) * 0.05,
    "bandwidth": lambda x: soxr.resample(soxr.resample(x, RATE, 8_000), 8_000, RATE),
    "quiet": lambda x: x * 0.004,
    "silence": lambda x: np.concatenate([np.zeros(2 * RATE), x]),
    "length": lambda x: np.tile(x, 8),
    "offset": lambda x: x + 0.1,
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Four speakers, two classes, one fault of each kind, one broken file and one that is missing."""
    rows = []
    for number in range(64):
        samples = voice(number, 2.0 + 0.02 * (number % 10))
        rows.append((f"{number:02d}.wav", f"s{number % 4}", ("angry", "sad")[number // 4 % 2]))
        if number < len(FAULTS):
            name, spoil = list(FAULTS.items())[number]
            samples = spoil(samples)
            rows[-1] = (f"{name}.wav", *rows[-1][1:])
        soundfile.write(tmp_path / rows[-1][0], samples, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "rate.wav", voice(70), 8_000, subtype="FLOAT")
    soundfile.write(tmp_path / "channels.wav", np.stack([voice(71)] * 2, axis=1), RATE, subtype="FLOAT")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    rows += [(name, "s0", "sad") for name in ("rate.wav", "channels.wav", "broken.wav", "missing.wav")]
    path = tmp_path / "table.csv"
    path.write_text("file,speaker,emotion\n" + "".join(f"{','.join(row)}\n" for row in rows))
    return path


def test_every_planted_fault_is_found_and_no_other(table: Path) -> None:
    summary = summarise_corpus(measure_corpus("table", table))
    assert {criterion.name for criterion in CRITERIA} == {entry["name"] for entry in summary["criteria"]}
    # Of 4 s at 8 kHz one cannot know: doubled length is within 3.5 of the spread here or not; rate is what was planted.
    found = {
        entry["name"]: {item["id"].removesuffix(".wav") for item in entry["worst"]} for entry in summary["criteria"]
    }
    for name in (*FAULTS, "rate", "channels"):
        assert name in found[name]
    extra = {(name, item) for name, items in found.items() for item in items if item != name}
    assert extra <= {("length", "silence"), ("length", "rate"), ("clipping", "clipping")}
    assert [(item["where"].split()[0], item["reason"]) for item in summary["left_out"]] == [
        ("broken.wav", "undecodable"),
        ("missing.wav", "missing"),
    ]
    assert summary["findings"][0] == {
        "severity": "error",
        "message": "2 recordings cannot be used: 1 undecodable, 1 missing",
    }
    json.dumps(summary, allow_nan=False)


def test_each_recording_is_decoded_once_and_remembered_facts_do_not_stop_the_measuring(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Counter[str] = Counter()

    def counting(module: object) -> None:
        real = module.open_recording  # type: ignore[attr-defined]
        monkeypatch.setattr(
            module, "open_recording", lambda path, *rest: (opened.update([Path(path).name]), real(path, *rest))[1]
        )

    from serenade.signal import audio, quality

    for module in (corpus_quality, quality, audio):
        counting(module)
    first = measure_corpus("table", table)
    assert set(opened.values()) == {1}
    assert set(opened) - {"missing.wav"} == {path.name for path in table.parent.glob("*.wav")}
    second = measure_corpus("table", table)
    assert max(opened.values()) == 2
    assert second == first
    opened.clear()
    from serenade.corpora import read_corpus

    read_corpus("table", table, examine=audio.examine)  # what the measuring found out is remembered for a check
    assert set(opened) <= {"broken.wav", "missing.wav"}


def test_spans_of_one_recording_are_measured_apart_in_one_pass(tmp_path: Path) -> None:
    samples = np.concatenate([voice(1), 0.1 * voice(2), np.zeros(RATE), voice(3)])
    soundfile.write(tmp_path / "talk.wav", samples, RATE, subtype="FLOAT")
    (tmp_path / "t.csv").write_text(
        "file,speaker,emotion,start,end\ntalk.wav,a,sad,0,2\ntalk.wav,b,angry,2,4\ntalk.wav,a,sad,5,7\ntalk.wav,a,sad,8,9\n"
    )
    measured = measure_corpus("table", tmp_path / "t.csv")
    by_start = {u.start_s: measured.quality[u.id] for u in measured.listing.utterances}
    spans = [(0.0, 2.0), (2.0, 4.0), (5.0, 7.0)]
    assert [by_start[start] for start, _ in spans] == measure_quality(tmp_path / "talk.wav", spans)
    assert by_start[0.0].level_db - by_start[2.0].level_db == pytest.approx(20, abs=1)
    assert [item.reason for item in measured.listing.left_out] == ["bad span"]


def test_progress_counts_every_recording(table: Path) -> None:
    for _ in range(2):
        seen: list[tuple[int, int]] = []
        measure_corpus("table", table, progress=lambda done, total, seen=seen: seen.append((done, total)), workers=1)
        assert [total for _, total in seen] == [68] * len(seen)
        assert seen[-1][0] == 66  # the broken and the missing one cannot be measured


def test_what_gives_the_class_away_is_said(tmp_path: Path) -> None:
    rows = []
    for number in range(80):
        emotion = ("angry", "sad")[number % 2]
        soundfile.write(tmp_path / f"{number}.wav", voice(number, 0.5) * (4 if emotion == "angry" else 1), RATE)
        rows.append(f"{number}.wav,s{number // 20},{emotion}\n")
    (tmp_path / "t.csv").write_text("file,speaker,emotion\n" + "".join(rows))
    summary = summarise_corpus(measure_corpus("table", tmp_path / "t.csv"))
    assert summary["cues"][0]["name"] == "level_db"
    assert summary["cues"][0]["ua"] == 1
    told = [finding["message"] for finding in summary["findings"] if finding["severity"] == "warning"]
    assert "the level alone tells angry and sad from all other classes on speakers not seen" in told
    assert not any("length" in message for message in told)


def one_speaker(tmp_path: Path, rows: str) -> MeasuredCorpus:
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", voice(number), RATE)
    (tmp_path / "t.csv").write_text(rows)
    return measure_corpus("table", tmp_path / "t.csv")


def test_thin_corpora_are_summarised(tmp_path: Path) -> None:
    summary = summarise_corpus(one_speaker(tmp_path, "file\n0.wav\n1.wav\n2.wav\n"))
    told = [finding["message"] for finding in summary["findings"]]
    assert "3 without a speaker: no split can keep people apart" in told
    assert "3 without a label" in told
    assert summary["cues"] == []
    alone = summarise_corpus(one_speaker(tmp_path, "file,speaker,emotion\n0.wav,a,sad\n1.wav,a,sad\n2.wav,a,sad\n"))
    told = [finding["message"] for finding in alone["findings"]]
    assert "one speaker only: nothing can be said about new voices" in told
    assert "one class only, sad: there is nothing to tell apart" in told


def test_skewed_lengths_are_no_outliers() -> None:
    # As in read speech: many near the upper bound, a long tail of short ones. One spread for both sides flags a sixth.
    rng = np.random.default_rng(0)
    lengths = np.clip(14 - rng.exponential(3, 400), 1.5, None)
    base = measured_voice()
    found = [replace(base, duration_s=float(length)) for length in [*lengths, 0.05, 60.0]]
    norms = Norms.of(found)
    test = next(criterion.test for criterion in CRITERIA if criterion.name == "length")
    flagged = [quality.duration_s for quality in found if test(quality, norms) is not None]
    assert {0.05, 60.0} <= set(flagged)
    assert len(flagged) < 0.04 * len(found)


def measured_voice() -> Quality:
    meter = QualityMeter(RATE, 1)
    meter.add(voice(0).astype(np.float32)[:, None])
    return meter.result()


def test_the_coarse_steps_of_a_very_quiet_recording_are_not_clipping(tmp_path: Path) -> None:
    time_s = np.arange(2 * RATE) / RATE
    soundfile.write(tmp_path / "quiet.wav", 0.003 * np.sin(2 * np.pi * 150 * time_s), RATE)
    (quality,) = measure_quality(tmp_path / "quiet.wav")
    assert quality.clipped_share > 0.01
    clipping = next(criterion for criterion in CRITERIA if criterion.name == "clipping")
    norms = Norms.of([quality])
    assert clipping.test(quality, norms) is None
    assert clipping.test(replace(quality, peak=0.3), norms) is not None


@pytest.mark.slow
def test_ravdess_is_measured_within_a_minute_and_has_no_faults_but_quiet_ones(shared: Path) -> None:
    began = time.process_time()  # of all threads: the time on the wall depends on what else runs
    summary = summarise_corpus(measure_corpus("ravdess", shared / "corpora" / "ravdess"))
    assert time.process_time() - began < 60
    assert summary["statistics"]["utterances"] == 1440
    assert {entry["name"] for entry in summary["criteria"] if entry["count"]} == {"quiet", "length"}
