"""Features on disk, so that they are computed once for all folds, seeds and runs.

One safetensors file per entry, named by the hash of its key, in 256 folders. An entry carries its key and a checksum of
each tensor; what does not match is computed again. Files appear by renaming, so readers see whole entries or none. The
sum of all entries is kept in a file beside them, changed under a lock; only when it passes the bound are the entries
looked through, and those not used for longest removed.
"""

import json
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from logging import getLogger
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from serenade.core.files import cache_folder, locked
from serenade.signal import SIGNAL_VERSION

__all__ = ["FeatureCache"]

_FORMAT = 1  # of the entries; raise it when older ones must not be read
_KEPT_SHARE = 0.8  # of the bound, after entries were removed: room for many new ones before the next look
_TOUCH_EVERY_S = 600.0  # the time of last use is that exact, so that most reads write nothing
_ABANDONED_S = 3600.0  # a temporary file that old was left by a process that died

_log = getLogger(__name__)


class FeatureCache:
    """Tensors by key on disk; safe with any number of processes that read and write it at once.

    A cache never fails the work: what cannot be read is computed again, and where nothing can be written a warning is
    logged once and the work goes on without.

    Args:
        folder: where the entries are; None for ``features`` in the user's cache folder.
        max_bytes: bound of all entries together; least recently used ones are removed.
    """

    def __init__(self, folder: Path | None = None, *, max_bytes: int = 8 * 2**30) -> None:
        self.folder = cache_folder() / "features" if folder is None else folder
        self.max_bytes = max_bytes
        self._writable = True

    def get(self, key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors of a key, computed and stored where they are not there yet.

        Args:
            key: names everything the tensors depend on besides `SIGNAL_VERSION`: content of the recording, settings.
            compute: makes the tensors; its errors pass through and nothing is stored.

        Returns:
            Name to tensor, on the CPU, the same values whether stored or computed.
        """
        path = self._path(key)
        stored = self._read(path, key)
        if stored is not None:
            return stored
        tensors = {name: _plain(tensor) for name, tensor in compute().items()}
        if self._writable:
            self._put(path, key, tensors)
        return tensors

    def _path(self, key: str) -> Path:
        name = sha256(f"{_FORMAT}/{SIGNAL_VERSION}/{key}".encode()).hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.safetensors"

    def _read(self, path: Path, key: str) -> dict[str, Tensor] | None:
        """The entry, or None where it is missing, damaged or of another key."""
        try:
            data = path.read_bytes()
        except OSError:
            return None
        tensors = _unpack(data, key)
        if tensors is None:
            _log.warning("cache entry %s is damaged and is computed again", path)
            return None
        with suppress(OSError):  # removed or not ours to touch: the entry was read all the same
            now = time.time()
            if now - path.stat().st_mtime > _TOUCH_EVERY_S:
                os.utime(path, (now, now))
        return tensors

    def _put(self, path: Path, key: str, tensors: Mapping[str, Tensor]) -> None:
        data = _pack(tensors, key)
        if len(data) > self.max_bytes:
            return
        try:
            _write(path, data)
            self._account(len(data))
        except OSError as error:
            self._writable = False
            _log.warning("features are not cached any more: %s: %s", self.folder, error.strerror or error)

    def _evict(self) -> int:
        """Where the entries pass the bound, remove the least recently used; return the bytes that stay."""
        entries, now = [], time.time()
        for path in self.folder.glob("??/*"):
            with suppress(FileNotFoundError):
                facts = path.stat()
                if path.suffix == ".safetensors":
                    entries.append((facts.st_mtime, facts.st_size, path))
                elif now - facts.st_mtime > _ABANDONED_S:
                    path.unlink()
        total = sum(size for _, size, _ in entries)
        wanted = _KEPT_SHARE * self.max_bytes if total > self.max_bytes else total
        for _, size, path in sorted(entries):
            if total <= wanted:
                break
            path.unlink(missing_ok=True)
            total -= size
        return total

    def _account(self, new_bytes: int) -> None:
        """Add to the sum of all entries, under a lock, and keep it within the bound."""
        with locked(self.folder / "total") as handle:
            text = os.read(handle, 32)
            known = text.strip().isdigit()
            total = int(text) + new_bytes if known else 0
            if not known or total > self.max_bytes:
                total = self._evict()
            os.lseek(handle, 0, os.SEEK_SET)
            os.ftruncate(handle, os.write(handle, f"{total}\n".encode()))


def _write(path: Path, data: bytes) -> None:
    """Put a whole file in place. Without fsync, unlike `core.files`: an entry lost to a power cut is computed again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _plain(tensor: Tensor) -> Tensor:
    """The tensor as it would come from a file: on the CPU, contiguous, fit for training."""
    plain = tensor.detach().cpu().contiguous()
    return plain.clone() if plain.is_inference() else plain


def _pack(tensors: Mapping[str, Tensor], key: str) -> bytes:
    sums = {name: _checksum(tensor) for name, tensor in tensors.items()}
    # Each in its own memory, as safetensors wants it: a network may get one tensor under two names.
    owned = {name: tensor.clone() for name, tensor in tensors.items()}
    return save(owned, metadata={"key": key, "sums": json.dumps(sums)})


def _unpack(data: bytes, key: str) -> dict[str, Tensor] | None:
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = header["__metadata__"]
        sums = json.loads(metadata["sums"])
        if metadata["key"] != key:
            return None
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError):
        return None
    if {name: _checksum(tensor) for name, tensor in tensors.items()} != sums:
        return None
    return tensors


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data)
