"""Sizes and choices of FE2E and MESM (`serenade.models.mesm`)."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from serenade.core.settings import Settings
from serenade.nn.cross_modal import MaskGradient

__all__ = ["CellOrder", "Fe2eSettings", "MesmSettings", "Modality"]

Modality = Literal["text", "face", "audio"]
CellOrder = Literal["aligned", "released"]

_MODALITIES: tuple[Modality, ...] = ("text", "face", "audio")  # the order of the fusion layer in the release
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
