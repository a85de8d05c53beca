"""Published systems, one file each: front end, network, losses and recipe, beside their presets."""

import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch

from serenade.core.errors import CheckpointError
from serenade.core.labels import LabelSet
from serenade.core.names import NameTable
from serenade.core.settings import Settings, make_settings, merge
from serenade.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from serenade.training.system import System

__all__ = ["PRESETS", "SYSTEMS", "load_system", "make_system", "save_checkpoint", "system_settings"]

SYSTEMS: NameTable[type[System]] = NameTable(
    "system",
    [
        ("glam", "serenade.systems.glam:GlamSystem"),
        ("mhcnn", "serenade.systems.mhcnn:MhcnnSystem"),
        ("aacnn", "serenade.systems.aacnn:AacnnSystem"),
        ("attention_pooling", "serenade.systems.attention_pooling:AttentionPoolingSystem"),
        ("one_layer", "serenade.systems.one_layer:OneLayerSystem"),
        ("baseline", "serenade.systems.baseline:BaselineSystem"),
        ("functionals", "serenade.systems.functionals:FunctionalsSystem"),
        ("mfcc_gmm", "serenade.systems.mfcc_gmm:MfccGmmSystem"),
        ("mtl_aug", "serenade.systems.mtl_aug:MtlAugSystem"),
        ("ss_aae", "serenade.systems.ss_aae:SsAaeSystem"),
        ("mesm", "serenade.systems.mesm:MesmSystem"),
        ("hand_crafted", "serenade.systems.hand_crafted:HandCraftedSystem"),
        ("upstream_downstream", "serenade.systems.upstream_downstream:UpstreamDownstreamSystem"),
    ],
)

# preset -> system; a preset is systems/presets/NAME.toml
PRESETS: dict[str, str] = {
    "glam": "glam",
    "glam-cpu": "glam",
    "glam-published": "glam",
    "mhcnn": "mhcnn",
    "mhcnn-published": "mhcnn",
    "aacnn": "aacnn",
    "aacnn-published": "aacnn",
    "apcnn": "attention_pooling",
    "apcnn-published": "attention_pooling",
    "attention-pooling": "attention_pooling",
    "attention-pooling-gap": "attention_pooling",
    "attention-pooling-bilinear": "attention_pooling",
    "one-layer": "one_layer",
    "baseline": "baseline",
    "egemaps-svm": "functionals",
    "egemaps-rbf": "functionals",
    "egemaps-logreg": "functionals",
    "compare-svm": "functionals",
    "mfcc-gmm": "mfcc_gmm",
    "mtl-aug": "mtl_aug",
    "mtl-aug-semi": "mtl_aug",
    "stl": "mtl_aug",
    "stl-aug": "mtl_aug",
    "stl-center": "mtl_aug",
    "mtl-dim": "mtl_aug",
    "ss-aae": "ss_aae",
    "fe2e-cpu": "mesm",
    "mesm-cpu": "mesm",
    "fe2e": "mesm",
    "mesm": "mesm",
    "lf-lstm": "hand_crafted",
    "lf-trans": "hand_crafted",
    "emoembs": "hand_crafted",
    "mult": "hand_crafted",
    "ssl-fbank": "upstream_downstream",
    "ssl-finetune": "upstream_downstream",
    "ssl-mean": "upstream_downstream",
    "ssl-ecapa": "upstream_downstream",
    "ssl-early": "upstream_downstream",
    "ssl-late": "upstream_downstream",
    "ssl-text-finetune": "upstream_downstream",
    "ssl-text": "upstream_downstream",
    "ssl-fbank-text": "upstream_downstream",
    "ssl-superb": "upstream_downstream",
}


def _preset_values(name: str) -> dict[str, Any]:
    """The tables of a preset file.

    Raises:
        UnknownNameError: there is no such preset.
    """
    NameTable("preset", [(preset, preset) for preset in PRESETS]).target(name)
    text = resources.files("serenade.systems").joinpath("presets", f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def system_settings(preset: str, changes: Mapping[str, Any], overrides: Iterable[str] = ()) -> Settings:
    """The resolved settings of a preset with changes and ``key=value`` overrides laid over it.

    Raises:
        UnknownNameError: there is no such preset.
        SettingsError: a change is not valid.
    """
    values = merge(_preset_values(preset), changes)
    return make_settings(SYSTEMS.resolve(PRESETS[preset]).settings_class, values, overrides, where=f"preset {preset}")


def make_system(name: str, values: Mapping[str, Any], labels: LabelSet, *, where: str = "settings") -> System:
    """A fresh system; its weights are drawn from torch's global generator.

    Raises:
        UnknownNameError: there is no such system.
        SettingsError: the settings are not valid.
    """
    cls = SYSTEMS.resolve(name)
    return cls(make_settings(cls.settings_class, values, where=where), labels)  # type: ignore[call-arg] # protocol


def save_checkpoint(system: System, name: str, folder: Path, about: Mapping[str, Any] | None = None) -> None:
    """Write a system as a model folder.

    Raises:
        StorageError: the disk is full or refuses.
    """
    checkpoint = Checkpoint(
        system=name,
        settings=system.settings.model_dump(mode="json"),
        labels=system.labels,
        weights=system.network.state_dict(),
        about=about if about is not None else {},
    )
    write_checkpoint(folder, checkpoint)


def load_system(folder: Path, device: torch.device | None = None) -> System:
    """A trained system from a model folder, in evaluation mode.

    Raises:
        CheckpointError: the folder is missing, damaged, of another version, or its weights do not fit its settings.
    """
    checkpoint = read_checkpoint(folder)
    system = make_system(checkpoint.system, checkpoint.settings, checkpoint.labels, where=str(folder))
    try:
        system.network.load_state_dict(dict(checkpoint.weights))
    except RuntimeError as error:
        raise CheckpointError(
            "the model's weights do not fit its settings",
            where=folder,
            found=shorten(str(error).splitlines()[-1].strip(), 200),
        ) from error
    system.network.eval().requires_grad_(False)
    return system if device is None else system.to(device)
