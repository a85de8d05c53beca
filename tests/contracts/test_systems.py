"""What every system keeps to, whatever is inside it: run over every preset."""

import atexit
import copy
import functools
import shutil
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.checkpoints import write_checkpoint, write_text_checkpoint
from torch import Tensor

from serenade.core.errors import SettingsError
from serenade.core.labels import LabelSet
from serenade.core.records import Attributes, Utterance
from serenade.core.settings import dump_toml, make_settings, merge
from serenade.signal.segments import cut
from serenade.systems import PRESETS, SYSTEMS, load_system, make_system, save_checkpoint, system_settings
from serenade.systems.upstream_downstream import UpstreamDownstreamSettings, UpstreamDownstreamSystem
from serenade.training.fusion_system import FusionSystem
from serenade.training.system import Example, FittedSystem, Outputs, RatedSystem, SegmentSystem, System

LABELS = LabelSet(("angry", "neutral", "sad"))
DURATIONS_S = (0.4, 1.8, 2.0, 3.1, 5.0, 1.0)
# Sums over other batch shapes round differently; single precision through ten layers stays within this.
BATCH_TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
# As published, read at the last step also on the way back, which begins there and has no state before it.
AT_LAST = {"lf-lstm", "emoembs"}
# Whether a cell on the border is looked at may hang on the last bit; of the few cells of these examples each counts.
CHOICE_TOLERANCE = {"rtol": 1e-2, "atol": 1e-2}
# A convolution on the GPU adds in another order.
GPU_TOLERANCE = {"rtol": 1e-2, "atol": 1e-3}


def sound(number: int, duration_s: float) -> Tensor:
    """(T,) a noisy tone; its pitch depends on the number."""
    generator = torch.Generator().manual_seed(number)
    time_s = torch.arange(int(duration_s * 16000)) / 16000
    return 0.3 * torch.sin(6.283 * (120 + 60 * (number % 3)) * time_s) + 0.05 * torch.randn(
        len(time_s), generator=generator
    )


def new(preset: str, seed: int = 0, changes: Mapping[str, Any] | None = None) -> System:
    settings = system_settings(preset, merge(with_upstreams(preset), changes or {}))
    torch.manual_seed(seed)
    return make_system(PRESETS[preset], settings.model_dump(), LABELS)


def with_upstreams(preset: str) -> dict[str, Any]:
    """Changes that name a tiny upstream for every branch of a preset that leaves it to the user."""
    settings = system_settings(preset, {})
    if not isinstance(settings, UpstreamDownstreamSettings):
        return {}
    open_branches = [name for name, branch in settings.branches.items() if not branch.upstream]
    return {"branches": {name: {"upstream": str(tiny_upstream(name))} for name in open_branches}}


@functools.cache
def tiny_upstream(branch: str) -> Path:
    """A checkpoint with drawn weights, of text or of speech."""
    pytest.importorskip("transformers")
    folder = Path(tempfile.mkdtemp(prefix="serenade-upstream-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if branch == "text":
        write_text_checkpoint(folder, "bert")
    else:
        write_checkpoint(folder, "wav2vec2-large" if branch == "wav2vec2" else "hubert-base")
    return folder


def examples_for(system: System, *, training: bool) -> list[Example]:
    examples = [
        Example(
            Utterance(
                f"u{number}",
                Path(f"u{number}.wav"),
                "toy",
                f"s{number % 2}",
                LABELS.names[number % 3],
                gender=("female", "male")[number % 2],
                attributes=Attributes(1, 5, valence=1 + number % 4, arousal=2, dominance=5 - number % 3),
            ),
            system.extract(sound(number, duration_s), training=training) | beside_the_sound(system, number),
            number % 3,
        )
        for number, duration_s in enumerate(DURATIONS_S)
    ]
    return [example for example in examples if not leaves_out(system, example.inputs)]


def beside_the_sound(system: System, number: int) -> dict[str, Tensor]:
    """Faces and words, for systems that look at them too; the fourth utterance has none."""
    if isinstance(system, UpstreamDownstreamSystem):
        return system.extract_text(" ".join(("turn", "yes", "no")[: 1 + number % 3]))
    if not isinstance(system, FusionSystem) or number == 3:
        return {}
    generator = torch.Generator().manual_seed(number)
    shapes = {name: (2 + number % 2, *empty.shape[1:]) for name, empty in system.empty.items() if name != "audio"}
    return {
        name: torch.randn(shape, generator=generator)
        if system.empty[name].is_floating_point()
        else torch.randint(1, 200, shape, generator=generator).to(system.empty[name].dtype)
        for name, shape in shapes.items()
    }


def leaves_out(system: System, inputs: Mapping[str, Tensor]) -> bool:
    """Whether the settings ask to drop what gave these inputs: no segment came of it."""
    return '"short":"drop"' in system.settings.model_dump_json() and len(next(iter(inputs.values()))) == 0


def fitted(preset: str) -> System:
    """A system whose inputs (or all of it) are fitted, as it is when training begins (or ends)."""
    return copy.deepcopy(fit_once(preset))


@functools.cache
def fit_once(preset: str) -> System:
    system = new(preset)
    train = examples_for(system, training=True)
    system.fit_inputs(train)
    if isinstance(system, FittedSystem):
        system.fit(train, [], 0)
    return system


def predict(system: System, examples: Sequence[Example]) -> Outputs:
    with torch.inference_mode():
        return system.predict(system.collate(examples))


def assert_same(first: Outputs, second: Outputs, **tolerance: float) -> None:
    torch.testing.assert_close(first.probabilities, second.probabilities, **tolerance)
    scale = second.embeddings.abs().max()  # embeddings have no bounds: compare them in parts of the largest value
    torch.testing.assert_close(first.embeddings / scale, second.embeddings / scale, **tolerance)


# The first preset of every system is quick to try; some of the others take spectrograms or thousands of features.
FIRST = {PRESETS[preset]: preset for preset in reversed(PRESETS)}
every_preset = pytest.mark.parametrize(
    "preset",
    [pytest.param(p, marks=[] if FIRST[system] == p else pytest.mark.slow) for p, system in PRESETS.items()],
)
PLUGINS = {"functionals": "opensmile"}  # what a user installs, and not every machine that tests has


@pytest.fixture(autouse=True)
def _needs_its_plugin(preset: str) -> None:
    if PRESETS[preset] in PLUGINS:
        pytest.importorskip(PLUGINS[PRESETS[preset]])


@every_preset
def test_system_keeps_to_the_protocol(preset: str) -> None:
    system = new(preset)
    assert isinstance(system, System)
    assert system.labels == LABELS
    assert isinstance(system.settings, system.settings_class)
    assert SYSTEMS.resolve(PRESETS[preset]) is type(system)


@every_preset
def test_settings_come_back_from_toml(preset: str) -> None:
    settings = system_settings(preset, {})
    values = tomllib.loads(dump_toml(settings.model_dump(mode="json")))
    assert make_settings(type(settings), values) == settings


@every_preset
def test_votes_are_learnt_or_refused(preset: str) -> None:
    system = new(preset)
    votes = {"training": {"targets": "votes"}}
    if isinstance(system, FittedSystem):
        with pytest.raises(SettingsError, match="cannot learn votes"):
            system_settings(preset, votes)
        return
    voting = new(preset, changes=votes)
    item = examples_for(system, training=True)[1]
    rated = Example(item.utterance.with_(votes={"sad": 3, "angry": 1}), item.inputs, item.target)
    shares = voting.collate([rated]).shares
    assert shares is not None
    assert shares.tolist() == [[0.25, 0.0, 0.75]]
    assert system.collate([rated]).shares is None


@every_preset
def test_same_seed_gives_the_same_network_and_another_gives_another(preset: str) -> None:
    if isinstance(new(preset), FittedSystem):
        pytest.skip("fitted in one step, begins with nothing")
    first, second, other = (list(new(preset, seed).network.parameters()) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@every_preset
@pytest.mark.parametrize("training", [True, False])
def test_extracted_inputs_are_repeatable_and_agree_in_segments(preset: str, training: bool) -> None:
    one, two = new(preset, 1), new(preset, 2)
    waveform = sound(0, 3.1)
    before = waveform.clone()
    inputs, again = one.extract(waveform, training=training), two.extract(waveform, training=training)
    assert one.cache_key(training=training) == two.cache_key(training=training)
    assert inputs.keys() == again.keys()
    assert all(torch.equal(inputs[name], again[name]) for name in inputs)
    assert len({len(tensor) for tensor in inputs.values()}) == (1 if inputs else 0)
    assert inputs or beside_the_sound(one, 0), "neither sound nor words"
    assert torch.equal(waveform, before), "the waveform was changed"


@every_preset
def test_equal_cache_keys_mean_equal_inputs(preset: str) -> None:
    system = new(preset)
    if system.cache_key(training=True) == system.cache_key(training=False):
        first, second = (system.extract(sound(0, 2.7), training=training) for training in (True, False))
        assert all(torch.equal(first[name], second[name]) for name in first)


@every_preset
@pytest.mark.parametrize(
    "waveform",
    [torch.zeros(1), torch.ones(1), torch.zeros(16000), torch.full((20000,), 0.5), sound(0, 0.01), sound(1, 12)],
    ids=["one zero", "one sample", "silence", "constant", "10 ms", "12 s"],
)
@pytest.mark.parametrize("training", [True, False])
def test_any_waveform_gives_finite_inputs_and_probabilities(preset: str, waveform: Tensor, training: bool) -> None:
    system = fitted(preset)
    inputs = system.extract(waveform, training=training)
    if isinstance(system, UpstreamDownstreamSystem):
        inputs = inputs | beside_the_sound(system, 0)
    if leaves_out(system, inputs):
        return
    assert all(len(tensor) >= 1 and torch.isfinite(tensor).all() for tensor in inputs.values())
    example = Example(Utterance("u", Path("u.wav"), "toy", "s", None), inputs, None)
    probabilities = predict(system, [example]).probabilities
    torch.testing.assert_close(probabilities.sum(1), torch.ones(1))
    assert (probabilities >= 0).all()


@every_preset
def test_utterance_alone_and_in_a_batch_is_scored_alike(preset: str) -> None:
    system = fitted(preset)
    examples = examples_for(system, training=False)
    together = predict(system, examples)
    assert together.probabilities.shape == (len(examples), len(LABELS))
    assert together.probabilities.dtype == together.embeddings.dtype == torch.float32
    assert len(together.embeddings) == len(examples)
    for place, example in enumerate(examples):
        alone = predict(system, [example])
        assert_same(
            alone,
            Outputs(together.probabilities[place : place + 1], together.embeddings[place : place + 1]),
            **(CHOICE_TOLERANCE if preset.startswith("mesm") else BATCH_TOLERANCE),
        )


@every_preset
def test_scores_differ_between_utterances(preset: str) -> None:
    system = fitted(preset)
    probabilities = predict(system, examples_for(system, training=False)).probabilities
    assert (probabilities.std(dim=0) > 1e-6).all()


@every_preset
def test_prediction_changes_nothing_and_does_not_depend_on_the_mode(preset: str) -> None:
    system = fitted(preset)
    examples = examples_for(system, training=False)
    before = {name: tensor.clone() for name, tensor in system.network.state_dict().items()}
    system.network.train()
    first = predict(system, examples)
    system.network.eval()
    assert_same(first, predict(system, examples), rtol=0, atol=0)
    assert all(torch.equal(before[name], tensor) for name, tensor in system.network.state_dict().items())


@every_preset
def test_unlabelled_speech_can_be_scored(preset: str) -> None:
    system = fitted(preset)
    examples = [Example(e.utterance, e.inputs, None) for e in examples_for(system, training=False)]
    batch = system.collate(examples)
    assert batch.targets.tolist() == [-1] * len(examples)
    assert batch.ids == tuple(example.utterance.id for example in examples)
    assert int(batch.lengths.sum()) == len(next(iter(batch.inputs.values())))


@every_preset
def test_every_parameter_gets_a_finite_gradient(preset: str) -> None:
    system = fitted(preset)
    if isinstance(system, FittedSystem):
        pytest.skip("fitted in one step, not by gradients")
    system.network.train()
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(4)
    items = system.training_items(examples_for(system, training=True), generator)
    losses = system.losses(system.collate(items), generator)
    assert losses
    assert all(loss.ndim == 0 and torch.isfinite(loss) for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    learns = (
        {id(p) for group in system.rate_groups() for p in group.parameters} if isinstance(system, RatedSystem) else None
    )
    for name, parameter in system.network.named_parameters():
        if learns is not None and id(parameter) not in learns:
            continue
        assert parameter.requires_grad, name
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0 or (preset in AT_LAST and name.endswith("weight_hh_l0_reverse")), name


@every_preset
def test_training_draws_from_its_generator_only(preset: str) -> None:
    system = fitted(preset)
    if isinstance(system, FittedSystem):
        pytest.skip("fitted in one step, draws nothing")
    system.network.eval()  # dropout draws from torch's global generator, which the loop seeds
    examples = examples_for(system, training=True)

    def loss(seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        items = system.training_items(examples, generator)
        return sum(float(value.detach()) for value in system.losses(system.collate(items), generator).values())

    assert loss(1) == loss(1)


@every_preset
def test_an_epoch_goes_through_every_utterance_with_its_class(preset: str) -> None:
    system = fitted(preset)
    examples = examples_for(system, training=True)
    items = system.training_items(examples, torch.Generator().manual_seed(0))
    assert {item.utterance.id for item in items} == {example.utterance.id for example in examples}
    assert all(item.target == LABELS.index(str(item.utterance.emotion)) for item in items)


@every_preset
def test_saved_system_says_the_same(preset: str, tmp_path: Path) -> None:
    system = fitted(preset)
    examples = examples_for(system, training=False)
    save_checkpoint(system, PRESETS[preset], tmp_path / "model", about={"corpus": "toy"})
    loaded = load_system(tmp_path / "model")
    assert type(loaded) is type(system)
    assert loaded.settings == system.settings
    assert loaded.labels == system.labels
    assert not loaded.network.training
    assert_same(predict(loaded, examples), predict(system, examples), rtol=0, atol=0)


@every_preset
def test_segment_scores_averaged_are_the_utterance_score(preset: str) -> None:
    system = fitted(preset)
    if not isinstance(system, SegmentSystem):
        pytest.skip("scores whole utterances")
    examples = examples_for(system, training=False)
    probabilities = predict(system, examples).probabilities
    waveforms = [sound(number, duration_s) for number, duration_s in enumerate(DURATIONS_S)]
    cuts = [segments for waveform in waveforms if len(segments := cut(waveform, system.evaluation_segments))]
    for segments, expected in zip(cuts, probabilities, strict=True):
        with torch.inference_mode():
            mean = system.segment_logits(segments).mean(dim=0)
        torch.testing.assert_close(mean.softmax(0), expected, **BATCH_TOLERANCE)


@every_preset
@pytest.mark.gpu
def test_gpu_agrees_with_the_cpu(preset: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    system = fitted(preset)
    examples = examples_for(system, training=False)
    expected = predict(system, examples)
    where = torch.device("cuda")
    system.to(where)
    with torch.inference_mode():
        found = system.predict(system.collate(examples).to(where))
    assert_same(Outputs(found.probabilities.cpu(), found.embeddings.cpu()), expected, **GPU_TOLERANCE)
