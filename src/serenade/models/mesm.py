"""FE2E and MESM: emotion from words, face and voice, end to end, dense and sparse.

W. Dai, S. Cahyawijaya, Z. Liu, P. Fung, "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL 2021, pages
5305-5316, arXiv 2103.09666. Where paper and release differ the choice is a setting; the table is in docs/mesm.md.

Pictures of a face and pieces of a spectrogram are frames: those of all utterances of a batch stand one after the other,
with the number of each utterance. The text encoder is not part of the networks: they take its vector of an utterance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.nn.cross_modal import CrossModalAttention, MaskGradient, Selection, select_cells
from serenade.nn.late_fusion import LateFusion
from serenade.nn.sequence_encoder import SequenceEncoder
from serenade.nn.sparse_conv import ActiveBatchNorm, Sites, SubmanifoldConv2d, max_pool_sites

__all__ = [
    "CellOrder",
    "Fe2e",
    "Fe2eSettings",
    "FeatureCost",
    "Frames",
    "Mesm",
    "MesmSettings",
    "Modality",
    "dense_cost",
]

Modality = Literal["text", "face", "audio"]
CellOrder = Literal["aligned", "released"]

_MODALITIES: tuple[Modality, ...] = ("text", "face", "audio")  # the order of the fusion layer in the release
_STEM_KERNEL = 5
_FRAMES_AT_ONCE = 64  # in evaluation, where frames do not depend on each other: bounds the memory of a long clip
_SMALLEST = 16  # four times halved


class Fe2eSettings(Settings):
    """Sizes of the dense network; the defaults are those of the released commands."""

    modalities: tuple[Modality, ...] = Field(_MODALITIES, description="branches: text, face, audio, any of them")
    text_dim: int = Field(768, ge=1, description="size of the text encoder's vector: 768 for base encoders")
    face_shape: tuple[int, int, int] = Field((3, 48, 48), description="channels, height, width of a face")
    audio_shape: tuple[int, int, int] = Field((1, 128, 32), description="channel, bands, frames of a piece of sound")
    channels: tuple[int, int, int, int] = Field((64, 128, 256, 512), description="maps of the four stages of the CNN")
    projection_dim: int = Field(1024, ge=1, description="hidden units between CNN and sequence encoder")
    branch_dim: int = Field(
        64, ge=1, description="width of the sequence encoder; the released program's default is 512"
    )
    num_layers: int = Field(4, ge=1, description="layers of the sequence encoder; the program's default is 2")
    num_heads: int = Field(4, ge=1, description="heads of the sequence encoder; the program's default is 8")
    feed_forward: int = Field(2048, ge=1, description="inner units of the sequence encoder")
    dropout: float = Field(0.1, ge=0, lt=1, description="in the sequence encoder")
    positions: Literal["none", "sinusoidal"] = Field("none", description="none as released; sinusoidal as drawn")

    @field_validator("modalities")
    @classmethod
    def _some_of_each(cls, values: tuple[Modality, ...]) -> tuple[Modality, ...]:
        if not values or len(set(values)) < len(values):
            raise ValueError(f"name at least one modality, each once: found {values}")
        return tuple(name for name in _MODALITIES if name in values)

    @field_validator("face_shape", "audio_shape")
    @classmethod
    def _large_enough(cls, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        if shape[0] < 1 or min(shape[1:]) < _SMALLEST:
            raise ValueError(f"needs a channel and at least {_SMALLEST} rows and columns, halved four times: {shape}")
        return shape

    @field_validator("channels")
    @classmethod
    def _positive(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if min(values) < 1:
            raise ValueError(f"sizes must be at least 1: found {values}")
        return values

    @model_validator(mode="after")
    def _heads_fit(self) -> "Fe2eSettings":
        if self.branch_dim % self.num_heads:
            raise ValueError(f"{self.num_heads} heads do not divide a branch_dim of {self.branch_dim}")
        return self

    def shape_of(self, modality: Modality) -> tuple[int, int, int]:
        """(C, H, W) of a frame of the face or of the audio."""
        return self.face_shape if modality == "face" else self.audio_shape

    def last_shape(self, modality: Modality) -> tuple[int, int, int]:
        """(C, H, W) of a frame after the last pooling."""
        _, height, width = self.shape_of(modality)
        return self.channels[-1], height // _SMALLEST, width // _SMALLEST


class MesmSettings(Settings):
    """What the sparse network adds."""

    shared: Fe2eSettings = Fe2eSettings()
    top_p: float = Field(0.7, gt=0, le=1, description="share of attention kept: 0.7 for IEMOCAP, 0.5 for CMU-MOSEI")
    mask_gradient: MaskGradient = Field(
        "none",
        description="none: nothing teaches the attention, as released; straight_through: what is kept is multiplied by "
        "a / stop_gradient(a); scaled: by a times the number of cells kept",
    )
    cell_order: CellOrder = Field(
        "aligned",
        description="aligned: features stay in their cells; released: in the first block they are dealt out in another "
        "order than the cells, over all frames of the batch, as in the released code",
    )

    @model_validator(mode="after")
    def _text_and_frames(self) -> "MesmSettings":
        if "text" not in self.shared.modalities or len(self.shared.modalities) < 2:
            found = ", ".join(self.shared.modalities)
            raise ValueError(f"MESM chooses cells by the text: it needs text and face or audio, found {found}")
        return self


@dataclass(frozen=True)
class Frames:
    """The frames of one modality of a batch.

    Args:
        values: (S, C, H, W) frames of all utterances, one utterance after the other.
        lengths: (B,) int64 frames of each utterance, S in sum; 0 where it has none.
    """

    values: Tensor
    lengths: Tensor

    def utterances(self) -> Tensor:
        """(S,) int64: the utterance of each frame."""
        numbers = torch.arange(len(self.lengths), device=self.lengths.device)
        return torch.repeat_interleave(numbers, self.lengths)


@dataclass(frozen=True)
class FeatureCost:
    """Multiplications with addition of the CNN of one modality, over all frames given.

    Args:
        frames: number of frames.
        low_level: of the part that is never sparse.
        upper: of the six convolutions above it.
        attention: of the cross-modal attention; 0 in a dense network.
    """

    frames: int
    low_level: int
    upper: int
    attention: int = 0

    @property
    def multiply_adds(self) -> int:
        """All of it."""
        return self.low_level + self.upper + self.attention

    @property
    def flops(self) -> int:
        """Operations: two per multiplication with addition."""
        return 2 * self.multiply_adds


def _vgg(before: int, after: int) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 3, padding=1),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]


def _low_level(channels_in: int, width: int) -> nn.Sequential:
    """Rows 1 to 4 of the CNN: a 5x5 convolution, pooling, two VGG blocks of the same width."""
    return nn.Sequential(
        nn.Conv2d(channels_in, width, _STEM_KERNEL, padding=_STEM_KERNEL // 2),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        *_vgg(width, width),
        *_vgg(width, width),
    )


def _conv_costs(layers: nn.Sequential, height: int, width: int) -> int:
    """Multiplications with addition of dense convolutions that keep the size, and of poolings that halve it."""
    total = 0
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            total += height * width * layer.weight.numel()
        elif isinstance(layer, nn.MaxPool2d):
            height, width = height // 2, width // 2
    return total


def dense_cost(settings: Fe2eSettings, modality: Modality) -> FeatureCost:
    """Multiplications with addition of one frame in the CNN of the dense network; without weights or inputs."""
    _, height, width = settings.shape_of(modality)
    with torch.device("meta"):
        low = _low_level(settings.shape_of(modality)[0], settings.channels[0])
        upper = _DenseUpper(settings).layers
    return FeatureCost(1, _conv_costs(low, height, width), _conv_costs(upper, height // 2, width // 2))


class _DenseUpper(nn.Module):
    """Rows 5 to 10 of the CNN: three VGG blocks, each followed by pooling."""

    def __init__(self, settings: Fe2eSettings) -> None:
        super().__init__()
        steps = [[*_vgg(before, after), nn.MaxPool2d(2)] for before, after in pairwise(settings.channels)]
        self.layers = nn.Sequential(*(layer for step in steps for layer in step))

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = self.layers(maps)
        return out


class _SparseBlock(nn.Module):
    """Attention, selection, two submanifold convolutions, pooling."""

    def __init__(self, before: int, after: int, settings: MesmSettings) -> None:
        super().__init__()
        self.attention = CrossModalAttention(before, before, settings.shared.text_dim)
        self.first = SubmanifoldConv2d(before, after)
        self.first_norm = ActiveBatchNorm(after)
        self.second = SubmanifoldConv2d(after, after)
        self.second_norm = ActiveBatchNorm(after)
        self.top_p = settings.top_p
        self.mask_gradient: MaskGradient = settings.mask_gradient

    def choose(self, rows: Tensor, sites: Sites, text: Tensor, utterances: Tensor) -> tuple[Tensor, Selection]:
        """The rows kept and where they are; without gradients where the attention is not to learn."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.mask_gradient != "none"):
            attention = self.attention(rows, sites, text, utterances)
        return select_cells(rows, sites, attention, self.top_p, self.mask_gradient)

    def convolve(self, rows: Tensor, sites: Sites) -> tuple[Tensor, Sites]:
        """Both convolutions, normalised and rectified, then pooling."""
        rows = functional.relu(self.first_norm(self.first(rows, sites)))
        rows = functional.relu(self.second_norm(self.second(rows, sites)))
        return max_pool_sites(rows, sites)


class _SparseUpper(nn.Module):
    """Three cross-modal sparse blocks; what is inactive at the end is zero."""

    def __init__(self, settings: MesmSettings) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _SparseBlock(before, after, settings) for before, after in pairwise(settings.shared.channels)
        )
        self.cell_order: CellOrder = settings.cell_order

    def forward(self, maps: Tensor, text: Tensor, utterances: Tensor) -> tuple[Tensor, list[Selection]]:
        sites = Sites(torch.ones(maps.shape[0], *maps.shape[2:], dtype=torch.bool, device=maps.device))
        rows, selections = sites.gather(maps), list[Selection]()
        for number, block in enumerate(self.blocks):
            assert isinstance(block, _SparseBlock)
            rows, selection = block.choose(rows, sites, text, utterances)
            if number == 0 and self.cell_order == "released":
                rows = _dealt_out(rows, selection.kept)
            rows, sites = block.convolve(rows, selection.kept)
            selections.append(selection)
        return sites.scatter(rows), selections

    def costs(self, selections: list[Selection], utterances: int) -> tuple[int, int]:
        """Multiplications with addition of the convolutions and of the attention."""
        upper = attention = 0
        for block, selection in zip(self.blocks, selections, strict=True):
            assert isinstance(block, _SparseBlock)
            upper += block.first.multiply_adds(selection.kept) + block.second.multiply_adds(selection.kept)
            attention += block.attention.multiply_adds(selection.before, utterances)
        return upper, attention


def _dealt_out(rows: Tensor, sites: Sites) -> Tensor:
    """The i-th row, by frame, row and column, goes to the i-th cell, by row, column and frame: as released."""
    by_place = sites.mask.permute(1, 2, 0)
    numbers = torch.zeros_like(sites.mask, dtype=torch.int64)
    numbers[sites.mask] = torch.arange(len(rows), device=rows.device)
    receivers = numbers.permute(1, 2, 0)[by_place]
    return rows[receivers.argsort()]


class _Branch(nn.Module):
    """Face or audio: CNN, projection, sequence encoder, scores."""

    def __init__(self, num_classes: int, modality: Modality, settings: Fe2eSettings, upper: nn.Module) -> None:
        super().__init__()
        self.shape = settings.shape_of(modality)
        self.name = modality
        self.low_level = _low_level(self.shape[0], settings.channels[0])
        self.upper = upper
        channels, height, width = settings.last_shape(modality)
        self.projection = nn.Sequential(
            nn.Linear(channels * height * width, settings.projection_dim),
            nn.ReLU(),
            nn.Linear(settings.projection_dim, settings.branch_dim),
        )
        self.encoder = SequenceEncoder(
            settings.branch_dim,
            settings.num_layers,
            settings.num_heads,
            settings.feed_forward,
            settings.dropout,
            sinusoidal=settings.positions == "sinusoidal",
        )
        self.head = nn.Linear(settings.branch_dim, num_classes)

    def check(self, frames: Frames) -> None:
        """Pass if frames have the shape of this branch and are counted rightly.

        Raises:
            UsageError: they do not.
        """
        if frames.values.ndim != 4 or frames.values.shape[1:] != self.shape:
            raise UsageError(
                f"the {self.name} frames do not fit this network",
                found=tuple(frames.values.shape),
                expected=f"(frames of all utterances, {', '.join(map(str, self.shape))})",
            )
        lengths = frames.lengths
        if lengths.ndim != 1 or lengths.dtype != torch.int64 or len(lengths) == 0 or int(lengths.min()) < 0:
            raise UsageError(
                f"the lengths of the {self.name} do not count frames",
                found=f"{tuple(lengths.shape)} {lengths.dtype}, {lengths.flatten()[:5].tolist()}",
                expected="a whole number of frames, 0 or more, for each utterance: (B,) int64",
            )
        if int(lengths.sum()) != len(frames.values):
            raise UsageError(
                f"the lengths of the {self.name} do not sum to its frames",
                found=f"lengths that sum to {int(lengths.sum())}, {len(frames.values)} frames",
            )

    def features(self, frames: Frames, text: Tensor | None) -> tuple[Tensor, list[Selection]]:
        """(S, branch_dim) vectors of the frames, and what a sparse network has looked at."""
        if len(frames.values) == 0:
            return frames.values.new_zeros(0, self.head.in_features), []
        low = self.low_level(frames.values)
        selections: list[Selection] = []
        if isinstance(self.upper, _SparseUpper):
            assert text is not None
            maps, selections = self.upper(low, text, frames.utterances())
        else:
            maps = self.upper(low)
        return self.projection(maps.flatten(1)), selections

    def forward(self, frames: Frames, text: Tensor | None) -> Tensor:
        """(B, K) scores."""
        vectors = torch.cat([self.features(part, text)[0] for part in self._parts(frames)])
        scores: Tensor = self.head(self.encoder(vectors, frames.lengths))
        return scores

    def _parts(self, frames: Frames) -> list[Frames]:
        """The frames as they go through the CNN: all at once where they depend on each other, else some at a time."""
        together = isinstance(self.upper, _SparseUpper) and self.upper.cell_order == "released"
        if self.training or together or len(frames.values) <= _FRAMES_AT_ONCE:
            return [frames]
        owners, count = torch.split(frames.utterances(), _FRAMES_AT_ONCE), len(frames.lengths)
        lengths = [torch.bincount(owner, minlength=count) for owner in owners]
        return [Frames(*part) for part in zip(torch.split(frames.values, _FRAMES_AT_ONCE), lengths, strict=True)]

    def cost(self, frames: Frames, text: Tensor | None) -> FeatureCost:
        """Of these frames; a sparse network is run to see which cells it keeps."""
        count, (_, height, width) = len(frames.values), self.shape
        low_level = count * _conv_costs(self.low_level, height, width)
        if not isinstance(self.upper, _SparseUpper):
            assert isinstance(self.upper, _DenseUpper)
            return FeatureCost(count, low_level, count * _conv_costs(self.upper.layers, height // 2, width // 2))
        if count == 0:
            return FeatureCost(0, 0, 0)
        _, selections = self.features(frames, text)
        upper, attention = self.upper.costs(selections, len(frames.lengths))
        return FeatureCost(count, low_level, upper, attention)


class _LateFused(nn.Module):
    """What FE2E and MESM share: checks, a branch per modality, fusion."""

    def __init__(self, num_classes: int, settings: Fe2eSettings, uppers: Mapping[Modality, nn.Module]) -> None:
        super().__init__()
        self.modalities = settings.modalities
        self.text_dim = settings.text_dim
        if "text" in settings.modalities:
            self.text = nn.Linear(settings.text_dim, num_classes)
        self.branches = nn.ModuleDict(
            {name: _Branch(num_classes, name, settings, upper) for name, upper in uppers.items()}
        )
        self.fusion = LateFusion(settings.modalities)

    def branch_scores(
        self, *, text: Tensor | None = None, face: Frames | None = None, audio: Frames | None = None
    ) -> dict[str, Tensor]:
        """(B, K) scores of each branch, by modality; arguments as for `forward`."""
        frames = self._check(text, face, audio)
        scores = {"text": self.text(text)} if "text" in self.modalities else {}
        return scores | {name: self.branches[name](given, text) for name, given in frames.items()}

    def forward(
        self,
        *,
        text: Tensor | None = None,
        face: Frames | None = None,
        audio: Frames | None = None,
        present: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """(B, K) fused scores; their sigmoid is the probability of each emotion.

        Args:
            text: (B, text_dim) the text encoder's last hidden state at its first position.
            face: faces, normalised by channel. An utterance without any is read from the learned first vector.
            audio: pieces of the mel spectrogram.
            present: (B,) bool for each modality, where some utterances lack some: see `nn.late_fusion`. None takes
                part in everything.

        Raises:
            UsageError: a modality of this network is not given, one that it does not have is, or shapes do not fit.
        """
        fused: Tensor = self.fusion(self.branch_scores(text=text, face=face, audio=audio), present)
        return fused

    @torch.no_grad()
    def feature_costs(
        self, *, text: Tensor | None = None, face: Frames | None = None, audio: Frames | None = None
    ) -> dict[str, FeatureCost]:
        """Multiplications of the CNN of each modality on these inputs; arguments as for `forward`.

        The rule: a dense convolution has ``H W k k C D``, a sparse one ``pairs C D``, the scorer of the attention
        ``cells (C k + k) + text_dim k`` per utterance. Call it in evaluation mode: it runs a sparse network.
        """
        frames = self._check(text, face, audio)
        return {name: self._branch(name).cost(given, text) for name, given in frames.items()}

    def _branch(self, name: str) -> _Branch:
        branch = self.branches[name]
        assert isinstance(branch, _Branch)
        return branch

    def _check(self, text: Tensor | None, face: Frames | None, audio: Frames | None) -> dict[str, Frames]:
        """The frames by modality, once all is as it should be."""
        given = {"text": text, "face": face, "audio": audio}
        names = tuple(name for name, value in given.items() if value is not None)
        if names != self.modalities:
            raise UsageError(
                "the modalities given are not those of this network",
                found=", ".join(names) or "none",
                expected=", ".join(self.modalities),
                hint="Give an utterance without frames the length 0.",
            )
        if text is not None and (text.ndim != 2 or text.shape[1] != self.text_dim):
            raise UsageError(
                "the text vectors do not fit this network", found=tuple(text.shape), expected=f"(B, {self.text_dim})"
            )
        frames = {name: value for name, value in (("face", face), ("audio", audio)) if value is not None}
        for name, value in frames.items():
            self._branch(name).check(value)
        counts = {name: len(value.lengths) for name, value in frames.items()}
        counts |= {} if text is None else {"text": len(text)}
        if len(set(counts.values())) > 1:
            raise UsageError("the modalities are not of the same utterances", found=f"utterances: {counts}")
        return frames


class Fe2e(_LateFused):
    """The dense network (MME2E in the release), with any modalities.

    Args:
        num_classes: K.
        settings: sizes.
    """

    def __init__(self, num_classes: int, settings: Fe2eSettings | None = None) -> None:
        settings = settings if settings is not None else Fe2eSettings()
        super().__init__(
            num_classes, settings, {name: _DenseUpper(settings) for name in settings.modalities if name != "text"}
        )


class Mesm(_LateFused):
    """The sparse network (MME2E_Sparse in the release): the text says which cells of face and sound to look at.

    Args:
        num_classes: K.
        settings: sizes and choices.
    """

    def __init__(self, num_classes: int, settings: MesmSettings | None = None) -> None:
        settings = settings if settings is not None else MesmSettings()
        names = [name for name in settings.shared.modalities if name != "text"]
        super().__init__(num_classes, settings.shared, {name: _SparseUpper(settings) for name in names})

    @torch.no_grad()
    def selections(
        self, *, text: Tensor, face: Frames | None = None, audio: Frames | None = None
    ) -> dict[str, list[Selection]]:
        """What the three blocks of each branch attend to and keep, none where there are no frames.

        Call it in evaluation mode. Arguments as for `forward`.
        """
        frames = self._check(text, face, audio)
        return {name: self._branch(name).features(given, text)[1] for name, given in frames.items()}
