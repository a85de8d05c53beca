"""`serenade bench` and `serenade export` from end to end."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from serenade.app.main import main
from serenade.core.labels import LabelSet
from serenade.systems import make_system, save_checkpoint


def test_bench_measures_a_recording(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.2, 0.2, 80_000), 16_000)
    arguments = ["--recording", str(tmp_path / "a.wav"), "--threads", "1", "--detector", "none"]
    assert main(["bench", str(model_folder), *arguments]) == 0
    text = capsys.readouterr().out
    assert "x real time" in text
    assert "live, a row of 2 s every 0.5 s" in text


def test_an_export_predicts_like_its_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = make_system("baseline", {}, LabelSet(("happy", "sad")))
        torch.nn.init.normal_(system.network.classifier.weight, std=0.05)
        system.network.mean.fill_(-30.0)
        system.network.scale.fill_(10.0)
    save_checkpoint(system, "baseline", tmp_path / "model")
    assert main(["export", str(tmp_path / "model"), "--out", str(tmp_path / "floor.onnx")]) == 0
    assert "differs from the model by" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "model"), "--out", str(tmp_path / "floor.onnx")]) == 2  # it exists
    assert main(["export", str(tmp_path / "model"), "--out", str(tmp_path / "floor.pt")]) == 2
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.2, 0.2, 30_000), 16_000)
    capsys.readouterr()
    answers = []
    for model in ("model", "floor.onnx"):
        assert main(["predict", str(tmp_path / "a.wav"), "-m", str(tmp_path / model), "-f", "csv", "-q"]) == 0
        answers.append(capsys.readouterr().out.splitlines()[1].split(","))
    assert answers[0][4] == answers[1][4]
    assert [float(cell) for cell in answers[0][-2:]] == pytest.approx([float(c) for c in answers[1][-2:]], abs=2e-5)
