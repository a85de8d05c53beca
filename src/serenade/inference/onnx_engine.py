"""An exported model as the engine of a recogniser."""

import torch
from torch import Tensor

from serenade.core.labels import LabelSet
from serenade.inference.onnx_session import OpenExport
from serenade.signal.segments import SegmentSettings

__all__ = ["OnnxEngine"]


class OnnxEngine:
    """Scores by ONNX Runtime on the CPU; a segment alone takes no longer than one of many.

    Args:
        export: an exported model.
    """

    def __init__(self, export: OpenExport) -> None:
        self._export, facts = export, export.facts
        stated = facts["segments"]
        self.segments = None if stated is None else SegmentSettings(**stated)
        self.batch = 1
        self.attributes: bool = facts["attributes"]
        self.labels = LabelSet(tuple(facts["labels"]))
        self.name: str = facts["name"]
        self.calibration = export.calibration

    def logits(self, waveforms: Tensor) -> Tensor:
        """(N, K) float64 scores of (N, T) segments or pieces, and attributes where the model tells them."""
        return torch.from_numpy(self._export.logits(waveforms.float().contiguous().numpy())).double()
