"""Changes to sound that leave its emotion as it is: for more and harder training data, and for tests of robustness.

Each step is one file: its settings, how its parameters are drawn from a generator, and what they do to a waveform.
`chain` strings them together.
"""

from typing import Any

from serenade.core.names import NameTable

__all__ = ["AUGMENTATIONS"]

AUGMENTATIONS: NameTable[Any] = NameTable(
    "augmentation",
    [
        ("speed", "serenade.signal.augmentation.speed:Speed"),
        ("pitch", "serenade.signal.augmentation.pitch:Pitch"),
        ("gain", "serenade.signal.augmentation.gain:Gain"),
        ("shift", "serenade.signal.augmentation.shift:Shift"),
        ("noise", "serenade.signal.augmentation.noise:Noise"),
        ("reverb", "serenade.signal.augmentation.reverb:Reverb"),
        ("band", "serenade.signal.augmentation.band:Band"),
        ("telephone", "serenade.signal.augmentation.telephone:Telephone"),
        ("opus", "serenade.signal.augmentation.codec:Opus"),
        ("mp3", "serenade.signal.augmentation.codec:Mp3"),
        ("spec_augment", "serenade.signal.augmentation.spec_augment:SpecAugment"),
        ("mixup", "serenade.signal.augmentation.mixup:Mixup"),
    ],
)
