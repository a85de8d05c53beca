"""What computes an upstream's frames: torch in float32 or bfloat16, ONNX Runtime, OpenVINO.

`with_engine` puts another engine behind the interface of an upstream. ONNX Runtime and OpenVINO take one utterance at a
time, which is no slower on a processor, and needs no mask. The file that they read is exported once and kept in the
user's cache folder.

bfloat16 (8 bits of precision in matrix products) changes frames by some hundredths of a unit; every store of frames
says which engine made it.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from logging import getLogger
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from serenade.core.errors import MissingExtraError, UsageError
from serenade.core.files import cache_folder, locked, storage_errors
from serenade.models.upstreams.text import TEN_WORDS, TextUpstream
from serenade.models.upstreams.upstream import Frames, Upstream
from serenade.models.upstreams.waveform import WaveformUpstream
from serenade.models.upstreams.whisper import WhisperUpstream

__all__ = ["ENGINES", "EngineName", "EngineUpstream", "deviation", "engines_for", "with_engine"]

EngineName = Literal["float32", "bfloat16", "onnxruntime", "openvino", "openvino-bf16"]

ENGINES: tuple[EngineName, ...] = ("float32", "bfloat16", "onnxruntime", "openvino", "openvino-bf16")
"""torch in float32, torch in bfloat16, ONNX Runtime, OpenVINO in float32, OpenVINO in bfloat16."""

_OPSET = 18
_EXAMPLE_SAMPLES = 8000  # of the utterance that an export goes through
# Beyond rounding. torch 2.13 gives wrong grouped convolutions in bfloat16 on processors with AMX where groups have 8
# channels or fewer; no published upstream has such, but a small one may.
_WRONG = 0.2
_PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "openvino-bf16": "openvino"}

_Run = Callable[[Tensor], Sequence[Tensor]]
"""One utterance (1, T), or what the network makes of it, to its layers (1, L, D)."""

_log = getLogger(__name__)


class EngineUpstream(Upstream):
    """An upstream whose frames another engine computes.

    It has no parameters: it cannot be trained, and its frames have no gradient.

    Args:
        upstream: what it stands for.
        engine: how frames are computed.
        run: computes the layers of one utterance.
    """

    def __init__(self, upstream: Upstream, engine: EngineName, run: _Run) -> None:
        super().__init__()
        self._plain = [upstream]  # in a list, so that its weights are not a part of this module
        self._identity = upstream.identity()
        self.engine, self.run = engine, run
        self.kind, self.modality, self.dim = upstream.kind, upstream.modality, upstream.dim
        self.num_layers, self.sample_rate = upstream.num_layers, upstream.sample_rate
        self.hop_length, self.least_samples = upstream.hop_length, upstream.least_samples
        self.most_samples = upstream.most_samples

    def identity(self) -> str:
        """That of the upstream it stands for; a store of frames names the engine besides."""
        return self._identity

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Those of the upstream."""
        return self._plain[0].num_frames(lengths)

    def prepare(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """What the upstream prepares."""
        return self._plain[0].prepare(waveform, sample_rate)

    def prepare_text(self, text: str) -> Tensor:
        """What the upstream prepares."""
        return self._plain[0].prepare_text(text)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """Frames of a batch, one utterance after the other.

        Args:
            waveforms: (B, T), each from `prepare` or `prepare_text`.
            lengths: (B,) int64, at least `least_samples`.
        """
        rows = [self.run(row[None, :n]) for row, n in zip(waveforms, lengths.tolist(), strict=True)]
        frames = self.num_frames(lengths)
        layers = tuple(
            pad_sequence([row[place][0, :n] for row, n in zip(rows, frames.tolist(), strict=True)], batch_first=True)
            for place in range(self.num_layers)
        )
        return Frames(layers, frames)


class _Bfloat16(EngineUpstream):
    """torch with matrix products in bfloat16: batches go through whole, and exact under padding as ever."""

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        with torch.inference_mode(), torch.autocast(waveforms.device.type, torch.bfloat16):
            found = self._plain[0](waveforms, lengths)
        return Frames(tuple(layer.float() for layer in found.layers), found.lengths)


def engines_for(upstream: Upstream) -> tuple[EngineName, ...]:
    """The engines that can compute an upstream here, float32 first."""
    if not any(True for _ in upstream.parameters()):
        return ("float32",)
    if not isinstance(upstream, WaveformUpstream | WhisperUpstream | TextUpstream):
        return ("float32", "bfloat16")
    exportable = find_spec("onnxscript") is not None
    there = {name: find_spec(package) is not None for name, package in _PACKAGES.items()}
    return tuple(name for name in ENGINES if name not in there or (there[name] and exportable))


def with_engine(upstream: Upstream, engine: EngineName) -> Upstream:
    """The upstream with another engine behind its interface; itself for "float32".

    Args:
        upstream: in evaluation mode, on the CPU.
        engine: one of `ENGINES`; threads are as many as torch has.

    Raises:
        MissingExtraError: the engine's package is not installed.
        UsageError: the engine cannot compute this upstream, or gives frames that are not its own.
        StorageError: the exported file cannot be kept.
    """
    if engine == "float32":
        return upstream
    other = _opened(upstream, engine)
    found = deviation(upstream, other)
    if not found <= _WRONG:
        raise UsageError(
            f"the engine {engine} gives wrong frames for the {upstream.kind} upstream",
            found=f"{100 * found:.0f} % away from those of torch in float32",
            hint="Use float32",
        )
    return other


def deviation(upstream: Upstream, other: Upstream, seconds: float = 1.0) -> float:
    """Norm of the difference of the last layers of two upstreams, by that of the first, on noise or a few words.

    Args:
        upstream: the reference.
        other: of the same kind.
        seconds: length of the noise.
    """
    if upstream.modality == "text":
        one = upstream.prepare_text(TEN_WORDS)
    else:
        samples = max(round(seconds * upstream.sample_rate), upstream.least_samples)
        noise = torch.randn(samples, generator=torch.Generator().manual_seed(0))
        one = upstream.prepare(noise, upstream.sample_rate)
    device = next(upstream.parameters()).device
    inputs, lengths = one[None].to(device), torch.tensor([len(one)], device=device)
    with torch.inference_mode():
        reference = upstream(inputs, lengths).last
        return float((other(inputs, lengths).last - reference).norm() / reference.norm())


def _opened(upstream: Upstream, engine: EngineName) -> Upstream:
    if not any(True for _ in upstream.parameters()):
        raise UsageError(f"the {upstream.kind} upstream has no weights: it has no engine but float32", found=engine)
    if engine == "bfloat16":
        return _Bfloat16(upstream, engine, _no_single).eval()
    part, before = _exportable(upstream, engine)
    try:
        path = _exported(upstream, part, before)
        run = _onnx_session(path) if engine == "onnxruntime" else _openvino_model(path, engine)
    except ImportError as error:
        package = error.name if error.name in ("onnx", "onnxscript") else _PACKAGES[engine]
        raise MissingExtraError(
            package, extra="openvino" if package == "openvino" else "export", purpose=f"the engine {engine}"
        ) from error
    return EngineUpstream(upstream, engine, lambda one: run(before(one))).eval()


def _no_single(one: Tensor) -> Sequence[Tensor]:
    raise AssertionError("torch takes whole batches")


# ------------------------------------------------------------------------------------------------ export


class _Layers(nn.Module):
    """All layers of one utterance, without padding and mask."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, one: Tensor) -> tuple[Tensor, ...]:
        found = self.network(one, output_hidden_states=True)
        return (*found.hidden_states[:-1], found.last_hidden_state)


def _exportable(upstream: Upstream, engine: str) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The part that is exported, and what makes its input of an utterance (1, T)."""
    if isinstance(upstream, WhisperUpstream):
        return _Layers(upstream.network), upstream.log_mel
    if isinstance(upstream, WaveformUpstream | TextUpstream):
        if isinstance(upstream, WaveformUpstream):
            upstream.forget_batch()
        return _Layers(upstream.network), _unchanged
    raise UsageError(f"the {upstream.kind} upstream cannot be exported", found=engine, expected="float32 or bfloat16")


def _unchanged(one: Tensor) -> Tensor:
    return one


def _exported(upstream: Upstream, part: nn.Module, before: Callable[[Tensor], Tensor]) -> Path:
    """The upstream as an ONNX file, exported where there is none yet."""
    path = cache_folder() / "engines" / f"{upstream.kind}-{upstream.identity()[:16]}.onnx"
    if path.exists():
        return path
    import onnxscript  # noqa: F401 - a clear word on what is missing, before minutes are spent

    path.parent.mkdir(parents=True, exist_ok=True)
    with storage_errors(path), locked(path.parent / "lock"):
        if not path.exists():
            _log.info("exporting the %s upstream once, to %s", upstream.kind, path)
            with TemporaryDirectory(dir=path.parent) as folder:
                temporary = Path(folder) / path.name
                _export(upstream, part, before, temporary)
                temporary.replace(path)
    return path


def _export(upstream: Upstream, part: nn.Module, before: Callable[[Tensor], Tensor], path: Path) -> None:
    whole = isinstance(upstream, WhisperUpstream)  # its windows all have one length
    if upstream.modality == "text":
        example = torch.ones(1, 8, dtype=torch.int64)
    else:
        example = before(torch.zeros(1, max(_EXAMPLE_SAMPLES, 2 * upstream.least_samples)))
    shapes = None if whole else ({1: torch.export.Dim.AUTO},)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                part.eval(),
                (example,),
                path,
                dynamo=True,
                opset_version=_OPSET,
                dynamic_shapes=shapes,
                external_data=False,
                verbose=False,
            )
    except ImportError:
        raise
    except Exception as error:  # exporters raise classes of many kinds
        found = " ".join(str(error).split())[:200]
        raise UsageError(f"the {upstream.kind} upstream cannot be exported", found=found, hint="Use float32") from error


def _onnx_session(path: Path) -> _Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the processor
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = (given.name for given in session.get_inputs())
    return lambda one: [torch.from_numpy(layer) for layer in session.run(None, {name: one.cpu().numpy()})]


def _openvino_model(path: Path, engine: EngineName) -> _Run:
    import openvino

    core = openvino.Core()
    precision = "bf16" if engine == "openvino-bf16" else "f32"
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": precision})
    model = core.compile_model(core.read_model(path), "CPU")

    def run(one: Tensor) -> list[Tensor]:
        found = model([one.cpu().numpy()])
        return [torch.from_numpy(found[place].copy()) for place in range(len(model.outputs))]

    return run
