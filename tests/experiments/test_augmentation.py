"""Chains with their recordings: opened once, what cannot be used told and never drawn."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Generator

from serenade.core.errors import AudioError, UsageError
from serenade.core.settings import make_settings
from serenade.experiments.augmentation import build_chain
from serenade.signal.augmentation.chain import AugmentationSettings

RATE = 16_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0)
    for place, name in enumerate(("rain/1", "rain/2", "hall", "room")):
        path = tmp_path / ("noise" if place < 2 else "responses") / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * noise.normal(size=RATE), RATE)
    for part in ("noise/rain", "responses"):
        (tmp_path / part / "broken.wav").write_bytes(b"x" * 99)
        soundfile.write(tmp_path / part / "silent.wav", np.zeros(RATE), RATE)
    return tmp_path


def test_what_cannot_be_used_is_told_and_not_drawn(folder: Path) -> None:
    notes: list[str] = []
    settings = make_settings(
        AugmentationSettings,
        {"steps": "reverb,noise:0..20", "noise": folder / "noise", "responses": folder / "responses"},
    )
    chain = build_chain(settings, note=notes.append)
    assert len(notes) == 4
    assert sum("broken.wav" in note for note in notes) == sum("silent.wav" in note for note in notes) == 2
    _, records = chain(0.1 * torch.randn(40, 4000), Generator().manual_seed(0))
    used = {str(step.parameters.get("recording", step.parameters.get("response"))) for r in records for step in r.steps}
    assert {Path(name).name for name in used} == {"1.wav", "2.wav", "hall.wav", "room.wav"}


def test_nothing_that_can_be_used_is_an_error(folder: Path) -> None:
    for name in ("1.wav", "2.wav"):
        (folder / "noise" / "rain" / name).unlink()
    for name in ("hall.wav", "room.wav", "silent.wav"):
        (folder / "responses" / name).unlink()
    for values in ({"noise": folder / "noise"}, {"responses": folder / "responses"}):
        with pytest.raises(AudioError):
            build_chain(make_settings(AugmentationSettings, values))
    with pytest.raises(AudioError, match="no such file or folder"):
        build_chain(make_settings(AugmentationSettings, {"responses": folder / "nowhere"}))
    (folder / "responses" / "broken.wav").unlink()
    with pytest.raises(UsageError, match="no impulse responses"):
        build_chain(make_settings(AugmentationSettings, {"responses": folder / "responses"}))


def test_an_environment_may_be_chosen(folder: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'rain'"):
        build_chain(make_settings(AugmentationSettings, {"noise": folder / "noise", "environments": ["ran"]}))
