"""Stored frames: what is written is read, kills and cut files cost only what they must, bad frames are refused."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from serenade.core.errors import StorageError, TrainingError, UsageError
from serenade.training.frame_store import FrameStore, StoreKind

KIND = StoreKind("an upstream", "toy", 3, (0, 2), 50.0)


def frames(seed: int, length: int) -> torch.Tensor:
    return torch.randn(2, length, 3, generator=torch.Generator().manual_seed(seed))


def filled(folder: Path, count: int = 5, kind: StoreKind = KIND, shard_bytes: int = 100) -> FrameStore:
    store = FrameStore(folder, kind, shard_bytes=shard_bytes)
    with store.writing() as writer:
        writer.add([(f"u{seed}", frames(seed, seed + 1)) for seed in range(count)])
    return store


@pytest.mark.parametrize("numbers", ["float16", "bfloat16"])
def test_frames_come_back_in_16_bits(numbers: str, tmp_path: Path) -> None:
    kind = StoreKind("an upstream", "toy", 3, (0, 2), numbers=numbers)  # type: ignore[arg-type]
    filled(tmp_path, kind=kind)
    store = FrameStore(tmp_path)
    assert store.kind == kind
    assert list(store) == [f"u{seed}" for seed in range(5)]
    for seed in range(5):
        assert torch.equal(store[f"u{seed}"], frames(seed, seed + 1).to(getattr(torch, numbers)))
        assert store.num_frames(f"u{seed}") == seed + 1
    shards = sorted(tmp_path.glob("*.bin"))
    assert len(shards) > 1
    assert sum(path.stat().st_size for path in shards) == store.num_bytes == 15 * 2 * 3 * 2


def test_files_are_plain_numbers(tmp_path: Path) -> None:
    filled(tmp_path, shard_bytes=2**20)
    numbers = np.fromfile(tmp_path / "frames-00000.bin", dtype="<f2")
    expected = np.concatenate([frames(seed, seed + 1).numpy().astype(np.float16).ravel() for seed in range(5)])
    np.testing.assert_array_equal(numbers, expected)


def test_a_change_of_what_was_read_does_not_reach_the_disk(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store["u3"].zero_()
    assert torch.equal(FrameStore(tmp_path)["u3"], frames(3, 4).half())


def test_readers_see_what_was_added_since(tmp_path: Path) -> None:
    store = filled(tmp_path, 3)
    other = FrameStore(tmp_path)
    assert torch.equal(other["u2"], frames(2, 3).half())
    filled(tmp_path, 0)
    with FrameStore(tmp_path).writing() as writer:
        writer.add([("new", frames(9, 2))])
    with store.writing():
        assert "new" in store
    assert torch.equal(store["new"], frames(9, 2).half())


def test_store_of_something_else_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(UsageError, match=r"frames of another kind.*Found: dim = 3\. Expected: dim = 4"):
        FrameStore(tmp_path, StoreKind("an upstream", "toy", 4, (0, 2), 50.0))
    with pytest.raises(UsageError, match="no stored frames in this folder"):
        FrameStore(tmp_path / "elsewhere")
    FrameStore(tmp_path / "elsewhere", KIND)
    assert not (tmp_path / "elsewhere").exists()  # nothing is written before frames are
    (tmp_path / "store.json").write_text('{"format": 99}')
    with pytest.raises(UsageError, match="description of stored frames cannot be read"):
        FrameStore(tmp_path)


def test_kinds_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path))
    kinds = [KIND, StoreKind("another", "toy", 3, (0, 2), 50.0), StoreKind("an upstream", "toy", 3, (2,), 50.0)]
    kinds.append(StoreKind("an upstream", "toy", 3, (0, 2), 50.0, engine="bfloat16"))
    assert len({kind.folder for kind in kinds}) == len(kinds)
    store = FrameStore.at_home(KIND)
    assert store.folder.parent == tmp_path / "frames"


@pytest.mark.parametrize(
    ("numbers", "value", "message"),
    [
        ("float16", float("nan"), r"toy upstream gave frames that are not finite: u1\. Found: 1 of 12 values"),
        ("bfloat16", float("inf"), "not finite: u1"),
        (
            "float16",
            7e4,
            r"too large for float16: u1\. Found: a magnitude of 70000\. Expected: at most 65504\. Store b",
        ),
    ],
)
def test_bad_frames_are_refused_and_nothing_of_their_batch_is_kept(
    numbers: str, value: float, message: str, tmp_path: Path
) -> None:
    store = FrameStore(tmp_path, StoreKind("an upstream", "toy", 3, (0, 2), numbers=numbers))  # type: ignore[arg-type]
    bad = frames(1, 2)
    bad[1, 0, 2] = value
    with pytest.raises(TrainingError, match=message), store.writing() as writer:
        writer.add([("u0", frames(0, 1)), ("u1", bad)])
    assert list(FrameStore(tmp_path)) == []


def test_frames_of_another_shape_are_refused(tmp_path: Path) -> None:
    for shape in [(1, 4, 3), (2, 4, 5), (2, 0, 3), (4, 3)]:
        with (
            pytest.raises(UsageError, match="frames of another shape than the store holds"),
            FrameStore(tmp_path, KIND).writing() as writer,
        ):
            writer.add([("u", torch.zeros(shape))])


def test_large_numbers_fit_bfloat16(tmp_path: Path) -> None:
    store = FrameStore(tmp_path, StoreKind("an upstream", "toy", 3, (0, 2), numbers="bfloat16"))
    with store.writing() as writer:
        writer.add([("u", torch.full((2, 1, 3), 7e4))])
    assert store["u"].float().mean() == pytest.approx(7e4, rel=0.01)


def test_unfinished_line_and_numbers_behind_the_index_do_not_count(tmp_path: Path) -> None:
    filled(tmp_path, 4, shard_bytes=2**20)
    index, shard = tmp_path / "index.jsonl", tmp_path / "frames-00000.bin"
    lines = index.read_bytes()
    index.write_bytes(lines[:-5])  # the last line was not finished
    with shard.open("ab") as file:
        file.write(b"\xff" * 1001)
    store = FrameStore(tmp_path)
    assert list(store) == ["u0", "u1", "u2"]
    with store.writing() as writer:
        writer.add([("u4", frames(4, 5)), ("u3", frames(3, 4))])
    store = FrameStore(tmp_path)
    assert sorted(store) == [f"u{seed}" for seed in range(5)]
    for seed in range(5):
        assert torch.equal(store[f"u{seed}"], frames(seed, seed + 1).half())
    assert all(json.loads(line) for line in index.read_text().splitlines())


def test_what_was_cut_off_is_not_there_any_more(tmp_path: Path) -> None:
    store = filled(tmp_path, 5, shard_bytes=2**20)
    os.truncate(tmp_path / "frames-00000.bin", 40)  # u0 and u1 take 12 + 24 bytes
    with pytest.raises(StorageError, match="cut short"):
        store["u4"]
    store = FrameStore(tmp_path)
    assert list(store) == ["u0", "u1"]
    with store.writing() as writer:
        writer.add([("u4", frames(4, 5)), ("long", frames(7, 9))])
    store = FrameStore(tmp_path)
    assert list(store) == ["u0", "u1", "u4", "long"]
    assert torch.equal(store["u4"], frames(4, 5).half())


def _write_for_ever(folder: str, began: "multiprocessing.synchronize.Event") -> None:
    store = FrameStore(Path(folder), KIND, shard_bytes=2000)
    with store.writing() as writer:
        place = len(store)
        while True:
            writer.add([(f"{place + n}", frames(place + n, 1 + (place + n) % 7)) for n in range(5)])
            place += 5
            began.set()


def test_kills_lose_nothing_that_was_told(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for round_ in range(3):
        began = context.Event()
        process = context.Process(target=_write_for_ever, args=(str(tmp_path), began))
        process.start()
        assert began.wait(60)
        time.sleep(0.03 * round_)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        store = FrameStore(tmp_path)
        assert [int(key) for key in store] == list(range(len(store)))
        for key in store:
            assert torch.equal(store[key], frames(int(key), 1 + int(key) % 7).half())
    assert len(store) >= 15
