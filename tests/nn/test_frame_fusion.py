"""Frames side by side: against torch's interpolation, by hand, and what is refused."""

import pytest
import torch
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.nn.frame_fusion import concatenate_frames, resample_frames


@pytest.mark.parametrize(("ratio", "old", "new"), [(2.0, 40, 20), (0.5, 20, 40), (1.0, 17, 17), (3.0, 30, 10)])
def test_resampling_is_linear_interpolation(ratio: float, old: int, new: int) -> None:
    frames = torch.randn(2, old, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = resample_frames(frames, torch.tensor([old, old]), ratio, torch.tensor([new, new]))
    expected = functional.interpolate(frames.transpose(1, 2), size=new, mode="linear", align_corners=False)
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_twice_the_rate_becomes_means_of_two() -> None:
    frames = torch.arange(8.0).reshape(1, 8, 1)
    found = resample_frames(frames, torch.tensor([8]), 2.0, torch.tensor([4]))
    assert found.flatten().tolist() == [0.5, 2.5, 4.5, 6.5]


def test_nothing_beyond_the_ends_is_looked_at() -> None:
    frames = torch.full((2, 6, 1), float("nan"))
    frames[0, :4], frames[1, :1] = 1.0, 2.0
    found = resample_frames(frames, torch.tensor([4, 1]), 1.3, torch.tensor([5, 2]))
    assert torch.equal(found[0, :5, 0], torch.ones(5))
    assert torch.equal(found[1, :2, 0], torch.full((2,), 2.0))


def test_frames_of_one_rate_stand_side_by_side_as_far_as_both_go() -> None:
    one, other = torch.randn(2, 9, 3), torch.randn(2, 10, 2)
    lengths = [torch.tensor([9, 5]), torch.tensor([10, 4])]
    frames, valid = concatenate_frames([one, other], lengths, [50.0, 50.0])
    assert valid.tolist() == [9, 4]
    assert frames.shape == (2, 9, 5)
    assert torch.equal(frames[0, :, :3], one[0])
    assert torch.equal(frames[1, :4, 3:], other[1, :4])


def test_frames_that_do_not_belong_together_are_refused() -> None:
    one, lengths = torch.randn(1, 9, 3), torch.tensor([9])
    with pytest.raises(UsageError, match="their numbers differ by 2"):
        concatenate_frames([one, one[:, :7]], [lengths, torch.tensor([7])], [50.0, 50.0])
    with pytest.raises(UsageError, match=r"different rates.*50 per second, 100 per second"):
        concatenate_frames([one, one], [lengths, lengths], [50.0, 100.0])


def test_of_three_rates_the_first_one_counts() -> None:
    parts = [torch.randn(1, 5, 2), torch.randn(1, 10, 3), torch.randn(1, 3, 4)]
    lengths = [torch.tensor([len(part[0])]) for part in parts]
    frames, valid = concatenate_frames(parts, lengths, [50.0, 100.0, 31.25], "resample")
    assert valid.tolist() == [5]
    assert frames.shape == (1, 5, 9)
    assert torch.equal(frames[:, :, :2], parts[0])
    torch.testing.assert_close(frames[0, 1, 2:5], parts[1][0, 2:4].mean(0))
