"""The four treatments: how they are drawn, and what they do to a batch."""

from pathlib import Path

import pytest
import torch

from serenade.core.records import Utterance
from serenade.training.system import Example
from serenade.training.treatments import Padded, TreatmentSettings, draw_item, draw_partners, draw_shares, treat

SETTINGS = TreatmentSettings()
PLACES = {kind: place for place, kind in enumerate(SETTINGS.kinds)}


def item(length: int = 30) -> Example:
    """An example whose features tell at which speed they are: 1, 0.9 or 1.1."""
    inputs = {name: torch.full((1, 4, length), value) for name, value in (("audio", 1.0), ("speed0", 0.9))}
    inputs["speed1"] = torch.full((1, 4, length - 5), 1.1)
    return Example(Utterance("u", Path("u.wav"), "toy", "s", None), inputs, 0)


def drawn(count: int, settings: TreatmentSettings = SETTINGS, *, clean: bool = True) -> list[Example]:
    generator = torch.Generator().manual_seed(0)
    return [draw_item(item(), settings, 20, generator, clean=clean) for _ in range(count)]


def test_all_treatments_and_speeds_are_drawn_equally_often() -> None:
    items = drawn(2000)
    counts = torch.bincount(torch.cat([one.inputs["treatment"] for one in items]))
    assert ((counts - 500).abs() < 60).all()  # three standard deviations
    at = torch.stack([one.inputs["audio"][0, 0, 0] for one in items])
    treated = torch.cat([one.inputs["treatment"] for one in items]) == PLACES["speed"]
    assert torch.equal(treated, at != 1)
    assert abs(int((at == 0.9).sum()) - int((at > 1).sum())) < 70


def test_untreated_form_goes_along_where_it_is_needed() -> None:
    assert all((one.inputs["clean"] == 1).all() for one in drawn(20))
    assert all("clean" not in one.inputs for one in drawn(20, clean=False))
    assert all(one.inputs["audio"].shape == (1, 4, 20) for one in drawn(20))


def test_a_dropped_treatment_is_not_drawn_and_places_move_up() -> None:
    settings = TreatmentSettings(kinds=("none", "spec_augment", "mixup"))
    places = {int(one.inputs["treatment"]) for one in drawn(50, settings)}
    assert places == {0, 1, 2}


def test_shares_lie_within_bounds_and_follow_the_beta_distribution() -> None:
    shares = draw_shares(4000, SETTINGS, torch.Generator().manual_seed(0))
    assert shares.min() >= 0.2
    assert shares.max() <= 0.8
    # Beta(1, 1) is uniform, so what is left of it is uniform on [0.2, 0.8]
    torch.testing.assert_close(shares.mean(), torch.tensor(0.5), rtol=0, atol=0.01)
    torch.testing.assert_close(shares.std(), torch.tensor(0.6 / 12**0.5), rtol=0.05, atol=0)


def test_partners_are_others_of_the_same_kind_and_each_is_one_once() -> None:
    labelled = torch.tensor([True] * 5 + [False] * 3)
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(30):
        partners = draw_partners(labelled, generator)
        assert torch.equal(partners.sort().values, torch.arange(8))
        assert (partners != torch.arange(8)).all()
        assert torch.equal(labelled[partners], labelled)
        seen.add(tuple(partners.tolist()))
    assert len(seen) > 10
    assert draw_partners(torch.tensor([True, True, False]), generator).tolist() == [1, 0, 2]


def batch(count: int = 40, frames: int = 100) -> tuple[Padded, Padded, torch.Tensor, torch.Tensor]:
    """Features, their untreated form, kinds, and which are labelled."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(30, frames + 1, (count,), generator=generator)
    features = 1 + torch.rand(count, 80, frames, generator=generator)
    features = features.masked_fill((torch.arange(frames) >= lengths[:, None])[:, None], 0.0)
    kinds = torch.arange(count) % 4
    clean = torch.where((kinds == PLACES["speed"])[:, None, None], 2 * features, features)
    return Padded(features, lengths), Padded(clean, lengths), kinds, torch.arange(count) < count - 12


def test_each_example_gets_what_its_kind_says() -> None:
    audio, clean, kinds, labelled = batch()
    before = audio.features.clone()
    treated = treat(audio, clean, kinds, labelled, SETTINGS, torch.Generator().manual_seed(2))
    for row, kind in enumerate(SETTINGS.kinds[place] for place in kinds.tolist()):
        features, length = treated.audio.features[row], int(treated.audio.lengths[row])
        partner, share = int(treated.partners[row]), float(treated.shares[row])
        assert (kind == "mixup") == (share < 1) == bool(treated.mixed[row])
        assert (features[:, length:] == 0).all()
        if kind == "mixup":
            assert labelled[partner] == labelled[row]
            assert length == max(int(audio.lengths[row]), int(clean.lengths[partner]))
            expected = share * audio.features[row] + (1 - share) * clean.features[partner]
            torch.testing.assert_close(features, expected)
            continue
        assert partner == row
        assert length == audio.lengths[row]
        if kind == "spec_augment":
            hidden = features[:, :length] == 0
            assert 1 <= int(hidden.all(dim=1).sum()) <= 32  # bands
            assert 1 <= int(hidden.all(dim=0).sum()) <= 2 * length // 5  # two masks of a fifth
            assert torch.equal(features[:, :length][~hidden], before[row, :, :length][~hidden])
        else:
            assert torch.equal(features, before[row])
    assert torch.equal(audio.features, before)


def test_targets_are_mixed_as_the_features_are() -> None:
    audio, clean, kinds, labelled = batch(8)
    treated = treat(audio, clean, kinds, labelled, SETTINGS, torch.Generator().manual_seed(2))
    targets = torch.eye(8)
    mixed = treated.mix(targets)
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(8))
    for row in range(8):
        assert float(mixed[row, row]) == pytest.approx(float(treated.shares[row]))


def test_without_treatments_a_batch_stays_as_it_is() -> None:
    audio, clean, kinds, labelled = batch(6)
    settings = TreatmentSettings(kinds=("none",))
    treated = treat(audio, clean, torch.zeros_like(kinds), labelled, settings, torch.Generator())
    assert torch.equal(treated.audio.features, audio.features)
    assert not treated.mixed.any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kinds": ()}, "at least 1 item"),
        ({"kinds": ("none", "none")}, "named once"),
        ({"speeds": (0.9, 1.0)}, "1 is no treatment"),
        ({"speeds": (-1.0,)}, "speeds are positive"),
        ({"spec_augment": {"probability": 0.5}}, "probability must be 1"),
        ({"mixup_least_share": 0.5}, "less than 0.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TreatmentSettings.model_validate(values)
