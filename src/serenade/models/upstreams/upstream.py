"""What every upstream offers to extraction, training and downstream networks."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import soxr
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from serenade.core.errors import AudioError, UsageError
from serenade.nn.masking import valid_steps

__all__ = ["Frames", "Modality", "Upstream", "pad_waveforms", "plain_config"]

# Keys of a configuration of the library that say nothing of the frames.
_NO_TRAITS = {"transformers_version", "architectures", "dtype", "output_hidden_states", "output_attentions"}

Modality = Literal["speech", "text"]


@dataclass(frozen=True)
class Frames:
    """What an upstream says of a batch.

    Attributes:
        layers: tensors (B, L, D), as many as the upstream's `num_layers`; 0 in the padding. The first is what goes into
            the first block, then comes the input of each further block, at last the network's output.
        lengths: (B,) int64 valid frames.
    """

    layers: tuple[Tensor, ...]
    lengths: Tensor

    @property
    def last(self) -> Tensor:
        """(B, L, D) the network's output."""
        return self.layers[-1]


class Upstream(nn.Module, ABC):
    """A network from waveforms to layers of frames; an utterance has the same frames alone and in any padded batch.

    Text encoders are upstreams too: what they take in place of samples are the numbers of tokens.

    Attributes:
        kind: its architecture, such as "wav2vec2".
        modality: what it takes; "text" for transcripts.
        dim: D of the frames.
        num_layers: blocks + 1.
        sample_rate: of the waveforms it takes, in hertz.
        hop_length: samples from frame to frame; None where frames are not evenly spaced in time.
        least_samples: the shortest waveform it takes.
        most_samples: the longest, None where there is no limit.
        trainable: whether it can be trained along, where it has weights.
    """

    kind: str
    modality: Modality = "speech"
    dim: int
    num_layers: int
    sample_rate: int
    hop_length: int | None
    least_samples: int
    most_samples: int | None = None
    trainable: bool = True

    @property
    def frame_rate(self) -> float | None:
        """Frames per second; None where frames are not evenly spaced in time."""
        return None if self.hop_length is None else self.sample_rate / self.hop_length

    def identity(self) -> str:
        """32 hexadecimal digits that change with whatever the frames depend on: kind, settings, weights."""
        digest = hashlib.sha256(json.dumps([self.kind, dict(self._traits())], sort_keys=True).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()[:32]

    def _traits(self) -> Mapping[str, object]:
        """What frames depend on besides the weights, fit for JSON."""
        return {}

    @abstractmethod
    def num_frames(self, lengths: Tensor) -> Tensor:
        """Valid frames of waveforms of so many samples, any shape, int64."""

    @abstractmethod
    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """Frames of a batch.

        Args:
            waveforms: (B, T), each from `prepare` (for text from `prepare_text`); what stands beyond its length does
                not count.
            lengths: (B,) int64 samples, at least `least_samples`.
        """

    def prepare_text(self, text: str) -> Tensor:
        """(T,) int64 tokens of a transcript, for upstreams that take text.

        Raises:
            UsageError: this upstream takes speech.
        """
        raise UsageError(f"the {self.kind} upstream takes speech, not text", found=repr(text))

    def prepare(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """A waveform as the network wants it, resampled where its rate is another than the network's.

        Args:
            waveform: (T,) mono, float32.
            sample_rate: its rate in hertz.

        Raises:
            AudioError: a sample is not a finite number.
            UsageError: too short or too long, or more than one channel.
        """
        if waveform.ndim != 1:
            raise UsageError(
                f"the {self.kind} upstream takes one channel", found=tuple(waveform.shape), expected="(T,)"
            )
        if not bool(waveform.isfinite().all()):
            raise AudioError("the recording holds values that are not finite numbers", reason="not finite")
        if sample_rate != self.sample_rate:
            samples = waveform.detach().cpu().numpy()
            waveform = torch.from_numpy(soxr.resample(samples, sample_rate, self.sample_rate, quality="HQ"))
        self._check_length(len(waveform))
        return self._normalise(waveform)

    def _check_length(self, samples: int) -> None:
        found = f"{samples} samples ({samples / self.sample_rate:.3f} s)"
        if samples < self.least_samples:
            raise UsageError(
                f"the recording is shorter than one frame of the {self.kind} upstream",
                found=found,
                expected=f"at least {self.least_samples} samples",
                hint="Leave it out or pad it",
            )
        if self.most_samples is not None and samples > self.most_samples:
            raise UsageError(
                f"the recording is longer than the {self.kind} upstream takes",
                found=found,
                expected=f"at most {self.most_samples} samples ({self.most_samples / self.sample_rate:g} s)",
                hint="Cut it into pieces",
            )

    def _normalise(self, waveform: Tensor) -> Tensor:
        return waveform

    def _frames(self, layers: Sequence[Tensor], lengths: Tensor) -> Frames:
        """Layers cut to the longest utterance and set to 0 in the padding; `lengths` are frames."""
        longest = int(lengths.max())
        outside = ~valid_steps(lengths, longest)[:, :, None]
        return Frames(tuple(layer[:, :longest].masked_fill(outside, 0) for layer in layers), lengths)


def pad_waveforms(waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Prepared waveforms (T,) as a batch (B, T), zeros at the end, with (B,) int64 lengths."""
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    return pad_sequence(list(waveforms), batch_first=True), lengths


def plain_config(network: nn.Module) -> dict[str, object]:
    """The configuration of a network of the library, without what does not touch its frames."""
    config: Any = network.config
    return {name: value for name, value in config.to_dict().items() if name[0] != "_" and name not in _NO_TRAITS}
