"""Every corpus normalised by its own statistics."""

from pathlib import Path

import pytest
import torch

from serenade.core.errors import SplitError
from serenade.core.records import Utterance
from serenade.signal.normaliser import Normaliser, NormaliserSettings
from serenade.training.alignment import Alignment
from serenade.training.system import Example

BANDS = 3


def corpus(name: str, shift: float, scale: float) -> list[Example]:
    generator = torch.Generator().manual_seed(len(name))
    made = [shift + scale * torch.randn(1, BANDS, length, generator=generator) for length in (20, 31, 12)]
    return [
        Example(Utterance(f"{name}{place}", Path("u.wav"), name, "s", None), {"audio": audio}, 0)
        for place, audio in enumerate(made)
    ]


def normaliser(kind: str = "per_corpus") -> Normaliser:
    return Normaliser(NormaliserSettings.model_validate({"kind": kind}), BANDS)


def frames(examples: list[Example]) -> torch.Tensor:
    return torch.cat([example.inputs["audio"][0] for example in examples], dim=1).double()


def by_hand(examples: list[Example]) -> torch.Tensor:
    x = frames(examples)
    return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True, correction=0)


def test_every_corpus_is_normalised_by_its_own_mean_and_deviation() -> None:
    a, b, tested = corpus("a", 5.0, 2.0), corpus("bb", -3.0, 0.5), corpus("ccc", 40.0, 7.0)
    of = normaliser()
    alignment = Alignment(of)
    alignment.meet(tested)
    alignment.fit([*a, *b])
    for examples in (a, b, tested):
        seen = torch.cat([of(example.inputs["audio"])[0] for example in alignment.align(examples)], dim=1)
        torch.testing.assert_close(seen.double(), by_hand(examples), atol=1e-5, rtol=1e-5)
    alignment.settle()
    assert alignment.align(tested) is tested
    seen = torch.cat([of(example.inputs["audio"])[0] for example in tested], dim=1)
    torch.testing.assert_close(seen.double(), by_hand(tested), atol=1e-5, rtol=1e-5)
    assert alignment.protocol == "normalised by the statistics of the tested corpus, labels unseen"


def test_a_corpus_that_is_trained_on_is_tested_with_the_statistics_of_its_training_part() -> None:
    train, tested = corpus("a", 5.0, 2.0), corpus("a", 9.0, 1.0)
    of = normaliser()
    alignment = Alignment(of)
    alignment.meet(tested)
    alignment.fit(train)
    alignment.settle()
    x = frames(train)
    torch.testing.assert_close(of.mean[:, 0].double(), x.mean(1))


@pytest.mark.parametrize("kind", ["per_bin", "global"])
def test_other_kinds_leave_features_alone(kind: str) -> None:
    a, tested = corpus("a", 5.0, 2.0), corpus("bb", -3.0, 0.5)
    alignment = Alignment(normaliser(kind))
    alignment.meet([*a, *tested])
    alignment.fit(a)
    assert alignment.align(tested) is tested
    assert alignment.protocol is None


def test_a_test_part_of_several_corpora_is_refused() -> None:
    with pytest.raises(SplitError, match="one corpus"):
        Alignment(normaliser()).meet([*corpus("a", 0, 1), *corpus("b", 0, 1)])
