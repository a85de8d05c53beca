"""Models passed on: the same bytes each time, and nothing is loaded that is not what it says."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.corpora.server import Home, serve

from serenade.app.main import main
from serenade.core.errors import CheckpointError, FetchError, SerenadeError, UsageError
from serenade.inference.packing import open_packed, pack, verify
from serenade.inference.recognizer import Recognizer
from serenade.inference.shipped import find_model


@pytest.fixture
def packed(model_folder: Path, tmp_path: Path) -> tuple[Path, str]:
    out = tmp_path / "glam.zip"
    return out, pack(model_folder, out)


def states(folder: Path) -> dict[str, list[str]]:
    """What was found, by how it is."""
    found: dict[str, list[str]] = {"good": [], "warning": [], "bad": []}
    for finding in verify(folder):
        found[finding.state].append(finding.what)
    return found


def test_a_packed_model_scores_like_its_folder(packed: tuple[Path, str], model_folder: Path) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    assert Recognizer.load(packed[0])(noise, 16_000).scores == Recognizer.load(model_folder)(noise, 16_000).scores
    assert find_model(packed[0]) == find_model(str(packed[0])) == open_packed(packed[0])


def test_the_same_model_gives_the_same_file(packed: tuple[Path, str], model_folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(model_folder, tmp_path / "moved")
    (moved / "model.toml").touch()
    assert pack(moved, tmp_path / "again.zip") == packed[1]
    opened = open_packed(packed[0])
    assert pack(opened, tmp_path / "third.zip") == packed[1]


def test_what_was_changed_is_found(packed: tuple[Path, str], tmp_path: Path) -> None:
    folder = shutil.copytree(open_packed(packed[0]), tmp_path / "changed")
    assert states(folder)["bad"] == []
    (folder / "card.md").write_text("# Better than it is\n")
    (folder / "more.txt").write_text("more")
    assert states(folder)["bad"] == ["more.txt is not in the manifest", "card.md was changed"]
    archive = tmp_path / "changed.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for path in folder.iterdir():
            written.write(path, path.name)
    with pytest.raises(CheckpointError, match=r"not what its manifest says.*card\.md was changed"):
        find_model(archive)


def test_weights_that_are_not_finite_and_damaged_files_are_bad(model_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(model_folder, tmp_path / "model")
    assert "no manifest" in states(folder)["warning"][0]
    weights = load_file(folder / "weights.safetensors")
    name = next(name for name, value in weights.items() if value.is_floating_point())
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, folder / "weights.safetensors")
    assert any(name in found for found in states(folder)["bad"])
    (folder / "weights.safetensors").write_bytes(b"short")
    assert any("does not load" in found for found in states(folder)["bad"])


def test_what_could_run_code_is_neither_packed_nor_passed(model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "extra.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match="could run code"):
        pack(folder, tmp_path / "out.zip")
    assert any("could run code" in found for found in states(folder)["bad"])
    assert main(["model", "verify", str(folder)]) == 1


def test_a_model_comes_from_its_address_once_and_only_as_told(
    packed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(Home({"/glam.zip": packed[0].read_bytes()})) as home:
        address = f"{home.url}/glam.zip"
        folder = find_model(f"{address}#sha256={packed[1]}")
        assert states(folder)["bad"] == []
        asked = len(home.requests)
        assert find_model(f"{address}#sha256={packed[1]}") == folder
        assert len(home.requests) == asked
        with pytest.raises(FetchError, match="not the one"):
            find_model(f"{address}#sha256={'0' * 64}")
        with pytest.raises(UsageError, match="needs its checksum"):
            find_model(address)


@pytest.mark.parametrize("address", ["http://example.org/a.zip#sha256=" + "0" * 64, "https://example.org/a.zip#md5=0"])
def test_addresses_that_prove_nothing_are_refused(address: str) -> None:
    with pytest.raises(UsageError):
        find_model(address)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_what_is_no_packed_model_is_said_to_be_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(content)
    with pytest.raises(SerenadeError):
        find_model(tmp_path / "model.zip")


def test_the_command_packs_shows_and_verifies(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.zip"
    assert main(["model", "pack", str(model_folder), "--out", str(out)]) == 0
    told = capsys.readouterr().out.strip()
    assert told == f"{out}#sha256={pack(model_folder, tmp_path / 'other.zip')}"
    assert main(["model", "pack", str(model_folder), "--out", str(out)]) == 2
    assert main(["model", "show", str(out)]) == 0
    assert "angry, happy, neutral, sad" in capsys.readouterr().out
    assert main(["model", "verify", str(out)]) == 0
    assert "ok  every file is what the manifest says" in capsys.readouterr().out
