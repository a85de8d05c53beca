"""Miniature corpora in the real folder layout, and a way to see that nobody touched them."""

import hashlib
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import soundfile


def write_sound(path: Path, *, seconds: float = 0.1, key: str | None = None) -> Path:
    """A sound that differs from file to file: noise seeded by the key, which is the path if not given."""
    seed = int.from_bytes(hashlib.sha256((str(path) if key is None else key).encode()).digest()[:4], "big")
    noise = np.random.default_rng(seed).normal(0, 0.1, math.ceil(16000 * seconds))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(noise, -1, 1), 16000)
    return path


def write_bytes(path: Path) -> Path:
    """A file that only its name tells to be sound, for what decodes nothing; its bytes differ from file to file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(path.name.encode())
    return path


def make_emodb(
    root: Path, names: Iterable[str], *, suffix: str = ".wav", write: Callable[[Path], Path] = write_sound
) -> Path:
    """EMO-DB's layout with these recordings."""
    for name in names:
        write(root / "wav" / f"{name}{suffix}")
    (root / "erkennung.txt").write_bytes("Nr.\tSatz\tnat\u00fcrlich".encode("latin-1"))
    return root


def make_ravdess(
    root: Path,
    names: Iterable[str],
    *,
    suffix: str = ".wav",
    below: str = "",
    write: Callable[[Path], Path] = write_sound,
) -> Path:
    """RAVDESS's layout with these recordings; the official archive has them below a folder."""
    for name in names:
        write(root / below / f"Actor_{name[-2:]}" / f"{name}{suffix}")
    return root


def fingerprint(root: Path) -> dict[str, tuple[str, int]]:
    """Content and time of change of every file."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {
        path.relative_to(root).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in files
    }
