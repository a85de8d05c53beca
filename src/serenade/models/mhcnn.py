"""MHCNN: a convolutional trunk with head fusion on MFCC.

M. Xu, F. Zhang, S. U. Khan (CCWC 2020); M. Xu, F. Zhang, W. Zhang (IEEE Access 2021); in the form in which GLAM's
authors compare with it. For citation and equations see `nn.head_fusion`.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.settings import Settings
from serenade.nn.attention_maps import AttentionMap
from serenade.nn.checks import require_input_size
from serenade.nn.head_fusion import HeadFusion
from serenade.nn.trunk import TRUNK_CHANNELS, TimeFrequencyTrunk

__all__ = ["Mhcnn", "MhcnnNetworkSettings"]


class MhcnnNetworkSettings(Settings):
    """Choices inside the network."""

    heads: int = Field(4, ge=1)
    hidden: int = Field(64, ge=1, description="channels of each head")
    attention: Literal["channel", "matrix"] = Field(
        "channel", description="gate over channels as released, or attention between positions as described"
    )
    stem_join: Literal["channels", "height"] = "channels"
    pooling: Literal["mean", "flatten", "rows"] = Field(
        "mean",
        description="what the classifier sees: the mean over space; every cell; or, with the heads side by side, the "
        "mean of every row over width and channels",
    )


class Mhcnn(nn.Module):
    """Trunk, head fusion, ReLU, pooling, classifier.

    With the pooling "mean" it takes inputs of any size from 5 x 5 on; otherwise it is tied to its input size.

    Args:
        num_classes: K.
        height: F, feature axis of the input (26 for MFCC).
        width: L, frames of the input (63 for 2 s).
        settings: choices inside the network.
    """

    def __init__(self, num_classes: int, height: int, width: int, settings: MhcnnNetworkSettings | None = None) -> None:
        super().__init__()
        settings = settings if settings is not None else MhcnnNetworkSettings()
        self.height, self.width, self.pooling = height, width, settings.pooling
        self.trunk = TimeFrequencyTrunk(join=settings.stem_join)
        self.fusion = HeadFusion(
            TRUNK_CHANNELS,
            heads=settings.heads,
            hidden=settings.hidden,
            attention=settings.attention,
            join="width" if settings.pooling == "rows" else "height",
        )
        rows, columns = self.trunk.output_size(height, width)
        sizes = {
            "mean": settings.hidden,
            "flatten": settings.hidden * settings.heads * rows * columns,
            "rows": rows,
        }
        self.embedding_dim = sizes[settings.pooling]
        self.classifier = nn.Linear(self.embedding_dim, num_classes)

    def embed(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to the classifier's input (B, D).

        Raises:
            UsageError: the network is tied to another input size, or the input is too small.
        """
        if self.pooling != "mean":
            require_input_size(x, self.height, self.width, "MHCNN")
        return self._pool(self.trunk(x))

    def _pool(self, cells: Tensor) -> Tensor:
        """(B, 80, H, W) to the classifier's input (B, D)."""
        x = functional.relu(self.fusion(cells))
        if self.pooling == "mean":
            return x.mean(dim=(2, 3))
        return x.mean(dim=(1, 3)) if self.pooling == "rows" else x.flatten(1)

    @property
    def stacked(self) -> int:
        """How often the height of the trunk's map runs through the feature axis."""
        return 2 if self.trunk.join == "height" else 1

    def cells(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, 80, H, W).

        Raises:
            UsageError: the input is too small.
        """
        out: Tensor = self.trunk(x)
        return out

    def scores_of_cells(self, cells: Tensor) -> Tensor:
        """(B, 80, H, W) to (B, K) logits."""
        out: Tensor = self.classifier(self._pool(cells))
        return out

    def attention_maps(self, x: Tensor) -> dict[str, AttentionMap]:
        """Per head of (B, 1, F, L) features: its gates (or attention), and what it lets through.

        Raises:
            UsageError: the input is too small.
        """
        return self.fusion.attention_maps(self.trunk(x), self.stacked)

    def scores_and_embeddings(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, F, L) features to (B, K) logits and the (B, D) classifier's input."""
        embeddings = self.embed(x)
        return self.classifier(embeddings), embeddings

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, K) logits."""
        out: Tensor = self.classifier(self.embed(x))
        return out
