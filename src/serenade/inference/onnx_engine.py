"""An exported model as the engine of a recogniser."""

from pathlib import Path

import torch
from torch import Tensor

from serenade.core.labels import LabelSet
from serenade.inference.export import make_session, read_facts
from serenade.signal.segments import SegmentSettings
from serenade.training.description import Calibration

__all__ = ["OnnxEngine"]


class OnnxEngine:
    """Scores by ONNX Runtime on the CPU; a segment alone takes no longer than one of many.

    Args:
        path: an exported model.

    Raises:
        CheckpointError: it is no model that Serenade exported.
        MissingExtraError: ONNX Runtime is not installed.
    """

    attributes = False

    def __init__(self, path: Path) -> None:
        self._session = make_session(path)
        facts = read_facts(self._session, path)
        stated = facts["segments"]
        self.segments = None if stated is None else SegmentSettings(**stated)
        self.batch = 1
        self.labels = LabelSet(tuple(facts["labels"]))
        self.name: str = facts["name"]
        self.calibration = (
            Calibration(facts["temperature"], "as stated in the model", 0, facts["uncertain_below"])
            if facts["calibrated"]
            else None
        )

    def logits(self, waveforms: Tensor) -> Tensor:
        """(N, K) float64 scores of (N, T) segments or pieces."""
        found = self._session.run(["logits"], {"waveform": waveforms.float().contiguous().numpy()})
        return torch.from_numpy(found[0]).double()
