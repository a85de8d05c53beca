"""The networks of SS-AAE: an adversarial autoencoder whose code tells emotion, gender and speaker.

S. Latif, R. Rana, S. Khalifa, R. Jurdak, J. Epps, B. W. Schuller, "Multi-Task Semi-Supervised Adversarial Autoencoding
for Speech Emotion Recognition", IEEE Trans. Affective Computing 13(2), 2022, arXiv 1907.06078.

Encoder, recurrent pooling and decoder are those of `models.mtl_aug`, so that the two are compared by what they are
taught and not by their size; between them lies a code of one vector per utterance. All sizes are settings whose
defaults are ours.
"""

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.settings import Settings
from serenade.models.mtl_aug import CnnBlstmSettings, Decoder, Encoder, as_sequence
from serenade.nn.attention_maps import AttentionMap, attention_in_time
from serenade.nn.masking import attentive_pool, masked_softmax
from serenade.nn.recurrent import PackedBlstm

__all__ = ["AaeClassifier", "CodeDecoder", "Coder", "Discriminator", "SsAaeNetworkSettings", "TaskHead"]

_STEPS_PER_CELL = 8  # of the encoder's map: the dense layer of the decoder gives one value for so many
_SLOPE = 0.2  # of the discriminator's leaky ReLU


class SsAaeNetworkSettings(Settings):
    """Sizes of the networks."""

    shared: CnnBlstmSettings = CnnBlstmSettings()
    code_dim: int = Field(128, ge=1, description="values of the code")
    discriminator_units: int = Field(256, ge=1, description="of either hidden layer of the discriminator")


class Coder(nn.Module):
    """Encoder, BLSTM, attention pooling and a dense layer without activation, as the prior is normal.

    Args:
        num_bands: F of the input.
        settings: sizes.
    """

    def __init__(self, num_bands: int, settings: SsAaeNetworkSettings) -> None:
        super().__init__()
        shared = settings.shared
        self.encoder = Encoder(shared)
        step_width = shared.channels[-1] * self.encoder.sizes(num_bands, 1)[-1][0]
        self.blstm = PackedBlstm(step_width, shared.lstm_units)
        self.query = nn.Linear(2 * shared.lstm_units, 1, bias=False)
        self.code = nn.Linear(2 * shared.lstm_units, settings.code_dim)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, 1, F, L) features, 0 where they are padding, to (B, code_dim) codes.

        Args:
            x: normalised features.
            lengths: (B,) int64 valid frames, at least 1; None where all are valid.
        """
        steps = None if lengths is None else self.encoder.num_steps(lengths)
        return self.code_of(self.encoder(x), steps)

    def code_of(self, encoded: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, C, F', T) map and (B,) valid steps, or None, to (B, code_dim) codes."""
        states = self.blstm(as_sequence(encoded), lengths)
        code: Tensor = self.code(attentive_pool(states, self.query(states).squeeze(2), lengths))
        return code

    def attention(self, encoded: Tensor) -> Tensor:
        """(B, T) weights of the steps of a (B, C, F', T) map, all of them valid; they sum to 1."""
        return masked_softmax(self.query(self.blstm(as_sequence(encoded), None)).squeeze(2), None)


class TaskHead(nn.Module):
    """Two dense layers on the code.

    Args:
        num_classes: K.
        settings: sizes.
    """

    def __init__(self, num_classes: int, settings: SsAaeNetworkSettings) -> None:
        super().__init__()
        hidden = settings.shared.embedding_dim
        self.dense = nn.Sequential(nn.Linear(settings.code_dim, hidden), nn.ReLU(), nn.Dropout(settings.shared.dropout))
        self.classes = nn.Linear(hidden, num_classes)
        self.register_load_state_dict_pre_hook(_take_size)  # type: ignore[no-untyped-call]  # torch left it so

    def resize(self, num_classes: int) -> None:
        """Another number of classes, with fresh weights in the last layer; nothing where it is the same."""
        last = self.classes
        if num_classes != last.out_features:
            self.classes = nn.Linear(last.in_features, num_classes, device=last.weight.device)

    def forward(self, code: Tensor) -> Tensor:
        """(B, code_dim) codes to (B, K) logits."""
        logits: Tensor = self.classes(self.dense(code))
        return logits


def _take_size(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Before weights are loaded: as many classes as they have, since speakers are counted in training only."""
    assert isinstance(module, TaskHead)
    weight = state.get(f"{prefix}classes.weight")
    if weight is not None:
        module.resize(len(weight))


class AaeClassifier(nn.Module):
    """Coder and emotion head: all that is used once training is over.

    Args:
        num_classes: K.
        num_bands: F of the input.
        settings: sizes.
    """

    def __init__(self, num_classes: int, num_bands: int, settings: SsAaeNetworkSettings | None = None) -> None:
        super().__init__()
        settings = settings if settings is not None else SsAaeNetworkSettings()
        self.coder = Coder(num_bands, settings)
        self.emotion = TaskHead(num_classes, settings)

    def scores_and_embeddings(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, 1, F, L) features to (B, K) logits and (B, code_dim) codes; `lengths` as for `Coder`."""
        code = self.coder(x, lengths)
        return self.emotion(code), code

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, 1, F, L) features to (B, K) logits."""
        return self.scores_and_embeddings(x, lengths)[0]

    @property
    def stacked(self) -> int:
        """The rows of the encoder's map run through the bands once."""
        return 1

    def cells(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to the (B, C, F', T) map of the encoder."""
        encoded: Tensor = self.coder.encoder(x)
        return encoded

    def scores_of_cells(self, cells: Tensor) -> Tensor:
        """(B, C, F', T) map to (B, K) logits."""
        logits: Tensor = self.emotion(self.coder.code_of(cells, None))
        return logits

    def attention_maps(self, x: Tensor) -> dict[str, AttentionMap]:
        """``attention``: (B, 1, 1, T) which steps are listened to."""
        return {"attention": attention_in_time(self.coder.attention(self.coder.encoder(x)))}


class CodeDecoder(nn.Module):
    """A dense layer to a coarse map, each value of it for eight steps, then the decoder of MTL-AUG.

    Args:
        num_bands: F of the features.
        num_frames: L of the features.
        settings: sizes.
    """

    def __init__(self, num_bands: int, num_frames: int, settings: SsAaeNetworkSettings) -> None:
        super().__init__()
        self.size = (num_bands, num_frames)
        bands, self.steps = Encoder.sizes(num_bands, num_frames)[-1]
        self.shape = (settings.shared.channels[-1], bands, -(-self.steps // _STEPS_PER_CELL))
        channels, _, cells = self.shape
        self.dense = nn.Linear(settings.code_dim, channels * bands * cells)
        self.decoder = Decoder(settings.shared)

    def forward(self, code: Tensor) -> Tensor:
        """(B, code_dim) codes to (B, F, L) features."""
        coarse = self.dense(code).unflatten(1, self.shape)
        spread = functional.interpolate(coarse, scale_factor=(1.0, float(_STEPS_PER_CELL)), mode="nearest")
        features: Tensor = self.decoder(spread[..., : self.steps], *self.size)
        return features.squeeze(1)


class Discriminator(nn.Module):
    """Tells draws of the prior from codes.

    Args:
        settings: sizes.
    """

    def __init__(self, settings: SsAaeNetworkSettings) -> None:
        super().__init__()
        units = settings.discriminator_units
        self.layers = nn.Sequential(
            nn.Linear(settings.code_dim, units),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(units, units),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(units, 1),
        )

    def forward(self, code: Tensor) -> Tensor:
        """(B, code_dim) codes to (B,) logits of being drawn from the prior."""
        logits: Tensor = self.layers(code)
        return logits.squeeze(1)
