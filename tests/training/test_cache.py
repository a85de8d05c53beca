"""The feature cache: right values whatever happens to the disk, and never more of it than allowed."""

import errno
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from serenade.core.files import cache_folder
from serenade.signal import SIGNAL_VERSION
from serenade.training.cache import FeatureCache


class Counted:
    """A computation that counts how often it runs."""

    def __init__(self, **tensors: torch.Tensor) -> None:
        self.tensors, self.times = tensors, 0

    def __call__(self) -> dict[str, torch.Tensor]:
        self.times += 1
        return dict(self.tensors)


def of(value: float, size: int = 100) -> Counted:
    return Counted(audio=torch.full((size,), float(value)))


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*.safetensors"))


def key_of(path: Path) -> str:
    data = path.read_bytes()
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["key"]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in entries(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "features"


class TestValues:
    def test_are_computed_once(self, folder):
        compute = of(3)
        first = FeatureCache(folder).get("a", compute)
        second = FeatureCache(folder).get("a", compute)
        assert compute.times == 1
        assert torch.equal(first["audio"], second["audio"])

    @pytest.mark.parametrize(
        "tensor",
        [
            torch.randn(7, 26, 57),
            torch.randn(4, 6).t(),
            torch.randn(100).unfold(0, 20, 5),
            torch.randn(3, 3).bfloat16(),
            torch.randn(3).double(),
            torch.tensor(5),
            torch.tensor([True, False]),
            torch.zeros(0, 26, 57),
            torch.tensor([float("nan"), float("-inf"), -0.0]),
        ],
        ids=lambda tensor: f"{tensor.dtype}-{tuple(tensor.shape)}",
    )
    def test_come_back_bit_for_bit(self, folder, tensor):
        cache = FeatureCache(folder)
        compute = Counted(a=tensor, b=tensor, plain=torch.arange(3))
        cache.get("key", compute)
        stored = cache.get("key", compute)
        assert compute.times == 1
        assert set(stored) == {"a", "b", "plain"}
        for found in (stored["a"], stored["b"]):
            assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
            torch.testing.assert_close(found, tensor, rtol=0, atol=0, equal_nan=True)

    def test_belong_to_their_key_alone(self, folder):
        cache = FeatureCache(folder)
        keys = ["a", "a/b", "a b", "A", "ä", "", "../a", "x" * 10_000, 'quote"\n']
        for value, key in enumerate(keys):
            cache.get(key, of(value))
        for value, key in enumerate(keys):
            assert cache.get(key, of(-1))["audio"][0] == value

    def test_of_another_version_of_the_signal_code_are_computed_anew(self, folder, monkeypatch):
        FeatureCache(folder).get("a", of(1))
        monkeypatch.setattr("serenade.training.cache.SIGNAL_VERSION", SIGNAL_VERSION + 1)
        assert FeatureCache(folder).get("a", of(2))["audio"][0] == 2

    def test_changing_a_result_does_not_change_the_entry(self, folder):
        cache = FeatureCache(folder)
        cache.get("a", of(1))["audio"].zero_()
        cache.get("a", of(2))["audio"].zero_()
        assert cache.get("a", of(3))["audio"][0] == 1

    def test_carry_no_gradient(self, folder):
        weights = torch.ones(3, requires_grad=True)
        assert not FeatureCache(folder).get("a", Counted(audio=weights * 2))["audio"].requires_grad

    def test_computed_in_inference_mode_can_be_trained_on(self, folder):
        def compute():
            with torch.inference_mode():
                return {"audio": torch.ones(3) * 2}

        weights = torch.ones(3, requires_grad=True)
        for _ in range(2):  # computed, then stored
            (FeatureCache(folder).get("a", compute)["audio"] * weights).sum().backward()
        assert weights.grad.tolist() == [4, 4, 4]

    def test_entries_are_plain_safetensors(self, folder):
        FeatureCache(folder).get("a", of(4))
        assert torch.equal(load_file(entries(folder)[0])["audio"], torch.full((100,), 4.0))

    def test_an_error_of_the_computation_passes_and_leaves_nothing(self, folder):
        def fail():
            raise ZeroDivisionError("no features")

        cache = FeatureCache(folder)
        with pytest.raises(ZeroDivisionError, match="no features"):
            cache.get("a", fail)
        assert not entries(folder)
        assert cache.get("a", of(1))["audio"][0] == 1

    def test_the_folder_is_in_the_users_cache_by_default(self):
        cache = FeatureCache()
        cache.get("a", of(1))
        assert entries(cache_folder() / "features")


class TestDamage:
    @pytest.mark.parametrize("keep", [0, 1, 7, 8, 50, -1])
    def test_a_cut_entry_is_computed_again(self, folder, caplog, keep):
        cache = FeatureCache(folder)
        cache.get("a", of(1))
        path = entries(folder)[0]
        path.write_bytes(path.read_bytes()[:keep])
        again = of(1)
        with caplog.at_level(logging.WARNING):
            assert cache.get("a", again)["audio"][0] == 1
        assert again.times == 1
        assert "is damaged and is computed again" in caplog.text
        cache.get("a", again)
        assert again.times == 1  # it was repaired

    def test_no_changed_byte_goes_unnoticed(self, folder):
        cache = FeatureCache(folder)
        expected = cache.get("a", of(1, size=4))["audio"]
        path = entries(folder)[0]
        good = path.read_bytes()
        for place in range(len(good)):
            path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
            found = cache.get("a", of(1, size=4))
            assert list(found) == ["audio"]
            assert torch.equal(found["audio"], expected), place

    def test_garbage_and_json_of_another_kind(self, folder):
        cache = FeatureCache(folder)
        cache.get("a", of(1))
        path = entries(folder)[0]
        for header in (b"[]", b"null", b"{}", b'{"__metadata__": []}', b'{"__metadata__": {"sums": "3", "key": "a"}}'):
            path.write_bytes(len(header).to_bytes(8, "little") + header)
            assert cache.get("a", of(7))["audio"][0] == 7
            path.unlink()

    def test_the_entry_of_another_key_is_not_taken(self, folder):
        cache = FeatureCache(folder)
        cache.get("a", of(1))
        a = entries(folder)[0]
        cache.get("b", of(2))
        b = next(path for path in entries(folder) if path != a)
        b.write_bytes(a.read_bytes())
        assert cache.get("b", of(2))["audio"][0] == 2


class TestBound:
    def test_least_recently_used_entries_go_first(self, folder):
        one = FeatureCache(folder)
        one.get("size", of(0))
        size = size_of(folder)
        (path,) = entries(folder)
        path.unlink()
        (folder / "total").unlink()
        cache = FeatureCache(folder, max_bytes=10 * size + size // 2)
        times = {}
        for i in range(10):
            cache.get(f"k{i}", of(i))
            path = next(p for p in entries(folder) if p not in times)
            times[path] = time.time() - 100_000 + i
            os.utime(path, (times[path], times[path]))
        cache.get("k0", of(-1))  # the oldest is used again
        for i in range(10, 13):
            cache.get(f"k{i}", of(i))
        assert size_of(folder) <= cache.max_bytes
        kept = {key_of(path) for path in entries(folder)}
        assert {"k0", "k9", "k10", "k11", "k12"} <= kept
        assert not {"k1", "k2"} & kept

    def test_holds_at_every_moment(self, folder):
        cache = FeatureCache(folder, max_bytes=20_000)
        sizes = []
        for i in range(60):
            cache.get(f"k{i}", of(i, size=50 + 7 * i))
            sizes.append(size_of(folder))
        assert max(sizes) <= 20_000
        assert min(sizes[30:]) > 10_000  # and the room is used

    def test_entries_are_not_looked_through_on_every_store(self, folder, monkeypatch):
        looks = []
        glob = Path.glob
        monkeypatch.setattr(Path, "glob", lambda path, pattern: looks.append(pattern) or glob(path, pattern))
        cache = FeatureCache(folder)
        for i in range(50):
            cache.get(f"k{i}", of(i))
        assert len(looks) <= 1
        monkeypatch.undo()
        assert int((folder / "total").read_text()) == size_of(folder)

    @pytest.mark.parametrize("text", ["", "nonsense", "-5", "99999999999999999999999999999999999"])
    def test_a_lost_sum_is_counted_anew(self, folder, text):
        cache = FeatureCache(folder, max_bytes=50_000)
        cache.get("a", of(1))
        (folder / "total").write_text(text)
        cache.get("b", of(2))
        cache.get("c", of(3))
        assert int((folder / "total").read_text()) == size_of(folder)
        assert len(entries(folder)) == 3

    def test_what_is_larger_than_the_bound_is_not_stored(self, folder):
        cache = FeatureCache(folder, max_bytes=1_000)
        cache.get("small", of(1, size=10))
        assert cache.get("large", of(2, size=10_000))["audio"][0] == 2
        assert len(entries(folder)) == 1
        assert FeatureCache(folder, max_bytes=0).get("none", of(3))["audio"][0] == 3

    def test_leavings_of_dead_processes_are_removed(self, folder):
        cache = FeatureCache(folder, max_bytes=3_000)
        cache.get("a", of(1))
        place = entries(folder)[0].parent
        old, new = place / ".old.part", place / ".new.part"
        for path in (old, new):
            path.write_bytes(b"half")
        os.utime(old, (0, 0))
        for i in range(8):
            cache.get(f"k{i}", of(i))
        assert not old.exists()
        assert new.exists()  # its process may be alive


class TestDiskTrouble:
    def test_work_goes_on_without_a_cache(self, tmp_path, caplog):
        (tmp_path / "file").write_text("a file where the folder should be")
        cache = FeatureCache(tmp_path / "file" / "features")
        with caplog.at_level(logging.WARNING):
            for i in range(5):
                assert cache.get(f"k{i}", of(i))["audio"][0] == i
        assert len(caplog.messages) == 1
        assert "not cached any more" in caplog.text

    def test_a_full_disk_keeps_what_is_there(self, folder, caplog, monkeypatch):
        cache = FeatureCache(folder)
        cache.get("before", of(1))

        class Full:
            def __init__(self, handle, mode):
                self.handle = handle

            def __enter__(self):
                return self

            def __exit__(self, *error):
                os.close(self.handle)

            def write(self, data):
                os.write(self.handle, data[:10])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fdopen", Full)
        with caplog.at_level(logging.WARNING):
            for i in range(5):
                assert cache.get(f"k{i}", of(i))["audio"][0] == i
        monkeypatch.undo()
        assert len(caplog.messages) == 1
        assert "No space left on device" in caplog.text
        again = of(1)
        assert cache.get("before", again)["audio"][0] == 1
        assert again.times == 0
        assert [path.name for path in folder.glob("??/*")] == [entries(folder)[0].name]  # no half-written file

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX resource limits")
    @pytest.mark.slow
    def test_a_limit_of_the_system_on_file_size(self, folder):
        script = (
            "import resource, sys, torch\n"
            "from pathlib import Path\n"
            "from serenade.training.cache import FeatureCache\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
            "cache = FeatureCache(Path(sys.argv[1]))\n"
            "for i in range(3):\n"
            "    assert cache.get(f'k{i}', lambda: {'audio': torch.full((5000,), float(i))})['audio'][0] == i\n"
        )
        done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
        assert done.stderr.count("not cached any more") == 1
        assert not list(folder.glob("??/*"))


WORKER = """
import random, sys, torch
from pathlib import Path
from serenade.training.cache import FeatureCache

folder, seed, max_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
cache, draw = FeatureCache(folder, max_bytes=max_bytes), random.Random(seed)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(400):
    i = draw.randrange(40)
    size = 200 + 10 * i
    found = cache.get(f"k{i}", lambda: {"audio": torch.full((size,), float(i)), "n": torch.tensor(i)})
    assert found["audio"].shape == (size,) and bool((found["audio"] == i).all()) and found["n"] == i
    if len(sys.argv) > 4 and _ == 200:
        print("half", flush=True)
print("done", flush=True)
"""


class TestProcesses:
    @staticmethod
    def start(folder: Path, seed: int, max_bytes: int, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(seed), str(max_bytes), *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @pytest.mark.slow
    def test_readers_writers_and_removal_side_by_side(self, folder):
        max_bytes = 40_000  # about half of the 40 entries: they are removed and written all the time
        workers = [self.start(folder, seed, max_bytes) for seed in range(2)]
        workers.append(self.start(folder, 2, max_bytes, "killed"))
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        assert workers[2].stdout.readline() == "half\n"
        workers[2].kill()
        for worker in workers:
            output, errors = worker.communicate(timeout=60)
            if worker is not workers[2]:
                assert (worker.returncode, output, errors) == (0, "done\n", "")
        assert entries(folder)
        assert size_of(folder) <= max_bytes
        for path in entries(folder):
            assert (load_file(path)["audio"] == int(key_of(path)[1:])).all()
        cache = FeatureCache(folder, max_bytes=max_bytes)  # the killed one left no lock behind
        for i in range(40):
            cache.get(f"k{i}", of(i, size=200 + 10 * i))
        assert size_of(folder) <= max_bytes


def test_temporary_files_are_made_beside_the_entry(folder, monkeypatch):
    """Renaming is whole only within one file system."""
    places = []
    mkstemp = tempfile.mkstemp
    monkeypatch.setattr(tempfile, "mkstemp", lambda **options: places.append(options["dir"]) or mkstemp(**options))
    FeatureCache(folder).get("a", of(1))
    assert places == [entries(folder)[0].parent]
