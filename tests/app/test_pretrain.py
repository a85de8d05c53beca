"""`serenade pretrain` as a user meets it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from serenade.app.main import main

SMALL = [
    *("--set", "network.width=16", "--set", "network.num_blocks=1", "--set", "network.num_heads=2"),
    *("--set", "network.feed_forward=16", "--set", "network.num_bands=16", "--set", "num_clusters=4"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    speech = tmp_path / "speech"
    speech.mkdir()
    generator = np.random.default_rng(0)
    for place in range(3):
        soundfile.write(speech / f"{place}.wav", 0.1 * generator.standard_normal(24000), 16000)
    (speech / "broken.wav").write_bytes(b"no sound")
    return speech


def test_pretrain_check_and_again(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "up"
    command = ["pretrain", "--unlabelled", f"unlabelled={folder}", "--out", str(out), "--steps", "3", *SMALL]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "unlabelled: 3 recordings, 0.1 minutes, 1 left out" in said
    assert "left out: broken.wav: undecodable" in said
    assert "Next: serenade upstream check" in said
    assert main(["upstream", "check", str(out), "--clip", "0.2", "-q"]) == 0
    told = {line[:14].strip(): line[14:] for line in capsys.readouterr().out.splitlines()}
    assert told["architecture"].startswith("serenade-masked-mel, 1 blocks")
    assert told["frames"] == "16 numbers, 50 per second"
    assert told["pretrained on"] == "unlabelled speech: 3 recordings, speakers not known, 0.1 minutes"
    assert told["licence"] == "unlabelled speech: yours to know (see its owner's terms)"
    assert main(command) == 0
    assert "finished already" in capsys.readouterr().err


def test_options_that_do_not_fit_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "up"), "-q"]
    assert main(["pretrain", *out]) == 2
    assert "nothing to learn from" in capsys.readouterr().err
    assert main(["pretrain", *out, "--unlabelled", str(folder)]) == 2
    assert "NAME=PATH" in capsys.readouterr().err
    assert main(["pretrain", *out, "--unlabelled", f"unlabelled={folder}", "--set", "training.step=3"]) == 2
    assert "Did you mean 'steps'?" in capsys.readouterr().err
    assert main(["pretrain", *out, "--unlabelled", f"unlabelled={tmp_path / 'none'}"]) == 1
    assert "none" in capsys.readouterr().err
    assert main(["pretrain", *out, "--corpus", f"synthetic={folder}"]) == 2
    assert "--fold" in capsys.readouterr().err


def test_settings_may_stand_in_a_file(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "pretrain.toml"
    config.write_text(
        "num_clusters = 4\n[training]\nsteps = 9\n[network]\nwidth = 16\nnum_blocks = 1\nnum_heads = 2\n"
        "feed_forward = 16\nnum_bands = 16\n"
    )
    out = tmp_path / "up"
    command = ["pretrain", "--config", str(config), "--unlabelled", f"unlabelled={folder}", "--out", str(out), "-q"]
    assert main([*command, "--steps", "2"]) == 0
    assert '"step": 2' in (out / "log.jsonl").read_text()
