"""Training on changed waveforms: an utterance is read again, augmented, and its features extracted anew."""

import torch

from serenade.core.errors import UsageError
from serenade.experiments.augmentation import build_chain
from serenade.signal.audio import read_audio
from serenade.signal.augmentation.chain import AugmentationSettings
from serenade.training.loop import Augment
from serenade.training.system import Example, System

__all__ = ["augmenter"]


def augmenter(settings: AugmentationSettings, system: System) -> Augment | None:
    """What makes the examples of an epoch from changed waveforms; None where the settings name no step.

    Features of changed waveforms are not cached: they are never the same twice. An utterance that is too short for a
    segment once it is changed stays as it is.

    Args:
        settings: the chain.
        system: extracts the features.

    Raises:
        UsageError: a step changes targets, or needs recordings that there are none of.
        AudioError: of the recordings of noise not one can be used.
        CorpusError: there is no folder of noise.
        MissingExtraError: a step needs a package that is not installed.
    """
    if not settings.steps:
        return None
    chain = build_chain(settings)
    if chain.mixes_targets:
        raise UsageError(
            "waveforms of two classes cannot be mixed before training knows of it",
            where="training.augmentation",
            found="mixup",
            hint="Use the system's own mixup, such as mixup_alpha of glam or the treatments of mtl-aug",
        )

    def augment(example: Example, generator: torch.Generator) -> Example:
        utterance = example.utterance
        waveform = read_audio(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
        changed, _ = chain.augment(0, [waveform], generator)
        inputs = system.extract(changed, training=True)
        whole = all(len(tensor) for tensor in inputs.values())
        return Example(utterance, {**example.inputs, **inputs}, example.target) if whole else example

    return augment
