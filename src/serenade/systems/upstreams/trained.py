"""Systems trained here as upstreams: their encoder's steps, or one vector per segment."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.models.mtl_aug import CnnBlstm, Encoder, as_sequence
from serenade.models.upstreams.upstream import Frames, Upstream
from serenade.signal import SIGNAL_VERSION
from serenade.signal.audio import SAMPLE_RATE
from serenade.systems import load_system
from serenade.training.batches import split_segments
from serenade.training.system import Example, System
from serenade.training.window_system import WindowNetwork, WindowSystem

__all__ = ["EncoderUpstream", "SegmentUpstream", "trained_upstream"]

_PROBE = SAMPLE_RATE  # samples of the silence that tells how wide a system's vectors are


def trained_upstream(folder: Path) -> Upstream:
    """The upstream in a model folder: the encoder of MTL-AUG and its kin, else one vector per segment.

    Raises:
        CheckpointError: the folder is damaged or of another version.
    """
    system = load_system(folder)
    if isinstance(system, WindowSystem) and isinstance(system.network.body, CnnBlstm):
        return EncoderUpstream(system, system.network.body).eval()
    return SegmentUpstream(system).eval()


class EncoderUpstream(Upstream):
    """What the convolutional encoder of MTL-AUG gives for a whole utterance: a step every four frames.

    It is the encoder alone, with the normaliser before it, so that it can be trained along.

    Args:
        system: trained.
        body: its network.
    """

    def __init__(self, system: WindowSystem, body: CnnBlstm) -> None:
        super().__init__()
        self.front_end = system.front_end
        self.network = WindowNetwork(system.network.normaliser, body.encoder)
        self.settings = system.settings.front_end
        self.kind, self.dim, self.num_layers = "cnn-blstm", body.step_width, 1
        hop = int(system.settings.front_end.hop_length)
        self.sample_rate, self.hop_length, self.least_samples = SAMPLE_RATE, hop * body.encoder.frames_per_step, 1

    @property
    def encoder(self) -> Encoder:
        """The convolutions."""
        return cast(Encoder, self.network.body)

    def _traits(self) -> Mapping[str, object]:
        return {"front_end": self.settings.model_dump(mode="json"), "version": SIGNAL_VERSION}

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Steps of the encoder; 0 for no sample."""
        frames = [self.front_end.shape(int(n))[1] if n > 0 else 0 for n in lengths.flatten()]
        return self.encoder.num_steps(torch.tensor(frames, device=lengths.device)).reshape(lengths.shape)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """Steps of a batch.

        Args:
            waveforms: (B, T), each from `prepare`; what stands beyond its length does not count.
            lengths: (B,) int64 samples, at least 1.
        """
        features = [self.front_end(row[None, :n])[0].T for row, n in zip(waveforms, lengths, strict=True)]
        frames = torch.tensor([len(each) for each in features], device=waveforms.device)
        # behind every utterance stands as much padding as its steps can see, so that its batch adds none
        padded = nn.functional.pad(pad_sequence(features, batch_first=True), (0, 0, 0, self.encoder.reach))
        encoded = self.encoder(self.network.normalise(padded.transpose(1, 2), frames)[:, None])
        return self._frames([as_sequence(encoded)], self.encoder.num_steps(frames))


class SegmentUpstream(Upstream):
    """The vector before the classes that a system gives for each segment of an utterance, in order.

    It takes the whole system, which learns by its own rules, so it cannot be trained along.

    Args:
        system: trained.
    """

    trainable = False

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system, self.network = system, system.network
        self.kind = type(system).__name__.removesuffix("System").lower()
        self.num_layers, self.sample_rate, self.hop_length, self.least_samples = 1, SAMPLE_RATE, None, 1
        with torch.inference_mode():
            self.dim = self._vectors(torch.zeros(_PROBE)).shape[1]

    def _traits(self) -> Mapping[str, object]:
        return {"settings": self.system.settings.model_dump(mode="json"), "version": SIGNAL_VERSION}

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Segments of recordings of so many samples; 0 for no sample."""
        counts = [len(self._segments(torch.zeros(int(n)))) if n > 0 else 0 for n in lengths.flatten()]
        return torch.tensor(counts, device=lengths.device).reshape(lengths.shape)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """Vectors of a batch.

        Args:
            waveforms: (B, T), each from `prepare`; what stands beyond its length does not count.
            lengths: (B,) int64 samples, at least 1.
        """
        rows = [self._vectors(row[:n]) for row, n in zip(waveforms, lengths.tolist(), strict=True)]
        counts = torch.tensor([len(row) for row in rows], device=waveforms.device)
        return Frames((pad_sequence(rows, batch_first=True),), counts)

    def _segments(self, waveform: Tensor) -> list[Example]:
        inputs = self.system.extract(waveform, training=False)
        unnamed = Utterance("", Path(), "", UNKNOWN_SPEAKER, None)
        return split_segments([Example(unnamed, inputs, None)])

    def _vectors(self, waveform: Tensor) -> Tensor:
        """(segments, D); none where the system leaves the recording out."""
        segments = self._segments(waveform)
        if not segments:
            return waveform.new_zeros(0, self.dim)
        return self.system.predict(self.system.collate(segments).to(waveform.device)).embeddings
