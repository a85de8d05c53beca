"""Padded sequences: weights, pooling, statistics and recurrent layers against one sequence at a time."""

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from serenade.nn.masking import attentive_pool, masked_mean_squares, masked_softmax, masked_statistics, valid_steps
from serenade.nn.recurrent import PackedBlstm

LENGTHS = torch.tensor([1, 7, 4])


def padded(width: int = 5) -> torch.Tensor:
    """(3, 7, width) whose padding is far from everything else."""
    frames = torch.randn(3, 7, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.where(valid_steps(LENGTHS, 7)[:, :, None], frames, 1e6)


def test_weights_sum_to_one_and_are_exactly_zero_on_padding() -> None:
    weights = masked_softmax(padded()[:, :, 0], LENGTHS)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3, dtype=torch.float64))
    assert (weights[~valid_steps(LENGTHS, 7)] == 0).all()
    assert (weights[valid_steps(LENGTHS, 7)] > 0).all()


def test_pooling_equals_one_sequence_at_a_time() -> None:
    frames = padded()
    scores = frames[:, :, 1]
    pooled = attentive_pool(frames, scores, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        exponents = scores[row, :length].exp()
        expected = sum(exponents[i] / exponents.sum() * frames[row, i] for i in range(length))
        torch.testing.assert_close(pooled[row], expected)
    whole = attentive_pool(frames, scores, torch.full((3,), 7))
    torch.testing.assert_close(attentive_pool(frames, scores, None), whole)


def test_statistics_equal_one_sequence_at_a_time() -> None:
    frames = padded()
    found = masked_statistics(frames, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        valid = frames[row, :length].numpy()
        torch.testing.assert_close(found[row, :5], torch.from_numpy(valid.mean(axis=0)))
        deviation = torch.from_numpy(valid.std(axis=0)).clamp_min(1e-4)  # of one step there is none
        torch.testing.assert_close(found[row, 5:], deviation)


def test_statistics_of_a_single_step_have_a_finite_gradient() -> None:
    frames = padded().requires_grad_()
    masked_statistics(frames, LENGTHS).sum().backward()
    assert frames.grad is not None
    assert frames.grad.isfinite().all()
    assert (frames.grad[~valid_steps(LENGTHS, 7)] == 0).all()


def test_packed_blstm_equals_one_sequence_at_a_time() -> None:
    torch.manual_seed(0)
    blstm, frames = PackedBlstm(5, 3).double(), padded()
    states = blstm(frames, LENGTHS)
    assert states.shape == (3, 7, 6)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = blstm(frames[row : row + 1, :length], None)
        torch.testing.assert_close(states[row, :length], alone[0])
        assert (states[row, length:] == 0).all()


def test_packed_blstm_has_the_gradients_of_packed_sequences() -> None:
    torch.manual_seed(0)
    blstm, frames = PackedBlstm(5, 3).double(), padded().requires_grad_()
    packed = pack_padded_sequence(frames, LENGTHS, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(blstm.lstm(packed)[0], batch_first=True)[0]
    weights = torch.randn(3, 7, 6, dtype=torch.float64)
    inputs = [frames, *blstm.parameters()]
    found = torch.autograd.grad((weights * blstm(frames, LENGTHS)).sum(), inputs)
    for ours, theirs in zip(found, torch.autograd.grad((weights * expected).sum(), inputs), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert (found[0][~valid_steps(LENGTHS, 7)] == 0).all()


def test_errors_are_averaged_over_valid_cells_then_over_examples() -> None:
    generator = torch.Generator().manual_seed(3)
    predictions, targets = torch.randn(2, 3, 4, 7, generator=generator).unbind()
    expected = [
        float((predictions[row, :, :length] - targets[row, :, :length]).square().mean())
        for row, length in enumerate(LENGTHS.tolist())
    ]
    found = masked_mean_squares(predictions, targets, LENGTHS)
    torch.testing.assert_close(found, torch.tensor(sum(expected) / 3))
    predictions[0, :, 1:] = torch.nan  # padding does not count, whatever it is
    torch.testing.assert_close(masked_mean_squares(predictions, targets, LENGTHS), found)
