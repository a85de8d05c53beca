"""Per-speaker normalisation against plain numpy, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from serenade.core.errors import UsageError
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.training.speakers import NORMALISED, normalise_by_speaker
from serenade.training.system import Example


def examples(speakers: list[str], corpus: str = "toy") -> list[Example]:
    generator = torch.Generator().manual_seed(len(speakers))
    return [
        Example(
            Utterance(f"{corpus}{place}", Path("x"), corpus, speaker, None),
            {"audio": 3 + torch.randn(1, 5, generator=generator)},
            place % 2,
        )
        for place, speaker in enumerate(speakers)
    ]


def test_every_speaker_has_mean_zero_and_deviation_one() -> None:
    given = examples(["a", "b", "a", "b", "a"])
    found = normalise_by_speaker(given)
    assert [(e.utterance, e.target) for e in found] == [(e.utterance, e.target) for e in given]
    for rows in ([0, 2, 4], [1, 3]):
        raw = torch.cat([given[row].inputs["audio"] for row in rows]).double().numpy()
        expected = (raw - raw.mean(0)) / raw.std(0)
        ours = torch.cat([found[row].inputs[NORMALISED] for row in rows])
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)


def test_speakers_of_one_name_in_two_corpora_are_two_people() -> None:
    given = [*examples(["a", "a"]), *examples(["a", "a"], corpus="other")]
    apart = [*normalise_by_speaker(given[:2]), *normalise_by_speaker(given[2:])]
    for one, other in zip(normalise_by_speaker(given), apart, strict=True):
        torch.testing.assert_close(one.inputs[NORMALISED], other.inputs[NORMALISED])


def test_single_recording_of_a_speaker_becomes_zeros() -> None:
    assert not normalise_by_speaker(examples(["a", "b", "b"]))[0].inputs[NORMALISED].any()


@pytest.mark.parametrize("name", [UNKNOWN_SPEAKER, f"corpus/{UNKNOWN_SPEAKER}"])
def test_unknown_speakers_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="speaker of every utterance: toy1"):
        normalise_by_speaker(examples(["a", name]))
