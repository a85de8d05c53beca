"""`serenade upstream` as a user meets it."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs the extra ssl")

from tests.models.checkpoints import write_checkpoint

from serenade.app.main import main


def test_check_tells_what_a_checkpoint_is_and_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = write_checkpoint(tmp_path, "hubert-base")
    capsys.readouterr()
    assert main(["upstream", "check", str(tmp_path), "--hours", "100", "--clip", "0.1", "-q"]) == 0
    shown = capsys.readouterr()
    told = {line[:14].strip(): line[14:] for line in shown.out.splitlines()}
    assert told["architecture"] == f"hubert, 3 blocks, {network.num_parameters():,} parameters"
    assert told["weights"] == f"all {len(network.state_dict())} loaded, none missing, none left over"
    assert told["frames"] == "16 numbers, 50 per second"
    assert told["takes"] == "16000 Hz (others are resampled), from 0.0250 s"
    assert re.fullmatch(r"[\d.]+ x real time \(clips of 0\.1 s, \d+ threads?, float32\)", told["speed here"])
    gib = 100 * 3600 * 50 * 16 * 2 / 2**30
    assert told["100 h of sound"].endswith(f"float16 {gib:.2f} GiB for one layer, {4 * gib:.2f} GiB for all 4")


def test_what_is_no_upstream_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upstream", "check", str(tmp_path)]) == 1
    assert "this folder is no checkpoint: it has no config.json" in capsys.readouterr().err
    write_checkpoint(tmp_path, "whisper", "Model")
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"encoder_layers": 3}))
    capsys.readouterr()
    assert main(["upstream", "check", str(tmp_path), "-q"]) == 1
    assert re.search(r"Found: \d+ missing, such as layers\.2", capsys.readouterr().err)
    assert main(["upstream", "check", str(tmp_path), "--device", "gpu"]) == 2
