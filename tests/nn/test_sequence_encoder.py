"""The transformer over frames: the authors' tensors, order, padding, utterances without frames."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from serenade.nn.sequence_encoder import SequenceEncoder


@pytest.fixture
def reference(shared: Path) -> dict[str, Any]:
    return dict(torch.load(shared / "parity" / "mesm_sequence_encoder.pt", weights_only=True))


def loaded(reference: dict[str, Any]) -> SequenceEncoder:
    encoder = SequenceEncoder(64, 4, 4, 2048, 0.1).eval()
    state = {key: value for key, value in reference["weights"].items() if key.startswith("encoder.")}
    encoder.load_state_dict({**state, "first": reference["weights"]["cls_emb.weight"][0]})
    return encoder


def test_reads_utterances_as_the_authors(reference: dict[str, Any]) -> None:
    encoder = loaded(reference)
    for context in (torch.inference_mode(), torch.enable_grad()):  # torch computes them by different ways
        with context:
            ours = encoder(reference["x"], torch.tensor(reference["lens"]))
            torch.testing.assert_close(ours, reference["cls"], rtol=1e-5, atol=1e-5)
            padded = encoder.encode_padded(reference["x_nolens"], None)
            torch.testing.assert_close(padded, reference["cls_nolens"], rtol=1e-5, atol=1e-5)
    # what the authors' module gives without its first vector: the layers alone, less the first step
    alone = encoder.encoder(reference["x_nolens"])[:, 1:]
    torch.testing.assert_close(alone, reference["seq_nolens_drops_first"], rtol=1e-5, atol=1e-5)


def make(*, sinusoidal: bool = False) -> tuple[SequenceEncoder, Tensor, Tensor]:
    torch.manual_seed(0)
    encoder = SequenceEncoder(8, 2, 2, 16, 0.1, sinusoidal=sinusoidal).eval()
    return encoder, torch.randn(9, 8), torch.tensor([3, 0, 5, 1])


@torch.inference_mode()
def test_utterance_does_not_depend_on_others_and_may_have_no_frames() -> None:
    encoder, frames, lengths = make()
    together = encoder(frames, lengths)
    assert together.shape == (4, 8)
    assert torch.isfinite(together).all()
    for place, part in enumerate(frames.split(lengths.tolist())):
        torch.testing.assert_close(encoder(part, lengths[place : place + 1])[0], together[place])
    nothing = encoder(frames[:0], torch.tensor([0, 0]))
    torch.testing.assert_close(nothing, together[1].expand(2, -1))


@pytest.mark.parametrize("sinusoidal", [False, True])
@torch.inference_mode()
def test_order_matters_only_with_positions(sinusoidal: bool) -> None:
    encoder, frames, lengths = make(sinusoidal=sinusoidal)
    turned = torch.cat([frames[:3].flip(0), frames[3:]])
    difference = (encoder(frames, lengths) - encoder(turned, lengths)).abs().amax(1)
    assert float(difference[1:].max()) < 1e-6
    assert (float(difference[0]) > 1e-3) == sinusoidal


@torch.inference_mode()
def test_positions_are_those_of_the_equation() -> None:
    encoder, _, _ = make(sinusoidal=True)
    plain, _, _ = make()
    frames = torch.zeros(1, 3, 8)
    for step in range(3):
        for place in range(8):
            angle = torch.tensor(step / 10_000 ** ((place - place % 2) / 8))
            frames[0, step, place] = angle.cos() if place % 2 else angle.sin()
    torch.testing.assert_close(encoder(torch.zeros(3, 8), torch.tensor([3])), plain.encode_padded(frames, None))


def test_no_frames_at_all_trains() -> None:
    encoder, frames, _ = make()
    encoder.train()(frames[:0], torch.tensor([0, 0])).square().sum().backward()
    gradients = [parameter.grad for parameter in encoder.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
