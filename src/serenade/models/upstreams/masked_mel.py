"""The compact upstream that ``serenade pretrain`` makes: a transformer over log-mel frames, 50 per second.

Two neighbouring frames of 25 ms, 10 ms apart, are one input vector, which leaves out the convolutions over samples that
wav2vec 2.0 and HuBERT begin with. Each band is standardised with the mean and deviation of the pretraining speech, not
of the utterance, so that loudness and spectral tilt, which tell much of emotion, reach the frames. A convolution gives
positions; blocks normalise before (Xiong et al., ICML 2020).

The folder is of a kind of its own: `config.json`, `model.safetensors`, `pretraining.json` (what was learnt from).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.errors import CheckpointError, SettingsError
from serenade.core.files import read_json, write_bytes, write_json
from serenade.core.settings import Settings, make_settings
from serenade.evaluation.unlabelled_leaks import Heard
from serenade.models.upstreams.upstream import Frames, Upstream
from serenade.nn.masking import valid_steps
from serenade.signal import SIGNAL_VERSION
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.spectra import PowerSpectrum, slaney_filters

__all__ = [
    "KIND",
    "PRETRAINING_FILE",
    "LogMelPairs",
    "MaskedMelSettings",
    "MaskedMelUpstream",
    "MaskedPredictor",
    "MelEncoder",
    "build_masked_mel",
    "read_heard",
    "read_pretraining",
    "save_masked_mel",
]

KIND = "serenade-masked-mel"
"""The `model_type` of such a folder."""

PRETRAINING_FILE = "pretraining.json"
"""What was learnt from, and how: corpora, licences, settings, figures, and hashes of speakers and recordings."""

_FORMAT = 1
_PAIR = 2  # log-mel frames in one input vector
_WINDOW, _MEL_HOP, _FFT = 400, 160, 512  # samples at 16 kHz: 25 ms, 10 ms
_LEAST_POWER = 1e-6  # added to the power of a band: some 60 dB below speech
_WEIGHTS = "model.safetensors"
_CONFIG = "config.json"


class MaskedMelSettings(Settings):
    """Sizes of the network."""

    num_bands: int = Field(80, ge=8, le=128, description="mel bands up to 8 kHz")
    width: int = Field(256, ge=8, description="D of a frame")
    num_blocks: int = Field(4, ge=1, description="transformer blocks")
    num_heads: int = Field(4, ge=1, description="heads of attention, a divisor of the width")
    feed_forward: int = Field(1024, ge=8, description="units of a block's inner layer")
    position_kernel: int = Field(31, ge=3, description="frames that the positional convolution sees, odd")
    position_groups: int = Field(16, ge=1, description="groups of the positional convolution, a divisor of the width")

    @model_validator(mode="after")
    def _check(self) -> "MaskedMelSettings":
        for name in ("num_heads", "position_groups"):
            if self.width % getattr(self, name):
                raise ValueError(f"{name} must divide the width: found {getattr(self, name)} and {self.width}")
        if self.position_kernel % 2 == 0:
            raise ValueError(f"position_kernel must be odd: found {self.position_kernel}")
        return self


class LogMelPairs(nn.Module):
    """Natural logarithm of mel power, two frames of 10 ms to a step.

    Args:
        num_bands: F.
        exportable: made of operations that ONNX has.
    """

    filters: Tensor
    hop_length = _PAIR * _MEL_HOP
    least_samples = _WINDOW + (_PAIR - 1) * _MEL_HOP

    def __init__(self, num_bands: int, *, exportable: bool = False) -> None:
        super().__init__()
        self.spectrum = PowerSpectrum(
            window="hann",
            window_length=_WINDOW,
            hop_length=_MEL_HOP,
            fft_length=_FFT,
            padding=None,
            exportable=exportable,
        )
        filters = slaney_filters(num_bands, _FFT, SAMPLE_RATE, 0.0, SAMPLE_RATE / 2)
        self.register_buffer("filters", filters.float(), persistent=False)

    def num_steps(self, lengths: Tensor) -> Tensor:
        """``floor((n - 560) / 320) + 1``: steps of waveforms of so many samples that lie wholly inside; at least 0."""
        return ((lengths - self.least_samples).div(self.hop_length, rounding_mode="floor") + 1).clamp_min(0)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Steps.

        Args:
            waveforms: (B, T) at 16 kHz, T at least `least_samples`.

        Returns:
            (B, L, 2 F), the earlier frame first.
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            mels = torch.matmul(self.filters, self.spectrum(waveforms.float()))  # (B, F, frames)
            steps = mels.shape[2] // _PAIR  # as many as `num_steps` says
            logs = (mels + _LEAST_POWER).log()[:, :, : _PAIR * steps]
        return logs.transpose(1, 2).reshape(waveforms.shape[0], steps, -1)


class MelEncoder(nn.Module):
    """Log-mel steps to the layers of a transformer.

    Args:
        settings: its sizes.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, settings: MaskedMelSettings) -> None:
        super().__init__()
        width = settings.width
        self.register_buffer("mean", torch.zeros(settings.num_bands))
        self.register_buffer("deviation", torch.ones(settings.num_bands))
        self.input = nn.Linear(_PAIR * settings.num_bands, width)
        self.positions = nn.Conv1d(
            width,
            width,
            settings.position_kernel,
            padding=settings.position_kernel // 2,
            groups=settings.position_groups,
        )
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                settings.num_heads,
                settings.feed_forward,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(settings.num_blocks)
        )
        self.norm = nn.LayerNorm(width)

    def standardise(self, mels: Tensor) -> Tensor:
        """(B, L, 2 F) log-mel steps with mean 0 and deviation 1 in every band of the pretraining speech."""
        return (mels - self.mean.repeat(_PAIR)) / self.deviation.repeat(_PAIR)

    def forward(
        self, steps: Tensor, lengths: Tensor | None, masked: Tensor | None = None, mask_vector: Tensor | None = None
    ) -> list[Tensor]:
        """The input of every block and the output, each (B, L, D); what stands in the padding has no meaning.

        Args:
            steps: (B, L, 2 F), standardised.
            lengths: (B,) int64 valid steps, at least 1; None where all are valid.
            masked: (B, L) bool, steps that `mask_vector` takes the place of; None for none.
            mask_vector: (D,); needed where some are masked.
        """
        valid = None if lengths is None else valid_steps(lengths, steps.shape[1])
        x = self.input(steps)
        if masked is not None and mask_vector is not None:
            x = torch.where(masked[:, :, None], mask_vector.to(x.dtype), x)
        if valid is not None:
            x = x.masked_fill(~valid[:, :, None], 0)
        x = x + functional.gelu(self.positions(x.transpose(1, 2)).transpose(1, 2))
        padding = None if valid is None or bool(valid.all()) else ~valid
        layers = [x]
        for block in self.blocks:
            layers.append(block(layers[-1], src_key_padding_mask=padding))
        return [*layers[:-1], self.norm(layers[-1])]


class MaskedPredictor(nn.Module):
    """The encoder with what only pretraining needs: the vector of masked steps, and heads for what was behind it.

    Args:
        settings: sizes of the encoder.
        num_clusters: K.
    """

    def __init__(self, settings: MaskedMelSettings, num_clusters: int) -> None:
        super().__init__()
        self.encoder = MelEncoder(settings)
        self.mask_vector = nn.Parameter(0.1 * torch.randn(settings.width))
        self.clusters = nn.Linear(settings.width, num_clusters)
        self.mels = nn.Linear(settings.width, _PAIR * settings.num_bands)

    def forward(self, mels: Tensor, lengths: Tensor, masked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the network takes masked steps for.

        Args:
            mels: (B, L, 2 F) log-mel steps.
            lengths: (B,) int64 valid steps, at least 1.
            masked: (B, L) bool, within the valid steps; N of them.

        Returns:
            (N, K) scores of clusters, (N, 2 F) standardised log-mel, and (N, 2 F) what that is in truth.
        """
        steps = self.encoder.standardise(mels)
        hidden = self.encoder(steps, lengths, masked, self.mask_vector)[-1]
        # All steps go through the heads, since N is another in every batch, and each new size is compiled for.
        return self.clusters(hidden)[masked], self.mels(hidden)[masked], steps[masked]


class MaskedMelUpstream(Upstream):
    """A compact upstream over log-mel; see the module.

    Args:
        settings: its sizes.
    """

    def __init__(self, settings: MaskedMelSettings) -> None:
        super().__init__()
        self.settings, self.kind, self.sample_rate = settings, KIND, SAMPLE_RATE
        self.mels = LogMelPairs(settings.num_bands)
        self.encoder = MelEncoder(settings)
        self.dim, self.num_layers = settings.width, settings.num_blocks + 1
        self.hop_length, self.least_samples = self.mels.hop_length, self.mels.least_samples

    def _traits(self) -> Mapping[str, object]:
        return {"settings": self.settings.model_dump(mode="json"), "version": SIGNAL_VERSION}

    def num_frames(self, lengths: Tensor) -> Tensor:
        """``floor((n - 560) / 320) + 1``; 0 below one frame."""
        return self.mels.num_steps(lengths)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """Frames of a batch.

        Args:
            waveforms: (B, T), each from `prepare`; what stands beyond its length does not count.
            lengths: (B,) int64 samples, at least `least_samples`.
        """
        frames = self.num_frames(lengths)
        steps = self.encoder.standardise(self.mels(waveforms))[:, : int(frames.max())]
        return self._frames(self.encoder(steps, frames), frames)


def build_masked_mel(folder: Path, config: Mapping[str, Any]) -> MaskedMelUpstream:
    """The upstream of a folder, in evaluation mode.

    Args:
        folder: from `save_masked_mel`.
        config: what its `config.json` holds.

    Raises:
        CheckpointError: another format, settings that describe no network, weights that are missing, cut short, too
            many, of another shape or not finite.
    """
    if config.get("format") != _FORMAT:
        found = f"format {config.get('format')!r}"
        raise CheckpointError(
            "this upstream is of another version of Serenade", where=folder, found=found, expected=f"format {_FORMAT}"
        )
    try:
        settings = make_settings(MaskedMelSettings, config.get("network", {}), where=str(folder / _CONFIG))
    except SettingsError as error:
        raise CheckpointError("config.json describes no network", where=folder, found=str(error)) from error
    upstream = MaskedMelUpstream(settings)
    try:
        weights = load_file(folder / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            "the weights cannot be read: the file is missing, damaged or cut short",
            where=folder / _WEIGHTS,
            found=str(error).splitlines()[0],
            hint="Copy the folder again, or run `serenade pretrain` again",
        ) from error
    _load(upstream.encoder, weights, folder)
    return upstream.eval()


def _load(encoder: MelEncoder, weights: Mapping[str, Tensor], folder: Path) -> None:
    wanted = encoder.state_dict()
    faulty = sorted(
        {name for name in wanted.keys() | weights.keys() if name not in wanted or name not in weights}
        | {name for name in wanted.keys() & weights.keys() if wanted[name].shape != weights[name].shape}
        | {name for name, value in weights.items() if not bool(value.isfinite().all())}
    )
    if faulty:
        raise CheckpointError(
            "the weights do not fit the network that config.json describes",
            where=folder,
            found=f"{len(faulty)} missing, too many, of another shape or not finite, such as {faulty[0]}",
            expected=f"{len(wanted)} weights, each in its place",
        )
    encoder.load_state_dict(dict(weights))


def save_masked_mel(folder: Path, encoder: MelEncoder, settings: MaskedMelSettings) -> None:
    """Write `config.json` and the weights.

    Raises:
        StorageError: the disk is full or refuses.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    write_bytes(folder / _WEIGHTS, save(tensors))
    write_json(folder / _CONFIG, {"model_type": KIND, "format": _FORMAT, "network": settings.model_dump(mode="json")})


def read_pretraining(folder: str | Path) -> Mapping[str, Any] | None:
    """What the folder of an upstream of this kind says of its making; None where it is of another kind.

    Raises:
        CheckpointError: it is of this kind, and the file is missing or damaged.
    """
    folder = Path(folder)
    try:
        if read_json(folder / _CONFIG).get("model_type") != KIND:
            return None
    except (OSError, ValueError, AttributeError):
        return None  # no checkpoint; `open_upstream` says what is wrong with it
    try:
        about = read_json(folder / PRETRAINING_FILE)
        Heard.from_json(about["heard"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            "it cannot be told what this upstream was pretrained on",
            where=folder / PRETRAINING_FILE,
            found=str(error),
            hint="Copy the folder again, with all of its files",
        ) from error
    return dict(about)


def read_heard(folder: str | Path) -> Heard | None:
    """Whom and what the upstream in a folder has heard, for `evaluation.unlabelled_leaks.check_heard`.

    None for an upstream of another kind: of those nobody has written it down.

    Raises:
        CheckpointError: it is of this kind, and the file that says it is missing or damaged.
    """
    about = read_pretraining(folder)
    return None if about is None else Heard.from_json(about["heard"])
