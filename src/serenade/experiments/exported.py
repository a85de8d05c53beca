"""An exported model beside the model it was made of, on a corpus: accuracy of both, and how often they differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serenade.core.errors import AudioError, UsageError
from serenade.core.records import Prediction
from serenade.core.wording import counted
from serenade.evaluation.metrics import confusion, ua, wa
from serenade.experiments.data import read_corpora
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.inference.recognizer import Recognizer
from serenade.signal.audio import SAMPLE_RATE, read_audio

__all__ = ["ExportComparison", "compare_export"]


@dataclass(frozen=True, slots=True)
class ExportComparison:
    """What an export is worth beside its model.

    Args:
        utterances: whole recordings both answered.
        agreement: share of the same answers.
        largest: difference of a probability.
        wa: accuracy of the model and of the export.
        ua: mean recall of the model and of the export.
    """

    utterances: int
    agreement: float
    largest: float
    wa: tuple[float, float]
    ua: tuple[float, float]

    def lines(self) -> Iterator[str]:
        """As a person reads it."""
        yield f"{counted(self.utterances, 'utterance')}: the same answer to {100 * self.agreement:.2f} %"
        yield f"largest difference of a probability: {self.largest:.2g}"
        for name, (before, after) in (("WA", self.wa), ("UA", self.ua)):
            yield f"{name} {100 * before:.2f} % -> {100 * after:.2f} % ({100 * (after - before):+.2f})"


def compare_export(folder: Path, exported: Path, corpus: str, most: int) -> ExportComparison:
    """Ask the model and its export about the same utterances.

    Args:
        folder: the model's folder.
        exported: its ONNX file.
        corpus: NAME=PATH.
        most: utterances at most, spread over the corpus.

    Raises:
        CorpusError: the corpus is not there, or holds nothing.
        UsageError: the corpus is not named as NAME=PATH, or nothing of the model's classes could be read.
    """
    name, _, root = corpus.partition("=")
    if not root:
        raise UsageError("a corpus is named as NAME=PATH", found=corpus, expected="such as emodb=DIR")
    models = Recognizer.load(folder, device="cpu"), Recognizer.load(exported)
    labels = models[0].labels
    settings = ExperimentSettings(preset="baseline", corpora=(CorpusSettings(name=name, root=Path(root)),))
    utterances = [u for u in read_corpora(settings).utterances if u.emotion in labels]
    truth: list[int] = []
    answers: list[tuple[Prediction, Prediction]] = []
    for utterance in utterances[:: max(1, -(-len(utterances) // most))]:
        try:
            waveform = read_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
            answers.append((models[0](waveform, SAMPLE_RATE), models[1](waveform, SAMPLE_RATE)))
        except AudioError:
            continue
        truth.append(labels.index(str(utterance.emotion)))
    if not answers:
        raise UsageError("nothing of the model's classes could be read", where=root, expected=", ".join(labels))
    told = [np.array([labels.index(pair[side].label) for pair in answers]) for side in (0, 1)]
    shares = [np.array([list(pair[side].scores.values()) for pair in answers]) for side in (0, 1)]
    counts = [confusion(np.array(truth), predicted, len(labels)) for predicted in told]
    return ExportComparison(
        utterances=len(truth),
        agreement=float((told[0] == told[1]).mean()),
        largest=float(np.abs(shares[0] - shares[1]).max()),
        wa=(float(wa(counts[0])), float(wa(counts[1]))),
        ua=(float(ua(counts[0])), float(ua(counts[1]))),
    )
