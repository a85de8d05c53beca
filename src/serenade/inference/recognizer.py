"""`Recognizer`: a trained model that is given speech and says how probable each emotion is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from serenade.core.devices import choose_device
from serenade.core.errors import AudioError, SerenadeError, UsageError
from serenade.core.records import Prediction
from serenade.core.timelines import SpeakerTurn, Summariser, Timeline
from serenade.inference.answers import Answers
from serenade.inference.division import TimelineSettings
from serenade.inference.engines import Engine, LabelledEngine, TorchUtterances, torch_engine
from serenade.inference.onnx_session import export_beside, open_export
from serenade.inference.pieces import Chunk, Windows, read_pieces, read_whole
from serenade.inference.prefetch import prefetch
from serenade.inference.scoring import score_pieces
from serenade.inference.shipped import find_model, read_card
from serenade.inference.timeline import Smoother, TimelineStream, rows_of_blocks
from serenade.inference.transcripts import Spoken, Words, plain_words
from serenade.signal.audio import SAMPLE_RATE, from_array, stream_audio
from serenade.systems import load_system
from serenade.training.description import Calibration, read_calibration
from serenade.training.system import System

__all__ = ["Recognizer", "Source"]

Source = str | Path | bytes | np.ndarray[Any, Any] | Tensor | Iterator[Tensor]

_Checked = str | Path | bytes | Tensor | Iterator[Tensor]

_READERS = 2  # threads that decode while the network works


class Recognizer:
    """Says how probable each emotion is in a recording; made by `Recognizer.load` or `serenade.load`.

    Args:
        system: a trained system, or the engine of an exported one. One that scores segments takes recordings of any
            length; one that needs the whole utterance holds it in memory.
        classes: the only classes to choose from, their probabilities made to sum to 1; None for all of them.
        card: the model card (Markdown).
        calibration: what makes its probabilities mean what they say; None takes them as they are.
        name: what to call the model in results.

    Raises:
        UsageError: the model does not know one of the classes.
    """

    def __init__(
        self,
        system: System | LabelledEngine,
        *,
        classes: Sequence[str] | None = None,
        card: str = "",
        calibration: Calibration | None = None,
        name: str = "",
    ) -> None:
        self.card, self.name = card, name
        self._engine = system if isinstance(system, LabelledEngine) else torch_engine(system)
        self._live: Callable[[], Engine | None] = _none
        self._answers = Answers.among(system.labels, classes, calibration)

    @classmethod
    def load(cls, model: str | Path, *, device: str = "auto", classes: Sequence[str] | None = None) -> Self:
        """A recogniser from a model folder, the name of a shipped model, or an exported model.

        A folder that holds ``model.onnx`` (`serenade export` puts it there) scores live streams on a CPU by ONNX
        Runtime, which is quicker for one segment at a time; full batches go through torch.

        Args:
            model: path of a model folder, a shipped name, or an ONNX file that Serenade exported.
            device: "auto", "cpu", "cuda" or "cuda:N".
            classes: the only classes to choose from; None for all of the model's.

        Raises:
            CheckpointError: there is no such model, or it is damaged or of another version.
            MissingExtraError: an ONNX file needs ONNX Runtime.
            UsageError: there is no such device, or the model does not know one of the classes.
        """
        if Path(model).suffix == ".onnx":
            from serenade.inference.onnx_engine import OnnxEngine

            engine = OnnxEngine(open_export(Path(model)))
            return cls(engine, classes=classes, calibration=engine.calibration, name=Path(model).name)
        folder = find_model(model)
        system = load_system(folder, choose_device(device))
        calibration, name = read_calibration(folder), Path(model).name
        made = cls(system, classes=classes, card=read_card(folder), calibration=calibration, name=name)
        made._live = lru_cache(partial(_exported_beside, folder, choose_device(device)))  # opened by the first stream
        return made

    def with_engine(self, wrap: Callable[[Engine], Engine]) -> Self:
        """The same recogniser, scoring by another engine, such as one that gathers segments of many callers.

        Args:
            wrap: makes it of the present one.

        Raises:
            UsageError: the model reads words.
        """
        self._require_sound_alone()
        other = copy(self)
        other._engine, other._live = wrap(self._engine), _none
        return other

    @property
    def uncertain_below(self) -> float:
        """A class less probable than this is marked as uncertain: it is as likely wrong as right."""
        return self._answers.uncertain_below

    @property
    def calibration(self) -> Calibration | None:
        """What makes its probabilities mean what they say; None where it was not fitted."""
        return self._answers.calibration

    @property
    def tells_attributes(self) -> bool:
        """Whether its predictions hold valence, arousal and dominance."""
        return self._engine.attributes

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes it chooses from, in the order of its probabilities."""
        return self._answers.labels

    @property
    def reads_words(self) -> bool:
        """Whether it looks at what is said, beside how: it scores whole recordings then, whose words are told."""
        return self._reader is not None

    @property
    def _reader(self) -> TorchUtterances | None:
        engine = self._engine
        return engine if isinstance(engine, TorchUtterances) and engine.reads_words else None

    def _require_sound_alone(self) -> None:
        """Pass unless the model reads words, which are of a whole recording.

        Raises:
            UsageError: it does.
        """
        if self.reads_words:
            raise UsageError(
                "this model looks at what is said too, and words are of a whole recording",
                found=self.name or "a model with a text branch",
                hint="Predict whole recordings with their words: no windows, timelines, live sound or service",
            )

    def __call__(self, source: Source, sample_rate: int | None = None, *, words: str = "") -> Prediction:
        """The emotion of a recording as a whole.

        Args:
            source: a path, the bytes of a sound file, an array (T,) or (T, channels), or an iterator of stretches (n,)
                at 16 kHz, which are drawn as they are needed.
            sample_rate: samples per second of an array; a file says it itself.
            words: what is said, for a model that `reads_words`; others do not look at them.

        Raises:
            AudioError: it cannot be read, or holds nothing that could be scored.
            MissingExtraError: its format needs PyAV.
            UsageError: an array without its rate, or a file with one; or the words are missing.
        """
        if self._reader is not None:
            name = str(source) if isinstance(source, str | Path) else None
            return self._with_words(self._reader, name, _checked(source, sample_rate), words)
        return next(self._one(source, sample_rate, None))

    def predict_windows(
        self, source: Source, sample_rate: int | None = None, *, window_s: float, hop_s: float | None = None
    ) -> Iterator[Prediction]:
        """The emotions of a recording, window by window; each as if the window had been a recording of its own.

        The last window ends where the recording ends. Silent windows give no prediction.

        Args:
            source: as for a call.
            sample_rate: as for a call.
            window_s: length of a window.
            hop_s: from the start of one window to the start of the next; None puts them side by side.

        Raises:
            AudioError: it cannot be read, or holds nothing that could be scored.
            MissingExtraError: its format needs PyAV.
            UsageError: a window or hop that is not positive, an array without its rate.
        """
        self._require_sound_alone()
        return self._one(source, sample_rate, Windows(window_s, hop_s))

    def predict_files(
        self,
        paths: Iterable[str | Path],
        *,
        window_s: float | None = None,
        hop_s: float | None = None,
        threads: int = 1,
        words: Callable[[Path], str | Sequence[Spoken]] | None = None,
    ) -> Iterator[Prediction | SerenadeError]:
        """The emotions of many files, in their order; a file that fails gives its error instead, and the rest go on.

        Files are read ahead in threads and their segments scored together. The paths are taken one at a time, so
        there may be any number. Results are those of single calls, to the last bit.

        Args:
            paths: sound files.
            window_s: length of a window; None for one prediction per file.
            hop_s: from the start of one window to the start of the next; None puts them side by side.
            threads: batches of segments that are scored at the same time. On a CPU as many as there are cores is
                quickest, with ``torch.set_num_threads(1)`` so that each takes one.
            words: tells what is said in a file, for a model that `reads_words`; None looks for a text or subtitles
                beside it.

        Raises:
            UsageError: a window or hop that is not positive, a hop without a window; or windows of a model that reads
                words, which are of a whole recording.
        """
        if window_s is None and hop_s is not None:
            raise UsageError("a hop needs a window", hint="Give the length of the window too")
        windows = None if window_s is None else Windows(window_s, hop_s)
        if self._reader is not None:
            if windows is not None:
                self._require_sound_alone()
            return self._predict_read(self._reader, paths, Words().of if words is None else words)
        return self._predict_files(paths, windows, threads)

    def _predict_files(
        self, paths: Iterable[str | Path], windows: Windows | None, threads: int
    ) -> Iterator[Prediction | SerenadeError]:
        recordings = prefetch(paths, partial(self._read, windows=windows), threads=_READERS)
        scored = score_pieces(recordings, self._engine.logits, batch=self._engine.batch, threads=threads)
        for path, result in scored:
            if isinstance(result, SerenadeError):
                yield _placed(result, str(path))
            else:
                yield self._prediction(str(path), *result)

    def _predict_read(
        self, reader: TorchUtterances, paths: Iterable[str | Path], words: Callable[[Path], str | Sequence[Spoken]]
    ) -> Iterator[Prediction | SerenadeError]:
        for path in paths:
            try:
                yield self._with_words(reader, str(path), path, plain_words(words(Path(path))))
            except SerenadeError as error:
                yield _placed(error, str(path))

    def _with_words(self, reader: TorchUtterances, name: str | None, source: _Checked, words: str) -> Prediction:
        waveform = read_whole(_blocks(source))
        return self._prediction(name, 0.0, len(waveform) / SAMPLE_RATE, reader.logits_with_words(waveform, words)[0])

    def _one(self, source: Source, sample_rate: int | None, windows: Windows | None) -> Iterator[Prediction]:
        name = str(source) if isinstance(source, str | Path) else None
        chunks = self._read(_checked(source, sample_rate), windows)
        for _, result in score_pieces([(name, chunks)], self._engine.logits, batch=self._engine.batch):
            if isinstance(result, SerenadeError):
                raise _placed(result, name)
            yield self._prediction(name, *result)

    def _read(self, source: _Checked, windows: Windows | None) -> Iterator[Chunk]:
        return read_pieces(_blocks(source), self._engine.segments, windows, group=self._engine.batch)

    def stream(
        self,
        settings: TimelineSettings | None = None,
        *,
        sample_rate: int = SAMPLE_RATE,
        speakers: Sequence[SpeakerTurn] = (),
        file: str | None = None,
    ) -> TimelineStream:
        """Follow a recording while it arrives: add samples, get rows; many streams may share one recogniser.

        The rows are those of `timeline` for the same samples, whatever the chunks.

        Args:
            settings: turns or windows, what finds speech, smoothing; None for the defaults.
            sample_rate: of the samples that will be added, in Hz.
            speakers: who talks when, where that is known before.
            file: what to call the recording in its rows.

        Raises:
            MissingExtraError: the detector is not installed.
            UsageError: the model reads words.
        """
        self._require_sound_alone()
        chosen = TimelineSettings() if settings is None else settings
        return TimelineStream(
            self._live() or self._engine,
            partial(self._row, file),
            chosen,
            self._smoother(chosen),
            sample_rate=sample_rate,
            speakers=speakers,
        )

    def timeline_rows(
        self,
        source: Source,
        sample_rate: int | None = None,
        *,
        settings: TimelineSettings | None = None,
        speakers: Sequence[SpeakerTurn] = (),
        threads: int = 1,
        heard: Callable[[float], None] | None = None,
    ) -> Iterator[Prediction]:
        """The emotions of a recording of any length over time, row by row, at constant memory.

        Args:
            source: as for a call.
            sample_rate: as for a call.
            settings: turns or windows, what finds speech, smoothing; None for the defaults.
            speakers: who talks when; each has rows of their own.
            threads: batches of segments that are scored at the same time.
            heard: told now and then how many more seconds were read.

        Raises:
            AudioError: it cannot be read.
            MissingExtraError: its format or the detector needs a package.
            UsageError: an array without its rate, or speakers of another recording; or the model reads words.
        """
        self._require_sound_alone()
        chosen = TimelineSettings() if settings is None else settings
        file = str(source) if isinstance(source, str | Path) else None
        return rows_of_blocks(
            _blocks(_checked(source, sample_rate)),
            self._engine,
            partial(self._row, file),
            chosen,
            self._smoother(chosen),
            speakers=speakers,
            threads=threads,
            heard=None if heard is None else lambda samples: heard(samples / SAMPLE_RATE),
        )

    def timeline(
        self,
        source: Source,
        sample_rate: int | None = None,
        *,
        settings: TimelineSettings | None = None,
        speakers: Sequence[SpeakerTurn] = (),
        threads: int = 1,
        heard: Callable[[float], None] | None = None,
    ) -> Timeline:
        """The emotions of a recording of any length over time, as a whole, with a summary per speaker.

        A recording without speech has no rows; that is no error.

        Args:
            source: as for `timeline_rows`, like all others.
            sample_rate: of an array.
            settings: None for the defaults.
            speakers: who talks when.
            threads: batches at the same time.
            heard: told how many more seconds were read.

        Raises:
            AudioError: it cannot be read.
            MissingExtraError: its format or the detector needs a package.
            UsageError: an array without its rate, or speakers of another recording.
        """
        chosen = TimelineSettings() if settings is None else settings
        lengths_s: list[float] = []

        def count(seconds: float) -> None:
            lengths_s.append(seconds)
            if heard is not None:
                heard(seconds)

        rows = tuple(
            self.timeline_rows(source, sample_rate, settings=chosen, speakers=speakers, threads=threads, heard=count)
        )
        summariser = Summariser()
        summariser.add(rows)
        file = str(source) if isinstance(source, str | Path) else None
        about = self.about(chosen)
        return Timeline(file, sum(lengths_s), self.labels, rows, summariser.summaries(), about)

    def about(self, settings: TimelineSettings) -> dict[str, Any]:
        """How a timeline with these settings is made, for people who find it later."""
        return {
            "model": self.name,
            "temperature": self._answers.temperature,
            "calibrated": self.calibration is not None,
            "uncertain_below": self._threshold(settings),
            "settings": settings.model_dump(mode="json"),
        }

    def _threshold(self, settings: TimelineSettings) -> float:
        return self.uncertain_below if settings.uncertain_below is None else settings.uncertain_below

    def _smoother(self, settings: TimelineSettings) -> Smoother:
        return Smoother(settings.smoothing, self._threshold(settings))

    def _row(self, file: str | None, start_s: float, end_s: float, speaker: str | None, logits: Tensor) -> Prediction:
        return self._prediction(file, start_s, end_s, logits, speaker)

    def _prediction(
        self, file: str | None, start_s: float, end_s: float, logits: Tensor, speaker: str | None = None
    ) -> Prediction:
        return self._answers.prediction(file, start_s, end_s, logits.tolist(), speaker)


def _none() -> None:
    """No engine of live streams: they take the one of recordings."""


def _exported_beside(folder: Path, device: torch.device) -> Engine | None:
    """The engine of the exported model in a folder; None where there is none, or nothing to run it by."""
    export = export_beside(folder) if device.type == "cpu" else None
    if export is None:
        return None
    from serenade.inference.onnx_engine import OnnxEngine

    return OnnxEngine(export)


def _blocks(source: _Checked) -> Iterable[Tensor]:
    """The waveform in stretches."""
    if isinstance(source, Tensor):
        return [source]
    return source if isinstance(source, Iterator) else _disk_errors(stream_audio(source))


def _checked(source: Source, sample_rate: int | None) -> _Checked:
    """A source that can be read: arrays become a waveform at 16 kHz."""
    if isinstance(source, str | Path | bytes | Iterator):
        if sample_rate is not None:
            raise UsageError("a sample rate goes with an array; a sound file says its own", found=sample_rate)
        return source
    if sample_rate is None:
        raise UsageError(
            "an array needs its sample rate", expected="recognizer(array, 44100)", hint="Or give the path of a file"
        )
    waveform: Tensor = from_array(source, sample_rate)
    return waveform


def _disk_errors(blocks: Iterator[Tensor]) -> Iterator[Tensor]:
    """The same blocks; a disk that fails while one is read loses this recording and not the rest."""
    try:
        yield from blocks
    except OSError as error:
        raise AudioError("the recording cannot be read", reason="undecodable", found=error.strerror) from error


def _placed(error: SerenadeError, where: str | None) -> SerenadeError:
    """The error with the file as the user gave it."""
    if where is not None:
        error.where = where
    return error
