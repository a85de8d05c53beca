"""`Explainer`: why a trained model says what it says of a recording, as maps over what it heard."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serenade.core.devices import choose_device
from serenade.core.errors import MissingExtraError, SerenadeError, UsageError
from serenade.core.explanations import Curve, Explanation, Overlay, Picture
from serenade.core.labels import LabelSet, canonical_emotion
from serenade.core.names import nearest
from serenade.core.records import UNKNOWN_SPEAKER, Prediction, Utterance
from serenade.inference import METHODS
from serenade.inference.attribution import SegmentMaps, Segments, attention, gradcam
from serenade.inference.recognizer import Recognizer, Source
from serenade.inference.shipped import find_model, read_card
from serenade.nn.attention_maps import AttentiveNetwork
from serenade.signal.audio import SAMPLE_RATE, from_array, stream_audio
from serenade.signal.axes import FeatureAxes, feature_axes
from serenade.signal.features import FrontEndSettings, MuLawSpectrogramSettings, build_front_end
from serenade.signal.segments import cut
from serenade.systems import load_system
from serenade.training.description import Calibration, read_calibration
from serenade.training.segment_system import SegmentClassifierSystem, SegmentNetwork
from serenade.training.system import Example, System
from serenade.training.window_system import WindowSystem

__all__ = ["MOST_S", "Explainer"]

MOST_S = 30.0
"""Longest stretch that is mapped at once; of a longer recording the first such stretch, or the one asked for."""
_WINDOW_S, _MOST_WINDOWS = 2.0, 30  # of the curve of a system that hears whole utterances
_GAP_S, _MOST_GAPS = 0.25, 60  # of what is silenced to see what such a system rests on
_BATCH = 8  # segments at a time
_EVEN = 0.02  # a map whose values differ by less says nothing
_TICKS_HZ = (0, 125, 250, 500, 1000, 2000, 4000, 8000)

_Progress = Callable[[int, int], None]
"""Told how many steps there are and how many more of them are done."""


def _unheard(steps: int, done: int) -> None:
    """No progress is shown."""


def _nobody(done: int) -> None:
    """Nobody counts."""


class Explainer:
    """Explains what a system says; made by `Explainer.load`.

    Args:
        system: a trained system of any kind. One that scores segments by a network is looked into; of any other is
            measured what it says when a part of the recording is silenced.
        card: the model card (Markdown).
        calibration: what makes its probabilities mean what they say; None takes them as they are.
    """

    def __init__(self, system: System, *, card: str = "", calibration: Calibration | None = None) -> None:
        self._system, self.card = system, card
        self._recognizer = Recognizer(system, calibration=calibration)

    @classmethod
    def load(cls, model: str | Path, *, device: str = "auto") -> Self:
        """An explainer from a model folder or the name of a shipped model.

        Raises:
            CheckpointError: there is no such model, or it is damaged or of another version.
            UsageError: there is no such device.
        """
        folder = find_model(model)
        system = load_system(folder, choose_device(device))
        return cls(system, card=read_card(folder), calibration=read_calibration(folder))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of the model."""
        return self._system.labels.names

    @property
    def attends(self) -> bool:
        """Whether the model has attention to show."""
        if not isinstance(self._system, SegmentClassifierSystem | WindowSystem):
            return False
        body = self._system.network.body
        if not isinstance(body, AttentiveNetwork):
            return False
        if isinstance(self._system, WindowSystem):
            return True
        silence = torch.zeros(1, self._system.evaluation_segments.length)
        with torch.inference_mode():
            features = self._system.front_end(silence.to(next(body.parameters()).device))
            return bool(body.attention_maps(features.unsqueeze(1)))

    def __call__(
        self,
        source: Source,
        sample_rate: int | None = None,
        *,
        target: str | None = None,
        method: str = "auto",
        start_s: float | None = None,
        end_s: float | None = None,
        progress: _Progress = _unheard,
    ) -> Explanation:
        """Why the model says what it says of a recording.

        Without a stretch the answer is that of the whole recording, as `Recognizer` gives it, and its first `MOST_S`
        seconds are mapped. With one it is that of the stretch, as if it were a recording of its own.

        Args:
            source: a path, the bytes of a sound file, or an array: (T,) or (T, channels).
            sample_rate: samples per second of an array; a file says it itself.
            target: the class that is explained; None for the predicted one.
            method: a name of `inference.METHODS`, or "auto": attention where the model has it, with gradcam beside it
                where its maps know no class; else integrated-gradients; else (without a network of segments) occlusion.
            start_s: where the stretch begins.
            end_s: where it ends; at most `MOST_S` after its start.
            progress: told of the steps.

        Raises:
            AudioError: the recording cannot be read, or holds nothing that could be scored.
            MissingExtraError: its format needs PyAV, or the method Captum.
            UnknownNameError: there is no such method.
            UsageError: the model has no such class or does not allow the method, the stretch is empty, or an array
                came without its rate.
        """
        if method != "auto":
            METHODS.target(method)  # before any work: raises with the nearest name
        wanted = None if target is None else _class_named(self._system.labels, target)
        prediction, waveform, start_s, notes = self._predict(source, sample_rate, start_s, end_s)
        explained = prediction.label if wanted is None else wanted
        job = _Job(self._system, waveform, start_s, self._system.labels.index(explained), progress)
        used, sound, features, overlays = job.explain(method)
        return Explanation(
            prediction=prediction,
            labels=self.labels,
            target=explained,
            method=used,
            span_s=(start_s, start_s + len(waveform) / SAMPLE_RATE),
            sound=sound,
            features=features,
            overlays=tuple(overlays),
            curve=job.curve(self._recognizer),
            samples=waveform.numpy(),
            notes=(*notes, *job.notes),
        )

    def _predict(
        self, source: Source, sample_rate: int | None, start_s: float | None, end_s: float | None
    ) -> tuple[Prediction, Tensor, float, list[str]]:
        """The prediction, the waveform of what is shown, where it begins, and what must be said of it."""
        begin = 0.0 if start_s is None else start_s
        if not (begin >= 0 and (end_s is None or end_s > begin)):
            raise UsageError(
                "the stretch is empty", found=f"{begin:g} s to {end_s} s", hint="Give --start before --end"
            )
        whole = start_s is None and end_s is None
        prediction = self._recognizer(source, sample_rate) if whole else None
        last = begin + MOST_S if end_s is None else min(end_s, begin + MOST_S)
        if prediction is not None:
            last = min(last, prediction.end_s)
        waveform, more = _stretch(source, sample_rate, begin, last)
        if prediction is None:
            prediction = self._predict_stretch(source, waveform, begin)
        notes = []
        shown = f"{begin:g} s to {begin + len(waveform) / SAMPLE_RATE:g} s"
        if whole and prediction.end_s > last:
            notes.append(f"Shown is {shown} of {prediction.end_s:.1f} s; the answer is that of the whole recording.")
        elif not whole:
            cut_short = (end_s is None and more) or (end_s is not None and end_s > last)
            limit = f" No more than {MOST_S:g} s are shown at once." if cut_short else ""
            notes.append(f"The answer is that of the stretch from {shown} alone.{limit}")
        return prediction, waveform, begin, notes

    def _predict_stretch(self, source: Source, waveform: Tensor, start_s: float) -> Prediction:
        file = str(source) if isinstance(source, str | Path) else None
        try:
            found = self._recognizer(waveform, SAMPLE_RATE)
        except SerenadeError as error:
            error.where = file
            raise
        end_s = start_s + len(waveform) / SAMPLE_RATE
        return Prediction(file, start_s, end_s, found.label, found.score, found.scores)


def _class_named(labels: LabelSet, name: str) -> str:
    """A class of the model by any known spelling.

    Raises:
        UsageError: the model has no such class.
    """
    for spelling in (name, canonical_emotion(name)):
        if spelling is not None and spelling in labels:
            return spelling
    close = nearest(name, labels.names)
    raise UsageError(
        f"the model has no class {name!r}",
        expected=f"one of {', '.join(labels.names)}",
        hint=f"Did you mean {close!r}?" if close else None,
    )


def _stretch(source: Source, sample_rate: int | None, start_s: float, end_s: float) -> tuple[Tensor, bool]:
    """(T,) samples of a stretch, which may end before `end_s` where the recording does; and whether there are more."""
    wanted = max(1, round((end_s - start_s) * SAMPLE_RATE))
    if isinstance(source, str | Path | bytes):
        parts, held = [], 0
        for block in stream_audio(source, block_s=1.0, start_s=start_s):
            parts.append(block)
            held += len(block)
            if held > wanted:
                break
        samples = torch.cat(parts)
    else:
        if sample_rate is None:
            raise UsageError("an array needs its sample rate", expected="explainer(array, 44100)")
        samples = from_array(source, sample_rate)[round(start_s * SAMPLE_RATE) :]
        if len(samples) == 0:
            raise UsageError("the stretch begins after the end of the recording", found=f"{start_s:g} s")
    return samples[:wanted], len(samples) > wanted


class _Job:
    """One waveform (T,) that is explained for one class."""

    def __init__(self, system: System, waveform: Tensor, start_s: float, target: int, progress: _Progress) -> None:
        self.system, self.waveform, self.start_s, self.target = system, waveform, start_s, target
        self.progress = progress
        self.duration_s = len(waveform) / SAMPLE_RATE
        self.notes: list[str] = []
        self.features: Tensor | None = None  # (N, F, L), where there is a network of segments

    def explain(self, method: str) -> tuple[str, Picture | None, Picture, list[Overlay]]:
        """The method that was used, a plain spectrogram, the features, and the maps."""
        if isinstance(self.system, SegmentClassifierSystem):
            return self._explain_pieces(method, self._segments(self.system), self.system.network)
        if isinstance(self.system, WindowSystem):
            network = SegmentNetwork(self.system.network.normaliser, self.system.network.body)
            return self._explain_pieces(method, self._windows(self.system), network)
        return self._explain_whole(method)

    def _segments(self, system: SegmentClassifierSystem) -> "_Grid":
        """Features of overlapping segments, and where they lie."""
        settings = system.evaluation_segments
        segments = cut(self.waveform, settings).to(next(system.network.parameters()).device)
        with torch.no_grad():
            self.features = system.front_end(segments)
        axes = feature_axes(system.settings.front_end)
        step_s = settings.step / SAMPLE_RATE
        firsts = [round(number * step_s / axes.hop_s) for number in range(len(segments))]
        covered_s = (len(segments) - 1) * step_s + segments.shape[1] / SAMPLE_RATE
        if self.duration_s - covered_s > 0.05:
            self.notes.append("What is blank at the end is shorter than a step between segments and was not scored.")
        return _Grid(axes, self.start_s, self.duration_s, firsts)

    def _windows(self, system: WindowSystem) -> "_Grid":
        """Features of consecutive windows, the last one aligned with the end, and where they lie."""
        device = next(system.network.parameters()).device
        self.features = system.extract(self.waveform, training=False)["audio"].clone().to(device)
        axes = feature_axes(system.settings.front_end)
        count, width = len(self.features), self.features.shape[2]
        last = system.front_end.shape(len(self.waveform))[1] - width
        firsts = [min(number * width, last) for number in range(count)]
        return _Grid(axes, self.start_s, self.duration_s, firsts)

    def _explain_pieces(
        self, method: str, grid: "_Grid", network: SegmentNetwork
    ) -> tuple[str, Picture | None, Picture, list[Overlay]]:
        """By what a network makes of the pieces that a recording is cut into."""
        assert self.features is not None
        shown = "features" if grid.axes.row_hz is None else "spectrogram, as the model sees it"
        features = grid.picture(shown, self.features)
        sound = None if grid.axes.row_hz is not None else _sound(self.waveform, self.start_s)
        # cuDNN has no gradient of a recurrent layer at test time
        with torch.backends.cudnn.flags(enabled=False):
            used, maps = self._maps(method, network)
        overlays = [Overlay(m.name, m.title, _meaning(m), grid.join(m.values), m.scale) for m in maps]
        return used, sound, features, overlays

    def _maps(self, method: str, network: SegmentNetwork) -> tuple[str, list[SegmentMaps]]:
        assert self.features is not None
        total = len(self.features)
        self.progress(total, 0)
        segments = Segments(
            network=network.eval(),
            features=self.features,
            target=self.target,
            baseline=self.features.mean(dim=(0, 2)).unsqueeze(1),
            done=lambda count: self.progress(total, count),
        )
        if method == "auto":
            maps = attention(segments)
            if maps:
                return self._beside(segments, maps)
            method = "integrated-gradients"
        maps = METHODS.resolve(method)(segments)
        if not maps:
            raise UsageError(
                "this model has no attention to show",
                expected=f"--method {', '.join(n for n in METHODS if n != method)}",
            )
        return method, maps

    def _beside(self, segments: Segments, maps: list[SegmentMaps]) -> tuple[str, list[SegmentMaps]]:
        """Attention, and what speaks for the class where attention does not know classes."""
        if any(found.of_class for found in maps):
            return "attention", maps
        try:
            return "attention and gradcam", [*gradcam(replace(segments, done=_nobody)), *maps]
        except MissingExtraError as error:
            self.notes.append(f"These maps are the same for every class. {error}")
        return "attention", maps

    def _explain_whole(self, method: str) -> tuple[str, Picture | None, Picture, list[Overlay]]:
        """By silencing one stretch after the other: works for whatever hears an utterance and answers."""
        if method not in ("auto", "occlusion"):
            raise UsageError(
                f"the method {method!r} needs a network that scores segments, which this model is not",
                expected="--method occlusion",
            )
        picture = _sound(self.waveform, self.start_s)
        gap = max(round(_GAP_S * SAMPLE_RATE), len(self.waveform) // _MOST_GAPS)
        starts = range(0, len(self.waveform), gap)
        self.progress(len(starts), 0)
        before, falls = self._probability(self.waveform), []
        for start in starts:
            silenced = self.waveform.clone()
            silenced[start : start + gap] = 0
            falls.append(before - self._probability(silenced))
            self.progress(len(starts), 1)
        columns = picture.values.shape[1]
        first_s, last_s = picture.span_s
        middles = first_s + (np.arange(columns) + 0.5) * (last_s - first_s) / columns - self.start_s
        places = np.clip((middles * SAMPLE_RATE / gap).astype(int), 0, len(falls) - 1)
        values = np.asarray(falls, dtype=np.float32)[places][None]
        meaning = f"How far the probability of the class falls when {gap / SAMPLE_RATE:.2f} s are silenced."
        return "occlusion", None, picture, [Overlay("occlusion", "occlusion in time", meaning, values, "signed")]

    def _probability(self, waveform: Tensor) -> float:
        """Of the target, by a system that hears whole utterances."""
        inputs = self.system.extract(waveform, training=False)
        nobody = Utterance("", Path(), "", UNKNOWN_SPEAKER, None)
        with torch.inference_mode():
            outputs = self.system.predict(self.system.collate([Example(nobody, inputs, None)]))
        return float(outputs.probabilities[0, self.target])

    def curve(self, recognizer: Recognizer) -> Curve:
        """Probabilities of every segment by itself; of windows, for a system that hears whole utterances."""
        if self.features is None or not isinstance(self.system, SegmentClassifierSystem):
            hop_s = max(_WINDOW_S / 4, self.duration_s / _MOST_WINDOWS)
            rows = list(recognizer.predict_windows(self.waveform, SAMPLE_RATE, window_s=_WINDOW_S, hop_s=hop_s))
            spans = tuple((self.start_s + row.start_s, self.start_s + row.end_s) for row in rows)
            return Curve(spans, np.array([list(row.scores.values()) for row in rows]))
        settings = self.system.evaluation_segments
        with torch.inference_mode():
            scores = [self.system.network(part) for part in torch.split(self.features, _BATCH)]
        starts = [self.start_s + n * settings.step / SAMPLE_RATE for n in range(len(self.features))]
        last_s = self.start_s + self.duration_s
        spans = tuple((start, min(start + settings.length / SAMPLE_RATE, last_s)) for start in starts)
        return Curve(spans, torch.cat(scores).double().softmax(dim=1).cpu().numpy())


def _meaning(maps: SegmentMaps) -> str:
    """What a map says, with a word of warning where it shows differences that hardly are any."""
    low, high = float(maps.values.min()), float(maps.values.max())
    if maps.scale == "signed" or high - low > _EVEN * max(abs(low), abs(high)):
        return maps.meaning
    return f"{maps.meaning} ALL BUT EVEN here: the colours show next to nothing."


class _Grid:
    """The columns of a stretch, on which segments are put together.

    A segment begins at the column nearest to its start, so it may lie half a hop off.

    Args:
        axes: of the features.
        start_s: where the stretch begins in its recording.
        duration_s: of the stretch.
        firsts: the column where each segment begins.
    """

    def __init__(self, axes: FeatureAxes, start_s: float, duration_s: float, firsts: Sequence[int]) -> None:
        self.axes, self.start_s, self.firsts = axes, start_s, firsts
        left_s = max(0.0, axes.first_s - axes.hop_s / 2)
        self.columns = max(1, int(np.ceil((duration_s - left_s) / axes.hop_s - 1e-9)))

    def join(self, values: Tensor) -> NDArray[np.float32]:
        """(F, columns) of (N, F, L) segments, averaged where they overlap, NaN where there is none."""
        parts = values.detach().float().cpu().numpy()
        sums = np.zeros((parts.shape[1], self.columns), dtype=np.float64)
        counts = np.zeros(self.columns)
        for first, part in zip(self.firsts, parts, strict=True):
            kept = min(part.shape[1], self.columns - first)
            if kept > 0:
                sums[:, first : first + kept] += part[:, :kept]
                counts[first : first + kept] += 1
        with np.errstate(invalid="ignore", divide="ignore"):
            return (sums / counts).astype(np.float32)

    def picture(self, title: str, values: Tensor) -> Picture:
        """(N, F, L) features as a picture."""
        first_s = self.start_s + self.axes.first_s - self.axes.hop_s / 2
        span_s = (first_s, first_s + self.columns * self.axes.hop_s)
        joined = self.join(values)
        if self.axes.row_hz is None:
            ticks = {float(row): str(row) for row in range(0, len(joined), 5)}
            return Picture("MFCC, as the model sees them", joined, span_s, "coefficient", ticks, each_row=True)
        return Picture(title, joined, span_s, "Hz", _frequency_ticks(self.axes.row_hz))


def _frequency_ticks(row_hz: tuple[float, ...]) -> dict[float, str]:
    """Rows (between two rows where need be) of round frequencies; even steps on an even scale."""
    even = len(row_hz) > 2 and np.allclose(np.diff(row_hz), row_hz[1] - row_hz[0])
    wanted = range(0, 8001, 1000 if row_hz[-1] > 2500 else 500) if even else _TICKS_HZ
    inside = [hz for hz in wanted if row_hz[0] <= hz <= 2 * row_hz[-1] - row_hz[-2]]
    return {float(np.interp(hz, row_hz, range(len(row_hz)))): f"{hz:g}" for hz in inside}


def _sound(waveform: Tensor, start_s: float) -> Picture:
    """A plain spectrogram up to 8 kHz of a (T,) waveform."""
    settings: FrontEndSettings = MuLawSpectrogramSettings(num_bins=321, fft_length=640, pad_end=0, mu=2000.0)
    samples = torch.nn.functional.pad(waveform, (0, max(0, 640 - len(waveform)))).unsqueeze(0)
    with torch.inference_mode():
        values = build_front_end(settings)(samples)
    axes = feature_axes(settings)
    grid = _Grid(axes, start_s, samples.shape[1] / SAMPLE_RATE, [0])
    grid.columns = values.shape[2]
    return grid.picture("spectrogram of the sound", values)
