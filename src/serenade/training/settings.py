"""The settings of the training loop, shared by all systems; a system's preset sets its paper's values."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from serenade.core.settings import Settings
from serenade.signal.augmentation.chain import AugmentationSettings

__all__ = ["FittedTrainingSettings", "TrainingSettings"]


class TrainingSettings(Settings):
    """How a network is trained."""

    epochs: int = Field(50, ge=1, le=10_000)
    batch_size: int = Field(32, ge=2, description="items per step; a last batch of one is joined to the one before")
    batch_frames: int | None = Field(
        None,
        ge=1,
        description="most rows of all items of a step together (segments; faces and pieces of sound), whatever their "
        "number: bounds the memory; a longer item is a step of its own; unset: no limit",
    )
    similar_lengths: bool = Field(
        False,
        description="put items of similar length into a batch: quicker where batches are padded to their longest item, "
        "at the price of batches that are less mixed",
    )
    micro_batch_size: int | None = Field(
        None,
        ge=2,
        description="items per forward pass, to save memory: the gradients of a step's parts add up, weighted by their "
        "size; unset: the whole batch at once",
    )
    optimiser: Literal["adam", "adamw", "sgd"] = Field("adam", description="sgd has Nesterov's momentum")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd: Nesterov's momentum")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-6, ge=0, description="L2 in the gradient; adamw: decoupled")
    learning_rate_drops: tuple[int, ...] = Field(
        (), description="epochs (counted from 1) from which on the rate is divided by learning_rate_drop"
    )
    learning_rate_drop: float = Field(10.0, gt=1)
    schedule: Literal["decay", "restore_and_halve", "new_bob", "cyclic"] = Field(
        "decay",
        description="decay: as learning_rate_decay and learning_rate_drops say; restore_and_halve: whenever validation "
        "has had no new best for restore_after epochs, go on from the best weights at half the rate; new_bob: times "
        "learning_rate_decay after an epoch whose validation error does not fall enough; cyclic: up from "
        "min_learning_rate and down again, step by step",
    )
    learning_rate_decay: float = Field(
        0.95, gt=0, le=1, description="decay: factor after every epoch; new_bob: after one without enough improvement"
    )
    min_learning_rate: float = Field(
        1e-6, ge=0, description="no decay below this; restore_and_halve stops below it; cyclic: where a cycle begins"
    )
    restore_after: int = Field(5, ge=1, description="restore_and_halve: epochs without a new best")
    least_improvement: float = Field(
        0.0025, ge=0, lt=1, description="new_bob: share of the epoch's error before that must be more than this"
    )
    half_cycle_epochs: int = Field(4, ge=1, description="cyclic: epochs up, and as many down")
    cycle_decay: float = Field(0.9998, gt=0, le=1, description="cyclic: factor of the cycle's height per step")
    warmup_share: float = Field(
        0.0, ge=0, lt=1, description="share of all steps in which the rate rises in a line from 0; 0: none"
    )
    clip_norm: float | None = Field(
        None, gt=0, description="largest L2 norm of all gradients of a step together; unset: no limit"
    )
    selection: Literal["validation", "last"] = Field(
        "validation", description="weights kept: the best epoch on the validation part, or those of the last epoch"
    )
    criterion: Literal["mean", "ua", "wa", "f1"] = Field(
        "mean",
        description="best validation epoch: mean of WA and UA, then the lower loss; or UA, then the earlier one; or "
        "WA, then the lower loss, then the later one; f1, of systems with thresholds: mean F1 of the emotions, then "
        "the lower loss",
    )
    average_best: int = Field(
        1,
        ge=1,
        description="the weights kept are the mean of so many epochs, the best ones on the validation part (with "
        "selection = last, the last ones); 1: one epoch alone",
    )
    test_single: bool = Field(
        False,
        description="with average_best: the best epoch alone is tested too, its record in single/ beside the job's",
    )
    refresh_norms: bool = Field(
        False,
        description="with average_best: statistics of batch normalisation from a pass over the training part; else the "
        "mean of the epochs'",
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
    augmentation: AugmentationSettings = Field(
        AugmentationSettings(),
        description="waveforms trained on are changed anew in every epoch, such as speed:0.9|1.1,noise:10..20; see "
        "`serenade augment`",
    )
    unlabelled_batch_size: int = Field(
        32, ge=1, description="unlabelled examples per step beside the batch, for systems that learn from them"
    )

    @model_validator(mode="after")
    def _check_schedule(self) -> Self:
        if self.schedule == "restore_and_halve":
            clashes = {
                "selection": self.selection == "last",
                "patience": self.patience is not None,
                "weight_average": self.weight_average > 0,
                "learning_rate_drops": bool(self.learning_rate_drops),
            }
            for name in (name for name, clashing in clashes.items() if clashing):
                raise ValueError(f"schedule = restore_and_halve cannot be had with {name} = {getattr(self, name)}")
        if self.schedule in ("new_bob", "cyclic") and self.learning_rate_drops:
            raise ValueError(f"schedule = {self.schedule} cannot be had with learning_rate_drops")
        if self.refresh_norms and self.average_best == 1:
            raise ValueError("refresh_norms needs average_best above 1: one epoch has statistics of its own")
        if self.test_single and self.average_best == 1:
            raise ValueError("test_single needs average_best above 1: one epoch alone is what is tested")
        if self.micro_batch_size is not None and self.micro_batch_size > self.batch_size:
            raise ValueError(f"micro_batch_size = {self.micro_batch_size} exceeds batch_size = {self.batch_size}")
        return self


def _fitted_at_once(training: TrainingSettings) -> TrainingSettings:
    if training.targets != "label":
        raise ValueError("this system is fitted to labels in one step and cannot learn votes: set targets = label")
    if training.augmentation.steps:
        raise ValueError("this system is fitted in one step, without epochs in which waveforms could be changed")
    if training.average_best > 1:
        raise ValueError("this system is fitted in one step, without epochs that could be averaged")
    return training


FittedTrainingSettings = Annotated[TrainingSettings, AfterValidator(_fitted_at_once)]
"""Of a system that is fitted in one step: nothing of the loop is used."""
