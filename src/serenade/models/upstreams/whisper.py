"""Whisper's encoder: log-mel of a window of 30 s, two convolutions, a transformer.

A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, arXiv 2212.04356.

The network was trained on whole windows only, recordings being filled up with silence, and sees no mask. So every
utterance gets a window of its own, whatever the batch, and costs as much as 30 s; frames beyond its end are cut off.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.models.upstreams.upstream import Frames, Upstream, plain_config
from serenade.nn.masking import valid_steps

__all__ = ["WhisperUpstream"]

_MELS_PER_FRAME = 2  # stride of the second convolution
_LEAST_POWER = 1e-10
_DYNAMIC_RANGE = 8.0  # below the window's maximum, in powers of ten


class WhisperUpstream(Upstream):
    """The encoder of a Whisper model; 50 frames per second.

    Args:
        network: the library's encoder.
        mel_filters: (bins of the spectrum, bands of the network).
        sample_rate: in hertz.
        fft_length: samples of a spectrum's window.
        mel_hop: samples from spectrum to spectrum.
    """

    def __init__(
        self, network: nn.Module, mel_filters: Tensor, *, sample_rate: int, fft_length: int, mel_hop: int
    ) -> None:
        super().__init__()
        config: Any = network.config
        self.network, self.kind, self.sample_rate = network, "whisper", sample_rate
        self.fft_length, self.mel_hop, self.hop = fft_length, mel_hop, _MELS_PER_FRAME * mel_hop
        self.dim, self.num_layers = config.d_model, config.encoder_layers + 1
        self.hop_length, self.least_samples = self.hop, 1
        self.most_samples: int = config.max_source_positions * self.hop
        self.register_buffer("mel_filters", mel_filters.float(), persistent=False)
        self.register_buffer("window", torch.hann_window(fft_length), persistent=False)

    def _traits(self) -> Mapping[str, object]:
        return {"config": plain_config(self.network), "fft_length": self.fft_length, "mel_hop": self.mel_hop}

    def num_frames(self, lengths: Tensor) -> Tensor:
        """``ceil(n / hop_length)``: the frames that begin before the end."""
        return -(-lengths // self.hop)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """Frames of a batch.

        Args:
            waveforms: (B, T), each from `prepare`; what stands beyond its length does not count.
            lengths: (B,) int64 samples, 1 to `most_samples`.
        """
        whole = waveforms.masked_fill(~valid_steps(lengths, waveforms.shape[1]), 0)
        found = self.network(self.log_mel(whole), output_hidden_states=True)
        return self._frames([*found.hidden_states[:-1], found.last_hidden_state], self.num_frames(lengths))

    def log_mel(self, waveforms: Tensor) -> Tensor:
        """What the network sees of whole windows.

        Args:
            waveforms: (B, T), T at most `most_samples`; silence is put behind them.

        Returns:
            (B, bands, most_samples / mel_hop): log10 of mel power, at most 8 below each window's maximum, scaled.
        """
        windows = functional.pad(waveforms, (0, self.most_samples - waveforms.shape[1]))
        assert isinstance(self.window, Tensor)
        spectrum = torch.stft(windows, self.fft_length, self.mel_hop, window=self.window, return_complex=True)
        return self.log_mel_of(spectrum.abs().square())

    def log_mel_of(self, power: Tensor) -> Tensor:
        """The same of power spectra (B, bins, most_samples / mel_hop + 1) of whole windows; the last one is dropped."""
        assert isinstance(self.mel_filters, Tensor)
        log = (self.mel_filters.T @ power[:, :, :-1]).clamp_min(_LEAST_POWER).log10()
        return (torch.maximum(log, log.amax(dim=(1, 2), keepdim=True) - _DYNAMIC_RANGE) + 4) / 4
