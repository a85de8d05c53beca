"""Where speech is: detectors that say of every frame how surely it is speech, and the turns that follow from it.

All work on a stream at 16 kHz and look no further back than they must, so that a live stream and a file give the same.

========  ===============================================================================================
silero    the recurrent network of Silero VAD 6 (MIT, weights in its package), by ONNX Runtime; extra `vad`
webrtc    the Gaussian mixtures of WebRTC (BSD), the quickest; says yes or no; extra `vad`
energy    level above a noise floor that follows the recording; needs nothing, and takes any noise for speech
none      everything is speech
========  ===============================================================================================
"""

import importlib.util
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import MissingExtraError
from serenade.signal import DETECTORS
from serenade.signal.audio import SAMPLE_RATE

__all__ = [
    "DetectorName",
    "EnergyDetector",
    "EverythingDetector",
    "SPEECH",
    "STILL_SPEECH",
    "SileroDetector",
    "TurnFinder",
    "TurnRules",
    "VoiceDetector",
    "WebRtcDetector",
    "make_detector",
]

DetectorName = Literal["auto", "silero", "webrtc", "energy", "none"]

SPEECH = 0.5
"""A frame as sure as this is speech."""
STILL_SPEECH = 0.35
"""Within a turn this much is enough: Silero's own rule, it keeps weak endings of words."""

_Samples = NDArray[np.float32]


class VoiceDetector(Protocol):
    """What says how surely frames are speech; made anew for every stream, it remembers what it heard.

    `frame` is the number of samples of a frame.
    """

    frame: int

    def probabilities(self, frames: _Samples) -> _Samples:
        """(n,) probabilities of the next (n, frame) samples at 16 kHz."""
        ...


def make_detector(name: DetectorName) -> VoiceDetector:
    """A fresh detector.

    Args:
        name: of the table; "auto" is silero where it is installed, else webrtc, else energy.

    Raises:
        UnknownNameError: there is no such detector.
        MissingExtraError: it is not installed.
    """
    chosen: str = _best_installed() if name == "auto" else name
    detector: VoiceDetector = DETECTORS.resolve(chosen)()
    return detector


def _best_installed() -> str:
    def there(module: str) -> bool:
        return importlib.util.find_spec(module) is not None

    if there("silero_vad") and there("onnxruntime"):
        return "silero"
    return "webrtc" if there("webrtcvad") else "energy"


class EverythingDetector:
    """Everything is speech."""

    frame = 512

    def probabilities(self, frames: _Samples) -> _Samples:
        """(n,) ones."""
        return np.ones(len(frames), np.float32)


class SileroDetector:
    """Silero VAD: a small recurrent network over frames of 32 ms.

    Raises:
        MissingExtraError: Silero or ONNX Runtime is not installed.
    """

    frame = 512
    _CONTEXT = 64  # samples before a frame that the network sees with it
    _MOST = 512  # frames at a time; bounds the memory

    def __init__(self) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("onnxruntime", extra="vad", purpose="detecting speech by Silero") from error
        spec = importlib.util.find_spec("silero_vad")  # not imported: it would bring its own reading of audio along
        if spec is None or spec.origin is None:
            raise MissingExtraError("silero_vad", extra="vad", purpose="detecting speech by Silero")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        weights = Path(spec.origin).parent / "data" / "silero_vad_16k_sequence.onnx"
        self._session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self._state = np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32)
        self._context = np.zeros(self._CONTEXT, np.float32)

    def probabilities(self, frames: _Samples) -> _Samples:
        """(n,) probabilities."""
        parts = [self._run(frames[first : first + self._MOST]) for first in range(0, len(frames), self._MOST)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _run(self, frames: _Samples) -> _Samples:
        before = np.concatenate([self._context[None], frames[:-1, -self._CONTEXT :]])
        self._context = frames[-1, -self._CONTEXT :].copy()
        inputs = {"input": np.concatenate([before, frames], 1), "h": self._state[0], "c": self._state[1]}
        found, *state = self._session.run(["speech_probs", "hn", "cn"], inputs)
        self._state = state[0], state[1]
        return np.asarray(found, np.float32).reshape(-1)


class WebRtcDetector:
    """WebRTC's detector at its second of four degrees of strictness, frames of 30 ms.

    Raises:
        MissingExtraError: webrtcvad is not installed.
    """

    frame = 480
    _STRICTNESS = 2

    def __init__(self) -> None:
        try:
            import webrtcvad
        except ImportError as error:
            raise MissingExtraError("webrtcvad", extra="vad", purpose="detecting speech by WebRTC") from error
        self._detector: Any = webrtcvad.Vad(self._STRICTNESS)

    def probabilities(self, frames: _Samples) -> _Samples:
        """(n,) of 0 and 1."""
        pcm = (frames.clip(-1, 1) * 32767).astype(np.int16)
        return np.array([self._detector.is_speech(frame.tobytes(), SAMPLE_RATE) for frame in pcm], np.float32)


class EnergyDetector:
    """Level above the noise floor: the floor falls with the level at once and rises by 6 dB a second."""

    frame = 480
    _RISE_DB = 6.0 * 480 / SAMPLE_RATE
    _ABOVE_DB = 12.0  # speech stands so far above the floor
    _LEAST_DB = -55.0  # below full scale; under it nothing is speech

    def __init__(self) -> None:
        self._floor_db = -70.0

    def probabilities(self, frames: _Samples) -> _Samples:
        """(n,) of 0 and 1."""
        found = np.zeros(len(frames), np.float32)
        for place, level in enumerate(_levels_db(frames)):
            self._floor_db = min(self._floor_db + self._RISE_DB, float(level))
            found[place] = level > max(self._floor_db + self._ABOVE_DB, self._LEAST_DB)
        return found


def _levels_db(frames: _Samples) -> NDArray[np.float64]:
    """(n,) mean power of frames in dB of full scale, -100 at least."""
    power = np.square(frames, dtype=np.float64).mean(1)
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-10))
    return levels


@dataclass(frozen=True, slots=True)
class TurnRules:
    """How frames of speech become turns.

    Args:
        shortest_s: what is shorter is no speech.
        longest_s: a longer turn is divided at its quietest place in the second half of that time.
        pause_s: a pause as long ends a turn.
        margin_s: put before and behind a turn, at most half a pause.
    """

    shortest_s: float = 0.3
    longest_s: float = 15.0
    pause_s: float = 0.4
    margin_s: float = 0.1


class TurnFinder:
    """Finds the turns of a stream.

    Args:
        detector: a fresh one.
        rules: how its frames become turns.
    """

    def __init__(self, detector: VoiceDetector, rules: TurnRules) -> None:
        self._detector, self._frame = detector, detector.frame
        self._shortest, self._pause = (_frames(s, self._frame) for s in (rules.shortest_s, rules.pause_s))
        self._longest = max(2, _frames(rules.longest_s, self._frame))
        self._margin = round(rules.margin_s * SAMPLE_RATE)
        self._rest = np.zeros(0, np.float32)
        self._given = self._frames_done = 0
        self._first: int | None = None  # of the open turn, as the next two
        self._last = 0
        self._levels: deque[float] = deque()
        self._joined = False  # to the turn before, which was too long
        self._end = 0

    @property
    def settled(self) -> int:
        """Samples before this place belong to no turn that is yet to come."""
        first = self._frames_done if self._first is None else self._first
        return max(self._end, first * self._frame - self._margin)

    def add(self, samples: _Samples) -> Iterator[tuple[int, int]]:
        """Turns, first and behind the last sample, that end with the (n,) next samples."""
        self._given += len(samples)
        held = np.concatenate([self._rest, samples])
        count = len(held) // self._frame
        frames, self._rest = held[: count * self._frame].reshape(count, self._frame), held[count * self._frame :]
        yield from self._turns(frames)

    def finish(self) -> Iterator[tuple[int, int]]:
        """The turns that end with the stream."""
        if len(self._rest):
            last = np.zeros((1, self._frame), np.float32)
            last[0, : len(self._rest)] = self._rest
            yield from self._turns(last)
        if self._first is not None:
            yield from self._close(self._last)

    def _turns(self, frames: _Samples) -> Iterator[tuple[int, int]]:
        if not len(frames):
            return
        sure = self._detector.probabilities(frames)
        for probability, level in zip(sure.tolist(), _levels_db(frames).tolist(), strict=True):
            self._frames_done += 1
            if self._first is None:
                if probability >= SPEECH:
                    self._open(self._frames_done - 1)
                    self._levels.append(level)
                continue
            self._levels.append(level)
            if probability >= STILL_SPEECH:
                self._last = self._frames_done
            if self._frames_done - self._last >= self._pause:
                yield from self._close(self._last)
            elif self._frames_done - self._first >= self._longest:
                yield from self._divide()

    def _open(self, first: int) -> None:
        self._first, self._last, self._joined = first, first + 1, False
        self._levels.clear()

    def _close(self, last: int) -> Iterator[tuple[int, int]]:
        """End the open turn before frame `last`."""
        assert self._first is not None
        first, self._first = self._first, None
        if last - first >= self._shortest:
            start = first * self._frame - (0 if self._joined else self._margin)
            end = min(last * self._frame + self._margin, self._given)
            start, self._end = max(start, self._end), end
            yield start, end

    def _divide(self) -> Iterator[tuple[int, int]]:
        """End the open turn at its quietest place and begin the next one there."""
        assert self._first is not None
        first, last, levels = self._first, self._last, list(self._levels)
        half = len(levels) // 2
        cut = half + int(np.argmin(levels[half:]))
        start = first * self._frame - (0 if self._joined else self._margin)
        self._end, start = (first + cut) * self._frame, max(start, self._end)
        yield start, self._end
        self._first, self._joined, self._last = first + cut, True, max(last, first + cut)
        self._levels = deque(levels[cut:])


def _frames(seconds: float, frame: int) -> int:
    return max(1, math.ceil(seconds * SAMPLE_RATE / frame))
