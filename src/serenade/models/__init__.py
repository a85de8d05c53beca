"""Networks only, one file per family; no data, no loss, no training."""

from torch import nn

from serenade.core.names import NameTable

__all__ = ["MODELS"]

MODELS: NameTable[type[nn.Module]] = NameTable(
    "model",
    [
        ("glam", "serenade.models.glam:Glam"),
        ("mhcnn", "serenade.models.mhcnn:Mhcnn"),
        ("aacnn", "serenade.models.aacnn:Aacnn"),
        ("apcnn", "serenade.models.apcnn:Apcnn"),
        ("one-layer", "serenade.models.apcnn:OneLayerCnn"),
        ("cnn-blstm", "serenade.models.mtl_aug:CnnBlstm"),
        ("ss-aae", "serenade.models.ss_aae:AaeClassifier"),
        ("fe2e", "serenade.models.mesm:Fe2e"),
        ("mesm", "serenade.models.mesm:Mesm"),
        ("lf-lstm", "serenade.models.hand_crafted:LfLstm"),
        ("lf-trans", "serenade.models.hand_crafted:LfTrans"),
        ("emoembs", "serenade.models.hand_crafted:EmoEmbs"),
        ("mult", "serenade.models.hand_crafted:Mult"),
    ],
)
