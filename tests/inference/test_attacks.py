"""Attacks against closed forms of a linear classifier, finite differences, and on the systems of the project."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from serenade.core.errors import UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.inference.attacks import Attack, attack_features, attack_waveforms, feature_scale
from serenade.systems import PRESETS, make_system, system_settings
from serenade.training.system import Batch, Example, Outputs

LABELS = LabelSet(("angry", "neutral", "sad"))
CPU = torch.device("cpu")


class Linear:
    """Logits W x of (B, 1, D) features; its attack can be computed by hand."""

    def __init__(self, weight: Tensor) -> None:
        self.network: nn.Module = nn.Identity()
        self.weight = weight

    def predict(self, batch: Batch) -> Outputs:
        logits = batch.inputs["audio"].flatten(1) @ self.weight.T
        return Outputs(logits.softmax(1), logits, logits.log_softmax(1))


def batch_of(features: Tensor, targets: list[int], **more: Tensor) -> Batch:
    count = len(features)
    return Batch({"audio": features, **more}, torch.ones(count).long(), torch.tensor(targets), ("u",) * count)


def loss_of(system: Any, batch: Batch) -> Tensor:
    logarithms = system.predict(batch).log_probabilities
    assert logarithms is not None
    return -logarithms.gather(1, batch.targets[:, None])[:, 0]


def new_system(preset: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    system = make_system(PRESETS[preset], system_settings(preset, changes).model_dump(), LABELS)
    training = [example(system, waveform(seed), seed % 3, training=True) for seed in range(3)]
    system.fit_inputs(training)
    system.network.eval().requires_grad_(False)
    return system


def waveform(seed: int, seconds: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(int(16000 * seconds)) / 16000
    return 0.3 * torch.sin(6.28 * (150 + 90 * seed) * time) + 0.02 * torch.randn(len(time), generator=generator)


def example(system: Any, sound: Tensor, target: int, *, training: bool = False) -> Example:
    utterance = Utterance("u", Path("u.wav"), "toy", "s", LABELS.names[target])
    return Example(utterance, system.extract(sound, training=training), target)


def test_fgsm_on_two_classes_is_the_sign_of_the_weights() -> None:
    weight = torch.tensor([[1.0, -2.0, 0.0], [0.5, 1.0, 3.0]])
    system, x = Linear(weight), torch.randn(2, 3, 1)
    scale = torch.tensor([1.0, 0.5, 2.0])
    moved = attack_features(system, batch_of(x, [0, 1]), Attack("fgsm", 0.1), scale).inputs["audio"]  # type: ignore[arg-type]
    towards_the_other = (weight[1] - weight[0]).sign()
    expected = torch.stack([x[0, :, 0] + 0.1 * scale * towards_the_other, x[1, :, 0] - 0.1 * scale * towards_the_other])
    torch.testing.assert_close(moved[..., 0], expected)


@pytest.mark.parametrize("method", ["fgsm", "bim", "pgd"])
@pytest.mark.parametrize("preset", ["apcnn", "baseline"])
def test_features_stay_in_the_ball_and_get_worse(method: Any, preset: str) -> None:
    system = new_system(preset)
    if preset == "baseline":
        torch.manual_seed(1)
        for parameter in system.network.classifier.parameters():
            parameter.copy_(torch.randn_like(parameter))
    examples = [example(system, waveform(seed), seed) for seed in range(3)]
    batch, scale = system.collate(examples), feature_scale(system, examples)
    attack = Attack(method, 0.1, steps=4)
    attacked = attack_features(system, batch, attack, scale, torch.Generator().manual_seed(0))
    change = (attacked.inputs["audio"] - batch.inputs["audio"]).abs()
    bound = scale.view(1, -1, *[1] * (change.ndim - 2)).to(change)
    slack = 2e-6 * batch.inputs["audio"].abs() + 1e-7  # rounding of the sum
    assert (change <= 0.1 * bound + slack).all()
    assert (change > 0).any()
    assert (loss_of(system, attacked) > loss_of(system, batch)).all()


def test_small_steps_find_at_least_what_one_step_finds() -> None:
    system = new_system("apcnn")
    examples = [example(system, waveform(seed, 2.0), seed % 3) for seed in range(6)]
    batch, scale = system.collate(examples), feature_scale(system, examples)
    losses = {m: loss_of(system, attack_features(system, batch, Attack(m, 0.2), scale)).mean() for m in ("fgsm", "bim")}  # type: ignore[arg-type]
    assert losses["bim"] >= losses["fgsm"] > loss_of(system, batch).mean()


def test_padding_is_not_touched() -> None:
    weight = torch.ones(2, 12) * torch.tensor([[1.0], [-1.0]])
    batch = batch_of(torch.randn(2, 3, 4), [0, 1], audio_frames=torch.tensor([2, 4]))
    attacked = attack_features(Linear(weight), batch, Attack("pgd", 0.3), torch.ones(3), torch.Generator())  # type: ignore[arg-type]
    change = attacked.inputs["audio"] - batch.inputs["audio"]
    assert (change[0, :, 2:] == 0).all()
    assert (change[0, :, :2].abs() > 0).all()
    assert (change[1].abs() > 0).all()


def test_a_certain_answer_still_has_a_direction() -> None:
    weight = torch.tensor([[20.0], [-20.0]])  # 1 - e^-40: the probability is rounded to 1
    batch = batch_of(torch.ones(1, 1, 1), [0])
    attacked = attack_features(Linear(weight), batch, Attack("fgsm", 0.5), torch.ones(1))  # type: ignore[arg-type]
    assert float(attacked.inputs["audio"]) == pytest.approx(0.5)


def test_waveform_moves_along_the_numerical_gradient() -> None:
    system = new_system("apcnn", segments={"length_s": 0.4, "overlap_s": 0.2})
    sound = waveform(1, 0.5)
    item = example(system, sound, 1)
    (moved,) = attack_waveforms(system, [item], [sound], Attack("fgsm", 1e-3), CPU)
    system.network.double()
    torch.set_default_dtype(torch.float64)
    try:
        losses = {}
        for name, x in {"clean": sound, "attacked": moved, "opposite": 2 * sound - moved}.items():
            inputs = {"audio": system.extract(x, training=False)["audio"].double()}
            losses[name] = float(loss_of(system, system.collate([replace(item, inputs=inputs)])))
    finally:
        torch.set_default_dtype(torch.float32)
    assert losses["opposite"] < losses["clean"] < losses["attacked"]
    assert float((moved - sound).abs().max()) == pytest.approx(1e-3, rel=1e-3)


def test_each_waveform_is_attacked_as_if_alone_and_stays_within_full_scale() -> None:
    system = new_system("apcnn")
    sounds = [waveform(0), 3 * waveform(2, 1.7)]
    items = [example(system, sound, place) for place, sound in enumerate(sounds)]
    together = attack_waveforms(system, items, sounds, Attack("bim", 0.05, steps=2), CPU)
    for item, sound, moved in zip(items, sounds, together, strict=True):
        (alone,) = attack_waveforms(system, [item], [sound], Attack("bim", 0.05, steps=2), CPU)
        assert float(((alone - moved).abs() < 1e-6).float().mean()) > 0.99  # a sign may flip where the gradient is 0
        assert float(moved.abs().max()) <= max(1.0, float(sound.abs().max()))


def test_unit_of_features_is_that_of_the_fitted_normaliser() -> None:
    torch.manual_seed(0)
    features = [torch.randn(2, 3, 50) * torch.tensor([1.0, 5.0, 0.1]).view(1, 3, 1) for _ in range(3)]
    examples = [Example(Utterance("u", Path("u"), "toy", "s", "sad"), {"audio": f}, 0) for f in features]
    plain: Any = SimpleNamespace(network=nn.Identity())
    expected = torch.cat(features).transpose(0, 1).flatten(1).std(dim=1, correction=0)
    torch.testing.assert_close(feature_scale(plain, examples).float(), expected)
    system = new_system("apcnn", normaliser={"kind": "per_bin"})
    torch.testing.assert_close(feature_scale(system, examples), system.network.normaliser.std.flatten())
    one = new_system("apcnn", normaliser={"kind": "global"})
    torch.testing.assert_close(feature_scale(one, examples), one.network.normaliser.std.flatten().expand(26))


def test_what_cannot_be_attacked_is_told() -> None:
    class Opaque(Linear):
        def predict(self, batch: Batch) -> Outputs:
            outputs = super().predict(batch)
            return Outputs(outputs.probabilities.detach(), outputs.embeddings)

    with pytest.raises(UsageError, match="no gradient"):
        attack_features(Opaque(torch.ones(2, 3)), batch_of(torch.ones(1, 3, 1), [0]), Attack("fgsm", 1), torch.ones(3))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"epsilon -0\.1"):
        Attack("fgsm", -0.1)
    with pytest.raises(UsageError, match="at least one step"):
        Attack("bim", 0.1, steps=0)


def test_no_change_at_epsilon_zero() -> None:
    batch = batch_of(torch.randn(2, 3, 1), [0, 1])
    attacked = attack_features(Linear(torch.randn(2, 3)), batch, Attack("pgd", 0.0), torch.ones(3))  # type: ignore[arg-type]
    assert torch.equal(attacked.inputs["audio"], batch.inputs["audio"])
