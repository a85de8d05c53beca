"""MTL-AUG: which examples move what, what is learnt, and how recordings of any length are scored."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from serenade.core.errors import SettingsError, TrainingError, UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Attributes, Utterance
from serenade.inference.attacks import Attack, attack_features, feature_scale
from serenade.inference.recognizer import Recognizer
from serenade.systems import PRESETS, make_system, system_settings
from serenade.systems.mtl_aug import MtlAugSystem
from serenade.training.loop import score, train
from serenade.training.system import Batch, Example

LABELS = LabelSet(("angry", "happy", "neutral", "sad"))
FAMILY = [preset for preset, name in PRESETS.items() if name == "mtl_aug"]
CPU = torch.device("cpu")
SMALL = {"network": {"channels": [4, 4, 4, 4], "lstm_units": 6, "embedding_dim": 8}, "window_frames": 128}


def new(preset: str = "mtl-aug", seed: int = 0, **changes: Any) -> MtlAugSystem:
    torch.manual_seed(seed)
    system = make_system("mtl_aug", system_settings(preset, {**SMALL, **changes}).model_dump(), LABELS)
    assert isinstance(system, MtlAugSystem)
    return system


def tone(kind: int, generator: torch.Generator, duration_s: float | None = None) -> Tensor:
    """(T,) a voice-like tone of about 220 Hz: level, rising, falling or trembling, in a little noise."""
    if duration_s is None:
        duration_s = 1.2 + 0.6 * float(torch.rand((), generator=generator))
    time_s = torch.arange(int(duration_s * 16_000)) / 16_000
    glide = (0 * time_s, time_s / 2, -time_s / 2, 0.15 * torch.sin(2 * math.pi * 5 * time_s))[kind] / duration_s
    base_hz = 220 * (1 + 0.02 * float(torch.randn((), generator=generator)))
    phase = 2 * math.pi * torch.cumsum(base_hz * 2**glide, 0) / 16_000
    voice = torch.stack([torch.sin(harmonic * phase) / harmonic for harmonic in range(1, 9)]).sum(dim=0)
    level = 0.1 * (0.5 + float(torch.rand((), generator=generator)))
    return level * voice + 0.003 * torch.randn(len(time_s), generator=generator)


def examples_for(
    system: MtlAugSystem, count: int, *, training: bool, seed: int = 0, labelled: bool = True, rated: bool = False
) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    attributes = [Attributes(1, 5, valence=1 + number % 5, arousal=5 - number % 3) for number in range(count)]
    return [
        Example(
            Utterance(
                f"{seed}-{number}",
                Path("x.wav"),
                "toy",
                f"s{number % 3}",
                LABELS.names[number % 4] if labelled else None,
                attributes=attributes[number] if rated else None,
            ),
            system.extract(tone(number % 4, generator), training=training),
            number % 4 if labelled else None,
        )
        for number in range(count)
    ]


def fitted(preset: str = "mtl-aug", **changes: Any) -> tuple[MtlAugSystem, list[Example]]:
    """A system whose inputs are fitted, and the examples they were fitted to."""
    system = new(preset, **changes)
    examples = examples_for(system, 12, training=True, rated=True)
    system.fit_inputs(examples)
    return system, examples


def batch_of(system: MtlAugSystem, examples: Sequence[Example], seed: int = 0) -> Batch:
    return system.collate(system.training_items(examples, torch.Generator().manual_seed(seed)))


def losses_of(system: MtlAugSystem, batch: Batch, seed: int = 0) -> dict[str, Tensor]:
    return system.losses(batch, torch.Generator().manual_seed(seed))


def gradients(system: MtlAugSystem, losses: dict[str, Tensor]) -> dict[str, float]:
    """The largest gradient of each part of the network; 0 where there is none."""
    system.network.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    body, network = system.network.body, system.network
    parts = {"encoder": body.encoder, "emotion": body.emotion, "decoder": network.decoder}
    parts |= {"augmentation": network.augmentation, "attributes": network.attributes}
    return {
        name: max((float(p.grad.abs().max()) for p in part.parameters() if p.grad is not None), default=0.0)
        for name, part in parts.items()
        if part is not None
    }


def test_networks_have_the_sizes_of_the_specification() -> None:
    def count(preset: str) -> int:
        torch.manual_seed(0)
        system = make_system("mtl_aug", system_settings(preset, {}).model_dump(), LABELS)
        return sum(parameter.numel() for parameter in system.network.parameters())

    assert {preset: count(preset) for preset in FAMILY} == {
        "mtl-aug": 1_590_505,
        "mtl-aug-semi": 1_590_505,
        "stl": 1_097_156,
        "stl-aug": 1_097_156,
        "stl-center": 1_097_156,
        "mtl-dim": 1_097_156 + 3 * 129,
    }


@pytest.mark.parametrize(
    ("preset", "names"),
    [
        ("mtl-aug", {"emotion", "center", "reconstruction", "augmentation"}),
        ("stl", {"emotion"}),
        ("stl-aug", {"emotion"}),
        ("stl-center", {"emotion", "center"}),
        ("mtl-dim", {"emotion", "attributes"}),
    ],
)
def test_every_variant_has_its_losses_and_starts_with_the_same_weights(preset: str, names: set[str]) -> None:
    system, examples = fitted(preset)
    assert set(losses_of(system, batch_of(system, examples))) == names
    weights, others = (s.network.body.state_dict() for s in (new(preset), new("stl")))
    assert all(torch.equal(weights[name], others[name]) for name in others)


def test_features_are_480_frames_of_80_bands_and_a_window_is_filled_up() -> None:
    system = new(window_frames=480)
    batch = batch_of(system, examples_for(system, 4, training=True))
    assert batch.inputs["audio"].shape == (4, 80, 480)
    assert batch.inputs["audio"].dtype == torch.float32
    lengths = batch.inputs["audio_frames"].tolist()
    assert all(60 <= length <= 130 for length in lengths)
    trimmed = new(window_frames=480, padding="batch").collate(examples_for(system, 4, training=True))
    assert trimmed.inputs["audio"].shape[2] == int(trimmed.inputs["audio_frames"].max()) + 15


def test_speeds_change_the_length_of_what_is_extracted() -> None:
    waveform = tone(0, torch.Generator().manual_seed(0), 2.0)
    inputs = new().extract(waveform, training=True)
    assert {name: (tensor.shape[2], tensor.dtype) for name, tensor in inputs.items()} == {
        "audio": (1 + 32_000 // 256, torch.float16),
        "speed0": (1 + 35_556 // 256, torch.float16),
        "speed1": (1 + 29_091 // 256, torch.float16),
    }
    assert set(new("stl").extract(waveform, training=True)) == {"audio"}


def test_normaliser_is_fitted_to_clean_labelled_frames_alone() -> None:
    system = new()
    labelled = examples_for(system, 4, training=True)
    unlabelled = examples_for(system, 4, training=True, seed=1, labelled=False)
    system.fit_inputs([*labelled, *unlabelled])
    frames = torch.cat([example.inputs["audio"][0].double() for example in labelled], dim=1)
    torch.testing.assert_close(system.network.normaliser.mean[:, 0], frames.mean(dim=1).float())
    torch.testing.assert_close(system.network.normaliser.std[:, 0], frames.std(dim=1, correction=0).float())


def test_unlabelled_speech_moves_encoder_and_auxiliary_heads_but_neither_emotion_head_nor_centers() -> None:
    system, examples = fitted()
    system.network.train()
    labelled = losses_of(system, batch_of(system, examples))
    assert all(value > 0 for value in gradients(system, labelled).values())
    system.after_step()
    centers = system.network.center.centers.clone()
    assert (centers != 0).any()
    unlabelled = losses_of(system, batch_of(system, examples_for(system, 6, training=True, labelled=False)))
    assert set(unlabelled) == {"reconstruction", "augmentation"}
    found = gradients(system, unlabelled)
    system.after_step()
    assert found.pop("emotion") == 0
    assert all(value > 0 for value in found.values())
    assert torch.equal(system.network.center.centers, centers)


def test_unlabelled_half_adds_to_the_auxiliary_losses_only() -> None:
    """With dropout and batch statistics off, each loss is the mean over the examples it is of."""
    system, examples = fitted(treatments={"kinds": ["none", "speed"]})
    system.network.eval()
    unlabelled = examples_for(system, 4, training=True, seed=1, labelled=False)
    items = system.training_items([*examples, *unlabelled], torch.Generator().manual_seed(0))
    both, first, second = (losses_of(system, system.collate(part)) for part in (items, items[:12], items[12:]))
    for name in ("emotion", "center"):
        torch.testing.assert_close(both[name], first[name])
    for name in ("reconstruction", "augmentation"):
        torch.testing.assert_close(both[name], (12 * first[name] + 4 * second[name]) / 16)


def test_losses_are_those_of_the_equations() -> None:
    system, examples = fitted()
    system.network.eval()
    system.network.center.centers.normal_(generator=torch.Generator().manual_seed(0))
    batch = batch_of(system, examples)
    found = losses_of(system, batch)
    _, treated = system._treated(batch, torch.Generator().manual_seed(0))
    network, lengths = system.network, treated.audio.lengths.tolist()
    emotion, center, reconstruction, augmentation = [], [], [], []
    for row, length in enumerate(lengths):  # one example at a time
        x = treated.audio.features[row : row + 1].unsqueeze(1)
        n = torch.tensor([length])
        logits, e = network.body.scores_and_embeddings(x, n)
        share, own, other = (
            float(treated.shares[row]),
            batch.targets[row],
            batch.targets[treated.partners[row]],
        )
        log_p = logits[0].log_softmax(dim=0)
        emotion.append(-share * log_p[own] - (1 - share) * log_p[other])
        distances = 0.5 * (e - network.center.centers).square().sum(dim=1)
        center.append(share * distances[own] + (1 - share) * distances[other])
        encoded = network.body.encoder(x)
        decoded = network.decoder(encoded, 80, 128)
        reconstruction.append((decoded - x)[..., :length].square().mean())
        place = batch.inputs["treatment"][row : row + 1]
        steps = torch.tensor([-(-length // 4)])
        augmentation.append(functional.cross_entropy(network.augmentation(encoded, steps), place))
    weighted = {"emotion": (1.0, emotion), "center": (0.01, center)}
    weighted |= {"reconstruction": (0.5, reconstruction), "augmentation": (0.5, augmentation)}
    assert treated.mixed.any()
    assert not treated.mixed.all()
    for name, (weight, values) in weighted.items():
        torch.testing.assert_close(found[name], weight * torch.stack(values).mean(), rtol=1e-4, atol=1e-6)


def test_centers_follow_unmixed_labelled_examples_after_the_step() -> None:
    system, examples = fitted()
    batch = batch_of(system, examples)
    system.network.eval()
    losses_of(system, batch)
    assert (system.network.center.centers == 0).all(), "moved before the step"
    _, treated = system._treated(batch, torch.Generator().manual_seed(0))
    with torch.no_grad():
        _, embeddings = system.network.body.scores_and_embeddings(
            treated.audio.features.unsqueeze(1), treated.audio.lengths
        )
    system.after_step()
    for label in range(4):
        members = embeddings[(batch.targets == label) & ~treated.mixed]
        expected = 0.5 * members.sum(dim=0) / (1 + len(members))
        torch.testing.assert_close(system.network.center.centers[label], expected, rtol=1e-4, atol=1e-6)


def test_clean_target_is_for_what_was_masked_or_mixed() -> None:
    plain, examples = fitted()
    denoising, _ = fitted(losses={"reconstruction_target": "clean"})
    denoising.network.load_state_dict(plain.network.state_dict())
    batch = batch_of(plain, examples)
    clean, treated = denoising._treated(batch, torch.Generator().manual_seed(0))
    target = denoising._reconstruction_target(batch, clean, treated)
    kinds = [plain.settings.treatments.kinds[place] for place in batch.inputs["treatment"].tolist()]
    for row, kind in enumerate(kinds):
        source = clean if kind in ("spec_augment", "mixup") else treated.audio
        assert torch.equal(target.features[row], source.features[row])
        assert target.lengths[row] == source.lengths[row]
    assert set(kinds) == set(plain.settings.treatments.kinds)
    assert plain._reconstruction_target(batch, clean, treated) is treated.audio


def test_balanced_weights_make_classes_count_alike() -> None:
    system = new(losses={"class_weight": "balanced"})
    system.fit_inputs(examples_for(system, 6, training=True))  # classes 0 and 1 twice, 2 and 3 once
    torch.testing.assert_close(system.network.class_weights, torch.tensor([0.75, 0.75, 1.5, 1.5]))


def test_recurrent_augmentation_classifier_learns_too() -> None:
    system, examples = fitted(losses={"augmentation_classifier": "recurrent"})
    assert gradients(system, losses_of(system, batch_of(system, examples)))["augmentation"] > 0


def test_a_dropped_treatment_leaves_as_many_classes_as_treatments() -> None:
    system, examples = fitted(treatments={"kinds": ["none", "speed", "mixup"]})
    encoded = torch.zeros(1, 4, 5, 3)
    assert system.network.augmentation(encoded, torch.tensor([3])).shape == (1, 3)
    assert batch_of(system, examples).inputs["treatment"].max() <= 2


def test_attributes_are_learnt_where_they_are_stated() -> None:
    system, examples = fitted("mtl-dim")
    rated = losses_of(system, batch_of(system, examples))
    assert gradients(system, rated)["attributes"] > 0
    assert 0 < float(rated["attributes"].detach()) <= 0.6
    plain = examples_for(system, 8, training=True)
    assert set(losses_of(system, batch_of(system, plain))) == {"emotion"}
    with pytest.raises(TrainingError, match=r"no attributes to learn.*Found: 8 utterances"):
        system.fit_inputs(plain)


def test_long_recordings_are_scored_in_windows_whose_probabilities_are_averaged() -> None:
    system, _ = fitted()
    waveform = tone(3, torch.Generator().manual_seed(5), 5.0)  # 313 frames: windows from 0, 128 and 185
    inputs = system.extract(waveform, training=False)
    assert inputs["audio"].shape == (3, 80, 128)
    example = Example(Utterance("u", Path("u.wav"), "toy", "s", None), inputs, None)
    with torch.inference_mode():
        outputs = system.predict(system.collate([example]))
        features = system.front_end(waveform[None])
        windows = [features[:, :, first : first + 128] for first in (0, 128, 185)]
        scored = [system.network.body(system.network.normaliser(window).unsqueeze(1)) for window in windows]
    expected = torch.stack([logits.softmax(dim=1) for logits in scored]).mean(dim=0)
    torch.testing.assert_close(outputs.probabilities, expected, rtol=1e-4, atol=1e-5)
    assert outputs.log_probabilities is not None
    torch.testing.assert_close(outputs.log_probabilities, expected.log(), rtol=1e-4, atol=1e-5)
    prediction = Recognizer(system)(waveform.numpy(), 16_000)
    torch.testing.assert_close(torch.tensor(list(prediction.scores.values())), expected[0], rtol=1e-4, atol=1e-5)


def test_scores_have_a_gradient_by_the_waveform() -> None:
    system, _ = fitted()
    waveform = tone(1, torch.Generator().manual_seed(5)).requires_grad_()
    example = Example(Utterance("u", Path("u.wav"), "toy", "s", None), system.extract(waveform, training=False), None)
    outputs = system.predict(system.collate([example]))
    (gradient,) = torch.autograd.grad(outputs.probabilities[0, 0], [waveform])
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_attacks_on_features_leave_padding_alone_and_raise_the_loss() -> None:
    system, _ = fitted()
    examples = examples_for(system, 6, training=False)
    batch, scale = system.collate(examples), feature_scale(system, examples)
    attacked = attack_features(system, batch, Attack("fgsm", 0.08), scale)
    moved = (attacked.inputs["audio"] - batch.inputs["audio"]).abs() / scale[:, None]
    frames = batch.inputs["audio_frames"]
    valid = (torch.arange(moved.shape[2]) < frames[:, None])[:, None].expand_as(moved)
    assert len(frames.unique()) > 1
    assert (moved[~valid] == 0).all()
    assert 0.07 < moved[valid].max() < 0.081
    own = batch.targets[:, None]
    before, after = (system.predict(b).probabilities.gather(1, own).log().sum() for b in (batch, attacked))
    assert after < before


@pytest.mark.parametrize(
    "front_end",
    [
        {"window_length": 640, "hop_length": 160},
        {"high_hz": 7000},
        {"kind": "mfcc"},
        {"kind": "filter_bank"},
        {"kind": "spectrogram"},
        {"kind": "mu_law"},
    ],
    ids=str,
)
def test_any_front_end_will_do(front_end: dict[str, Any]) -> None:
    system, examples = fitted(front_end=front_end)
    found = gradients(system, losses_of(system, batch_of(system, examples)))
    assert all(value > 0 for value in found.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normaliser": {"kind": "clip"}}, "would take padding for speech"),
        ({"treatments": {"kinds": ["none"]}}, "leaves nothing to classify"),
        ({"mode": "semi", "losses": {"reconstruction": 0, "augmentation": 0}}, "mode = semi needs"),
        ({"losses": {"center": -1}}, "greater than or equal to 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        system_settings("mtl-aug", changes)


def test_a_batch_without_labels_needs_an_auxiliary_task() -> None:
    system, _ = fitted("stl")
    unlabelled = examples_for(system, 3, training=True, labelled=False)
    with pytest.raises(UsageError, match="nothing to learn from a batch without labels"):
        losses_of(system, batch_of(system, unlabelled))


class Speech:
    """Unlabelled speech in memory."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples, self.utterances = examples, [example.utterance for example in examples]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]


def short_training(**changes: Any) -> dict[str, Any]:
    return {"training": {"epochs": 2, "batch_size": 4, "unlabelled_batch_size": 3, **changes}}


def test_semi_needs_unlabelled_speech_and_learns_from_it(tmp_path: Path) -> None:
    system, labelled = fitted("mtl-aug-semi", **short_training())
    selection = examples_for(system, 4, training=False, seed=2)
    speech = Speech(examples_for(system, 5, training=True, seed=3, labelled=False))
    arguments = (labelled, selection, system.settings.training)
    with pytest.raises(UsageError, match="learns from unlabelled speech"):
        train(system, *arguments, seed=0, device=CPU)
    trained = train(system, *arguments, seed=0, device=CPU, unlabelled=speech)
    assert set(trained.epochs[0]["losses"]) == {"emotion", "center", "reconstruction", "augmentation"}
    assert (system.network.center.centers != 0).any()
    plain, _ = fitted("mtl-aug", **short_training())
    with pytest.raises(UsageError, match="does not learn from unlabelled speech"):
        train(plain, *arguments, seed=0, device=CPU, unlabelled=speech)


def test_interrupted_training_resumes_to_the_same_weights_and_centers(tmp_path: Path) -> None:
    def trained(epochs: int, folder: Path) -> dict[str, Tensor]:
        system, examples = fitted(**short_training(epochs=epochs))
        selection = examples_for(system, 4, training=False, seed=2)
        train(system, examples, selection, system.settings.training, seed=0, device=CPU, folder=folder, key="k")
        return system.network.state_dict()

    (tmp_path / "parts").mkdir()
    (tmp_path / "whole").mkdir()
    trained(1, tmp_path / "parts")
    resumed, whole = trained(3, tmp_path / "parts"), trained(3, tmp_path / "whole")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


QUICK = {"training": {"learning_rate": 1e-3, "schedule": "decay", "selection": "last", "learning_rate_decay": 0.8}}


def taught(preset: str, epochs: int) -> MtlAugSystem:
    """The network in full size, taught with 160 tones."""
    settings = system_settings(preset, {**QUICK, "padding": "batch"}, [f"training.epochs={epochs}"])
    torch.manual_seed(0)
    system = make_system("mtl_aug", settings.model_dump(), LABELS)
    assert isinstance(system, MtlAugSystem)
    training = examples_for(system, 160, training=True)
    selection = examples_for(system, 8, training=False, seed=1)
    train(system, training, selection, system.settings.training, seed=0, device=CPU)
    return system


@pytest.mark.slow
def test_pitch_patterns_are_learnt_by_the_single_task_network() -> None:
    system = taught("stl", 3)
    assert score(system, examples_for(system, 80, training=False, seed=2), CPU).ua > 0.95


@pytest.mark.slow
def test_kind_of_augmentation_is_learnt_beside_the_pitch_patterns() -> None:
    system = taught("mtl-aug", 8)
    assert score(system, examples_for(system, 80, training=False, seed=2), CPU).ua > 0.95
    network = system.network.eval()
    batch = batch_of(system, examples_for(system, 160, training=True, seed=3))
    with torch.inference_mode():
        _, treated = system._treated(batch, torch.Generator().manual_seed(1))
        encoded = network.body.encoder(treated.audio.features.unsqueeze(1))
        assert network.augmentation is not None
        logits = network.augmentation(encoded, network.body.encoder.num_steps(treated.audio.lengths))
    assert (logits.argmax(dim=1) == batch.inputs["treatment"]).float().mean() > 0.8
