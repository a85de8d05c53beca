"""What stores of frames lie in the user's cache folder, when they were used last, and taking them away."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from serenade.core.errors import UsageError
from serenade.core.files import cache_folder, storage_errors
from serenade.training.frame_store import FrameStore

__all__ = ["KeptStore", "kept_stores", "mark_used", "remove_store"]

_MARK = "store.json"  # the time of its last change is that of the last use
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class KeptStore:
    """A store of frames in the cache folder.

    Args:
        folder: where it lies; the last part is its name.
        store: opened; None where it is damaged.
        num_bytes: room that its files take.
        used_s: when it was written or used last, in seconds since 1970.
    """

    folder: Path
    store: FrameStore | None
    num_bytes: int
    used_s: float

    @property
    def name(self) -> str:
        """What it is called."""
        return self.folder.name

    @property
    def unused_days(self) -> float:
        """Days since it was used last."""
        return max(0.0, time.time() - self.used_s) / _DAY_S


def kept_stores() -> list[KeptStore]:
    """All stores in the user's cache folder, the one that was used last first."""
    root = cache_folder() / "frames"
    found = [_kept(folder) for folder in root.iterdir() if folder.is_dir()] if root.is_dir() else []
    return sorted(found, key=lambda kept: (-kept.used_s, kept.name))


def _kept(folder: Path) -> KeptStore:
    sizes, times = zip((0, folder.stat().st_mtime), *_files(folder), strict=True)
    try:
        store = FrameStore(folder)
    except (UsageError, OSError, ValueError):  # listed all the same, so that it can be removed
        return KeptStore(folder, None, sum(sizes), max(times))
    return KeptStore(folder, store, sum(sizes), max(times[1:]))


def _files(folder: Path) -> Iterator[tuple[int, float]]:
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # removed by another process meanwhile
            about = path.stat()
            yield about.st_size, about.st_mtime


def mark_used(folder: Path) -> None:
    """Note that a store is in use now; where nothing can be written, it counts as used when it was written."""
    with suppress(OSError):
        os.utime(folder / _MARK)


def remove_store(kept: KeptStore) -> None:
    """Take a store away. A run that is using it fails, and computes the frames again when it is started again.

    Raises:
        StorageError: the disk refuses.
    """
    with storage_errors(kept.folder):
        shutil.rmtree(kept.folder)
