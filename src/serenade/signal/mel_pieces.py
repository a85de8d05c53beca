"""The sound of an utterance as MESM hears it: a mel spectrogram in consecutive pieces of 0.40 s."""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from serenade.core.settings import Settings
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.spectra import PowerSpectrum, htk_triangles

__all__ = ["MelPieceSettings", "MelPieces"]


class MelPieceSettings(Settings):
    """The published front end at 16 kHz: 25-ms windows, 128 bands, pieces of 32 frames; power, without logarithm."""

    num_bands: int = Field(128, ge=1, description="mel bands (HTK scale, height 1); the lowest may hold no frequency")
    window_length: int = Field(400, ge=16, multiple_of=2, description="samples of a frame and of its transform")
    hop_length: int = Field(200, ge=1, description="samples from one frame to the next")
    low_hz: float = Field(0.0, ge=0)
    high_hz: float = Field(SAMPLE_RATE / 2, gt=0, le=SAMPLE_RATE / 2)
    piece_frames: int = Field(32, ge=1, description="frames of a piece: 32 are 0.40 s")
    log: bool = Field(False, description="log(1 + power) instead of the power; not in the release")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low_hz < self.high_hz:
            raise ValueError(f"low_hz must be below high_hz: found {self.low_hz} and {self.high_hz}")
        return self

    @property
    def piece_s(self) -> float:
        """Seconds of a piece."""
        return self.piece_frames * self.hop_length / SAMPLE_RATE


class MelPieces(torch.nn.Module):
    """Waveforms to pieces of a mel spectrogram."""

    filters: Tensor

    def __init__(self, settings: MelPieceSettings | None = None) -> None:
        super().__init__()
        self.settings = settings if settings is not None else MelPieceSettings()
        length = self.settings.window_length
        self.spectrum = PowerSpectrum(
            window="hann",
            window_length=length,
            hop_length=self.settings.hop_length,
            fft_length=length,
            padding="reflect",
            exportable=False,
        )
        band = (self.settings.low_hz, self.settings.high_hz)
        filters = htk_triangles(self.settings.num_bands, length, SAMPLE_RATE, *band)
        self.register_buffer("filters", filters.float(), persistent=False)

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """(F, L) mel power of (T,) samples, T at least 1; what is too short to be reflected is filled up with zeros."""
        least = self.settings.window_length // 2 + 1
        waveform = functional.pad(waveform, (0, max(0, least - len(waveform))))
        mel = torch.matmul(self.filters, self.spectrum(waveform[None])[0])
        return mel.log1p() if self.settings.log else mel

    def forward(self, waveform: Tensor) -> Tensor:
        """Pieces that follow each other, the last filled up with zeros on its right.

        Args:
            waveform: (T,) at 16 kHz, T at least 1.

        Returns:
            (S, 1, F, piece_frames) with S at least 1.
        """
        frames = self.settings.piece_frames
        mel = self.spectrogram(waveform)
        mel = functional.pad(mel, (0, -mel.shape[1] % frames))
        return mel.unfold(1, frames, frames).permute(1, 0, 2).unsqueeze(1).contiguous()
