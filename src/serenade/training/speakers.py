"""Per-speaker normalisation: a protocol of its own, because it uses recordings of the speaker who is tested.

Every feature of an utterance is standardised over all recordings of its speaker, whatever their class, those of tested
speakers included. Nobody's class is used, but whoever wants such a result in practice must have many recordings of
each new speaker, of a like mixture of emotions. So a result under it is declared wherever it is shown.
"""

from collections.abc import Sequence
from typing import Literal

import torch

from serenade.core.errors import UsageError
from serenade.core.records import UNKNOWN_SPEAKER
from serenade.training.system import Example

__all__ = ["NORMALISED", "PROTOCOL", "SpeakerNormalisation", "normalise_by_speaker"]

SpeakerNormalisation = Literal["none", "all_utterances"]
NORMALISED = "normalised"
"""Name of the input that `normalise_by_speaker` makes: features and normalised features are never taken for another."""
PROTOCOL = (
    "per-speaker normalisation: every feature is standardised over all recordings of its speaker, without their "
    "classes, and so over all recordings of the tested speakers"
)


def normalise_by_speaker(examples: Sequence[Example]) -> list[Example]:
    """Examples whose ``audio: (1, D)`` became ``normalised: (1, D)``, mean 0 and deviation 1 within each speaker.

    A feature that does not vary within a speaker, also that of a single recording, becomes 0.

    Raises:
        UsageError: of an utterance the speaker is not known.
    """
    by_speaker: dict[tuple[str, str], list[int]] = {}
    for place, example in enumerate(examples):
        utterance = example.utterance
        if utterance.speaker.rpartition("/")[2] == UNKNOWN_SPEAKER:
            raise UsageError("per-speaker normalisation needs the speaker of every utterance", where=utterance.id)
        by_speaker.setdefault((utterance.corpus, utterance.speaker), []).append(place)
    normalised = list(examples)
    for places in by_speaker.values():
        values = torch.cat([examples[place].inputs["audio"] for place in places]).double()
        deviation = values.std(dim=0, correction=0)
        constant = deviation <= values.abs().amax(dim=0) * torch.finfo(torch.float32).eps
        rows = torch.where(constant, 0.0, (values - values.mean(dim=0)) / deviation).float()
        for place, row in zip(places, rows, strict=True):
            example = examples[place]
            normalised[place] = Example(example.utterance, {NORMALISED: row.unsqueeze(0)}, example.target)
    return normalised
