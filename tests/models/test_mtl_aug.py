"""The networks of MTL-AUG: sizes, padding, and the decoder's mirror."""

import pytest
import torch
from torch import nn

from serenade.models.mtl_aug import (
    CnnBlstm,
    CnnBlstmSettings,
    Decoder,
    Encoder,
    SequenceClassifier,
    StatisticsClassifier,
)

SMALL = CnnBlstmSettings(channels=(2, 3, 4, 5), lstm_units=6, embedding_dim=7)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_those_of_the_specification() -> None:
    network = CnnBlstm(4, 80)
    heads = Decoder(CnnBlstmSettings()), StatisticsClassifier(4, network.step_width, CnnBlstmSettings())
    assert network.step_width == 640
    assert [count(part) for part in (network.encoder, network.emotion, *heads)] == [275_008, 822_148, 328_865, 164_484]
    assert count(network) == 1_097_156


def test_map_and_reconstruction_have_the_sizes_of_the_specification() -> None:
    network, decoder = CnnBlstm(4, 80), Decoder(CnnBlstmSettings())
    x = torch.randn(2, 1, 80, 480)
    encoded = network.encoder(x)
    assert encoded.shape == (2, 128, 5, 120)
    assert decoder(encoded, 80, 480).shape == x.shape


def test_valid_steps_are_a_quarter_rounded_up_for_every_length() -> None:
    encoder = Encoder(CnnBlstmSettings(channels=(1, 1, 1, 1))).eval()
    steps = encoder.num_steps(torch.arange(1, 481)).tolist()
    assert steps == [(n + 3) // 4 for n in range(1, 481)]
    with torch.inference_mode():
        assert steps == [encoder(torch.zeros(1, 1, 16, n)).shape[3] for n in range(1, 481)]


@pytest.mark.parametrize(("bands", "frames"), [(26, 57), (1, 1), (400, 200), (39, 3), (17, 481)])
def test_any_size_is_encoded_and_reconstructed(bands: int, frames: int) -> None:
    network, decoder = CnnBlstm(3, bands, SMALL), Decoder(SMALL)
    network.eval()
    decoder.eval()
    x = torch.randn(2, 1, bands, frames)
    encoded = network.encoder(x)
    assert encoded.shape[2:] == Encoder.sizes(bands, frames)[-1]
    assert decoder(encoded, bands, frames).shape == x.shape
    assert network(x).shape == (2, 3)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("sizes", [(26, 57), (17, 481), (80, 48)])
def test_decoder_cuts_what_the_encoder_rounded_up(sizes: tuple[int, int], layout: torch.memory_format) -> None:
    encoder, decoder = Encoder(SMALL), Decoder(SMALL)
    encoded = encoder(torch.randn(3, 1, *sizes)).detach().contiguous(memory_format=layout)
    expected = encoded
    for layer, norm, (bands, frames) in zip(decoder.layers, decoder.norms, Encoder.sizes(*sizes)[-2::-1], strict=True):
        expected = norm(layer(expected)[:, :, :bands, :frames])
    torch.testing.assert_close(decoder(encoded, *sizes), expected)


def test_last_layer_of_the_decoder_is_linear() -> None:
    decoded = Decoder(SMALL)(torch.randn(2, 5, 5, 12), 80, 48)
    assert (decoded < 0).any()
    assert (decoded > 0).any()


def perturbed_inputs(network: CnnBlstm, valid: int, beyond: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two inputs of 480 frames that differ only `beyond` frames behind the valid part."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1, 80, 480, generator=generator)
    x[..., valid:] = 0
    other = x.clone()
    other[..., valid + beyond :] = 9 * torch.randn(other[..., valid + beyond :].shape, generator=generator)
    return x, other


@pytest.mark.parametrize("valid", [1, 2, 3, 100, 101, 173, 460])
def test_padding_out_of_reach_changes_nothing(valid: int) -> None:
    torch.manual_seed(0)
    network = CnnBlstm(4, 80).eval()
    x, other = perturbed_inputs(network, valid, network.encoder.reach)
    lengths = torch.full((2,), valid)
    with torch.inference_mode():
        assert torch.equal(network(x, lengths), network(other, lengths))
        # What is out of reach need not be there at all.
        torch.testing.assert_close(
            network(x[..., : valid + network.encoder.reach], lengths), network(x, lengths), rtol=1e-4, atol=1e-6
        )


def test_reach_is_no_larger_than_it_must_be() -> None:
    torch.manual_seed(0)
    network = CnnBlstm(4, 80).eval()
    assert network.encoder.reach == 15
    x, other = perturbed_inputs(network, 101, 14)  # 101 = 4 x 25 + 1: the last step is centred on the last frame
    lengths = torch.full((2,), 101)
    with torch.inference_mode():
        assert not torch.equal(network(x, lengths), network(other, lengths))


def test_without_lengths_all_is_valid() -> None:
    network = CnnBlstm(4, 80, SMALL).eval()
    x = torch.randn(3, 1, 80, 50)
    torch.testing.assert_close(network(x), network(x, torch.full((3,), 50)))


def test_augmentation_classifier_sees_valid_steps_only() -> None:
    head = StatisticsClassifier(4, 20, SMALL).eval()
    encoded = torch.randn(2, 5, 4, 30)
    other = encoded.clone()
    other[..., 11:] = 1e3
    torch.testing.assert_close(head(encoded, torch.tensor([11, 9])), head(other, torch.tensor([11, 9])))


def test_sequence_classifier_can_classify_treatments_too() -> None:
    head = SequenceClassifier(3, 20, SMALL)
    assert head(torch.randn(2, 5, 4, 30), torch.tensor([30, 2])).shape == (2, 3)


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="kernels must be odd"):
        CnnBlstmSettings(kernels=(7, 4, 3, 3))
