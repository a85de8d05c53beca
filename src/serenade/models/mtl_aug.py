"""The networks of MTL-AUG: a convolutional encoder that three heads share, and its single-task form, the CNN-BLSTM.

S. Latif, R. Rana, S. Khalifa, R. Jurdak, B. W. Schuller, "Multitask Learning From Augmented Auxiliary Data for
Improving Speech Emotion Recognition", IEEE Trans. Affective Computing 14(4), 2023, doi 10.1109/TAFFC.2022.3221749.

That the emotion head is BLSTM, attention pooling and a dense layer, and which heads there are, the paper states; all
sizes are settings whose defaults are ours, since they could not be read.

With 80 bands and four classes: encoder 275,008 parameters, emotion head 822,148, decoder 328,865, augmentation
classifier 164,484. An input may have any number of bands and frames: each layer that halves a length rounds it up.
"""

from itertools import pairwise

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from serenade.core.settings import Settings
from serenade.nn.attention_maps import AttentionMap, attention_in_time
from serenade.nn.masking import attentive_pool, masked_softmax, masked_statistics
from serenade.nn.recurrent import PackedBlstm

__all__ = [
    "CnnBlstm",
    "CnnBlstmSettings",
    "Decoder",
    "Encoder",
    "SequenceClassifier",
    "StatisticsClassifier",
    "as_sequence",
]

_STRIDES = ((2, 2), (2, 2), (2, 1), (2, 1))  # frequency x time, of the encoder's layers
_FRAMES_PER_STEP = 4  # product of the strides in time


class CnnBlstmSettings(Settings):
    """Sizes of the networks."""

    channels: tuple[int, int, int, int] = Field((32, 64, 128, 128), description="of the encoder's layers")
    kernels: tuple[int, int, int, int] = Field((7, 5, 3, 3), description="of the encoder's layers, square and odd")
    lstm_units: int = Field(128, ge=1, description="of the BLSTM, per direction")
    embedding_dim: int = Field(128, ge=1, description="of the dense layer before the classes")
    dropout: float = Field(0.3, ge=0, lt=1, description="between the two dense layers of a classifier")

    @field_validator("channels", "kernels")
    @classmethod
    def _positive(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if min(values) < 1:
            raise ValueError(f"sizes must be at least 1: found {values}")
        return values

    @field_validator("kernels")
    @classmethod
    def _odd(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if any(kernel % 2 == 0 for kernel in values):
            raise ValueError(f"kernels must be odd, so that lengths do not shift: found {values}")
        return values


class Encoder(nn.Module):
    """Four layers of convolution, batch normalisation and ReLU; a step of the map is four frames.

    Args:
        settings: sizes.
    """

    def __init__(self, settings: CnnBlstmSettings) -> None:
        super().__init__()
        channels = (1, *settings.channels)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2),
                    nn.BatchNorm2d(after),
                    nn.ReLU(inplace=True),
                )
                for (before, after), kernel, stride in zip(pairwise(channels), settings.kernels, _STRIDES, strict=True)
            )
        )
        self.reach = _reach(settings.kernels)
        self.frames_per_step = _FRAMES_PER_STEP

    @staticmethod
    def num_steps(lengths: Tensor) -> Tensor:
        """Valid steps ``ceil(n / 4)`` of n valid frames, any shape."""
        return -(-lengths // _FRAMES_PER_STEP)

    @staticmethod
    def sizes(height: int, width: int) -> list[tuple[int, int]]:
        """(bands, frames) of the input, then of the output of each layer."""
        sizes = [(height, width)]
        for down, across in _STRIDES:
            bands, frames = sizes[-1]
            sizes.append((-(-bands // down), -(-frames // across)))
        return sizes

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) to the map (B, C, ceil(F / 16), ceil(L / 4)).

        A step depends on no frame further than `reach` behind the first of its own four.
        """
        out: Tensor = self.layers(x)
        return out


def _reach(kernels: tuple[int, ...]) -> int:
    """Frames to each side that a step of the map sees from the first frame of its own."""
    reach, stride = 0, 1
    for kernel, (_, across) in zip(kernels, _STRIDES, strict=True):
        reach += stride * (kernel // 2)
        stride *= across
    return reach


def as_sequence(encoded: Tensor) -> Tensor:
    """The map (B, C, F', T) as steps (B, T, C F'), channel by channel."""
    return encoded.permute(0, 3, 1, 2).flatten(2)


class SequenceClassifier(nn.Module):
    """BLSTM over the valid steps, attention pooling, two dense layers: the emotion head.

    Args:
        num_classes: K.
        width: D of the steps.
        settings: sizes.
    """

    def __init__(self, num_classes: int, width: int, settings: CnnBlstmSettings) -> None:
        super().__init__()
        states = 2 * settings.lstm_units
        self.blstm = PackedBlstm(width, settings.lstm_units)
        self.query = nn.Linear(states, 1, bias=False)
        self.dense = nn.Sequential(nn.Linear(states, settings.embedding_dim), nn.ReLU())
        self.classes = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(settings.embedding_dim, num_classes))

    def embed(self, encoded: Tensor, lengths: Tensor | None) -> Tensor:
        """The emotion embedding, on which the center loss acts.

        Args:
            encoded: (B, C, F', T) map.
            lengths: (B,) int64 valid steps, at least 1; None where all are valid.

        Returns:
            (B, embedding_dim).
        """
        states = self.blstm(as_sequence(encoded), lengths)
        pooled = attentive_pool(states, self.query(states).squeeze(2), lengths)
        embeddings: Tensor = self.dense(pooled)
        return embeddings

    def attention(self, encoded: Tensor) -> Tensor:
        """(B, T) weights of the steps of a (B, C, F', T) map, all of them valid; they sum to 1."""
        return masked_softmax(self.query(self.blstm(as_sequence(encoded), None)).squeeze(2), None)

    def forward(self, encoded: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, C, F', T) map to (B, K) logits; `lengths` as for `embed`."""
        logits: Tensor = self.classes(self.embed(encoded, lengths))
        return logits


class StatisticsClassifier(nn.Module):
    """Mean and deviation of the valid steps, two dense layers: the augmentation classifier.

    The treatments are global or scattered, so that order carries little.

    Args:
        num_classes: K.
        width: D of the steps.
        settings: sizes.
    """

    def __init__(self, num_classes: int, width: int, settings: CnnBlstmSettings) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * width, settings.embedding_dim),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.embedding_dim, num_classes),
        )

    def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """(B, C, F', T) map and (B,) valid steps to (B, K) logits."""
        logits: Tensor = self.layers(masked_statistics(as_sequence(encoded), lengths))
        return logits


class Decoder(nn.Module):
    """Transposed convolutions that mirror the encoder; the last layer is linear.

    Each doubles what the encoder has halved. Where that was rounded up, the row or frame too many is cut off.

    Args:
        settings: sizes.
    """

    def __init__(self, settings: CnnBlstmSettings) -> None:
        super().__init__()
        channels = (*reversed(settings.channels), 1)
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(before, after, (4, 2 + across), stride=(down, across), padding=1)
            for (before, after), (down, across) in zip(pairwise(channels), reversed(_STRIDES), strict=True)
        )
        self.norms = nn.ModuleList(
            [nn.Sequential(nn.BatchNorm2d(after), nn.ReLU(inplace=True)) for after in channels[1:-1]] + [nn.Identity()]
        )

    def forward(self, encoded: Tensor, height: int, width: int) -> Tensor:
        """(B, C, F', T) map to (B, 1, height, width): the size of the encoder's input."""
        sizes = Encoder.sizes(height, width)[-2::-1]
        for layer, norm, (bands, frames) in zip(self.layers, self.norms, sizes, strict=True):
            encoded = norm(_cut(layer(encoded), bands, frames))
        return encoded


def _cut(x: Tensor, height: int, width: int) -> Tensor:
    """The upper left part of a map, without gaps in memory: over them batch normalisation takes three times as long."""
    layout = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    return x[:, :, :height, :width].contiguous(memory_format=layout)


class CnnBlstm(nn.Module):
    """Encoder and emotion head: all that is used once training is over.

    Args:
        num_classes: K.
        num_bands: F of the input.
        settings: sizes.
    """

    def __init__(self, num_classes: int, num_bands: int, settings: CnnBlstmSettings | None = None) -> None:
        super().__init__()
        settings = settings if settings is not None else CnnBlstmSettings()
        self.encoder = Encoder(settings)
        self.step_width = settings.channels[-1] * self.encoder.sizes(num_bands, 1)[-1][0]
        self.emotion = SequenceClassifier(num_classes, self.step_width, settings)
        self.embedding_dim = settings.embedding_dim

    def scores_and_embeddings(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, 1, F, L) features to (B, K) logits and (B, embedding_dim) embeddings.

        Args:
            x: normalised features, 0 where they are padding.
            lengths: (B,) int64 valid frames, at least 1; None where all are valid.
        """
        steps = None if lengths is None else self.encoder.num_steps(lengths)
        embeddings = self.emotion.embed(self.encoder(x), steps)
        return self.emotion.classes(embeddings), embeddings

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, 1, F, L) features to (B, K) logits; `lengths` as for `scores_and_embeddings`."""
        return self.scores_and_embeddings(x, lengths)[0]

    @property
    def stacked(self) -> int:
        """The rows of the encoder's map run through the bands once."""
        return 1

    def cells(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to the (B, C, F', T) map of the encoder."""
        encoded: Tensor = self.encoder(x)
        return encoded

    def scores_of_cells(self, cells: Tensor) -> Tensor:
        """(B, C, F', T) map to (B, K) logits."""
        logits: Tensor = self.emotion(cells, None)
        return logits

    def scored_cells(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, F', T) map to (B, K) logits and (B, embedding_dim) embeddings."""
        embeddings = self.emotion.embed(cells, None)
        return self.emotion.classes(embeddings), embeddings

    def attention_maps(self, x: Tensor) -> dict[str, AttentionMap]:
        """``attention``: (B, 1, 1, T) which steps are listened to."""
        return {"attention": attention_in_time(self.emotion.attention(self.encoder(x)))}
