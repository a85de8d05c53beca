"""`serenade predict` by models that look at what is said beside how."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tests.models.checkpoints import write_text_checkpoint

import serenade
from serenade.app.main import main
from serenade.core.errors import UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.systems import load_system, make_system, save_checkpoint, system_settings
from serenade.training.system import Example, GatheringSystem

pytest.importorskip("transformers")

LABELS = LabelSet(("angry", "happy", "sad"))
WORDS = {"a": "no turn", "b": "turn it off", "c": "no"}
SMALL = {"ecapa": {"channels": 8, "squeeze_channels": 8, "attention_channels": 8, "embedding_dim": 4}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Filter banks and words, with drawn weights; the classifier's are large, so that answers differ."""
    root = tmp_path_factory.mktemp("words")
    write_text_checkpoint(root / "text", "bert")
    changes = {"branches": {"text": {"upstream": str(root / "text")}}} | SMALL
    torch.manual_seed(0)
    system = make_system("upstream_downstream", system_settings("ssl-fbank-text", changes).model_dump(), LABELS)
    torch.nn.init.normal_(system.network.classifier.weight, std=3.0)  # type: ignore[arg-type, union-attr] # a linear layer
    save_checkpoint(system, "upstream_downstream", root / "model")
    return root / "model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "recordings"
    root.mkdir()
    generator = np.random.default_rng(0)
    for name in WORDS:
        soundfile.write(root / f"{name}.wav", 0.1 * generator.uniform(-1, 1, 8000), 16_000)
    return root


def scores_of(out: Path) -> dict[str, dict[str, float]]:
    rows: list[dict[str, Any]] = [json.loads(line) for line in out.read_text().splitlines()]
    return {Path(row["file"]).stem: row["scores"] for row in rows}


def under_folds(model: Path, recording: Path, words: str) -> dict[str, float]:
    """The same recording as a run scores it, which reads corpora and keeps frames."""
    system = load_system(model)
    assert isinstance(system, GatheringSystem)
    utterance = Utterance(
        recording.stem, recording, "toy", "s", None, text=words, duration_s=0.5, content=recording.stem
    )
    (inputs,) = system.gather([utterance])
    with torch.inference_mode():
        probabilities = system.predict(system.collate([Example(utterance, inputs, None)])).probabilities[0]
    return dict(zip(LABELS.names, probabilities.tolist(), strict=True))


def predict(model: Path, *arguments: object) -> int:
    return main(["predict", "--model", str(model), "--threads", "1", "-q", *map(str, arguments)])


def test_words_beside_in_a_table_and_written_down_give_what_a_run_gives(
    model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "words.csv"
    table.write_text("file,text\n" + "".join(f"{name}.wav,{words}\n" for name, words in WORDS.items()))
    assert predict(model, folder, "--transcripts", table, "--out", tmp_path / "table.jsonl") == 0
    told = scores_of(tmp_path / "table.jsonl")
    for name, words in WORDS.items():
        assert told[name] == pytest.approx(under_folds(model, folder / f"{name}.wav", words), abs=1e-4)
    other = under_folds(model, folder / "a.wav", WORDS["b"])
    assert max(abs(told["a"][label] - other[label]) for label in other) > 0.01  # words count

    for name, words in WORDS.items():
        (folder / f"{name}.txt").write_text(words)
    assert predict(model, folder, "--out", tmp_path / "beside.jsonl") == 0
    assert scores_of(tmp_path / "beside.jsonl") == told

    (tmp_path / "my_asr.py").write_text(f"WORDS = {WORDS!r}\n\n\ndef listen(path):\n    return WORDS[path.stem]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert predict(model, folder, "--asr", "my_asr:listen", "--out", tmp_path / "asr.jsonl") == 0
    assert scores_of(tmp_path / "asr.jsonl") == told

    alone = serenade.load(str(model))(folder / "a.wav", words=WORDS["a"])
    assert dict(alone.scores) == pytest.approx(told["a"], abs=1e-6)


def test_words_go_with_shards(model: Path, folder: Path, tmp_path: Path) -> None:
    words = tmp_path / "said.txt"
    words.write_text("no turn")
    named = (folder / "a.wav", "--transcript", words)
    assert predict(model, *named, "--out", tmp_path / "one.jsonl") == 0
    assert predict(model, *named, "--engine", "processes", "--out", tmp_path / "shards.jsonl") == 0
    assert scores_of(tmp_path / "shards.jsonl") == scores_of(tmp_path / "one.jsonl")


def test_what_has_no_words_fails_alone(
    model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.txt").write_text("no")
    assert predict(model, folder, "--out", tmp_path / "out.jsonl") == 3
    assert set(scores_of(tmp_path / "out.jsonl")) == {"a"}
    said = capsys.readouterr().err
    assert "no words are told" in said
    assert "b.wav" in said


def test_what_cannot_be_is_said(
    model: Path, model_folder: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "said.txt").write_text("no")
    assert predict(model, folder, "--transcript", tmp_path / "said.txt") == 2
    assert "a transcript is of one recording" in capsys.readouterr().err
    assert predict(model, folder / "a.wav", "--transcript", tmp_path / "said.txt", "--window", 0.2) == 2
    assert "words are of a whole recording" in capsys.readouterr().err
    assert predict(model_folder, folder, "--asr", "os.path:basename") == 2
    assert "does not look at words" in capsys.readouterr().err


def test_nothing_but_whole_recordings_with_such_a_model(model: Path, folder: Path) -> None:
    recognizer = serenade.load(str(model))
    sound = folder / "a.wav"
    for use in (
        lambda: recognizer.predict_windows(sound, window_s=0.2),
        recognizer.stream,
        lambda: recognizer.timeline(sound),
        lambda: recognizer.with_engine(lambda engine: engine),  # as the service does when it starts
    ):
        with pytest.raises(UsageError, match="words are of a whole recording"):
            use()
