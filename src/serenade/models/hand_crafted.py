"""Networks over hand-crafted features of words, voice and face: what MESM is compared with.

LF-LSTM and LF-TRANS: W. Dai, S. Cahyawijaya, Z. Liu, P. Fung, "Multimodal End-to-End Sparse Model for Emotion
Recognition", NAACL 2021. EmoEmbs: W. Dai, Z. Liu, T. Yu, P. Fung, "Modality-Transferable Emotion Embeddings for
Low-Resource Multimodal Emotion Recognition", AACL 2020. MulT: Y.-H. H. Tsai et al., "Multimodal Transformer for
Unaligned Multimodal Language Sequences", ACL 2019.

Features of all utterances of a batch stand one after the other, with their number for each utterance. Deviations: the
released LSTMs go through the zeros behind a sequence and the text of LF-TRANS attends to them, so that scores depend on
the batch; here only what is there counts. A modality that is missing is one row of zeros.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import gcd
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.models.mesm import Frames
from serenade.models.mesm_settings import Modality
from serenade.nn.late_fusion import LateFusion
from serenade.nn.masking import valid_steps
from serenade.nn.recurrent import PackedBlstm
from serenade.nn.sequence_encoder import SequenceEncoder

__all__ = ["EmoEmbs", "LfLstm", "LfTrans", "Mult", "SequenceNetwork", "SequenceSettings"]

_HEADS: Mapping[str, int] = {"text": 4, "audio": 2, "face": 5}  # of LF-TRANS as released
_EMBEDDED: Mapping[str, int] = {"text": 300, "audio": 200, "face": 100}  # units of EmoEmbs as published


class SequenceSettings(Settings):
    """Which network, and its sizes; the defaults are the published ones."""

    kind: Literal["lf_lstm", "lf_trans", "emoembs", "mult"] = "lf_lstm"
    num_layers: int = Field(2, ge=1, description="lf_trans, mult: transformer layers; emoembs: of its LSTMs")
    feed_forward: int = Field(2048, ge=1, description="lf_trans: inner units")
    dropout: float = Field(0.1, ge=0, lt=1, description="lf_trans, mult: in the layers; emoembs: 0.15 as published")
    width: int = Field(40, ge=8, multiple_of=8, description="mult: of all modalities once they are projected")


def _padded(frames: Frames, width: int) -> tuple[Tensor, Tensor]:
    """(B, L, D) rows and (B,) how many there are, at least one, which is 0 where an utterance has none."""
    lengths: list[int] = frames.lengths.tolist()
    nothing = frames.values.new_zeros(1, width)
    parts = [part if len(part) else nothing for part in torch.split(frames.values, lengths)]
    return pad_sequence(parts, batch_first=True), frames.lengths.clamp_min(1)


class SequenceNetwork(nn.Module, ABC):
    """The base of these networks: checks of what they are given.

    Args:
        num_classes: K.
        widths: D of the features of each modality.
        settings: sizes.
    """

    def __init__(self, num_classes: int, widths: Mapping[Modality, int], settings: SequenceSettings) -> None:
        super().__init__()
        self.num_classes, self.widths, self.settings = num_classes, dict(widths), settings

    def forward(self, frames: Mapping[str, Frames], present: Mapping[str, Tensor] | None = None) -> Tensor:
        """(B, K) fused scores.

        Args:
            frames: of each modality, (S, D) rows.
            present: (B,) bool for each modality, where some utterances lack some.

        Raises:
            UsageError: the modalities or the sizes of the rows are not those of this network.
        """
        return self.judge(frames, present)[0]

    @abstractmethod
    def judge(
        self, frames: Mapping[str, Frames], present: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, K) fused scores and those of each branch alone; no branches where the network has none."""

    def padded(self, frames: Mapping[str, Frames]) -> dict[str, tuple[Tensor, Tensor]]:
        """(B, L, D) rows and (B,) lengths of each modality.

        Raises:
            UsageError: the modalities or the sizes of the rows are not those of this network.
        """
        found = {name: given.values.shape[1] for name, given in frames.items()}
        if found != self.widths:
            raise UsageError("the features do not fit this network", found=found, expected=self.widths)
        return {name: _padded(frames[name], width) for name, width in self.widths.items()}


class _LateFused(SequenceNetwork):
    """A branch per modality, each with scores of its own."""

    def __init__(self, num_classes: int, widths: Mapping[Modality, int], settings: SequenceSettings) -> None:
        super().__init__(num_classes, widths, settings)
        self.fusion = LateFusion(tuple(widths))

    def judge(
        self, frames: Mapping[str, Frames], present: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, K) fused scores and those of each branch alone."""
        scores = {name: self.score(name, *rows) for name, rows in self.padded(frames).items()}
        return self.fusion(scores, present), self.fusion.alone(scores)

    @abstractmethod
    def score(self, modality: str, rows: Tensor, lengths: Tensor) -> Tensor:
        """(B, K) scores of a branch from (B, L, D) rows."""


class LfLstm(_LateFused):
    """A bidirectional LSTM per modality as wide as its features, two layers on its last states.

    Args:
        num_classes: K.
        widths: D of the features of each modality.
        settings: none of it is used.
    """

    def __init__(
        self, num_classes: int, widths: Mapping[Modality, int], settings: SequenceSettings | None = None
    ) -> None:
        super().__init__(num_classes, widths, settings if settings is not None else SequenceSettings())
        self.lstms = nn.ModuleDict({name: PackedBlstm(width, width) for name, width in widths.items()})
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, num_classes))
                for name, width in widths.items()
            }
        )

    def score(self, modality: str, rows: Tensor, lengths: Tensor) -> Tensor:
        """(B, K) scores: of words the states at the last one, else the last state of each direction."""
        states = self.lstms[modality](rows, lengths)
        forward, backward = states.chunk(2, dim=2)
        last = _at_last(states, lengths)
        if modality != "text":
            last = torch.cat([_at_last(forward, lengths), backward[:, 0]], dim=1)
        scores: Tensor = self.heads[modality](last)
        return scores


def _at_last(states: Tensor, lengths: Tensor) -> Tensor:
    """(B, D) of (B, L, D) at the last valid step."""
    return states[torch.arange(len(states), device=states.device), lengths - 1]


class LfTrans(_LateFused):
    """A transformer per modality as wide as its features, read out at a learned first vector.

    Args:
        num_classes: K.
        widths: D of the features of each modality.
        settings: layers, inner units, dropout.
    """

    def __init__(
        self, num_classes: int, widths: Mapping[Modality, int], settings: SequenceSettings | None = None
    ) -> None:
        settings = settings if settings is not None else SequenceSettings()
        super().__init__(num_classes, widths, settings)
        self.encoders = nn.ModuleDict(
            {
                name: SequenceEncoder(
                    width, settings.num_layers, gcd(width, _HEADS[name]), settings.feed_forward, settings.dropout
                )
                for name, width in widths.items()
            }
        )
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, num_classes))
                for name, width in widths.items()
            }
        )

    def score(self, modality: str, rows: Tensor, lengths: Tensor) -> Tensor:
        """(B, K) scores."""
        encoder = self.encoders[modality]
        assert isinstance(encoder, SequenceEncoder)
        scores: Tensor = self.heads[modality](encoder.encode_padded(rows, lengths))
        return scores


class EmoEmbs(_LateFused):
    """Scores are products with vectors of the emotions' names, mapped from the space of words into those of the others.

    Args:
        num_classes: K.
        widths: D of the features of each modality.
        settings: layers and dropout.
        class_vectors: (K, 300) vectors of the names; None draws them.
    """

    class_vectors: Tensor

    def __init__(
        self,
        num_classes: int,
        widths: Mapping[Modality, int],
        settings: SequenceSettings | None = None,
        class_vectors: Tensor | None = None,
    ) -> None:
        settings = settings if settings is not None else SequenceSettings()
        super().__init__(num_classes, widths, settings)
        self.lstms = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    PackedBlstm(width if layer == 0 else _EMBEDDED[name], _EMBEDDED[name])
                    for layer in range(settings.num_layers)
                )
                for name, width in widths.items()
            }
        )
        width = _EMBEDDED["text"]
        others = [name for name in widths if name != "text"]
        self.maps = nn.ModuleDict({name: nn.Linear(width, _EMBEDDED[name], bias=False) for name in others})
        self.dropout = nn.Dropout(settings.dropout)
        drawn = nn.functional.normalize(torch.randn(num_classes, width), dim=1)
        self.register_buffer("class_vectors", drawn if class_vectors is None else class_vectors)
        for weight in self.fusion.weights.values():
            nn.init.constant_(weight, 1.0 / len(widths))

    def score(self, modality: str, rows: Tensor, lengths: Tensor) -> Tensor:
        """(B, K) products of the last state, both directions summed, with the vector of each class."""
        states, layers = rows, self.lstms[modality]
        assert isinstance(layers, nn.ModuleList)
        for layer in layers:
            forward, backward = layer(self.dropout(states), lengths).chunk(2, dim=2)
            states = forward + backward
        classes = self.class_vectors if modality == "text" else self.maps[modality](self.class_vectors)
        return _at_last(states, lengths) @ classes.T


class Mult(SequenceNetwork):
    """Every modality attends to each of the others by a transformer of their pair; all together are classified.

    Args:
        num_classes: K.
        widths: D of the features of each modality, two or three.
        settings: layers, width, dropout.

    Raises:
        UsageError: there is one modality only.
    """

    def __init__(
        self, num_classes: int, widths: Mapping[Modality, int], settings: SequenceSettings | None = None
    ) -> None:
        settings = settings if settings is not None else SequenceSettings(kind="mult")
        super().__init__(num_classes, widths, settings)
        if len(widths) < 2:
            raise UsageError("MulT lets modalities attend to each other", found=", ".join(widths), expected="two")
        width, layers = settings.width, settings.num_layers
        self.inward = nn.ModuleDict({name: nn.Linear(size, width, bias=False) for name, size in widths.items()})
        self.crossing = nn.ModuleDict(
            {
                f"{target}_from_{source}": nn.ModuleList(_CrossLayer(width, settings.dropout) for _ in range(layers))
                for target in widths
                for source in widths
                if source != target
            }
        )
        whole = width * (len(widths) - 1)
        self.memory = nn.ModuleDict(
            {name: nn.ModuleList(_CrossLayer(whole, settings.dropout) for _ in range(layers)) for name in widths}
        )
        total = whole * len(widths)
        self.hidden = nn.Sequential(
            nn.Linear(total, total), nn.ReLU(), nn.Dropout(settings.dropout), nn.Linear(total, total)
        )
        self.classes = nn.Linear(total, num_classes)

    def judge(
        self, frames: Mapping[str, Frames], present: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, K) scores; there are no branches."""
        given = self.padded(frames)
        steps = {name: (self.inward[name](rows), lengths) for name, (rows, lengths) in given.items()}
        last = torch.cat([self._target(name, steps) for name in self.widths], dim=1)
        return self.classes(last + self.hidden(last)), {}

    def _target(self, target: str, steps: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
        """What a modality has learnt from the others, at its last step."""
        own, lengths = steps[target]
        sides = []
        for source in (name for name in self.widths if name != target):
            side = own
            for layer in _layers(self.crossing[f"{target}_from_{source}"]):
                side = layer(side, *steps[source])
            sides.append(side)
        both = torch.cat(sides, dim=2)
        for layer in _layers(self.memory[target]):
            both = layer(both, both, lengths)
        return _at_last(both, lengths)


class _CrossLayer(nn.Module):
    """Normalised first: attention of one sequence to another, then two dense layers, each beside a shortcut."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 8, dropout, batch_first=True)
        self.norm, self.source_norm, self.inner_norm = (nn.LayerNorm(width) for _ in range(3))
        self.inner = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, own: Tensor, other: Tensor, lengths: Tensor) -> Tensor:
        """(B, L, D) steps after attending to (B, M, D) others of which (B,) are valid."""
        sources = self.source_norm(other)
        padding = ~valid_steps(lengths, other.shape[1])
        found = self.attention(self.norm(own), sources, sources, key_padding_mask=padding, need_weights=False)[0]
        own = own + self.dropout(found)
        out: Tensor = own + self.dropout(self.inner(self.inner_norm(own)))
        return out


def _layers(modules: nn.Module) -> list[_CrossLayer]:
    assert isinstance(modules, nn.ModuleList)
    return [layer for layer in modules if isinstance(layer, _CrossLayer)]
