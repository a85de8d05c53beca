"""ECAPA-TDNN against numbers of SpeechBrain 1.x, against a plain version with loops, and its sizes."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from serenade.core.errors import UsageError
from serenade.nn.ecapa import EcapaSettings, EcapaTdnn

Array = NDArray[np.float64]
TINY = {"channels": 16, "squeeze_channels": 3, "attention_channels": 5, "embedding_dim": 4}
# SpeechBrain's ECAPA_TDNN(6, lin_neurons=4, channels=[16, 16, 16, 16, 48], attention_channels=5, se_channels=3) in
# float64 and evaluation, filled by `fill`, of `frames` with relative lengths 1 and 6 / 9; the second row
# saw its padding.
SPEECHBRAIN = [
    [-4.791478998709, 1.757267921537, 3.371195221279, -3.813348989931],
    [-4.791918473792, 1.756975666812, 3.371831958538, -3.813486511580],
]


def fill(model: torch.nn.Module) -> None:
    """Every state entry by its place: two networks with the same entries in the same order become the same."""
    entries = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    for place, (name, value) in enumerate(entries.items()):
        wave = 0.3 * torch.sin(1 + place + 0.7 * torch.arange(value.numel(), dtype=torch.float64))
        value.copy_(wave.view_as(value) + (1 if name.endswith("running_var") else 0))


def frames() -> torch.Tensor:
    places = torch.arange(2 * 9 * 6, dtype=torch.float64)
    return torch.sin(0.37 * places + 0.01 * places**1.3).view(2, 9, 6)


def filled(**settings: object) -> EcapaTdnn:
    model = EcapaTdnn(6, EcapaSettings.model_validate(TINY | settings)).double().eval()
    fill(model)
    return model


def test_reflect_padding_gives_speechbrains_numbers() -> None:
    with torch.inference_mode():
        found = filled(padding="reflect")(frames(), torch.tensor([9, 6]))
    np.testing.assert_allclose(found.numpy(), SPEECHBRAIN, rtol=0, atol=1e-11)


def plain_ecapa(model: EcapaTdnn, utterance: Array) -> Array:
    """The vector of one utterance (L, D), frame by frame and tap by tap, after section 2 of the paper."""
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    reflect = model.settings.padding == "reflect"

    def convolve(name: str, x: Array, dilation: int = 1) -> Array:
        kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        taps = kernel.shape[2]
        out = np.tile(bias, (len(x), 1))
        for frame in range(len(x)):
            for tap in range(taps):
                place = frame + dilation * (tap - taps // 2)
                if reflect:
                    place = abs(place) if place < len(x) else 2 * (len(x) - 1) - place
                if 0 <= place < len(x):
                    out[frame] += kernel[:, :, tap] @ x[place]
        return out

    def normalise(name: str, x: Array) -> Array:
        w = {part: weights[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")}
        return (x - w["running_mean"]) / np.sqrt(w["running_var"] + 1e-5) * w["weight"] + w["bias"]

    def unit(name: str, x: Array, dilation: int = 1) -> Array:
        return normalise(f"{name}.norm", np.maximum(convolve(f"{name}.conv", x, dilation), 0))

    def dense(name: str, x: Array) -> Array:
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    x, outputs = unit("first", utterance), []
    for place, dilation in enumerate((2, 3, 4)):
        block = f"blocks.{place}"
        groups = np.split(unit(f"{block}.before", x), 8, axis=1)
        done = [groups[0], unit(f"{block}.steps.0", groups[1], dilation)]
        for step in range(1, 7):
            done.append(unit(f"{block}.steps.{step}", groups[step + 1] + done[-1], dilation))
        y = unit(f"{block}.after", np.concatenate(done, axis=1))
        squeezed = np.maximum(dense(f"{block}.squeeze", y.mean(axis=0)), 0)
        gate = 1 / (1 + np.exp(-dense(f"{block}.excite", squeezed)))
        x = x + gate * y
        outputs.append(x)
    x = unit("gather", np.concatenate(outputs, axis=1))
    about = np.concatenate([x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)])
    context = np.stack([np.concatenate([frame, about]) for frame in x])
    scores = convolve("pooling.scores", np.tanh(unit("pooling.context", context)))
    attention = np.exp(scores) / np.exp(scores).sum(axis=0)
    mean = (attention * x).sum(axis=0)
    deviation = np.sqrt(np.maximum((attention * (x - mean) ** 2).sum(axis=0), 1e-12))
    return dense("embedding", normalise("norm", np.concatenate([mean, deviation])))


@pytest.mark.parametrize(("padding", "fewest"), [("zeros", 1), ("reflect", 5)])
def test_equals_a_plain_version(padding: str, fewest: int) -> None:
    torch.manual_seed(0)
    model = filled(padding=padding)
    for length in {fewest, fewest + 1, 4 + fewest, 12}:
        utterance = torch.randn(length, 6, dtype=torch.float64)
        with torch.inference_mode():
            found = model(utterance[None], torch.tensor([length]))[0]
            expected = plain_ecapa(model, utterance.numpy())
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-10)


def test_batch_of_zero_padding_gives_the_plain_numbers_of_each_utterance() -> None:
    model, lengths = filled(), torch.tensor([9, 2])
    with torch.inference_mode():
        found = model(frames(), lengths)
        for row, length in enumerate(lengths.tolist()):
            expected = plain_ecapa(model, frames()[row, :length].numpy())
            np.testing.assert_allclose(found[row].numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_reflect_padding_refuses_what_it_cannot_reflect(length: int) -> None:
    with pytest.raises(UsageError, match=rf"Found: {length}\. Expected: at least 5\. Use padding = zeros"):
        filled(padding="reflect")(frames()[:, :length], torch.tensor([length, length]))


@pytest.mark.parametrize("width", [80, 768])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {80: 6_194_048, 768: 7_955_328}),
        ({"embedding_dim": 96, "attention_channels": 64}, {80: 5_505_632, 768: 7_266_912}),
        ({"channels": 1024}, {80: 20_767_552, 768: 24_290_112}),
    ],
)
def test_number_of_parameters(width: int, settings: dict[str, int], expected: dict[int, int]) -> None:
    with torch.device("meta"):
        model = EcapaTdnn(width, EcapaSettings.model_validate(settings))
    assert sum(math.prod(parameter.shape) for parameter in model.parameters()) == expected[width]


def test_training_statistics_are_of_the_valid_frames() -> None:
    model, lengths = filled(), torch.tensor([9, 2])
    model.train()
    before = model.first.norm.running_mean.clone()
    model(frames(), lengths)
    convolved = model.first.conv(torch.cat([frames()[:1], frames()[1:] * 0]).transpose(1, 2)).relu()[0].T
    alone = model.first.conv(frames()[1:, :2].transpose(1, 2)).relu()[0].T
    expected = 0.9 * before + 0.1 * torch.cat([convolved, alone]).mean(dim=0)
    torch.testing.assert_close(model.first.norm.running_mean, expected)


def test_channels_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValidationError, match="multiple of 8"):
        EcapaSettings(channels=20)
