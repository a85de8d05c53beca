"""Windows of features, crops, and batches with valid lengths."""

from pathlib import Path

import pytest
import torch

from serenade.core.records import Utterance
from serenade.training.system import Example
from serenade.training.windows import collate_windows, random_crop, windows_of


def counting(length: int) -> torch.Tensor:
    """(1, 2, length) features that say which frame they are."""
    return torch.arange(length).expand(1, 2, length).float()


def example(length: int, target: int | None = 0) -> Example:
    return Example(Utterance(f"u{length}", Path("u.wav"), "toy", "s", None), {"audio": counting(length)}, target)


@pytest.mark.parametrize(
    ("length", "firsts"), [(1, [0]), (9, [0]), (10, [0]), (11, [0, 1]), (20, [0, 10]), (25, [0, 10, 15])]
)
def test_windows_follow_each_other_and_the_last_ends_with_the_features(length: int, firsts: list[int]) -> None:
    windows = windows_of(counting(length), 10)
    assert windows.shape == (len(firsts), 2, min(length, 10))
    assert windows[:, 0, 0].tolist() == firsts
    assert windows[-1, 0, -1] == length - 1
    assert torch.equal(windows_of(windows, 10), windows)


def test_crops_reach_every_place_and_leave_short_features_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    crops = [random_crop(counting(13), 10, generator) for _ in range(50)]
    assert {int(crop[0, 0, 0]) for crop in crops} == {0, 1, 2, 3}
    assert all(crop.shape == (1, 2, 10) for crop in crops)
    assert torch.equal(random_crop(counting(7), 10, generator), counting(7))


def test_batch_holds_all_windows_with_their_valid_frames() -> None:
    batch = collate_windows([example(25), example(4, None)], 10, reach=None)
    assert batch.inputs["audio"].shape == (4, 2, 10)
    assert batch.inputs["audio_frames"].tolist() == [10, 10, 10, 4]
    assert batch.inputs["audio"][3, 0].tolist() == [0, 1, 2, 3, 0, 0, 0, 0, 0, 0]
    assert batch.lengths.tolist() == [3, 1]
    assert batch.targets.tolist() == [0, -1]


@pytest.mark.parametrize(("lengths", "reach", "width"), [((4, 2), 3, 7), ((4, 8), 3, 10), ((4, 25), 0, 10)])
def test_padding_goes_as_far_as_it_is_seen_and_no_further_than_the_window(
    lengths: tuple[int, ...], reach: int, width: int
) -> None:
    batch = collate_windows([example(length) for length in lengths], 10, reach=reach)
    assert batch.inputs["audio"].shape[2] == width
