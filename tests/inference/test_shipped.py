"""The model in the package: there, small, described, and right about recordings it learnt from."""

from pathlib import Path

import pytest

import serenade
from serenade.corpora.emodb import list_files
from serenade.corpora.synthetic import long_recording
from serenade.experiments.card import calibration_sentence
from serenade.inference.quick import QuickRecognizer
from serenade.inference.shipped import card_summary, read_card, shipped_models
from serenade.training.description import read_calibration

LIMIT_BYTES = 4_000_000  # of the weights; the export beside them adds the matrices of its front end


@pytest.fixture(scope="module")
def recogniser() -> serenade.Recognizer:
    return serenade.load()


def test_it_is_small_and_its_card_gives_honest_figures() -> None:
    folder = shipped_models()["glam-emodb"]
    card = read_card(folder)
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sizes.pop("model.onnx") < 1.2 * LIMIT_BYTES
    assert sum(sizes.values()) < LIMIT_BYTES
    assert "never heard" in card_summary(card)
    assert "`loso`" in card
    assert "CC0" in card
    assert "temperature of 1.15" in card
    assert calibration_sentence(read_calibration(folder)) in card
    for label in ("angry", "bored", "fearful", "happy", "neutral", "sad"):
        assert f"| {label} |" in card


def test_it_answers_for_any_speech(recogniser: serenade.Recognizer, tmp_path: Path) -> None:
    long_recording(tmp_path / "a.flac", 6.0)
    prediction = recogniser(tmp_path / "a.flac")
    assert prediction.label in recogniser.labels
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-5)


def test_its_export_answers_as_it_does(recogniser: serenade.Recognizer, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    long_recording(tmp_path / "a.flac", 6.0)
    quick = QuickRecognizer.of("glam-emodb")  # none if it were of other weights
    assert quick is not None
    found = quick.predict([tmp_path / "a.flac"])
    assert found is not None
    assert found[0].scores == pytest.approx(recogniser(tmp_path / "a.flac").scores, abs=2e-5)


@pytest.mark.slow
def test_it_recognises_what_it_was_taught(recogniser: serenade.Recognizer, shared: Path) -> None:
    """Not a measure of its worth (it heard these): a check that weights, labels and front end belong together."""
    utterances = [u for u in list_files(shared / "corpora" / "emodb").utterances if u.emotion in recogniser.labels]
    chosen = utterances[::8]
    right = sum(recogniser(u.audio).label == u.emotion for u in chosen)
    assert right / len(chosen) > 0.75
