"""MTL-AUG whole: emotions learnt beside the reconstruction of the input and the kind of augmentation it went through.

S. Latif, R. Rana, S. Khalifa, R. Jurdak, B. W. Schuller, "Multitask Learning From Augmented Auxiliary Data for
Improving Speech Emotion Recognition", IEEE Trans. Affective Computing 14(4), 3164-3176, 2023, doi
10.1109/TAFFC.2022.3221749, arXiv 2207.05298.

What the paper states is fixed here: a shared encoder; an emotion head of BLSTM, attention pooling and dense layer; a
decoder; a classifier of the augmentation; cross-entropy and center loss; no emotion loss for unlabelled speech. What
could not be read of it is a setting whose default is ours.

Equation to code:
    log-mel                                       `signal.features`, kind "log_mel"
    four treatments, their label                  `training.treatments`
    encoder, emotion head, decoder, classifier    `models.mtl_aug`
    L_S, two-label form for mixup                 `nn.soft_targets.soft_cross_entropy`
    L_C and the centers' update (Wen et al.)      `nn.center_loss.CenterLoss`
    L = L_S + c L_C + r L_rec + a L_aug           `MtlAugSystem.losses`
    1 - CCC of the attributes (mtl-dim)           `nn.concordance`
    restore the best and halve, gradient norm 5   `training.schedule`, `training.steps`

Presets: ``mtl-aug``; ``mtl-aug-semi`` with unlabelled speech; ``stl`` (the CNN-BLSTM), ``stl-aug``, ``stl-center`` and
``mtl-dim``, which it is compared with.

Target numbers: none; no cell of the paper's tables could be read.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor, nn
from torch.nn import functional

from serenade.core.errors import TrainingError, UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.core.settings import Settings
from serenade.core.wording import counted
from serenade.models.mtl_aug import CnnBlstm, CnnBlstmSettings, Decoder, SequenceClassifier, StatisticsClassifier
from serenade.nn.center_loss import CenterLoss
from serenade.nn.concordance import concordance_loss
from serenade.nn.masking import masked_mean_squares
from serenade.nn.soft_targets import class_shares, soft_cross_entropy
from serenade.signal.normaliser import Normaliser
from serenade.training.batches import target_attributes
from serenade.training.system import Batch, Example, Outputs, UnlabelledUse
from serenade.training.treatments import Padded, Treated, TreatmentSettings, draw_item, treat
from serenade.training.window_system import WindowNetwork, WindowSystem, WindowSystemSettings

__all__ = ["LossSettings", "MtlAugNetwork", "MtlAugSettings", "MtlAugSystem"]

_COLLATED = ("audio", "clean", "treatment")
_NUM_ATTRIBUTES = 3  # valence, arousal, dominance


class LossSettings(Settings):
    """Weights of the losses beside the emotion cross-entropy; a task whose weight is 0 is left out, network and all."""

    class_weight: Literal["none", "balanced"] = Field(
        "none", description="balanced: classes count in the cross-entropy as if all were as frequent"
    )
    center: float = Field(0.01, ge=0, description="of the center loss")
    center_rate: float = Field(0.5, gt=0, le=1, description="how fast the centers follow")
    reconstruction: float = Field(0.5, ge=0, description="of the squared error of the decoder")
    reconstruction_target: Literal["input", "clean"] = Field(
        "input",
        description="what is reconstructed: what the encoder got, or (spec_augment, mixup) the untreated example",
    )
    augmentation: float = Field(0.5, ge=0, description="of the cross-entropy of the augmentation label")
    augmentation_classifier: Literal["statistics", "recurrent"] = Field(
        "statistics", description="mean and deviation of the steps, or a BLSTM as in the emotion head"
    )
    attributes: float = Field(0.0, ge=0, description="of 1 - CCC, mean of valence, arousal and dominance")


class MtlAugSettings(WindowSystemSettings):
    """Settings of MTL-AUG and of what it is compared with; the defaults are MTL-AUG."""

    mode: Literal["supervised", "semi"] = Field(
        "supervised",
        description="semi: unlabelled speech trains the encoder beside the labelled, by the auxiliary tasks",
    )
    padding: Literal["window", "batch"] = Field(
        "window",
        description="training: fill up to the whole window, or to the longest of the batch and what the encoder sees "
        "behind it (quicker where turns are short; batch normalisation then sees less padding)",
    )
    treatments: TreatmentSettings = TreatmentSettings()
    losses: LossSettings = LossSettings()
    network: CnnBlstmSettings = CnnBlstmSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.losses.augmentation and len(self.treatments.kinds) < 2:
            raise ValueError("one treatment leaves nothing to classify: set losses.augmentation = 0, or name more")
        if self.mode == "semi" and not (self.losses.augmentation or self.losses.reconstruction):
            raise ValueError("mode = semi needs losses.reconstruction or losses.augmentation above 0")
        return self


class MtlAugNetwork(WindowNetwork):
    """Normaliser, encoder and heads: all that has weights or fitted buffers.

    Args:
        num_classes: K.
        num_bands: F of the features.
        settings: of the system.
    """

    body: CnnBlstm
    class_weights: Tensor

    def __init__(self, num_classes: int, num_bands: int, settings: MtlAugSettings) -> None:
        losses, sizes = settings.losses, settings.network
        # The body before all heads: one seed gives it the same weights in all presets.
        super().__init__(Normaliser(settings.normaliser, num_bands), CnnBlstm(num_classes, num_bands, sizes))
        self.center: CenterLoss | None = None
        self.decoder: Decoder | None = None
        self.augmentation: StatisticsClassifier | SequenceClassifier | None = None
        self.attributes: nn.Linear | None = None
        if losses.center:
            self.center = CenterLoss(num_classes, sizes.embedding_dim, rate=losses.center_rate)
        if losses.reconstruction:
            self.decoder = Decoder(sizes)
        if losses.augmentation:
            kind = StatisticsClassifier if losses.augmentation_classifier == "statistics" else SequenceClassifier
            self.augmentation = kind(len(settings.treatments.kinds), self.body.step_width, sizes)
        if losses.attributes:
            self.attributes = nn.Linear(sizes.embedding_dim, _NUM_ATTRIBUTES)
        self.register_buffer("class_weights", torch.ones(num_classes), persistent=False)


def _no_attributes(count: int) -> TrainingError:
    return TrainingError(
        "there are no attributes to learn",
        found=f"{counted(count, 'utterance')} without valence, arousal and dominance",
        hint="Take a corpus that states them, such as IEMOCAP, or set losses.attributes=0",
    )


class MtlAugSystem(WindowSystem):
    """MTL-AUG as the training loop and the recogniser see it.

    Args:
        settings: of the system.
        labels: classes.
    """

    settings_class: type[Settings] = MtlAugSettings
    settings: MtlAugSettings
    network: MtlAugNetwork

    def __init__(self, settings: MtlAugSettings, labels: LabelSet) -> None:
        super().__init__(settings, labels)
        self.network = MtlAugNetwork(len(labels), self.num_bands, settings)
        # Steps of valid frames do not see what is further behind them, so that scores do not depend on the batch.
        self.reach = self.network.body.encoder.reach
        self.speeds = settings.treatments.speeds if "speed" in settings.treatments.kinds else ()
        self._for_centers: tuple[Tensor, Tensor] | None = None

    @property
    def unlabelled_use(self) -> UnlabelledUse:
        """Unlabelled speech belongs to the mode "semi"."""
        return "required" if self.settings.mode == "semi" else "refused"

    def meet_unlabelled(self, utterances: Sequence[Utterance]) -> None:
        """Nothing needs to be known of it: that is the paper's point."""

    def require_fitting_data(self, utterances: Sequence[Utterance]) -> None:
        """Where attributes are to be learnt, some utterance states them.

        Raises:
            TrainingError: none does.
        """
        if self.settings.losses.attributes and all(utterance.attributes is None for utterance in utterances):
            raise _no_attributes(len(utterances))

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Fit the normaliser to the clean, labelled training part of a fold, and the weights of the classes.

        Raises:
            TrainingError: attributes are to be learnt, and nothing states any.
        """
        labelled = [example for example in train if example.target is not None]
        self.alignment.fit(labelled)
        if self.settings.losses.class_weight == "balanced":
            targets = torch.tensor([example.target for example in labelled])
            counts = torch.bincount(targets, minlength=len(self.labels)).clamp_min(1)
            self.network.class_weights.copy_(len(labelled) / (len(self.labels) * counts))
        if self.settings.losses.attributes and all(target_attributes(example).isnan().all() for example in labelled):
            raise _no_attributes(len(labelled))

    def training_items(self, examples: Sequence[Example], generator: Generator) -> list[Example]:
        """Every example once, its treatment drawn, cropped at random to the window."""
        settings = self.settings
        clean = "mixup" in settings.treatments.kinds or settings.losses.reconstruction_target == "clean"
        return [
            draw_item(example, settings.treatments, settings.window_frames, generator, clean=clean)
            for example in examples
        ]

    def collate(self, items: Sequence[Example]) -> Batch:
        """Windows of all items along the first axis, with their valid lengths."""
        in_training = "treatment" in items[0].inputs
        return self.put_together(items, _COLLATED, trim=not in_training or self.settings.padding == "batch")

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """``emotion``, ``center`` and ``attributes`` of the labelled, ``reconstruction`` and ``augmentation`` of all.

        Raises:
            UsageError: nothing is labelled, and there is no auxiliary task.
        """
        weights, network = self.settings.losses, self.network
        clean, treated = self._treated(batch, generator)
        encoded = network.body.encoder(treated.audio.features.unsqueeze(1))
        steps = network.body.encoder.num_steps(treated.audio.lengths)
        losses = self._primary_losses(batch, treated, encoded, steps)
        if network.decoder is not None:
            target = self._reconstruction_target(batch, clean, treated)
            decoded = network.decoder(encoded, *target.features.shape[1:]).squeeze(1)
            losses["reconstruction"] = weights.reconstruction * masked_mean_squares(decoded, *target)
        if network.augmentation is not None:
            logits = network.augmentation(encoded, steps).float()
            losses["augmentation"] = weights.augmentation * functional.cross_entropy(logits, batch.inputs["treatment"])
        if not losses:
            raise UsageError(
                "there is nothing to learn from a batch without labels",
                hint="Give it labelled speech, or set losses.reconstruction or losses.augmentation above 0",
            )
        return losses

    def _treated(self, batch: Batch, generator: Generator) -> tuple[Padded, Treated]:
        """The untreated and the treated batch, normalised."""
        inputs = batch.inputs
        audio = self._normalised(batch, "audio")
        clean = self._normalised(batch, "clean") if "clean" in inputs else audio
        labelled = batch.targets >= 0
        return clean, treat(audio, clean, inputs["treatment"], labelled, self.settings.treatments, generator)

    def _normalised(self, batch: Batch, name: str) -> Padded:
        frames = batch.inputs[f"{name}_frames"]
        return Padded(self.network.normalise(batch.inputs[name], frames), frames)

    def _primary_losses(self, batch: Batch, treated: Treated, encoded: Tensor, steps: Tensor) -> dict[str, Tensor]:
        """The losses that the emotion head has a part in: of labelled examples only."""
        self._for_centers = None
        weights, network = self.settings.losses, self.network
        rows = (batch.targets >= 0).nonzero().flatten()
        if len(rows) == 0:
            return {}
        own = class_shares(batch.targets, len(self.labels)) if batch.shares is None else batch.shares
        shares = treated.mix(own)[rows]
        embeddings = network.body.emotion.embed(encoded[rows], steps[rows])
        logits = network.body.emotion.classes(embeddings)
        losses = {"emotion": soft_cross_entropy(logits, shares, network.class_weights)}
        mixed = treated.mixed[rows]
        if network.center is not None:
            losses["center"] = weights.center * network.center(embeddings, shares)
            self._for_centers = embeddings.detach()[~mixed], batch.targets[rows][~mixed]
        if network.attributes is not None and batch.attributes is not None:
            stated = batch.attributes[rows].masked_fill(mixed[:, None], torch.nan)
            if (loss := concordance_loss(network.attributes(embeddings), stated)) is not None:
                losses["attributes"] = weights.attributes * loss
        return losses

    def _reconstruction_target(self, batch: Batch, clean: Padded, treated: Treated) -> Padded:
        """What was put in, or the untreated form of what was masked or mixed."""
        if self.settings.losses.reconstruction_target == "input":
            return treated.audio
        kinds = self.settings.treatments.kinds
        denoised = torch.tensor([kind in ("spec_augment", "mixup") for kind in kinds]).to(batch.targets.device)
        rows = denoised[batch.inputs["treatment"]]
        features = torch.where(rows[:, None, None], clean.features, treated.audio.features)
        return Padded(features, torch.where(rows, clean.lengths, treated.audio.lengths))

    @property
    def tells_attributes(self) -> bool:
        """Whether valence, arousal and dominance were learnt."""
        return self.network.attributes is not None

    def predict(self, batch: Batch) -> Outputs:
        """Softmax per window, averaged; attributes where they were learnt."""
        outputs = super().predict(batch)
        if self.network.attributes is None:
            return outputs
        told = self.network.attributes(outputs.embeddings)  # linear, so that of the mean is the mean over windows
        return replace(outputs, attributes=told.clamp(0.0, 1.0))

    def after_step(self) -> None:
        """Move the centers after the embeddings of the step; mixtures are left out."""
        if self.network.center is not None and self._for_centers is not None:
            self.network.center.update(*self._for_centers)
