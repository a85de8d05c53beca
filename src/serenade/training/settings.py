"""The settings of the training loop, shared by all systems; a system's preset sets its paper's values."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from serenade.core.settings import Settings

__all__ = ["FittedTrainingSettings", "TrainingSettings"]


class TrainingSettings(Settings):
    """How a network is trained."""

    epochs: int = Field(50, ge=1, le=10_000)
    batch_size: int = Field(32, ge=2, description="items per step; a last batch of one is joined to the one before")
    optimiser: Literal["adam", "sgd"] = Field("adam", description="sgd has Nesterov's momentum")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd: Nesterov's momentum")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-6, ge=0, description="L2 in the gradient, not decoupled")
    learning_rate_drops: tuple[int, ...] = Field(
        (), description="epochs (counted from 1) from which on the rate is divided by learning_rate_drop"
    )
    learning_rate_drop: float = Field(10.0, gt=1)
    learning_rate_decay: float = Field(0.95, gt=0, le=1, description="factor after every epoch")
    min_learning_rate: float = Field(1e-6, ge=0, description="no decay below this")
    selection: Literal["validation", "last"] = Field(
        "validation", description="weights kept: the best epoch on the validation part, or those of the last epoch"
    )
    patience: int | None = Field(None, ge=1, description="stop after so many epochs without a better validation score")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="arithmetic of training; scoring is always float32"
    )
    channels_last: bool = Field(True, description="memory layout of the convolutions")
    targets: Literal["label", "votes"] = Field(
        "label", description="what is learnt: the class, or the shares of the raters' votes where a corpus has them"
    )
    weight_average: float = Field(
        0.0, ge=0, lt=1, description="share of the past in a moving average of the weights, per step; 0: none"
    )


def _labels_only(training: TrainingSettings) -> TrainingSettings:
    if training.targets != "label":
        raise ValueError("this system is fitted to labels in one step and cannot learn votes: set targets = label")
    return training


FittedTrainingSettings = Annotated[TrainingSettings, AfterValidator(_labels_only)]
"""Of a system that is fitted in one step: nothing of the loop is used."""
