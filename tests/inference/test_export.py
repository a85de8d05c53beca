"""Exports: the ONNX file answers as the system does, for any length and batch, and a recogniser can use it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from serenade.core.errors import CheckpointError, UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.inference.division import TimelineSettings
from serenade.inference.packing import verify
from serenade.inference.recognizer import Recognizer
from serenade.models.upstreams.masked_mel import MaskedMelSettings, MelEncoder, save_masked_mel
from serenade.systems import PRESETS, SYSTEMS, make_system, save_checkpoint, system_settings
from serenade.training.description import Calibration, write_calibration
from serenade.training.system import Example, FittedSystem, System

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
from serenade.inference.export import _WHY_NOT, export_onnx, exportable
from serenade.inference.onnx_session import export_beside, make_session, open_export
from serenade.inference.quantise import quantise
from serenade.inference.quick import QuickRecognizer

LABELS = LabelSet(("angry", "happy", "sad"))
QUICK = "baseline"
SLOW = ("glam-cpu", "mhcnn", "aacnn", "apcnn", "attention-pooling", "attention-pooling-bilinear", "one-layer")
SLOW += ("attention-pooling-gap", "mtl-aug", "stl", "ss-aae", "mfcc-gmm")


def trained(preset: str) -> System:
    """A system whose every fitted number is drawn, so that nothing is hidden by a 0 or a 1."""
    torch.manual_seed(0)
    system = make_system(PRESETS[preset], system_settings(preset, {}).model_dump(), LABELS)
    generator = torch.Generator().manual_seed(1)
    for name, tensor in system.network.state_dict().items():
        if name.endswith(("running_mean", "classifier.bias")):
            tensor.normal_(0, 0.2, generator=generator)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
    normaliser = getattr(system.network, "normaliser", None)
    if normaliser is not None:
        normaliser.fit([system.front_end(0.1 * torch.randn(2, 28_800, generator=generator))])  # type: ignore[attr-defined]
    if preset == "baseline":
        system.network.mean.fill_(-30.0)
        system.network.scale.fill_(10.0)
        torch.nn.init.normal_(system.network.classifier.weight, std=0.1, generator=generator)
    if preset == "mfcc-gmm":
        for place in range(3):
            shape = system.network.mixtures.means.shape[1:]  # type: ignore[union-attr,index]
            weights = torch.full(shape[:1], 1 / shape[0], dtype=torch.float64)
            spread = torch.ones(shape, dtype=torch.float64) * (1 + place)
            system.network.mixtures.take(place, weights, torch.randn(shape, generator=generator).double(), spread)
    system.network.eval().requires_grad_(False)
    return system


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    save_checkpoint(trained(QUICK), PRESETS[QUICK], folder)
    write_calibration(folder, Calibration(1.7, "validation", 50, uncertain_below=0.6))
    calibration = Calibration(1.7, "validation", 50, 0.6)
    weights = folder / "weights.safetensors"
    export_onnx(trained(QUICK), folder / "model.onnx", calibration=calibration, name="floor", weights=weights)
    return folder


def test_a_recogniser_of_the_export_answers_as_that_of_the_model(exported: Path, tmp_path: Path) -> None:
    model, export = Recognizer.load(exported, device="cpu"), Recognizer.load(exported / "model.onnx")
    assert export.labels == model.labels
    assert export.uncertain_below == model.uncertain_below == 0.6
    for seconds in (0.15, 1.0, 7.3):
        samples = np.random.default_rng(0).uniform(-0.2, 0.2, round(seconds * 16_000)).astype(np.float32)
        expected = list(model(samples, 16_000).scores.values())
        assert list(export(samples, 16_000).scores.values()) == pytest.approx(expected, abs=1e-5)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    settings = TimelineSettings(detector="none", window_s=2.0, hop_s=1.0)
    rows = [recognizer.timeline(tmp_path / "a.wav", settings=settings).rows for recognizer in (model, export)]
    assert len(rows[0]) == len(rows[1]) > 3
    for a, b in zip(*rows, strict=True):
        assert list(a.scores.values()) == pytest.approx(list(b.scores.values()), abs=1e-5)


def test_a_live_stream_uses_the_export_beside_the_model(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Recognizer.load(exported, device="cpu")
    monkeypatch.setattr(type(model._engine), "logits", lambda *_: pytest.fail("torch was asked"))
    stream = model.stream(TimelineSettings(detector="none", window_s=1.0))
    assert len(stream.add(np.random.default_rng(0).uniform(-0.2, 0.2, 32_000).astype(np.float32))) >= 1


def test_an_export_of_other_weights_is_left_alone(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "model"
    shutil.copytree(exported, other)
    save_checkpoint(make_system(PRESETS[QUICK], system_settings(QUICK, {}).model_dump(), LABELS), PRESETS[QUICK], other)
    shutil.copy(exported / "model.onnx", other)
    assert export_beside(exported) is not None
    assert export_beside(other) is None
    assert "made of other weights" in caplog.text
    told = {finding.what: finding.state for finding in (*verify(exported), *verify(other))}
    assert told["model.onnx answers as the weights do"] == "good"
    assert "warning" in {state for what, state in told.items() if what.startswith("model.onnx is of other weights")}


def test_short_recordings_are_answered_without_torch(exported: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for path, seconds in zip(paths, (0.2, 4.0), strict=True):
        soundfile.write(path, generator.uniform(-0.2, 0.2, round(seconds * 22_050)), 22_050)
    for classes in (None, ["happy", "sad"]):
        full = Recognizer.load(exported, device="cpu", classes=classes)
        quick = QuickRecognizer.of(str(exported), classes)
        assert quick is not None
        found = quick.predict(paths)
        assert found is not None
        for expected, row in zip(map(full, paths), found, strict=True):
            assert row.scores == pytest.approx(expected.scores, abs=1e-5)
            assert (row.file, row.start_s, row.label) == (expected.file, 0.0, expected.label)
            assert (row.end_s, row.uncertain) == (pytest.approx(expected.end_s), expected.uncertain)
    alone = QuickRecognizer.of(str(exported / "model.onnx"), classes)
    assert alone is not None
    assert alone.predict(paths) == found
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "long.wav", generator.uniform(-0.2, 0.2, 31 * 8_000), 8_000)
    for left in ("silent.wav", "long.wav", "missing.wav"):
        assert quick.predict([paths[0], tmp_path / left]) is None


def test_probabilities_are_calibrated_and_facts_are_inside(exported: Path) -> None:
    export = open_export(exported / "model.onnx")
    session, facts = export.session, export.facts
    assert (facts["labels"], facts["temperature"], facts["name"]) == (list(LABELS.names), 1.7, "floor")
    waveform = np.random.default_rng(0).uniform(-0.2, 0.2, (2, 20_000)).astype(np.float32)
    probabilities, logits = session.run(["probabilities", "logits"], {"waveform": waveform})
    expected = torch.from_numpy(logits).div(1.7).softmax(1).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_what_cannot_be_exported_or_is_no_export_is_named(exported: Path, tmp_path: Path) -> None:
    class Other:
        labels = LABELS

    with pytest.raises(UsageError, match=r"cannot be exported\. Found: Other"):
        export_onnx(Other(), tmp_path / "a.onnx")  # type: ignore[arg-type]
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(CheckpointError, match="not an ONNX model"):
        Recognizer.load(tmp_path / "broken.onnx")
    with pytest.raises(UsageError, match="no convolutions"):
        quantise(exported / "model.onnx", tmp_path / "int8.onnx", [])


@pytest.mark.slow
@pytest.mark.parametrize("preset", SLOW)
def test_every_audio_system_is_exported_as_it_is(preset: str, tmp_path: Path) -> None:
    system = trained(preset)
    made = export_onnx(system, tmp_path / "model.onnx", calibration=Calibration(1.3, "validation", 50))
    assert made.deviation < 1e-4
    session = make_session(tmp_path / "model.onnx")
    for length in (400, 9_999, 123_456):  # lengths that the export itself did not try
        waveform = np.random.default_rng(length).uniform(-0.2, 0.2, (2, length)).astype(np.float32)
        probabilities = session.run(["probabilities"], {"waveform": waveform})[0]
        assert probabilities.shape == (2, 3)
        np.testing.assert_allclose(probabilities.sum(1), 1.0, atol=1e-5)


def upstreams(**changes: object) -> System:
    """A system of upstreams with drawn weights and a small aggregator."""
    torch.manual_seed(0)
    small = {"channels": 16, "squeeze_channels": 8, "attention_channels": 8, "embedding_dim": 6}
    system = make_system("upstream_downstream", {"ecapa": small} | changes, LABELS)
    system.network.eval().requires_grad_(False)
    return system


def write_upstream(folder: Path, kind: str) -> str:
    """The name of a small upstream of a kind with drawn weights; its folder where it has one."""
    torch.manual_seed(0)
    if kind == "masked-mel":
        sizes = MaskedMelSettings(num_bands=16, width=16, num_blocks=2, num_heads=2, feed_forward=32, position_kernel=5)
        folder.mkdir()
        save_masked_mel(folder, MelEncoder(sizes), sizes)
    elif kind == "mtl-aug":
        network = {"channels": (4, 4, 4, 4), "lstm_units": 4, "embedding_dim": 5}
        trained = make_system("mtl_aug", {"network": network}, LABELS)
        heard = trained.extract(0.1 * torch.randn(40_000), training=True)
        trained.fit_inputs([Example(Utterance("u", Path(), "toy", "s", "sad"), heard, 0)])
        save_checkpoint(trained, "mtl_aug", folder)
    elif kind in ("filter-bank", "filter-bank-superb", "functionals"):
        return kind
    else:
        pytest.importorskip("transformers")
        from tests.models.checkpoints import write_checkpoint

        write_checkpoint(folder, kind)
    return str(folder)


UPSTREAMS: dict[str, tuple[list[str], dict[str, object]]] = {
    "filter-bank": (["filter-bank"], {}),
    "late": (["data2vec-audio", "filter-bank"], {"aggregator": "blstm", "blstm": {"units": 6}}),
    "filter-bank-superb": (["filter-bank-superb"], {"stored": "bfloat16"}),
    "functionals": (["functionals"], {"aggregator": "mean"}),
    "mtl-aug": (["mtl-aug"], {"aggregator": "statistics"}),
    "masked-mel": (["masked-mel"], {}),
    "whisper": (["whisper"], {"aggregator": "statistics"}),
    "wav2vec2-base": (["wav2vec2-base"], {"aggregator": "statistics"}),
    "hubert-large": (["hubert-large"], {"aggregator": "statistics"}),
    "early": (["hubert-base", "wavlm-base"], {"fusion": "early", "projection": 5, "aggregator": "attention"}),
    "rates": (["masked-mel", "filter-bank"], {"fusion": "early", "frame_rates": "resample", "aggregator": "attention"}),
}
"""Kinds of the upstreams, and settings besides."""


@pytest.mark.slow
@pytest.mark.parametrize("case", UPSTREAMS)
def test_upstreams_of_speech_are_exported(case: str, tmp_path: Path) -> None:
    kinds, settings = UPSTREAMS[case]
    branches = {
        kind: {
            "upstream": write_upstream(tmp_path / kind, kind),
            "layers": "weighted" if place == 0 else "last",
            "fine_tune": kind == "hubert-large",
        }
        for place, kind in enumerate(kinds)
    }
    system = upstreams(branches=branches, **settings)
    made = export_onnx(system, tmp_path / "model.onnx", calibration=Calibration(1.3, "validation", 50))
    assert made.deviation < 5e-4  # frames are kept in half precision, and a rounding may fall the other way
    session = make_session(tmp_path / "model.onnx")
    for samples in (400, 1500, 9999):  # lengths that the export itself did not try
        waveform = 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))
        example = Example(Utterance("", Path(), "", "", None), system.extract(waveform, training=False), None)
        expected = system.predict(system.collate([example])).probabilities ** (1 / 1.3)
        found = session.run(["probabilities"], {"waveform": waveform[None].numpy()})[0]
        np.testing.assert_allclose(found, expected / expected.sum(1, keepdim=True), atol=5e-4)
    recognizer, export = Recognizer(system), Recognizer.load(tmp_path / "model.onnx")
    assert recognizer.labels == export.labels
    samples_31_s = np.random.default_rng(0).uniform(-0.2, 0.2, 31 * 16_000).astype(np.float32)
    if case == "whisper":
        with pytest.raises(UsageError, match=r"longer than the model takes\. Found: 31 s\. Expected: at most 30 s"):
            export(samples_31_s, 16_000)


def test_upstreams_that_no_graph_can_hold_are_named(tmp_path: Path) -> None:
    glam = make_system("glam", {"normaliser": {"kind": "none"}}, LABELS)
    save_checkpoint(glam, "glam", tmp_path)
    with pytest.raises(UsageError, match="the upstream glam"):
        exportable(upstreams(branches={"a": {"upstream": str(tmp_path)}}))
    for name in _WHY_NOT:  # each is the name of a class that there is
        assert any(SYSTEMS.target(system).endswith(f":{name}") for system in SYSTEMS)


@pytest.mark.slow
def test_attributes_are_exported_too(tmp_path: Path) -> None:
    system = trained("mtl-dim")
    head = system.network.attributes
    head.weight.mul_(0.01)  # type: ignore[union-attr,operator]
    head.bias.fill_(0.5)  # type: ignore[union-attr,operator]  # so that nothing is cut off at 0 and 1
    export_onnx(system, tmp_path / "model.onnx")
    export, model = Recognizer.load(tmp_path / "model.onnx"), Recognizer(system)
    assert export.tells_attributes
    for seconds in (0.5, 7.9, 16.2):  # less than a window, just more than one, two and a bit
        samples = np.random.default_rng(0).uniform(-0.2, 0.2, round(seconds * 16_000)).astype(np.float32)
        found, expected = export(samples, 16_000).attributes, model(samples, 16_000).attributes
        assert found is not None
        assert expected is not None
        told = [(row.valence, row.arousal, row.dominance) for row in (found, expected)]
        assert told[0] == pytest.approx(told[1], abs=1e-5)
        assert all(0 < value < 1 for value in told[1] if value is not None)


@pytest.mark.slow
def test_eight_bits_answer_nearly_alike(tmp_path: Path) -> None:
    system = trained("glam-cpu")
    export_onnx(system, tmp_path / "model.onnx")
    generator = np.random.default_rng(0)
    recordings = []
    for place in range(6):
        soundfile.write(tmp_path / f"{place}.wav", generator.uniform(-0.3, 0.3, 40_000), 16_000)
        recordings.append(tmp_path / f"{place}.wav")
    size = quantise(tmp_path / "model.onnx", tmp_path / "int8.onnx", recordings)
    assert size < 0.6 * (tmp_path / "model.onnx").stat().st_size
    full, small = Recognizer.load(tmp_path / "model.onnx"), Recognizer.load(tmp_path / "int8.onnx")
    for path in recordings:
        found, expected = (np.array(list(r(path).scores.values())) for r in (small, full))
        np.testing.assert_allclose(found, expected, atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("classifier", ["linear_svm", "rbf_svm"])
def test_support_vector_machines_are_exported_too(classifier: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    settings = system_settings("baseline", {"classifier": classifier, "inverse_regularisation": [1.0]})
    system = make_system(PRESETS["baseline"], settings.model_dump(), LABELS)
    generator = torch.Generator().manual_seed(0)
    examples = []
    for place in range(24):  # noise that is louder and darker from class to class
        noise = torch.randn(16_000, generator=generator) * 0.02 * (1 + place % 3)
        waveform = noise.cumsum(0) * 0.01 if place % 3 == 2 else noise
        utterance = Utterance(str(place), Path(), "a", f"speaker {place % 4}", LABELS.names[place % 3])
        examples.append(Example(utterance, system.extract(waveform, training=True), place % 3))
    assert isinstance(system, FittedSystem)
    system.fit_inputs(examples)
    system.fit(examples, [], 0)
    export_onnx(system, tmp_path / "model.onnx")
    export, model = Recognizer.load(tmp_path / "model.onnx"), Recognizer(system)
    for seed, seconds in enumerate((0.3, 1.0, 4.2)):
        samples = np.random.default_rng(seed).normal(0, 0.03, round(seconds * 16_000)).astype(np.float32)
        expected = list(model(samples, 16_000).scores.values())
        assert list(export(samples, 16_000).scores.values()) == pytest.approx(expected, abs=1e-5)
        assert max(expected) > min(expected) + 0.01


def test_an_export_that_states_too_little_is_told(exported: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load_model(exported / "model.onnx")
    facts = json.loads(model.metadata_props[0].value)
    del facts["weights"]
    onnx.helper.set_model_props(model, {"serenade": json.dumps(facts)})
    onnx.save_model(model, tmp_path / "old.onnx")
    with pytest.raises(CheckpointError, match=r"format 1 without weights.*serenade export"):
        open_export(tmp_path / "old.onnx")
