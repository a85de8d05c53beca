"""Timelines: turns and windows of a stream are scored as if cut out, whatever the chunks they arrive in."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serenade.core.errors import SettingsError, UsageError
from serenade.core.records import Prediction
from serenade.core.settings import make_settings
from serenade.core.timelines import SpeakerTurn, Timeline
from serenade.inference.division import TimelineSettings, make_divider
from serenade.inference.recognizer import Recognizer
from serenade.training.description import Calibration

from .conftest import LinearSystem, noise

Record = Callable[..., Path]
RATE = 16_000
ENERGY = TimelineSettings(detector="energy")


def speech_and_pauses() -> np.ndarray:
    """Sound from 1 to 3, 4 to 4.8 and 6 to 30 s of 32; silence but for a hiss between."""
    samples = 1e-5 * np.random.default_rng(1).standard_normal(32 * RATE).astype(np.float32)
    for start, end in [(1.0, 3.0), (4.0, 4.8), (6.0, 30.0)]:
        sound = noise(end - start, seed=round(start))
        sound[np.arange(len(sound)) % 12_800 > 11_200] = 0.0  # between syllables, so that the noise floor stays down
        samples[round(start * RATE) : round(end * RATE)] += sound
    return samples


def chunked(
    recognizer: Recognizer, samples: np.ndarray, sizes: list[int], settings: TimelineSettings, **options: object
) -> list[Prediction]:
    stream = recognizer.stream(settings, **options)  # type: ignore[arg-type]
    rows, place, turn = [], 0, 0
    while place < len(samples):
        size = sizes[turn % len(sizes)]
        rows += stream.add(samples[place : place + size])
        place, turn = place + size, turn + 1
    return rows + stream.finish()


def assert_same_rows(found: list[Prediction], expected: list[Prediction]) -> None:
    assert [(r.start_s, r.end_s, r.speaker, r.label, r.uncertain) for r in found] == [
        (r.start_s, r.end_s, r.speaker, r.label, r.uncertain) for r in expected
    ]
    for a, b in zip(found, expected, strict=True):
        assert list(a.scores.values()) == pytest.approx(list(b.scores.values()), abs=1e-6)


def test_turns_are_found_and_predicted_as_if_cut_out(recognizer: Recognizer) -> None:
    samples = speech_and_pauses()
    timeline = recognizer.timeline(samples, RATE, settings=ENERGY)
    starts = [row.start_s for row in timeline.rows]
    assert starts[:3] == pytest.approx([0.9, 3.9, 5.9], abs=0.05)
    assert timeline.rows[-1].end_s == pytest.approx(30.05, abs=0.1)
    assert all(row.end_s - row.start_s <= 15.2 for row in timeline.rows)  # the long one was divided
    assert timeline.duration_s == 32.0
    for row in timeline.rows:
        alone = recognizer(samples[round(row.start_s * RATE) : round(row.end_s * RATE)], RATE)
        assert list(row.scores.values()) == pytest.approx(list(alone.scores.values()), abs=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        ENERGY,
        TimelineSettings(detector="energy", window_s=1.5, hop_s=0.5),
        TimelineSettings(detector="none", window_s=2.0, hop_s=3.0, smoothing_s=0.0),
        TimelineSettings(detector="auto", window_s=1.0, least_speech=0.0),
    ],
    ids=["turns", "windows", "gaps", "auto"],
)
@pytest.mark.parametrize("sizes", [[1600], [999, 17, 40_000], [513]], ids=str)
def test_a_stream_gives_the_rows_of_the_file(
    settings: TimelineSettings, sizes: list[int], recognizer: Recognizer, record: Record
) -> None:
    samples = speech_and_pauses()[: 12 * RATE]
    path = record("a.wav", samples)
    expected = [*recognizer.timeline(path, settings=settings).rows]
    assert expected
    assert_same_rows(chunked(recognizer, samples, sizes, settings, file=str(path)), expected)


def test_another_rate_and_channels_stream_as_their_file(recognizer: Recognizer, record: Record) -> None:
    samples = np.stack([noise(4.0, sample_rate=44_100), noise(4.0, seed=3, sample_rate=44_100)], 1)
    settings = TimelineSettings(detector="none", window_s=1.0)
    expected = [*recognizer.timeline(record("a.wav", samples, 44_100), settings=settings).rows]
    assert_same_rows(chunked(recognizer, samples, [4410, 777], settings, sample_rate=44_100), expected)


def test_windows_are_those_of_predict_windows(recognizer: Recognizer) -> None:
    samples = noise(7.3)
    settings = TimelineSettings(detector="none", window_s=2.0, hop_s=0.7, smoothing_s=0.0)
    expected = list(recognizer.predict_windows(samples, RATE, window_s=2.0, hop_s=0.7))
    assert_same_rows([*recognizer.timeline(samples, RATE, settings=settings).rows], expected)


def test_a_window_is_told_within_a_frame_of_its_end(recognizer: Recognizer) -> None:
    stream = recognizer.stream(TimelineSettings(detector="energy", window_s=1.0, hop_s=0.25))
    samples = noise(4.0)
    for place in range(0, len(samples), 160):
        for row in stream.add(samples[place : place + 160]):
            assert stream.position_s - row.end_s <= 0.03 + 0.01 + 1e-9  # a frame and a chunk


def test_a_window_that_is_not_speech_enough_has_no_row(recognizer: Recognizer) -> None:
    settings = TimelineSettings(detector="energy", window_s=1.0, least_speech=0.6)
    starts = [row.start_s for row in recognizer.timeline(speech_and_pauses(), RATE, settings=settings).rows]
    assert [start for start in starts if start < 10] == [1.0, 2.0, 4.0, 6.0, 7.0, 8.0, 9.0]


def test_smoothing_is_the_running_mean_of_its_definition(recognizer: Recognizer) -> None:
    samples = noise(6.0)
    plain = recognizer.timeline(
        samples, RATE, settings=TimelineSettings(detector="none", window_s=1.0, hop_s=0.5, smoothing_s=0.0)
    )
    smooth = recognizer.timeline(
        samples, RATE, settings=TimelineSettings(detector="none", window_s=1.0, hop_s=0.5, smoothing_s=1.5)
    )
    mean = np.array(list(plain.rows[0].scores.values()))
    for before, row, found in zip(plain.rows, plain.rows[1:], smooth.rows[1:], strict=False):
        passed = (row.start_s + row.end_s - before.start_s - before.end_s) / 2
        share = np.exp(-passed / 1.5)
        mean = share * mean + (1 - share) * np.array(list(row.scores.values()))
        assert list(found.scores.values()) == pytest.approx(mean, abs=1e-9)
        assert found.label == list(found.scores)[int(mean.argmax())]


TURNS = (
    SpeakerTurn(0.5, 2.5, "A"),
    SpeakerTurn(2.0, 3.0, "B"),  # talks into A's turn
    SpeakerTurn(3.0, 21.0, "A"),  # longer than the longest piece
    SpeakerTurn(21.5, 21.55, "B"),  # too short to hear
)


@pytest.mark.parametrize("sizes", [[1600], [7_777, 31]], ids=str)
def test_each_speaker_has_an_own_line(sizes: list[int], recognizer: Recognizer) -> None:
    samples = noise(25.0)
    timeline = recognizer.timeline(samples, RATE, speakers=TURNS)
    spans = [(row.speaker, row.start_s, row.end_s) for row in timeline.rows]
    assert spans == [("A", 0.5, 2.5), ("B", 2.0, 3.0), ("A", 3.0, 12.0), ("A", 12.0, 21.0)]
    assert timeline.speakers == ("A", "B")
    alone = recognizer(samples[round(2.0 * RATE) : round(3.0 * RATE)], RATE)
    assert list(timeline.of("B")[0].scores.values()) == pytest.approx(list(alone.scores.values()), abs=1e-6)
    assert_same_rows(chunked(recognizer, samples, sizes, TimelineSettings(), speakers=TURNS), [*timeline.rows])
    everyone, *each = timeline.summaries
    assert (everyone.speaker, [summary.speaker for summary in each]) == (None, ["A", "B"])
    assert [summary.covered_s for summary in each] == pytest.approx([20.0, 1.0])
    assert sum(each[0].scores.values()) == pytest.approx(1.0)


def test_speakers_may_have_windows(recognizer: Recognizer) -> None:
    settings = TimelineSettings(window_s=2.0, hop_s=1.0)
    turns = (SpeakerTurn(1.0, 4.5, "A"), SpeakerTurn(5.0, 5.8, "B"))
    rows = recognizer.timeline(noise(7.0), RATE, settings=settings, speakers=turns).rows
    assert [(row.speaker, row.start_s, row.end_s) for row in rows] == [
        ("A", 1.0, 3.0),
        ("A", 2.0, 4.0),
        ("A", 3.0, 4.5),
        ("B", 5.0, 5.8),
    ]


@pytest.mark.parametrize("settings", [TimelineSettings(window_s=2.0, hop_s=0.1), TimelineSettings()])
def test_turn_far_beyond_the_end_costs_no_more_than_the_recording(settings: TimelineSettings) -> None:
    divider = make_divider(settings, (SpeakerTurn(0.0, 9e8, "A"), SpeakerTurn(1.0, 3.0, "B")))
    found = [*divider.add(noise(7.0)), *divider.finish()]  # a list of all its windows would not fit in memory
    assert {piece.speaker for piece in found} == {"A", "B"}
    assert max(piece.start + len(piece.samples) for piece in found) == 7 * RATE
    assert len(found) <= 71


def test_speakers_of_another_recording_are_refused(recognizer: Recognizer) -> None:
    with pytest.raises(UsageError, match="behind the end of the recording"):
        recognizer.timeline(noise(2.0), RATE, speakers=(SpeakerTurn(3.0, 4.0, "A"),))


def test_a_recording_without_speech_has_no_rows(recognizer: Recognizer) -> None:
    timeline = recognizer.timeline(np.zeros(2 * RATE, np.float32), RATE, settings=ENERGY)
    assert timeline == Timeline(None, 2.0, recognizer.labels, (), (), timeline.about)
    assert recognizer.stream(ENERGY).finish() == []


def test_the_temperature_is_applied_and_doubt_is_marked(system: LinearSystem) -> None:
    samples = noise(3.0)
    raw = Recognizer(system)(samples, RATE)
    calibration = Calibration(4.0, "validation", 100, uncertain_below=0.6)
    cooled = Recognizer(system, calibration=calibration)
    found = cooled(samples, RATE)
    powers = np.array(list(raw.scores.values())) ** 0.25
    assert list(found.scores.values()) == pytest.approx(powers / powers.sum(), abs=1e-9)
    assert found.uncertain == (found.score < 0.6)
    for least, expected in [(found.score - 1e-6, False), (found.score + 1e-6, True)]:
        settings = TimelineSettings(detector="none", window_s=3.0, uncertain_below=least)
        timeline = cooled.timeline(samples, RATE, settings=settings)
        assert [row.uncertain for row in timeline.rows] == [expected]
        shown = "uncertain" if expected else found.label
        assert timeline.summaries[0].seconds == {shown: pytest.approx(3.0)}


@pytest.mark.parametrize(
    ("values", "said"),
    [({"hop_s": 1.0}, "hop_s needs window_s"), ({"margin_s": 0.3}, "margin_s must be at most half of pause_s")],
)
def test_settings_are_checked(values: dict[str, float], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        make_settings(TimelineSettings, values)


def test_memory_of_a_stream_does_not_grow(recognizer: Recognizer) -> None:
    import pickle

    def held(settings: TimelineSettings, seconds: int) -> int:
        stream = recognizer.stream(settings)
        minute = np.tile(noise(5.0), 4)[: 20 * RATE]
        for _ in range(seconds // 20):
            stream.add(minute)
        return len(pickle.dumps(stream._divider._held))  # type: ignore[attr-defined]

    for settings in (ENERGY, TimelineSettings(detector="none", window_s=2.0, hop_s=1.0)):
        assert held(settings, 240) <= held(settings, 20) + 4 * 20 * RATE


def peak_mb(path: Path, *, window: str) -> float:
    """Peak of resident memory of a fresh process that follows a recording."""
    code = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from serenade.core.labels import LabelSet\n"
        "from serenade.inference.division import TimelineSettings\n"
        "from serenade.inference.recognizer import Recognizer\n"
        "from serenade.systems import make_system\n"
        "small = {'network': {'filter_height': 2, 'filter_width': 2}}\n"
        "system = make_system('one_layer', small, LabelSet(('a', 'b')))\n"
        "settings = TimelineSettings(detector='energy', window_s=float(sys.argv[2]) or None)\n"
        "rows = sum(1 for _ in Recognizer(system).timeline_rows(sys.argv[1], settings=settings))\n"
        "assert rows > 10, rows\n"
        # not getrusage: its figure begins with that of the process that started this one
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, path, window], capture_output=True, text=True, check=True)
    return float(done.stdout) / 1024


def talk(path: Path, minutes: int) -> Path:
    """Bursts of noise with pauses, as long as wanted, written piece by piece."""
    piece = np.tile(speech_and_pauses()[: 8 * RATE], 8)[: 60 * RATE]
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for _ in range(minutes):
            file.write(piece)
    return path


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads its peak of memory from /proc")
@pytest.mark.parametrize("window", ["0", "8"], ids=["turns", "windows"])
def test_ten_hours_take_the_memory_of_ten_minutes(window: str, tmp_path: Path) -> None:
    short = peak_mb(talk(tmp_path / "short.flac", 10), window=window)
    long = peak_mb(talk(tmp_path / "long.flac", 600), window=window)
    assert long - short < 30  # the samples themselves are 2,300 MB
