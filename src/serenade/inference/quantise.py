"""Exported models with 8-bit convolutions: static quantisation, ranges from recordings like those in use."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import AudioError, MissingExtraError, UsageError
from serenade.core.files import write_bytes
from serenade.inference.export import quietly
from serenade.signal.audio import SAMPLE_RATE, read_audio

__all__ = ["quantise"]

_MOST_RECORDINGS, _MOST_S = 64, 10.0  # whose ranges are taken


def quantise(model: Path, out: Path, recordings: Sequence[Path]) -> int:
    """Make the convolutions of an exported model 8-bit integers, per channel; all else stays as it is.

    The front end stays in float32: the range of powers is too wide for 8 bits.

    Args:
        model: an exported model.
        out: the file to write; may be the same.
        recordings: speech like that of the use; some of it is enough.

    Returns:
        The size of the file in bytes.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        StorageError: the disk is full or refuses.
        UsageError: there is no recording that can be read, or the model has no convolutions.
    """
    try:
        import onnx
        from onnxruntime import quantization
    except ImportError as error:
        raise MissingExtraError("onnxruntime", extra="export", purpose="quantising models") from error
    if not any(node.op_type == "Conv" for node in onnx.load(model).graph.node):
        raise UsageError("this model has no convolutions to quantise", where=model, hint="Use it as it is")
    heard = _Heard(quantization.CalibrationDataReader, recordings)
    with tempfile.TemporaryDirectory(prefix="serenade-int8-") as folder:
        written = Path(folder) / "int8.onnx"
        with quietly():
            quantization.quantize_static(
                str(model),
                str(written),
                heard.reader,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        data = written.read_bytes()
    if heard.count == 0:
        raise UsageError("no recording could be read to take ranges from", found=f"{len(recordings)} files")
    write_bytes(out, data)
    return len(data)


class _Heard:
    """The recordings as the quantiser reads them: one at a time."""

    def __init__(self, base: Any, recordings: Sequence[Path]) -> None:
        self.count = 0
        waveforms = self._waveforms(recordings)

        class Reader(base):  # type: ignore[misc]  # its base is untyped
            def get_next(self) -> dict[str, NDArray[np.float32]] | None:
                return next(waveforms, None)

        self.reader = Reader()

    def _waveforms(self, recordings: Sequence[Path]) -> Iterator[dict[str, NDArray[np.float32]]]:
        step = max(1, len(recordings) // _MOST_RECORDINGS)  # spread over all of them
        for path in recordings[::step][:_MOST_RECORDINGS]:
            try:
                waveform = read_audio(path).numpy()[: round(_MOST_S * SAMPLE_RATE)]
            except AudioError:
                continue
            if len(waveform) >= SAMPLE_RATE // 10:
                self.count += 1
                yield {"waveform": waveform[None]}
