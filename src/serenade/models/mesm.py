"""FE2E and MESM: emotion from words, face and voice, end to end, dense and sparse.

W. Dai, S. Cahyawijaya, Z. Liu, P. Fung, "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL 2021, pages
5305-5316, arXiv 2103.09666. Where paper and release differ the choice is a setting; the table is in docs/mesm.md.

Pictures of a face and pieces of a spectrogram are frames: those of all utterances of a batch stand one after the other,
with the number of each utterance. The text encoder is not part of the networks: they take its vector of an utterance.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from serenade.core.errors import UsageError
from serenade.models.mesm_cnn import DenseUpper, FeatureCost, SparseUpper, conv_costs, low_level
from serenade.models.mesm_settings import Fe2eSettings, MesmSettings, Modality
from serenade.nn.cross_modal import Selection
from serenade.nn.late_fusion import LateFusion
from serenade.nn.sequence_encoder import SequenceEncoder

__all__ = ["Fe2e", "Frames", "Mesm"]

_FRAMES_AT_ONCE = 64  # in evaluation, where frames do not depend on each other: bounds the memory of a long clip


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


class _Branch(nn.Module):
    """Face or audio: CNN, projection, sequence encoder, scores."""

    def __init__(self, num_classes: int, modality: Modality, settings: Fe2eSettings, upper: nn.Module) -> None:
        super().__init__()
        self.shape = settings.shape_of(modality)
        self.name = modality
        self.low_level = low_level(self.shape[0], settings.channels[0])
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
        if isinstance(self.upper, SparseUpper):
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
        together = isinstance(self.upper, SparseUpper) and self.upper.cell_order == "released"
        if self.training or together or len(frames.values) <= _FRAMES_AT_ONCE:
            return [frames]
        owners, count = torch.split(frames.utterances(), _FRAMES_AT_ONCE), len(frames.lengths)
        lengths = [torch.bincount(owner, minlength=count) for owner in owners]
        return [Frames(*part) for part in zip(torch.split(frames.values, _FRAMES_AT_ONCE), lengths, strict=True)]

    def cost(self, frames: Frames, text: Tensor | None) -> FeatureCost:
        """Of these frames; a sparse network is run to see which cells it keeps."""
        count, (_, height, width) = len(frames.values), self.shape
        low_level = count * conv_costs(self.low_level, height, width)
        if not isinstance(self.upper, SparseUpper):
            assert isinstance(self.upper, DenseUpper)
            return FeatureCost(count, low_level, count * conv_costs(self.upper.layers, height // 2, width // 2))
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
            num_classes, settings, {name: DenseUpper(settings) for name in settings.modalities if name != "text"}
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
        super().__init__(num_classes, settings.shared, {name: SparseUpper(settings) for name in names})

    @torch.no_grad()
    def selections(
        self, *, text: Tensor, face: Frames | None = None, audio: Frames | None = None
    ) -> dict[str, list[Selection]]:
        """What the three blocks of each branch attend to and keep, none where there are no frames.

        Call it in evaluation mode. Arguments as for `forward`.
        """
        frames = self._check(text, face, audio)
        return {name: self._branch(name).features(given, text)[1] for name, given in frames.items()}
