"""A few short recordings answered by an exported model alone: without torch, whose import takes longer than the answer.

The answers are those of the model within rounding (1e-5 of a probability). What is long, or cannot be read, is left to
`serenade.inference.recognizer.Recognizer`.
"""

import importlib.util
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Self

from serenade.core.errors import AudioError, MissingExtraError
from serenade.core.labels import LabelSet
from serenade.core.records import Prediction
from serenade.inference.answers import Answers
from serenade.inference.levels import Level
from serenade.inference.onnx_session import OpenExport, export_beside, open_export
from serenade.inference.shipped import shipped_models
from serenade.signal.audio import SAMPLE_RATE, stream_samples
from serenade.signal.decoding import Samples
from serenade.training.description import read_calibration

__all__ = ["MOST_FILES", "QuickRecognizer"]

MOST_FILES = 4  # more of them are done sooner with torch, on all processors
_LONGEST_S = 30.0  # of a recording; all of it goes through the network at once


class QuickRecognizer:
    """Whole recordings of up to 30 s, scored by ONNX Runtime on one processor.

    Args:
        export: of the model.
        answers: how its scores are told.
    """

    def __init__(self, export: OpenExport, answers: Answers) -> None:
        self._export, self._answers = export, answers
        self.tells_attributes: bool = export.facts["attributes"]

    @classmethod
    def of(cls, model: str, classes: Sequence[str] | None = None) -> Self | None:
        """One for a model; None where there is no export of it, or nothing to run it by.

        Args:
            model: a shipped name, a model folder, or an exported model.
            classes: the only classes to choose from; None for all.

        Raises:
            CheckpointError: the export is damaged.
            UsageError: the model does not know one of the classes.
        """
        folder = shipped_models().get(model, Path(model))
        if folder.suffix == ".onnx":
            export = open_export(folder) if importlib.util.find_spec("onnxruntime") is not None else None
        else:
            export = export_beside(folder)
        if export is None:
            return None
        calibration = export.calibration if folder.suffix == ".onnx" else read_calibration(folder)
        return cls(export, Answers.among(LabelSet(tuple(export.facts["labels"])), classes, calibration))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes it chooses from, in the order of its probabilities."""
        return self._answers.labels

    def predict(self, paths: Sequence[Path]) -> list[Prediction] | None:
        """The emotions of recordings as wholes; None where one is long, has no speech or cannot be read."""
        try:
            waveforms = [_short_waveform(path) for path in paths]
        except (AudioError, MissingExtraError, OSError):  # the full recogniser says what is wrong with it
            return None
        if any(waveform is None for waveform in waveforms):
            return None
        return [
            self._prediction(path, samples)
            for path, samples in zip(paths, waveforms, strict=True)
            if samples is not None
        ]

    def _prediction(self, path: Path, samples: Samples) -> Prediction:
        logits = self._export.logits(samples[None])[0]
        return self._answers.prediction(str(path), 0.0, len(samples) / SAMPLE_RATE, logits.astype(float).tolist())


def _short_waveform(path: Path) -> Samples | None:
    """(T,) at 16 kHz; None of a recording that is long.

    Raises:
        AudioError: it cannot be read, or holds no speech.
        MissingExtraError: its format needs PyAV.
    """
    level = Level()
    blocks = list(islice(level.watch(stream_samples(path, block_s=_LONGEST_S)), 2))
    if len(blocks) > 1:
        return None
    level.require_speech()
    return blocks[0]
