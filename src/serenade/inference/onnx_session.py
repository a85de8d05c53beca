"""Opening exported models; it takes ONNX Runtime and no torch."""

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import CheckpointError, MissingExtraError, UsageError
from serenade.training.description import WEIGHTS_FILE, Calibration

__all__ = [
    "EXPORT_FILE",
    "EXPORT_FORMAT",
    "OpenExport",
    "digest_of",
    "export_beside",
    "make_session",
    "open_export",
    "require",
]

EXPORT_FILE = "model.onnx"
"""The name of an export beside its model."""
EXPORT_FORMAT = 1
"""Of the metadata."""

_STATED = {"labels", "attributes", "calibrated", "temperature", "uncertain_below", "weights"}
_log = getLogger(__name__)


def require(package: str) -> Any:
    """A package of the extra `export`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(package, extra="export", purpose="models in ONNX") from error


def make_session(model: bytes | Path, *, threads: int = 1) -> Any:
    """A session of ONNX Runtime on the CPU.

    Args:
        model: the file, or its bytes.
        threads: that one call takes.

    Raises:
        CheckpointError: it is no ONNX model.
        MissingExtraError: ONNX Runtime is not installed.
    """
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the processor
    try:
        return runtime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime's errors have no common base
        where = "a model in memory" if isinstance(model, bytes) else model
        raise CheckpointError("this is not an ONNX model that can be run", where=where, found=str(error)) from error


@dataclass(frozen=True, slots=True)
class OpenExport:
    """An exported model that can be run.

    Args:
        session: of ONNX Runtime: ``waveform`` (B, T) to ``logits`` (B, K) and, where told, ``attributes`` (B, 3).
        facts: what stands in its metadata: labels, temperature, segments and the like.
    """

    session: Any
    facts: Mapping[str, Any]

    @property
    def calibration(self) -> Calibration | None:
        """Of its probabilities, as it states it; None where it was not fitted."""
        if not self.facts["calibrated"]:
            return None
        return Calibration(self.facts["temperature"], "as stated in the model", 0, self.facts["uncertain_below"])

    def logits(self, waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, K) scores of (B, T) waveforms, then valence, arousal and dominance where it tells them.

        Raises:
            UsageError: the waveforms are longer than the model takes.
        """
        most = self.facts.get("most_samples")
        if most is not None and waveforms.shape[1] > most:
            raise UsageError(
                "the recording is longer than the model takes",
                found=f"{waveforms.shape[1] / self.facts['sample_rate']:g} s",
                expected=f"at most {most / self.facts['sample_rate']:g} s",
                hint="Cut it into pieces",
            )
        names = ["logits", "attributes"] if self.facts["attributes"] else ["logits"]
        found = self.session.run(names, {"waveform": waveforms})
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)


def open_export(path: Path) -> OpenExport:
    """A model that Serenade exported.

    Raises:
        CheckpointError: it is no ONNX model, or not one that this version of Serenade exported.
        MissingExtraError: ONNX Runtime is not installed.
    """
    session = make_session(path)
    stated = session.get_modelmeta().custom_metadata_map.get("serenade")
    if stated is None:
        raise CheckpointError("this ONNX model was not exported by Serenade", where=path)
    facts: dict[str, Any] = json.loads(stated)
    missing = sorted(_STATED - facts.keys())
    if facts.get("format") != EXPORT_FORMAT or missing:
        raise CheckpointError(
            "the export was written in another format",
            where=path,
            found=f"format {facts.get('format')!r}" + (f" without {', '.join(missing)}" if missing else ""),
            expected=f"format {EXPORT_FORMAT}",
            hint="Export the model again: serenade export",
        )
    return OpenExport(session, facts)


def export_beside(folder: Path) -> OpenExport | None:
    """The export in a model folder; None where there is none, nothing to run it by, or it was made of other weights.

    Raises:
        CheckpointError: it is there and damaged.
    """
    path = folder / EXPORT_FILE
    if not path.is_file() or importlib.util.find_spec("onnxruntime") is None:
        return None
    export = open_export(path)
    if export.facts["weights"] != digest_of(folder / WEIGHTS_FILE):
        _log.warning("%s was made of other weights and is not used; make it again: serenade export", path)
        return None
    return export


def digest_of(weights: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits; empty where there is none."""
    if not weights.is_file():
        return ""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
