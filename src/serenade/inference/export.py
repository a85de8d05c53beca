"""Models as ONNX files with their front end inside: waveform in, probabilities out, any batch and any length.

| kind of system | inside the graph |
| --- | --- |
| segments (GLAM, its rivals, attention pooling) | cutting, features, normaliser, network, mean of the scores |
| windows (MTL-AUG and its kin, SS-AAE) | features, cutting into windows, normaliser, network, mean of probabilities |
| statistics (baseline) | features, ten statistics of each band, standardisation, linear classifier |
| upstreams (ssl-fbank, ssl-mean, ...) | front ends, or networks with what they take, fusion, aggregators, classifier |
| mixtures (MFCC-GMM) | features, derivatives, standardisation, likelihood of every frame under each class |

All rows of a batch are of one length. The transform is computed by matrix products (`signal.spectra.FactoredDft`), so
that every engine loads it.
"""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.errors import CheckpointError, UsageError
from serenade.core.files import write_bytes
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.inference.engines import AttributeSystem
from serenade.inference.export_upstreams import UpstreamExport
from serenade.inference.onnx_session import EXPORT_FORMAT, digest_of, make_session, require
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.features import build_front_end
from serenade.signal.functionals import statistics_of_batch
from serenade.signal.segments import SegmentSettings
from serenade.signal.spectra import overlapping
from serenade.systems.baseline import BaselineSystem
from serenade.systems.mfcc_gmm import MIN_SAMPLES, MfccGmmSystem, deltas
from serenade.systems.upstream_downstream import UpstreamDownstreamSystem
from serenade.training.description import Calibration
from serenade.training.segment_system import SegmentClassifierSystem
from serenade.training.system import Example, Outputs, System
from serenade.training.window_system import WindowSystem

__all__ = ["OPSET", "Exported", "exportable", "export_onnx", "quietly"]

OPSET = 18
_FRAMES_PER_STEP = 4  # of the map of window networks
_TOLERANCE = 1e-3  # of a probability; rounding is a thousandth of it
_CHECKED_S = (0.025, 0.4013, 3.1, 11.3)  # the shortest, and one that no hop divides
_LEAST = 400  # samples that a graph is promised
_most: Any = torch.sym_max  # of lengths that are symbols while a graph is made; untyped in torch
_least: Any = torch.sym_min
_WHY_NOT = {
    "FunctionalsSystem": "openSMILE computes its features outside of the graph",
    "MesmSystem": "it looks at faces and words, which no waveform holds",
    "HandCraftedSystem": "its features of faces, voice and words come from corpora",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export gave.

    Args:
        size: of the file, in bytes.
        deviation: the largest difference of a probability to torch, on noise of several lengths and batches.
    """

    size: int
    deviation: float


def export_onnx(
    system: System, out: Path, *, calibration: Calibration | None = None, name: str = "", weights: Path | None = None
) -> Exported:
    """Write a system as an ONNX file and make sure that it answers as the system does.

    Inputs and outputs: ``waveform`` (B, T) float32 at 16 kHz, T of 400 or more; ``probabilities`` (B, K), calibrated;
    ``logits`` (B, K), scores before temperature and softmax; of a system that tells them ``attributes`` (B, 3),
    valence, arousal and dominance from 0 to 1. Labels, temperature and the like are in its metadata.

    Args:
        system: a trained system, on the CPU.
        out: the file.
        calibration: its temperature goes into the probabilities.
        name: what the model is called in the metadata.
        weights: the file of the weights that it is made of; an export beside others is not used.

    Raises:
        CheckpointError: the exported model answers otherwise than the system.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        StorageError: the disk is full or refuses.
        UsageError: this kind of system cannot be exported.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package)
    temperature = 1.0 if calibration is None else calibration.temperature
    module = exportable(system, temperature).eval()
    facts = {**_facts(system, calibration, name), "weights": "" if weights is None else digest_of(weights)}
    data = _with_metadata(_traced(module, _tells(system)), facts)
    session = make_session(data)
    deviation = max(_deviation(system, session, temperature, seconds) for seconds in _CHECKED_S)
    if not deviation < _TOLERANCE:
        raise CheckpointError(
            "the exported model answers otherwise than the model itself",
            where=out,
            found=f"an answer off by {deviation:.2g}",
            expected=f"less than {_TOLERANCE:g}",
        )
    write_bytes(out, data)
    return Exported(len(data), deviation)


def _traced(module: nn.Module, attributes: bool) -> bytes:
    """The graph of a module."""
    length = torch.export.Dim("length", min=_LEAST)
    shapes: Any = ({0: torch.export.Dim("batch"), 1: length},)
    if isinstance(module, UpstreamExport):  # the library's networks state bounds of their own
        shapes = ({0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO},)
    example = torch.randn(2, 3 * SAMPLE_RATE + 5, generator=torch.Generator().manual_seed(0)) * 0.1
    with quietly(), _plain_attention():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["waveform"],
            output_names=["probabilities", "logits", *(["attributes"] if attributes else [])],
            dynamic_shapes=shapes,
            verbose=False,
        )
    assert program is not None, "the exporter gives a program where it gets no file"
    import onnx

    graph = onnx.ModelProto()
    graph.CopyFrom(program.model_proto)
    del graph.graph.value_info[:]  # shapes within, which quantisation trips over
    written: bytes = graph.SerializeToString()
    return written


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Without the fused block of a transformer, which no graph has."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def quietly() -> Iterator[None]:
    """Without the exporter's and the quantiser's talk of their own steps in the log and in warnings."""
    logger = logging.getLogger()
    level = logger.level
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        logger.setLevel(level)


def _facts(system: System, calibration: Calibration | None, name: str) -> dict[str, Any]:
    segments = getattr(system, "evaluation_segments", None)
    return {
        "format": EXPORT_FORMAT,
        "name": name,
        "labels": list(system.labels.names),
        "attributes": _tells(system),
        "sample_rate": SAMPLE_RATE,
        "temperature": 1.0 if calibration is None else calibration.temperature,
        "calibrated": calibration is not None,
        "uncertain_below": 0.5 if calibration is None else calibration.uncertain_below,
        "segments": segments.model_dump(mode="json") if isinstance(segments, SegmentSettings) else None,
        "most_samples": system.most_samples if isinstance(system, UpstreamDownstreamSystem) else None,
    }


def _tells(system: System) -> bool:
    return isinstance(system, AttributeSystem) and system.tells_attributes


def _with_metadata(data: bytes, facts: dict[str, Any]) -> bytes:
    import onnx

    model = onnx.load_model(io.BytesIO(data))
    onnx.helper.set_model_props(model, {"serenade": json.dumps(facts)})
    written: bytes = model.SerializeToString()
    return written


def _deviation(system: System, session: Any, temperature: float, seconds: float) -> float:
    """The largest difference of a probability, or an attribute, to the system's own, alone and in a batch."""
    generator = torch.Generator().manual_seed(1)
    waveforms = 0.1 * torch.randn(3, round(seconds * SAMPLE_RATE), generator=generator)
    answers = [_answer(system, waveform) for waveform in waveforms]
    powers = torch.cat([answer.probabilities for answer in answers]).double().pow(1 / temperature)
    expected = [(powers / powers.sum(1, keepdim=True)).numpy()]
    names = ["probabilities"]
    if _tells(system):
        expected.append(torch.cat([answer.attributes for answer in answers if answer.attributes is not None]).numpy())
        names.append("attributes")
    together = session.run(names, {"waveform": waveforms.numpy()})
    alone = session.run(names, {"waveform": waveforms[:1].numpy()})
    differences = [np.abs(found - wanted).max() for found, wanted in zip(together, expected, strict=True)]
    differences += [np.abs(one - many[:1]).max() for one, many in zip(alone, together, strict=True)]
    return float(max(differences))


def _answer(system: System, waveform: Tensor) -> Outputs:
    """Of one waveform, as the training loop would have it."""
    nobody = Utterance("", Path(), "", UNKNOWN_SPEAKER, None)
    with torch.inference_mode():
        inputs = system.extract(waveform, training=False)
        return system.predict(system.collate([Example(nobody, inputs, None)]))


def exportable(system: System, temperature: float = 1.0) -> nn.Module:
    """A module from (B, T) waveforms to (B, K) probabilities and (B, K) logits, fit for `torch.export`.

    Args:
        system: a trained system.
        temperature: of the probabilities.

    Raises:
        UsageError: this kind of system cannot be exported.
    """
    if isinstance(system, SegmentClassifierSystem):
        return _Segments(system, temperature)
    if isinstance(system, WindowSystem) and hasattr(system.network.body, "scores_of_cells"):
        return _Windows(system, temperature)
    if isinstance(system, BaselineSystem):
        return _Statistics(system, temperature)
    if isinstance(system, MfccGmmSystem):
        return _Mixtures(system, temperature)
    if isinstance(system, UpstreamDownstreamSystem):
        return UpstreamExport(system, temperature)
    raise UsageError(
        "this kind of system cannot be exported",
        found=f"{type(system).__name__}: {_WHY_NOT.get(type(system).__name__, 'nothing here traces it')}",
        expected="one whose features and scores are tensors throughout: a network of segments or windows, the "
        "baseline, mixtures of MFCC, or upstreams of speech",
        hint="Use it from its model folder, in Python or over HTTP: serenade serve",
    )


class _Segments(nn.Module):
    """Cut, features, network, mean of the scores."""

    def __init__(self, system: SegmentClassifierSystem, temperature: float) -> None:
        super().__init__()
        if system.evaluation_segments.short != "pad":
            raise UsageError(
                "only segments that are filled up can be exported", found=f"short = {system.evaluation_segments.short}"
            )
        self.front_end = build_front_end(system.settings.front_end, exportable=True)
        self.network, self.temperature = system.network, temperature
        self.length, self.step = system.evaluation_segments.length, system.evaluation_segments.step

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        batch, samples = waveform.shape
        count = _most((samples - self.length) // self.step + 1, 1)
        padded = functional.pad(waveform, (0, self.length))  # of what is shorter than a segment
        segments = overlapping(padded, self.length, self.step, count).flatten(0, 1)
        scores = self.network(self.front_end(segments)).reshape(batch, count, -1)
        logits = scores.mean(1)
        return (logits / self.temperature).softmax(1), logits


class _Windows(nn.Module):
    """Features, windows of which the last one ends with the recording, network, mean of the probabilities."""

    def __init__(self, system: WindowSystem, temperature: float) -> None:
        super().__init__()
        self.front_end = build_front_end(system.settings.front_end, exportable=True)
        self.normaliser, self.body = system.network.normaliser, system.network.body
        self.frames, self.reach, self.temperature = system.settings.window_frames, system.reach, temperature
        told = getattr(system.network, "attributes", None)
        self.attributes: nn.Linear | None = told if isinstance(told, nn.Linear) else None

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        features = self.normaliser(self.front_end(waveform))  # (B, F, L)
        batch, length = features.shape[0], features.shape[2]
        count = _most(length // self.frames, 1)
        valid = _least(length, self.frames)
        # Behind the valid frames lie zeros, the training mean, as far as the network looks.
        width = _least(length + self.reach, self.frames)
        padded = functional.pad(features, (0, self.frames))
        full = (
            padded[:, :, : count * self.frames].reshape(batch, -1, count, self.frames).transpose(1, 2)
        )  # (B, n, F, W)
        start = _most(length - self.frames, 0)
        last = padded[:, None, :, start : start + self.frames]
        windows = torch.cat([full, last], dim=1)[..., :width].flatten(0, 1)
        cells = self.body.cells(windows.unsqueeze(1))  # type: ignore[operator]  # every body of this kind has them
        steps = (valid + _FRAMES_PER_STEP - 1) // _FRAMES_PER_STEP
        if self.attributes is None:
            scores, embeddings = self.body.scores_of_cells(cells[..., :steps]), None  # type: ignore[operator]
        else:
            scores, embeddings = self.body.scored_cells(cells[..., :steps])  # type: ignore[operator]
        logs = scores.log_softmax(1).reshape(batch, count + 1, -1)  # (B, n + 1, K)
        rest = _most(length - count * self.frames, 0)
        # The last window counts only where the full ones leave something over.
        counts = _least(rest, 1) * torch.ones(1, 1, device=waveform.device)
        share = torch.cat([torch.zeros_like(logs[:, :-1, 0]), counts.clamp_min(1e-30).log().expand(batch, 1)], dim=1)
        logits = (logs + share[..., None]).logsumexp(1) - torch.log(count + counts)
        answers = (logits / self.temperature).softmax(1), logits
        if self.attributes is None or embeddings is None:
            return answers
        parts = embeddings.reshape(batch, count + 1, -1)  # (B, n + 1, D)
        mean = (parts[:, :-1].sum(1) + counts * parts[:, -1]) / (count + counts)
        return *answers, self.attributes(mean).clamp(0.0, 1.0)


class _Statistics(nn.Module):
    """Statistics over time of each band, and a classifier."""

    def __init__(self, system: BaselineSystem, temperature: float) -> None:
        super().__init__()
        self.front_end = build_front_end(system.front_end_settings, exportable=True)
        self.network, self.temperature = system.network, temperature

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(statistics_of_batch(self.front_end, waveform))
        return (logits / self.temperature).softmax(1), logits


class _Mixtures(nn.Module):
    """Features with derivatives, mean log likelihood of the frames under each class."""

    def __init__(self, system: MfccGmmSystem, temperature: float) -> None:
        super().__init__()
        self.front_end = build_front_end(system.settings.front_end, exportable=True)
        self.network, self.derivatives = system.network, system.settings.derivatives
        self.temperature = temperature

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        samples = waveform.shape[1]
        padded = functional.pad(waveform, (0, MIN_SAMPLES))[:, : _most(samples, MIN_SAMPLES)]
        orders = [self.front_end(padded)]  # (B, F, L)
        batch, _, length = orders[0].shape
        for _ in range(self.derivatives):
            orders.append(deltas(orders[-1].flatten(0, 1)).reshape(batch, -1, length))
        frames = torch.cat(orders, dim=1).transpose(1, 2).flatten(0, 1)  # (B L, D)
        likelihoods = self.network.mixtures(self.network.embed(frames)).reshape(batch, length, -1)
        scores = self.network.steepness * (likelihoods.mean(1) + self.network.log_prior)
        logits = scores.float()
        return (logits / self.temperature).softmax(1), logits
