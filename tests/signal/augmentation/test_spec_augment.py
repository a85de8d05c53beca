"""SpecAugment: masks as wide and where the settings say, in features and in waveforms."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from serenade.core.errors import SettingsError, UsageError
from serenade.core.settings import make_settings
from serenade.signal.augmentation.chain import AugmentationChain, AugmentationSettings
from serenade.signal.augmentation.spec_augment import SpecAugmentSettings, draw_masks, mask_features, spec_augment

SETTINGS = SpecAugmentSettings()


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def runs(masked: Tensor) -> list[int]:
    """Lengths of runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], masked.int().numpy(), [0]])))
    return [int(end - start) for start, end in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize("valid", [1, 4, 30, 200, 480])
def test_masks_lie_inside_the_valid_part(valid: int) -> None:
    features = torch.ones(40, 80, 480)
    lengths = torch.full((40,), valid)
    masked, drawn = spec_augment(features, SETTINGS, seeded(valid), lengths)
    assert (masked[:, :, valid:] == 1).all()
    for example, masks in zip(masked, drawn, strict=True):
        zero = example[:, :valid] == 0
        bands, frames = zero.all(dim=1), zero.all(dim=0)
        if not bool(bands.all()):  # with one valid frame all of it may be masked
            assert 1 <= len(runs(bands)) <= 2
            assert 1 <= len(runs(frames)) <= 2
        assert torch.equal(zero, bands[:, None] | frames[None, :]), "nothing else is masked"
        assert all(4 <= width <= 16 and start + width <= 80 for start, width in masks.bands)
        most = max(1, valid // 5)
        assert all(min(8, most) <= width <= min(40, most) and start + width <= valid for start, width in masks.frames)


def test_widths_and_places_are_even() -> None:
    generator = seeded(1)
    drawn = [draw_masks(SETTINGS, 80, 480, generator) for _ in range(3000)]
    widths = np.array([width for masks in drawn for _, width in masks.bands])
    assert np.bincount(widths)[4:].tolist() == pytest.approx([6000 / 13] * 13, rel=0.25)
    times = np.array([width for masks in drawn for _, width in masks.frames])
    assert (times.min(), times.max()) == (8, 40)
    assert times.mean() == pytest.approx(24, abs=0.5)
    starts = np.array([start for masks in drawn for start, width in masks.frames if width == 20])
    assert starts.mean() == pytest.approx(230, abs=30)
    assert starts.max() > 440


def test_the_rest_is_untouched_and_the_input_too() -> None:
    features = torch.randn(3, 80, 100, generator=seeded(0))
    before = features.clone()
    masked, _ = spec_augment(features, SETTINGS, seeded(1))
    assert torch.equal(features, before)
    assert torch.equal(masked[masked != 0], features[masked != 0])
    again, _ = spec_augment(features, SETTINGS, seeded(1))
    assert torch.equal(masked, again)


def test_masking_by_hand() -> None:
    masks = draw_masks(
        SpecAugmentSettings(frequency_masks=0, time_masks=1, least_frames=2, most_frames=2), 3, 40, seeded(0)
    )
    ((start, width),) = masks.frames
    assert (masks.bands, width) == ((), 2)
    masked = mask_features(torch.ones(3, 50), masks, 40)
    assert masked.sum() == 3 * 48
    assert not masked[:, start : start + 2].any()


def test_a_share_of_the_examples() -> None:
    masked, drawn = spec_augment(torch.ones(100, 20, 50), SpecAugmentSettings(probability=0.3), seeded(0))
    changed = (masked == 0).flatten(1).any(dim=1)
    assert 15 < int(changed.sum()) < 45
    assert [bool(masks.bands) for masks in drawn] == changed.tolist()


def test_few_bands_and_wrong_shapes() -> None:
    masked, _ = spec_augment(torch.ones(5, 2, 50), SETTINGS, seeded(0))
    assert masked.shape == (5, 2, 50)
    assert spec_augment(torch.ones(0, 2, 50), SETTINGS, seeded(0))[0].shape == (0, 2, 50)
    with pytest.raises(UsageError, match=r"takes \(N, F, L\) features"):
        spec_augment(torch.ones(2, 50), SETTINGS, seeded(0))
    with pytest.raises(UsageError, match="lengths that do not fit"):
        spec_augment(torch.ones(2, 4, 50), SETTINGS, seeded(0), torch.tensor([50, 51]))
    with pytest.raises(SettingsError, match="least width"):
        make_settings(SpecAugmentSettings, {"least_frames": 50})


def test_masks_can_be_heard() -> None:
    sound = 0.1 * torch.randn(1, 3 * 16000, generator=seeded(2))
    chain = AugmentationChain(AugmentationSettings.model_validate("spec_augment"))
    masked, (record,) = chain(sound, seeded(0))
    for start, width in record.steps[0].parameters["frames"]:
        inner = masked[0, (start + 2) * 256 : (start + width - 3) * 256]
        assert len(inner) == 0 or float(inner.square().mean()) < 1e-4 * float(sound.square().mean())
    share = float(masked.square().sum() / sound.square().sum())
    assert 0.4 < share < 0.95
