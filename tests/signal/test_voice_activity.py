"""Detectors and turns: speech is found, pauses are not, and the cut of a stream into blocks does not matter."""

import itertools

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from serenade.core.errors import MissingExtraError, UnknownNameError
from serenade.corpora.synthetic import long_recording
from serenade.signal import DETECTORS
from serenade.signal.voice_activity import (
    SPEECH,
    STILL_SPEECH,
    EnergyDetector,
    TurnFinder,
    TurnRules,
    make_detector,
)

RATE = 16_000


class Told:
    """A detector whose frames of 100 samples say themselves how surely they are speech."""

    frame = 100

    def probabilities(self, frames: np.ndarray) -> np.ndarray:
        return frames[:, 0]


def plain_turns(sure: list[float], rules: TurnRules) -> list[tuple[int, int]]:
    """The definition without streams and without dividing: runs of speech joined over short pauses, with margins."""
    pause, shortest = (int(np.ceil(s * RATE / 100)) for s in (rules.pause_s, rules.shortest_s))
    margin, turns = round(rules.margin_s * RATE), []
    place = 0
    while place < len(sure):
        if sure[place] < SPEECH:
            place += 1
            continue
        first = last = place
        while place < len(sure) and place - last < pause + (0 if sure[place] < STILL_SPEECH else 1):
            if sure[place] >= STILL_SPEECH:
                last = place
            elif place - last >= pause:
                break
            place += 1
        if last + 1 - first >= shortest:
            before = turns[-1][1] if turns else 0
            turns.append((max(before, first * 100 - margin), min(len(sure) * 100, (last + 1) * 100 + margin)))
    return turns


RULES = TurnRules(shortest_s=0.02, longest_s=60.0, pause_s=0.03, margin_s=0.01)


@settings(max_examples=200)
@given(
    sure=st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 1.0]), max_size=60),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=5),
)
def test_turns_are_those_of_the_definition_whatever_the_blocks(sure: list[float], sizes: list[int]) -> None:
    signal = np.repeat(np.array(sure, np.float32), 100)
    finder, found, place, turn = TurnFinder(Told(), RULES), [], 0, 0
    while place < len(signal):
        block = signal[place : place + sizes[turn % len(sizes)]]
        new = list(finder.add(block))
        assert all(start >= 0 for start, _ in new)
        found += new
        place, turn = place + len(block), turn + 1
        assert finder.settled <= place
    found += finder.finish()
    assert found == plain_turns(sure, RULES)


def test_a_long_turn_is_divided_where_it_is_quietest() -> None:
    signal = np.ones(RATE * 3, np.float32)
    signal[22_000:22_100] = 0.6  # at 1.375 s, in the second half of the longest turn
    found = TurnFinder(Told(), TurnRules(longest_s=2.0))
    turns = [*found.add(signal), *found.finish()]
    assert turns[0] == (0, 22_000)
    assert turns[1][0] == 22_000
    assert turns[-1][1] == len(signal)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(turns))


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Synthetic voices with pauses, and where their turns lie."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    turns = long_recording(path, 12.0)
    samples, _ = soundfile.read(path, dtype="float32")
    return samples, [(turn.start_s, float(turn.end_s or 0)) for turn in turns]


@pytest.mark.parametrize("name", ["silero", "webrtc", "energy"])
def test_a_detector_hears_voices_and_their_pauses(
    name: str, talk: tuple[np.ndarray, list[tuple[float, float]]]
) -> None:
    try:
        detector = make_detector(name)  # type: ignore[arg-type]
    except MissingExtraError as error:
        pytest.skip(str(error))
    samples, turns = talk
    frames = samples[: len(samples) // detector.frame * detector.frame].reshape(-1, detector.frame)
    sure = detector.probabilities(frames) >= SPEECH
    middle = (np.arange(len(frames)) + 0.5) * detector.frame / RATE
    spoken = np.any([(middle > start) & (middle < end) for start, end in turns], axis=0)
    assert sure[spoken].mean() > 0.7
    assert sure[~spoken].mean() < 0.1
    found = [(start / RATE, end / RATE) for start, end in TurnFinder(make_detector(name), TurnRules()).add(samples)]  # type: ignore[arg-type]
    for start, end in found:
        assert min(abs(start - true) for true, _ in turns) < 0.2
        assert min(abs(end - true) for _, true in turns) < 0.2


@pytest.mark.parametrize("name", list(DETECTORS))
def test_frames_one_by_one_are_judged_as_all_at_once(
    name: str, talk: tuple[np.ndarray, list[tuple[float, float]]]
) -> None:
    try:
        whole, parts = make_detector(name), make_detector(name)  # type: ignore[arg-type]
    except MissingExtraError as error:
        pytest.skip(str(error))
    frames = talk[0][: 40 * whole.frame].reshape(40, whole.frame)
    one_by_one = np.concatenate([parts.probabilities(frames[place : place + 1]) for place in range(40)])
    np.testing.assert_allclose(whole.probabilities(frames), one_by_one, atol=1e-5)


def test_energy_follows_a_rising_noise_floor() -> None:
    noise = 0.03 * np.random.default_rng(0).standard_normal((20 * 33, 480)).astype(np.float32)
    assert EnergyDetector().probabilities(noise)[-100:].mean() == 0


def test_unknown_detector() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'silero'"):
        make_detector("silerro")  # type: ignore[arg-type]
