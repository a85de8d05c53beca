"""SS-AAE: shapes, who is told apart, what each of its three steps moves, and what a plain loop gives."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.models.ss_aae import AaeClassifier, CodeDecoder, Discriminator, SsAaeNetworkSettings
from serenade.systems import load_system, make_system, save_checkpoint, system_settings
from serenade.systems.ss_aae import SsAaeSystem
from serenade.training.settings import TrainingSettings
from serenade.training.steps import Steps
from serenade.training.system import AlternatingSystem, Example, SemiSupervisedSystem

LABELS = LabelSet(("angry", "sad"))
SMALL = {
    "window_frames": 64,
    "front_end": {"num_bands": 20},
    "network": {
        "shared": {"channels": (4, 4, 8, 8), "lstm_units": 6, "embedding_dim": 8, "dropout": 0.0},
        "code_dim": 5,
        "discriminator_units": 7,
    },
}


def make(seed: int = 0) -> SsAaeSystem:
    torch.manual_seed(seed)
    system = make_system("ss_aae", system_settings("ss-aae", SMALL).model_dump(), LABELS)
    assert isinstance(system, SsAaeSystem)
    return system


def utterance(number: int, speaker: str, *, corpus: str = "emodb", labelled: bool = True) -> Utterance:
    gender = None if speaker == "unknown" else ("female", "male")[len(speaker) % 2]
    emotion = LABELS.names[number % 2] if labelled else None
    return Utterance(f"{corpus}-{number}", Path("x.wav"), corpus, speaker, emotion, gender=gender)


def examples(system: SsAaeSystem, *, labelled: bool = True) -> list[Example]:
    corpus, speakers = ("emodb", ("03", "8", "03", "11")) if labelled else ("librispeech", ("03", "unknown", "103"))
    generator = torch.Generator().manual_seed(len(speakers))
    return [
        Example(
            utterance(number, speaker, corpus=corpus, labelled=labelled),
            system.extract(0.1 * torch.randn(9000 + 4000 * number, generator=generator), training=True),
            number % 2 if labelled else None,
        )
        for number, speaker in enumerate(speakers)
    ]


def fitted() -> SsAaeSystem:
    system = make()
    system.meet_unlabelled([example.utterance for example in examples(system, labelled=False)])
    system.fit_inputs(examples(system))
    return system


def batch_of(system: SsAaeSystem) -> object:
    drawn = torch.Generator().manual_seed(0)
    return system.collate(system.training_items([*examples(system), *examples(system, labelled=False)], drawn))


def state(system: SsAaeSystem) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in system.network.named_parameters()}


def test_the_published_shapes() -> None:
    settings = SsAaeNetworkSettings()
    logits, code = AaeClassifier(4, 80).scores_and_embeddings(torch.randn(2, 1, 80, 480), torch.tensor([480, 9]))
    assert (logits.shape, code.shape) == ((2, 4), (2, 128))
    decoder = CodeDecoder(80, 480, settings)
    assert decoder.shape == (128, 5, 15)
    assert decoder(code).shape == (2, 80, 480)
    widths = [(layer.in_features, layer.out_features) for layer in Discriminator(settings).layers[::2]]
    assert widths == [(128, 256), (256, 256), (256, 1)]


def test_it_works_as_the_single_task_system_it_is_compared_with() -> None:
    ours, theirs = (system_settings(preset, {}).model_dump() for preset in ("ss-aae", "stl"))
    for name in ("front_end", "normaliser", "window_frames", "training"):
        assert ours[name] == theirs[name]
    assert ours["network"]["shared"] == theirs["network"]


def test_speakers_of_both_corpora_are_counted_and_a_name_of_another_corpus_is_another_person() -> None:
    system = fitted()
    assert system.network.speaker.classes.out_features == 5  # emodb 03, 8, 11; librispeech 03, 103; not the unknown
    batch = batch_of(system)
    speakers, genders = batch.inputs["speaker"].tolist(), batch.inputs["gender"].tolist()  # type: ignore[attr-defined]
    assert speakers[0] == speakers[2]
    assert speakers[5] == -1
    assert len(set(speakers)) == 6
    assert genders == [0, 1, 0, 0, 0, -1, 1]


@torch.no_grad()
def test_losses_are_those_of_the_specification() -> None:
    system = fitted()
    batch = batch_of(system)
    system.network.eval()
    found = system.task_losses(batch, torch.Generator())  # type: ignore[arg-type]
    network, x = system.network, batch.inputs["audio"]  # type: ignore[attr-defined]
    frames, truth = batch.inputs["audio_frames"], batch.targets  # type: ignore[attr-defined]
    codes, squares = [], []
    for row, length in enumerate(frames.tolist()):
        features = (x[row] - network.normaliser.mean) / network.normaliser.std
        features[:, length:] = 0
        codes.append(network.body.coder(features[None, None], frames[row : row + 1])[0])
        rebuilt = network.decoder(codes[-1][None])[0]
        squares.append((rebuilt - features)[:, :length].square().mean())
    code = torch.stack(codes)
    assert float(found["reconstruction"]) == pytest.approx(float(torch.stack(squares).mean()), rel=1e-4)
    emotion = functional.cross_entropy(network.body.emotion(code[:4]), truth[:4])
    assert float(found["emotion"]) == pytest.approx(float(emotion), rel=1e-4)
    for name, head in (("gender", network.gender), ("speaker", network.speaker)):
        wanted = batch.inputs[name]  # type: ignore[attr-defined]
        rows = [0, 1, 2, 3, 4, 6]
        assert float(found[name]) == pytest.approx(
            0.3 * float(functional.cross_entropy(head(code[rows]), wanted[rows])), rel=1e-4
        )
    fooling = -functional.logsigmoid(network.discriminator(code)).mean()
    assert float(system.fooling_losses(batch, torch.Generator())["fooling"]) == pytest.approx(  # type: ignore[arg-type]
        0.1 * float(fooling), rel=1e-4
    )


def test_each_step_moves_its_own_weights_only() -> None:
    system = fitted()
    assert isinstance(system, AlternatingSystem)
    assert isinstance(system, SemiSupervisedSystem)
    batch, generator = batch_of(system), torch.Generator().manual_seed(1)
    moved = {}
    for phase in system.phases():
        before = state(system)
        system.network.zero_grad()
        sum(phase.losses(batch, generator).values()).backward()  # type: ignore[arg-type,operator]
        torch.optim.SGD(phase.parameters, lr=0.1).step()
        moved[phase.name] = {name for name, tensor in state(system).items() if not torch.equal(tensor, before[name])}
    parts = {name: {".".join(key.split(".")[:2]) for key in keys} for name, keys in moved.items()}
    assert parts["discriminator"] == {"discriminator.layers"}
    assert parts["encoder"] == {"body.coder"}
    assert parts["tasks"] >= {"body.coder", "body.emotion", "gender.classes", "speaker.classes", "decoder.dense"}
    assert not any(part.startswith("discriminator") for part in parts["tasks"])


def test_the_loops_step_is_three_optimisers_taking_turns() -> None:
    ours, plain = fitted(), fitted()
    plain.network.load_state_dict(ours.network.state_dict())
    settings = TrainingSettings(learning_rate=1e-2, weight_decay=0)
    steps, generator = Steps(ours, settings, torch.device("cpu")), torch.Generator().manual_seed(3)
    batch = batch_of(ours)
    ours.network.train()
    plain.network.train()
    for _ in range(3):
        steps.step([(batch, 1.0)], generator)  # type: ignore[arg-type]
    network, own = plain.network, torch.Generator().manual_seed(3)
    judge = list(network.discriminator.parameters())
    tasks = [p for name, p in network.named_parameters() if not name.startswith("discriminator")]
    groups = (tasks, judge, list(network.body.coder.parameters()))
    adams = [torch.optim.Adam(parameters, lr=1e-2, fused=True) for parameters in groups]
    for _ in range(3):
        for adam, losses in zip(
            adams, (plain.task_losses, plain.discriminator_losses, plain.fooling_losses), strict=True
        ):
            network.zero_grad()
            sum(losses(batch, own).values()).backward()  # type: ignore[arg-type,operator]
            adam.step()
    for name, tensor in state(ours).items():
        torch.testing.assert_close(tensor, state(plain)[name], rtol=1e-5, atol=1e-6, msg=name)


def test_a_stored_model_knows_how_many_speakers_it_was_trained_on(tmp_path: Path) -> None:
    system = fitted()
    save_checkpoint(system, "ss_aae", tmp_path / "model")
    loaded = load_system(tmp_path / "model")
    assert loaded.network.speaker.classes.out_features == 5  # type: ignore[union-attr]


def test_nothing_known_of_speakers_leaves_emotion_and_reconstruction() -> None:
    system = make()
    unknown = [
        Example(utterance(number, "unknown"), example.inputs, example.target)
        for number, example in enumerate(examples(system))
    ]
    system.fit_inputs(unknown)
    batch = system.collate(system.training_items(unknown, torch.Generator().manual_seed(0)))
    assert set(system.task_losses(batch, torch.Generator())) == {"reconstruction", "emotion"}
