"""Networks only, one file per family; no data, no loss, no training."""

from torch import nn

from serenade.core.names import NameTable

__all__ = ["MODELS"]

MODELS: NameTable[type[nn.Module]] = NameTable("model", [("glam", "serenade.models.glam:Glam")])
