"""`Recognizer`: a trained model that is given speech and says how probable each emotion is."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from serenade.core.devices import choose_device
from serenade.core.errors import AudioError, SerenadeError, UsageError
from serenade.core.labels import LabelSet, canonical_emotion
from serenade.core.records import UNKNOWN_SPEAKER, Prediction, Utterance
from serenade.inference.pieces import Chunk, Windows, read_pieces
from serenade.inference.prefetch import prefetch
from serenade.inference.scoring import score_pieces
from serenade.inference.shipped import find_model, read_card
from serenade.signal.audio import from_array, stream_audio
from serenade.signal.segments import SegmentSettings
from serenade.systems import load_system
from serenade.training.system import Example, SegmentSystem, System

__all__ = ["Recognizer", "Source"]

Source = str | Path | bytes | np.ndarray[Any, Any] | Tensor

# Segments per step of the network. On a CPU, 8 to 16 of GLAM are quickest: 4 take 5 % longer, and 32 take 20 % longer,
# in page faults. A single short recording pays for all of them (35 ms), so the smaller.
_BATCH_CPU, _BATCH_GPU = 8, 64
_READERS = 2  # threads that decode while the network works


class Recognizer:
    """Says how probable each emotion is in a recording; made by `Recognizer.load` or `serenade.load`.

    Args:
        system: a trained system. One that scores segments takes recordings of any length; one that needs the whole
            utterance holds it in memory.
        classes: the only classes to choose from, their probabilities made to sum to 1; None for all of them.
        card: the model card (Markdown).

    Raises:
        UsageError: the model does not know one of the classes.
    """

    def __init__(
        self,
        system: System,
        *,
        classes: Sequence[str] | None = None,
        card: str = "",
    ) -> None:
        self.card = card
        self._scorer = _SegmentScorer(system) if isinstance(system, SegmentSystem) else _UtteranceScorer(system)
        self._labels = system.labels
        self._kept = _kept_classes(system.labels, classes)

    @classmethod
    def load(cls, model: str | Path, *, device: str = "auto", classes: Sequence[str] | None = None) -> Self:
        """A recogniser from a model folder or the name of a shipped model.

        Args:
            model: path of a model folder, or a shipped name.
            device: "auto", "cpu", "cuda" or "cuda:N".
            classes: the only classes to choose from; None for all of the model's.

        Raises:
            CheckpointError: there is no such model, or it is damaged or of another version.
            UsageError: there is no such device, or the model does not know one of the classes.
        """
        folder = find_model(model)
        system = load_system(folder, choose_device(device))
        return cls(system, classes=classes, card=read_card(folder))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes it chooses from, in the order of its probabilities."""
        names = self._labels.names
        return names if self._kept is None else tuple(names[index] for index in self._kept)

    def __call__(self, source: Source, sample_rate: int | None = None) -> Prediction:
        """The emotion of a recording as a whole.

        Args:
            source: a path, the bytes of a sound file, or an array: (T,) or (T, channels).
            sample_rate: samples per second of an array; a file says it itself.

        Raises:
            AudioError: it cannot be read, or holds nothing that could be scored.
            MissingExtraError: its format needs PyAV.
            UsageError: an array without its rate, or a file with one.
        """
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
        return self._one(source, sample_rate, Windows(window_s, hop_s))

    def predict_files(
        self,
        paths: Iterable[str | Path],
        *,
        window_s: float | None = None,
        hop_s: float | None = None,
        threads: int = 1,
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

        Raises:
            UsageError: a window or hop that is not positive, a hop without a window.
        """
        if window_s is None and hop_s is not None:
            raise UsageError("a hop needs a window", hint="Give the length of the window too")
        windows = None if window_s is None else Windows(window_s, hop_s)
        return self._predict_files(paths, windows, threads)

    def _predict_files(
        self, paths: Iterable[str | Path], windows: Windows | None, threads: int
    ) -> Iterator[Prediction | SerenadeError]:
        recordings = prefetch(paths, partial(self._read, windows=windows), threads=_READERS)
        scored = score_pieces(recordings, self._scorer.logits, batch=self._scorer.batch, threads=threads)
        for path, result in scored:
            if isinstance(result, SerenadeError):
                yield _placed(result, str(path))
            else:
                yield self._prediction(str(path), *result)

    def _one(self, source: Source, sample_rate: int | None, windows: Windows | None) -> Iterator[Prediction]:
        name = str(source) if isinstance(source, str | Path) else None
        chunks = self._read(_checked(source, sample_rate), windows)
        for _, result in score_pieces([(name, chunks)], self._scorer.logits, batch=self._scorer.batch):
            if isinstance(result, SerenadeError):
                raise _placed(result, name)
            yield self._prediction(name, *result)

    def _read(self, source: str | Path | bytes | Tensor, windows: Windows | None) -> Iterator[Chunk]:
        blocks = [source] if isinstance(source, Tensor) else _disk_errors(stream_audio(source))
        return read_pieces(blocks, self._scorer.segments, windows, group=self._scorer.batch)

    def _prediction(self, file: str | None, start_s: float, end_s: float, logits: Tensor) -> Prediction:
        kept = logits if self._kept is None else logits[list(self._kept)]
        # The softmax over some classes is the softmax over all, restricted and made to sum to 1.
        probabilities = torch.softmax(kept, 0).tolist()
        scores = dict(zip(self.labels, probabilities, strict=True))
        label = max(scores, key=scores.__getitem__)
        return Prediction(file, start_s, end_s, label, scores[label], scores)


class _SegmentScorer:
    """Scores of fixed-length segments, many at a time."""

    def __init__(self, system: SegmentSystem) -> None:
        self._system = system
        self._device = _device_of(system)
        self.batch = _BATCH_CPU if self._device.type == "cpu" else _BATCH_GPU
        self.segments: SegmentSettings | None = system.evaluation_segments
        # Convolutions run a sixth quicker on this layout; the results are those of the other within rounding.
        system.network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs

    def logits(self, waveforms: Tensor) -> Tensor:
        """(N, K) float64 scores of (N, T) segments."""
        with torch.inference_mode():
            return self._system.segment_logits(waveforms.to(self._device)).cpu().double()


class _UtteranceScorer:
    """Scores of whole pieces, one at a time, for systems that do not cut."""

    batch = 1
    segments: SegmentSettings | None = None

    def __init__(self, system: System) -> None:
        self._system = system

    def logits(self, waveforms: Tensor) -> Tensor:
        """(1, K) float64 logarithms of the probabilities of a (1, T) piece."""
        inputs = self._system.extract(waveforms[0], training=False)
        nobody = Utterance("", Path(), "", UNKNOWN_SPEAKER, None)
        with torch.inference_mode():
            outputs = self._system.predict(self._system.collate([Example(nobody, inputs, None)]))
        return outputs.probabilities.cpu().double().log()


def _device_of(system: System) -> torch.device:
    return next((weight.device for weight in system.network.parameters()), torch.device("cpu"))


def _kept_classes(labels: LabelSet, classes: Sequence[str] | None) -> tuple[int, ...] | None:
    """Indices of the classes to choose from, in label order; any known spelling of a class will do."""
    if classes is None:
        return None
    names = [name if name in labels else canonical_emotion(name) or name for name in classes]
    kept = tuple(sorted({labels.index(name) for name in names}))
    if len(kept) < 2:
        raise UsageError("fewer than two classes leave nothing to choose", found=", ".join(classes) or "none")
    return kept


def _checked(source: Source, sample_rate: int | None) -> str | Path | bytes | Tensor:
    """A source that can be read: arrays become a waveform at 16 kHz."""
    if isinstance(source, str | Path | bytes):
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
