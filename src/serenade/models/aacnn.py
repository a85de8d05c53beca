"""AACNN: a convolutional trunk with area attention on MFCC.

M. Xu, F. Zhang, X. Cui, W. Zhang, "Speech Emotion Recognition with Multiscale Area Attention and Data Augmentation",
ICASSP 2021; in the PyTorch form of GLAM's authors. Equations in `nn.area_attention`.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.settings import Settings
from serenade.nn.area_attention import AreaAttention, area_map
from serenade.nn.attention_maps import AttentionMap
from serenade.nn.checks import require_input_size
from serenade.nn.trunk import TRUNK_CHANNELS, TimeFrequencyTrunk

__all__ = ["Aacnn", "AacnnNetworkSettings", "AreaSettings"]


class AreaSettings(Settings):
    """Area attention."""

    max_height: int = Field(3, ge=1, description="rows of the tallest area; without effect unless the layout is grid")
    max_width: int = Field(3, ge=1, description="columns of the widest area")
    layout: Literal["flat", "grid", "rows"] = "flat"
    key: Literal["mean", "max", "sample"] = "mean"
    value: Literal["sum", "mean", "max"] = "sum"
    scale: bool = Field(False, description="divide scores by sqrt(D)")
    dropout: float = Field(0.5, ge=0, lt=1, description="of the weights, in training")
    top_k: int | None = Field(None, ge=1, description="areas kept per query; unset: all")
    method: Literal["direct", "integral"] = "direct"


class AacnnNetworkSettings(Settings):
    """Choices inside the network."""

    stem_join: Literal["channels", "height"] = "height"
    attention: bool = Field(True, description="without it the same trunk with a flatten classifier")
    area: AreaSettings = AreaSettings()


class Aacnn(nn.Module):
    """Trunk, area attention of every cell over all areas of cells, ReLU, flatten, classifier.

    Query, key and value are the trunk's output itself, without projections. Tied to its input size.

    Args:
        num_classes: K.
        height: F, feature axis of the input (26 for MFCC).
        width: L, frames of the input (63 for 2 s).
        settings: choices inside the network.
    """

    def __init__(self, num_classes: int, height: int, width: int, settings: AacnnNetworkSettings | None = None) -> None:
        super().__init__()
        settings = settings if settings is not None else AacnnNetworkSettings()
        self.trunk = TimeFrequencyTrunk(join=settings.stem_join)
        self.attention = AreaAttention(**settings.area.model_dump()) if settings.attention else None
        rows, columns = self.trunk.output_size(height, width)
        self.height, self.width = height, width
        self.embedding_dim = TRUNK_CHANNELS * rows * columns
        self.classifier = nn.Linear(self.embedding_dim, num_classes)

    def embed(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to the classifier's input (B, 80 H W).

        Raises:
            UsageError: the input has another size than the network was made for.
        """
        require_input_size(x, self.height, self.width, "AACNN")
        return self._attend(self.trunk(x))

    def _attend(self, x: Tensor) -> Tensor:
        """(B, 80, H, W) to the classifier's input (B, 80 H W)."""
        if self.attention is None:
            return x.flatten(1)
        cells = x.permute(0, 2, 3, 1)  # (B, H, W, 80)
        return functional.relu(self.attention(cells, cells, cells)).flatten(1)

    @property
    def stacked(self) -> int:
        """How often the height of the trunk's map runs through the feature axis."""
        return 2 if self.trunk.join == "height" else 1

    def cells(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, 80, H, W).

        Raises:
            UsageError: the input has another size than the network was made for.
        """
        require_input_size(x, self.height, self.width, "AACNN")
        out: Tensor = self.trunk(x)
        return out

    def scores_of_cells(self, cells: Tensor) -> Tensor:
        """(B, 80, H, W) to (B, K) logits."""
        out: Tensor = self.classifier(self._attend(cells))
        return out

    def attention_maps(self, x: Tensor) -> dict[str, AttentionMap]:
        """``areas`` of (B, 1, F, L) features: area attention spread over the cells; nothing without attention.

        Raises:
            UsageError: the input has another size than the network was made for.
        """
        if self.attention is None:
            return {}
        cells = self.cells(x).permute(0, 2, 3, 1)
        return {"areas": area_map(self.attention, cells, self.stacked)}

    def scores_and_embeddings(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, F, L) features to (B, K) logits and the (B, D) classifier's input."""
        embeddings = self.embed(x)
        return self.classifier(embeddings), embeddings

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, K) logits."""
        out: Tensor = self.classifier(self.embed(x))
        return out
