"""Model folders: round trip, and every way in which one can be broken."""

from pathlib import Path

import pytest
import torch

from serenade.core.errors import CheckpointError
from serenade.core.labels import LabelSet
from serenade.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    weights = {"layer.weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}
    checkpoint = Checkpoint(
        "glam", {"mixup_alpha": 0.5, "segments": {"length_s": 1.8}}, LabelSet(("happy", "sad")), weights, {"fold": "03"}
    )
    write_checkpoint(tmp_path / "model", checkpoint)
    return tmp_path / "model"


def test_round_trip(folder: Path) -> None:
    read = read_checkpoint(folder)
    assert read.system == "glam"
    assert read.labels.names == ("happy", "sad")
    assert read.settings == {"mixup_alpha": 0.5, "segments": {"length_s": 1.8}}
    assert read.about == {"fold": "03"}
    assert torch.equal(read.weights["layer.weight"], torch.arange(6.0).reshape(2, 3))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model"]


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model in this folder: .*nowhere.*model\.toml"):
        read_checkpoint(tmp_path / "nowhere")


def test_weights_cut_short_are_refused(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        read_checkpoint(folder)


def test_missing_weights_are_refused(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    with pytest.raises(CheckpointError, match="weights are missing"):
        read_checkpoint(folder)


def test_another_format_says_which_version_wrote_it(folder: Path) -> None:
    description = folder / "model.toml"
    description.write_text(description.read_text().replace("format = 1", "format = 99"))
    with pytest.raises(CheckpointError, match=r"Found: format 99, written by serenade \d.*Expected: format 1"):
        read_checkpoint(folder)


@pytest.mark.parametrize("text", ["format = ", "\x00\x01", "format = 1\n"])
def test_damaged_description_is_refused(folder: Path, text: str) -> None:
    (folder / "model.toml").write_text(text)
    with pytest.raises(CheckpointError, match=r"damaged|not complete"):
        read_checkpoint(folder)


def test_an_older_model_is_replaced_whole(folder: Path) -> None:
    newer = Checkpoint("baseline", {"class_weight": True}, LabelSet(("angry", "calm")), {"w": torch.ones(1)})
    write_checkpoint(folder, newer)
    assert read_checkpoint(folder).labels.names == ("angry", "calm")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model"]
