"""`serenade upstream stores`: what is kept, and taking it away by name, by age and by room."""

import os
import time
from pathlib import Path

import pytest
import torch

from serenade.app.main import main
from serenade.training.frame_store import FrameStore, StoreKind
from serenade.training.kept_frames import kept_stores, mark_used

DAY_S = 86400


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three stores of 1, 2 and 3 recordings, used 1, 2 and 3 days ago; numbers are 16 bits."""
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path))
    for count in (1, 2, 3):
        kind = StoreKind(f"upstream {count}", f"toy{count}", 1024, (0,), 50.0)
        store = FrameStore.at_home(kind)
        with store.writing() as writer:
            writer.add([(f"u{n}", torch.zeros(1, 1024, 1024)) for n in range(count)])
        for path in kind.folder.iterdir():
            os.utime(path, (time.time() - count * DAY_S,) * 2)
    return tmp_path / "frames"


def names(cache: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in cache.iterdir())


def test_stores_are_listed_the_last_used_first(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upstream", "stores"]) == 0
    head, *rows, total = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["store", "layers", "numbers"]
    assert [row.split("-")[0] for row in rows] == ["toy1", "toy2", "toy3"]
    assert rows[2].split()[1:] == ["0", "float16", "float32", "3", "0.006", "3", "days"]  # 3 x 2 MiB
    assert total == "3 stores, 0.012 GiB"
    mark_used(next(cache.glob("toy3-*")))
    assert [kept.name.split("-")[0] for kept in kept_stores()] == ["toy3", "toy1", "toy2"]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--unused-for", "1.5"], ["toy1"]),
        (["--keep", "0.007"], ["toy1", "toy2"]),
        (["--keep", "0"], []),
        (["--remove", "all"], []),
        (["--unused-for", "2.5", "--keep", "0.003"], ["toy1"]),
        (["--remove", "all", "--dry-run"], ["toy1", "toy2", "toy3"]),
    ],
)
def test_stores_go_by_age_and_room(options: list[str], left: list[str], cache: Path) -> None:
    assert main(["upstream", "stores", *options, "-q"]) == 0
    assert names(cache) == left


def test_a_store_goes_by_name_also_when_damaged(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = next(cache.glob("toy2-*"))
    (damaged / "store.json").write_text("{")
    assert main(["upstream", "stores"]) == 0
    assert "damaged" in capsys.readouterr().out
    assert main(["upstream", "stores", "--remove", damaged.name]) == 0
    assert f"Removed {damaged.name}, 0.004 GiB" in capsys.readouterr().err
    assert names(cache) == ["toy1", "toy3"]
    assert main(["upstream", "stores", "--remove", damaged.name]) == 2
    assert "no such store" in capsys.readouterr().err


def test_nothing_kept_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path))
    assert main(["upstream", "stores"]) == 0
    assert capsys.readouterr().out == "no frames are kept\n"
