"""`serenade upstream` as a user meets it."""

import json
import re
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="needs the extra ssl")

from tests.models.checkpoints import write_checkpoint, write_text_checkpoint

from serenade.app.main import main
from serenade.corpora.synthetic import generate
from serenade.inference import upstream_cost


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips are enough to measure."""
    monkeypatch.setattr(upstream_cost, "measure_speed", partial(upstream_cost.measure_speed, budget_s=0))


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


def test_check_tells_what_a_corpus_would_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = write_checkpoint(tmp_path / "hubert", "hubert-base")
    write_text_checkpoint(tmp_path / "bert", "bert")
    generate(tmp_path / "voices", speakers=2, utterances_per_class=1, classes=("happy", "sad"))
    sounds = sorted((tmp_path / "voices").rglob("*.flac"))
    table = tmp_path / "table.csv"
    texts = ["so happy", "so happy", "", "i am sad !"]
    rows = [f"{path},anna,happy,{text}" for path, text in zip(sounds, texts, strict=True)]
    table.write_text("\n".join(["path,speaker,emotion,text", *rows]), encoding="utf-8")
    asked = ["--corpus", f"table={table}", "--fine-tune", "--clip", "0.1", "-q"]
    capsys.readouterr()

    assert main(["upstream", "check", str(tmp_path / "hubert"), *asked]) == 0
    told = {line[:14].strip(): line[14:] for line in capsys.readouterr().out.splitlines()}
    assert re.fullmatch(r"4 recordings, 0\.\d\d h", told["the corpus"])
    assert re.fullmatch(
        r"[\d.]+ x real time \(4 clips of 0\.1 s at once, .*float32\); [\d.]+ GiB of memory", told["fine-tuning"]
    )
    gib = 4 * (network.num_parameters() + 16 * 2 + 2) / 2**30
    assert re.match(rf"[\d.]+ h for 30 epochs on all of it, in each fold; {8 * gib:.2f} GiB", told["to fine-tune"])

    assert main(["upstream", "check", str(tmp_path / "bert"), *asked]) == 0
    told = {line[:14].strip(): line[14:] for line in capsys.readouterr().out.splitlines()}
    assert told["the corpus"] == "2 transcripts, 10 tokens; 1 of 4 utterances have none"
    assert "h to extract; in float16 0.00 GiB for one layer" in told["transcripts"]
    assert re.match(r"[\d.]+ transcripts per second \(16 transcripts of ten words at once", told["fine-tuning"])
    assert re.match(r"[\d.]+ h for 10 epochs", told["to fine-tune"])

    assert main(["upstream", "check", "filter-bank", "--fine-tune", "--clip", "0.1", "-q"]) == 2
    assert "filter-bank has no weights that could be trained" in capsys.readouterr().err


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
