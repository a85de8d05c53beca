"""What every aggregator keeps to, and each against one utterance at a time."""

import pytest
import torch

from serenade.nn.aggregators import AGGREGATORS, AttentionPooling, BlstmPooling, BlstmPoolingSettings, MeanPooling
from serenade.nn.masking import valid_steps

WIDTH = 6
LENGTHS = torch.tensor([1, 9, 4])
every_aggregator = pytest.mark.parametrize("name", AGGREGATORS)


def padded(far: float = 1e3) -> torch.Tensor:
    """(3, 9, 6) whose padding is far from everything else."""
    frames = torch.randn(3, 9, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.where(valid_steps(LENGTHS, 9)[:, :, None], frames, far)


def make(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return AGGREGATORS.resolve(name)(WIDTH).double()


@every_aggregator
def test_vectors_have_the_width_told(name: str) -> None:
    aggregator = make(name).eval()
    assert aggregator(padded(), LENGTHS).shape == (3, aggregator.output_dim)


@every_aggregator
def test_utterance_has_the_same_vector_alone_and_in_a_padded_batch(name: str) -> None:
    aggregator = make(name)
    aggregator(padded(), LENGTHS)  # moves running statistics away from where they start
    aggregator.eval()
    together = aggregator(padded(), LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = aggregator(padded()[row : row + 1, :length], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-10, atol=1e-12)


@every_aggregator
@pytest.mark.parametrize("training", [True, False])
def test_padding_has_no_influence(name: str, training: bool) -> None:
    one, other = (make(name).train(training)(padded(far), LENGTHS) for far in (0.0, -7.0))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@every_aggregator
def test_every_parameter_and_every_valid_frame_gets_a_gradient(name: str) -> None:
    aggregator, frames = make(name), padded().requires_grad_()
    vectors = aggregator(frames, LENGTHS)
    (vectors * torch.randn(vectors.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    for key, parameter in aggregator.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key
    assert frames.grad is not None
    inside = valid_steps(LENGTHS, 9)
    assert (frames.grad[inside].abs().amax(dim=1) > 0).all()
    assert (frames.grad[~inside] == 0).all()


def test_mean_is_the_mean_of_the_valid_frames_even_where_padding_is_not_a_number() -> None:
    found = MeanPooling(WIDTH)(padded(float("nan")), LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(found[row], torch.from_numpy(padded()[row, :length].numpy().mean(axis=0)))


def test_attention_weighs_frames_by_the_exponential_of_their_score() -> None:
    pooling = AttentionPooling(WIDTH).double()
    found, scale = pooling(padded(), LENGTHS), pooling.score.weight[0].detach()
    for row, length in enumerate(LENGTHS.tolist()):
        frames = padded()[row, :length]
        weights = [float((frame @ scale).exp()) for frame in frames]
        expected = sum(weight / sum(weights) * frame for weight, frame in zip(weights, frames, strict=True))
        torch.testing.assert_close(found[row], expected)


def test_blstm_averages_the_states_of_both_directions() -> None:
    pooling = BlstmPooling(WIDTH, BlstmPoolingSettings(units=3)).double()
    found = pooling(padded(), LENGTHS)
    lstm = pooling.blstm.lstm
    for row, length in enumerate(LENGTHS.tolist()):
        states, _ = lstm(padded()[row, :length])
        torch.testing.assert_close(found[row], states.mean(dim=0))
