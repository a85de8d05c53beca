"""What the service does with sound: models that many requests share, and answers as plain values, line by line."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import PurePath
from threading import Event
from typing import IO, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from serenade.core.errors import UnknownNameError, UsageError
from serenade.core.names import nearest
from serenade.core.records import Prediction
from serenade.core.timelines import SpeakerTurn, Summariser, Timeline
from serenade.inference.annotations.rttm import parse_rttm
from serenade.inference.division import TimelineSettings
from serenade.inference.formats import to_row
from serenade.inference.recognizer import Recognizer
from serenade.inference.shipped import card_summary
from serenade.inference.timeline import TimelineStream
from serenade.service.batching import MicroBatcher
from serenade.service.metrics import Metrics
from serenade.service.problems import Problem
from serenade.service.sandbox import Sandbox
from serenade.service.settings import ServiceSettings
from serenade.signal.audio import SAMPLE_RATE

__all__ = [
    "LEVEL_S",
    "Division",
    "Listener",
    "Model",
    "Models",
    "Watch",
    "Wishes",
    "row_of",
    "speakers_of",
    "summaries_of",
]

Division = Literal["whole", "turns", "windows"]
"""One row for everything, for every turn of speech, or for every window."""

LEVEL_S = 0.05
"""From one level of the waveform to the next."""

_Samples = NDArray[np.float32]
_WINDOW_S = 2.0
_MOST_AT_ONCE = 16  # people
_MOST_ROWS = 200_000  # of an answer that is held in memory as a whole

Watch = Callable[[Iterator[_Samples]], Iterator[_Samples]]
"""Hands on blocks of sound, (n,) at 16 kHz, and looks at them."""


class Wishes(TimelineSettings):
    """How a client wants a recording or stream to be divided; what the command line takes, and the same defaults."""

    model: str | None = Field(None, description="name of a model; unset: the first one of /v1/models")
    division: Division = Field(
        "whole", description="whole: one row; turns: one for every turn; windows: for every window"
    )
    levels: bool = Field(False, description=f"tell the loudness too, every {LEVEL_S} s, from 0 to 255")

    @property
    def timeline(self) -> TimelineSettings:
        """How the timeline is made."""
        values = self.model_dump(include=set(TimelineSettings.model_fields))
        if self.division == "windows":
            values["window_s"] = _WINDOW_S if self.window_s is None else self.window_s
        elif self.window_s is not None:
            raise UsageError("window_s goes with division=windows", found=f"division={self.division}")
        return TimelineSettings.model_validate(values)


def speakers_of(data: bytes, name: str | None) -> tuple[SpeakerTurn, ...]:
    """Who talks when, as a client told it.

    Args:
        data: RTTM; nothing where nobody was told of.
        name: what the recording is called.

    Raises:
        UsageError: it cannot be read, or more people talk at once than will be followed.
    """
    if not data:
        return ()
    turns = parse_rttm(data, PurePath(name or "recording").stem, "the field speakers")
    edges = sorted([(turn.start_s, 1) for turn in turns] + [(turn.end_s, -1) for turn in turns])
    most = max(accumulate(step for _, step in edges))  # each is scored by itself: this is how much more work it is
    if most > _MOST_AT_ONCE:
        raise UsageError(
            "too many people talk at once", where="the field speakers", found=str(most), expected=f"{_MOST_AT_ONCE}"
        )
    return turns


def row_of(prediction: Prediction) -> dict[str, Any]:
    """A row as clients see it: the words of the files, without the file."""
    return {name: value for name, value in to_row(prediction).items() if name != "file"}


def summaries_of(summariser: Summariser | TimelineStream) -> list[dict[str, Any]]:
    """What the rows make of everyone and of each speaker."""
    found = summariser.summaries() if isinstance(summariser, Summariser) else summariser.summaries
    return [summary.to_json() for summary in found]


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is served.

    Args:
        name: what clients call it.
        recognizer: scores through the batcher.
        source: what was loaded, for those who need it in another way.
    """

    name: str
    recognizer: Recognizer
    source: str

    def to_json(self) -> dict[str, Any]:
        """What clients are told of it."""
        calibration = self.recognizer.calibration
        return {
            "name": self.name,
            "summary": card_summary(self.recognizer.card),
            "labels": list(self.recognizer.labels),
            "attributes": self.recognizer.tells_attributes,
            "calibrated": calibration is not None,
            "uncertain_below": self.recognizer.uncertain_below,
        }


class Models:
    """The models that are served, each behind a batcher.

    Args:
        settings: names of the models, and how they are batched.
        metrics: told of every batch.

    Raises:
        CheckpointError: a model cannot be loaded.
        UsageError: two have one name.
    """

    def __init__(self, settings: ServiceSettings, metrics: Metrics) -> None:
        self._batchers: list[MicroBatcher] = []
        self._models: dict[str, Model] = {}
        for source in settings.models:
            recognizer = Recognizer.load(source, device=settings.device)
            name = recognizer.name
            if name in self._models:
                raise UsageError("two models have one name", found=name, hint="Rename the folder of one of them")
            self._models[name] = Model(name, recognizer.with_engine(self._batching(settings, metrics)), source)

    def _batching(self, settings: ServiceSettings, metrics: Metrics) -> Callable[[Any], MicroBatcher]:
        def wrap(engine: Any) -> MicroBatcher:
            wait_s = settings.batch_wait_ms / 1000
            self._batchers.append(
                MicroBatcher(
                    engine, batch=settings.batch, wait_s=wait_s, threads=settings.threads, observe=metrics.batch
                )
            )
            return self._batchers[-1]

        return wrap

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    @property
    def waiting(self) -> int:
        """Segments that wait for a batch."""
        return sum(batcher.depth for batcher in self._batchers)

    def find(self, name: str | None) -> Model:
        """A model by its name; the first one of none.

        Raises:
            UnknownNameError: it is not served.
        """
        if name is None:
            return next(iter(self))
        if name not in self._models:
            close = nearest(name, self._models)
            raise UnknownNameError(
                f"there is no model {name[:100]!r} here",
                expected=f"one of {', '.join(self._models)}",
                hint=f"Did you mean {close!r}?" if close else None,
            )
        return self._models[name]

    def warm_up(self) -> None:
        """Score a second of noise by each, so that the first request need not wait for what is set up then."""
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, SAMPLE_RATE).astype(np.float32)
        for model in self:
            model.recognizer(noise, SAMPLE_RATE)

    def close(self) -> None:
        """Score what waits, then stop."""
        for batcher in self._batchers:
            batcher.close()


class Listener:
    """Answers for recordings.

    Args:
        sandbox: decodes them.
        settings: time an answer may take.
        metrics: told how much was heard.
    """

    def __init__(self, sandbox: Sandbox, settings: ServiceSettings, metrics: Metrics) -> None:
        self._sandbox, self._settings, self._metrics = sandbox, settings, metrics
        self._stopped = Event()

    def stop(self) -> None:
        """End what is under way with a problem."""
        self._stopped.set()

    def lines(
        self, file: IO[bytes], model: Model, wishes: Wishes, speakers: Sequence[SpeakerTurn] = ()
    ) -> Generator[dict[str, Any]]:
        """An answer, line by line: a `start`, `row`s with `levels` among them if they are wished, an `end`.

        Args:
            file: the recording.
            model: that hears it.
            wishes: how it is divided.
            speakers: who talks when; each has rows of their own.

        Raises:
            AudioError: the recording cannot be decoded, or holds nothing to hear.
            Problem: it is too long, or takes too long.
            UsageError: the wishes contradict each other.
        """
        timeline = wishes.timeline
        about = model.recognizer.about(timeline) | {"division": wishes.division}
        yield {"kind": "start", "model": model.name, "labels": list(model.recognizer.labels), "about": about}
        sound = _Sound(self.decoded(file), levels=wishes.levels)
        summariser = Summariser()
        for row in self._rows(sound.blocks(), model, wishes.division, timeline, speakers):
            summariser.add([row])
            yield from sound.told()
            yield {"kind": "row", **row_of(row)}
        yield from sound.told(last=True)
        self._metrics.heard(sound.duration_s)
        yield {"kind": "end", "duration_s": round(sound.duration_s, 3), "summaries": summaries_of(summariser)}

    def timeline(
        self,
        file: IO[bytes],
        model: Model,
        wishes: Wishes,
        name: str | None,
        speakers: Sequence[SpeakerTurn] = (),
        watch: Watch | None = None,
    ) -> Timeline:
        """A recording over time as a whole.

        Args:
            file: the recording.
            model: that hears it.
            wishes: how it is divided.
            name: what the recording is called in the rows.
            speakers: who talks when.
            watch: sees the sound go by.

        Raises:
            AudioError: as `lines`, like the others.
            Problem: it is too long, or takes too long.
            UsageError: the wishes contradict each other, or there are too many rows.
        """
        settings = wishes.timeline
        with closing(self.decoded(file)) as decoded:
            sound = _Sound(decoded if watch is None else watch(decoded), levels=False)
            found = self._rows(sound.blocks(), model, wishes.division, settings, speakers)
            rows = tuple(replace(row, file=name) for row in _bounded(found))
        self._metrics.heard(sound.duration_s)
        summariser = Summariser()
        summariser.add(rows)
        about = model.recognizer.about(settings) | {"division": wishes.division}
        return Timeline(name, sound.duration_s, model.recognizer.labels, rows, summariser.summaries(), about)

    def whole(
        self, file: IO[bytes], model: Model, wishes: Wishes, speakers: Sequence[SpeakerTurn] = ()
    ) -> dict[str, Any]:
        """The same as one object, with `rows` and, if they are wished, `levels`.

        Raises:
            AudioError: as `lines`, like the others.
            UsageError: there are too many rows.
        """
        answer: dict[str, Any] = {"rows": []} | ({"levels": []} if wishes.levels else {})
        with closing(self.lines(file, model, wishes, speakers)) as lines:
            for line in lines:
                kind = line.pop("kind")
                if kind == "row":
                    _require_room(len(answer["rows"]))
                    answer["rows"].append(line)
                elif kind == "levels":
                    answer["levels"] += line["values"]
                else:
                    answer |= line
        return answer

    def samples(self, file: IO[bytes], start_s: float, end_s: float) -> _Samples:
        """(T,) samples of a stretch at 16 kHz, which may end before `end_s` where the recording does."""
        first, last = round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE)
        parts, place = [], 0
        blocks = self.decoded(file)
        for block in blocks:
            parts.append(block[max(0, first - place) : max(0, last - place)])
            place += len(block)
            if place >= last:
                break
        blocks.close()  # its decoder ends here
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def decoded(self, file: IO[bytes]) -> Generator[_Samples]:
        """The sound of a recording, (n,) at 16 kHz; close it, or draw it to its end.

        Raises:
            AudioError: it cannot be decoded.
            Problem: it is too long, takes too long, or the service is stopping.
        """
        end_s = time.monotonic() + self._settings.request_s
        for block in self._sandbox.decode(file.fileno()):
            self._require_time(end_s)
            yield block

    def _require_time(self, end_s: float) -> None:
        if time.monotonic() > end_s:
            raise Problem("took-too-long", f"An answer may take {self._settings.request_s:g} s.")
        if self._stopped.is_set():
            raise Problem("draining", "The service is stopping.", retry_after_s=5)

    def _rows(
        self,
        blocks: Iterator[Tensor],
        model: Model,
        division: Division,
        timeline: TimelineSettings,
        speakers: Sequence[SpeakerTurn],
    ) -> Iterator[Prediction]:
        if division == "whole":
            if speakers:
                raise UsageError("who talks when goes with division=turns or division=windows", found="division=whole")
            yield model.recognizer(blocks)
            return
        end_s = time.monotonic() + self._settings.request_s
        for row in model.recognizer.timeline_rows(
            blocks, settings=timeline, speakers=speakers, threads=self._settings.threads
        ):
            self._require_time(end_s)
            yield row


def _bounded(rows: Iterator[Prediction]) -> Iterator[Prediction]:
    for number, row in enumerate(rows):
        _require_room(number)
        yield row


def _require_room(rows: int) -> None:
    """Pass unless so many rows are as many as are held.

    Raises:
        UsageError: they are.
    """
    if rows >= _MOST_ROWS:
        raise UsageError(
            "an answer in one piece has too many rows",
            expected=f"{_MOST_ROWS} at most",
            hint="Make hop_s longer, or ask line by line: Accept: application/x-ndjson",
        )


class _Sound:
    """Watches sound go by: how long it is, and how loud."""

    def __init__(self, blocks: Iterator[_Samples], *, levels: bool) -> None:
        self._source, self._levels = blocks, levels
        self._samples = 0
        self._rest = np.zeros(0, np.float32)
        self._waiting: deque[Sequence[int]] = deque()

    @property
    def duration_s(self) -> float:
        return self._samples / SAMPLE_RATE

    def blocks(self) -> Iterator[Tensor]:
        for block in self._source:
            self._samples += len(block)
            if self._levels:
                self._measure(np.concatenate([self._rest, block]))
            yield torch.from_numpy(block)

    def told(self, *, last: bool = False) -> Iterator[dict[str, Any]]:
        """The levels since the last time."""
        if last and len(self._rest):
            self._waiting.append(_levels(self._rest[None]))
        if self._waiting:
            yield {"kind": "levels", "step_s": LEVEL_S, "values": [v for values in self._waiting for v in values]}
            self._waiting.clear()

    def _measure(self, samples: _Samples) -> None:
        step = round(LEVEL_S * SAMPLE_RATE)
        whole = len(samples) // step * step
        self._rest = samples[whole:]
        if whole:
            self._waiting.append(_levels(samples[:whole].reshape(-1, step)))


def _levels(frames: _Samples) -> list[int]:
    """Peaks of (n, samples) frames, 255 for full scale."""
    peaks: list[int] = np.minimum(np.abs(frames).max(axis=1) * 255, 255).round().astype(int).tolist()
    return peaks
