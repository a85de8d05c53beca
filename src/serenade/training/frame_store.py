"""Frames of frozen upstreams on disk: computed once, in 16 bits, memory-mapped.

A store is a folder of one upstream, one choice of layers and one number type::

    STORE/
      store.json        what it holds
      frames-00000.bin  numbers, one utterance behind the other, each (layers, frames, D)
      index.jsonl       one line per utterance: key, shard, where it begins, how many frames

Numbers are written before the line that tells of them. After a kill every utterance is there whole or not at all: what
stands behind the last line of the index is written over. One process writes at a time, any number may read.

`training.cache` is for features of systems, which are cheap to compute and may be thrown away when room is needed; a
store keeps what took hours, and does not read it into memory.
"""

import json
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from serenade.core.errors import StorageError, TrainingError, UsageError
from serenade.core.files import cache_folder, locked, storage_errors, write_json, write_text
from serenade.core.wording import counted

__all__ = ["NUMBERS", "FrameNumbers", "FrameStore", "FrameWriter", "StoreKind"]

_FORMAT = 1
_SHARD_BYTES = 2**30
_KIND_FILE, _INDEX_FILE, _LOCK_FILE = "store.json", "index.jsonl", "lock"
_BYTES = 2  # of a number

FrameNumbers = Literal["float16", "bfloat16"]
"""How numbers are stored: float16 has 11 bits of precision up to 65504, bfloat16 8 bits and no such bound."""

NUMBERS: tuple[FrameNumbers, ...] = get_args(FrameNumbers)

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class StoreKind:
    """What a store holds.

    Args:
        upstream: `Upstream.identity` of what made the frames.
        kind: its architecture, for people.
        dim: D.
        layers: numbers of the layers that are stored, in order.
        frame_rate: frames per second; None where they are not evenly spaced in time.
        engine: what computed them, such as "float32".
        numbers: how numbers are stored.
    """

    upstream: str
    kind: str
    dim: int
    layers: tuple[int, ...]
    frame_rate: float | None = None
    engine: str = "float32"
    numbers: FrameNumbers = "float16"

    @property
    def folder(self) -> Path:
        """Its place in the user's cache folder."""
        digest = sha256(json.dumps([_FORMAT, asdict(self)]).encode()).hexdigest()
        return cache_folder() / "frames" / f"{self.kind}-{digest[:16]}"

    def num_bytes(self, frames: int) -> int:
        """Room that so many frames take on disk."""
        return frames * len(self.layers) * self.dim * _BYTES


@dataclass(frozen=True, slots=True)
class _Entry:
    shard: int
    start: int  # in numbers, not bytes
    frames: int


class FrameStore:
    """A store, opened or to be begun: nothing is written before frames are.

    Args:
        folder: where it lies.
        kind: what it holds; None for whatever an existing one holds.
        shard_bytes: a further file is begun when one has grown so large.

    Raises:
        UsageError: the folder holds a store of something else, or none although no kind is given.
    """

    def __init__(self, folder: Path, kind: StoreKind | None = None, *, shard_bytes: int = _SHARD_BYTES) -> None:
        self.folder, self._shard_bytes = folder, shard_bytes
        known = _read_kind(folder)
        if kind is None and known is None:
            raise UsageError("there are no stored frames in this folder", where=folder, expected=f"a {_KIND_FILE}")
        if known is not None and kind is not None and known != kind:
            raise UsageError(
                "this folder holds frames of another kind",
                where=folder,
                found=_differences(known, kind),
                expected=_differences(kind, known),
                hint="Choose another folder",
            )
        held = known if kind is None else kind
        assert held is not None
        self.kind: StoreKind = held
        self._entries: dict[str, _Entry] = {}
        self._read_bytes = 0  # of the index
        self._lost = False  # whether the index tells of frames that are not there
        self._maps: dict[int, Tensor] = {}
        self._refresh()

    @classmethod
    def at_home(cls, kind: StoreKind) -> "FrameStore":
        """The store of a kind in the user's cache folder."""
        return cls(kind.folder, kind)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def num_frames(self, key: str) -> int:
        """L, frames of an utterance."""
        return self._entries[key].frames

    @property
    def num_bytes(self) -> int:
        """Room that the frames take on disk."""
        return self.kind.num_bytes(sum(entry.frames for entry in self._entries.values()))

    def __getitem__(self, key: str) -> Tensor:
        """(layers, L, D) frames of an utterance, in the store's number type; mapped, not read: copy before a change.

        Raises:
            KeyError: it is not stored.
        """
        entry = self._entries[key]
        count = len(self.kind.layers) * entry.frames * self.kind.dim
        numbers = self._mapped(entry.shard, entry.start + count)[entry.start : entry.start + count]
        return numbers.view(len(self.kind.layers), entry.frames, self.kind.dim)

    @contextmanager
    def writing(self) -> Generator["FrameWriter", None, None]:
        """The right to add frames; waits while another process has it.

        Raises:
            StorageError: the folder cannot be written.
        """
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with storage_errors(self.folder), locked(self.folder / _LOCK_FILE):
            if _read_kind(self.folder) is None:
                write_json(self.folder / _KIND_FILE, {"format": _FORMAT, **asdict(self.kind)})
            self._refresh()
            if self._lost:
                self._forget_lost()
            yield FrameWriter(self)

    def _refresh(self) -> None:
        """Take note of what has come into the index; a line that was not finished does not count."""
        path = self.folder / _INDEX_FILE
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read_bytes)
            found = file.read()
        whole = found[: found.rfind(b"\n") + 1]
        sizes: dict[int, int] = {}
        for line in whole.splitlines():
            key, shard, start, frames = json.loads(line)
            if shard not in sizes:
                path = self._shard(shard)
                sizes[shard] = path.stat().st_size if path.exists() else 0
            entry = _Entry(shard, start, frames)
            if self._end(entry) * _BYTES <= sizes[shard]:  # else the file was cut short since: computed again
                self._entries[key] = entry
            else:
                self._entries.pop(key, None)
                self._lost = True
        self._read_bytes += len(whole)

    def _forget_lost(self) -> None:
        """Write the index anew, of what is there."""
        lines = "".join(_line(key, entry) for key, entry in self._entries.items())
        write_text(self.folder / _INDEX_FILE, lines)
        self._read_bytes, self._lost = len(lines.encode()), False

    def _shard(self, number: int) -> Path:
        return self.folder / f"frames-{number:05}.bin"

    def _end(self, entry: _Entry) -> int:
        return entry.start + len(self.kind.layers) * entry.frames * self.kind.dim

    def _mapped(self, shard: int, least: int) -> Tensor:
        """All numbers of a shard, at least so many."""
        known = self._maps.get(shard)
        if known is None or len(known) < least:
            path = self._shard(shard)
            size = path.stat().st_size // _BYTES
            if size < least:
                raise StorageError(
                    "stored frames were cut short",
                    where=path,
                    found=counted(size, "number"),
                    expected=f"{least} or more",
                )
            known = torch.from_file(str(path), shared=False, size=size, dtype=_DTYPES[self.kind.numbers])
            self._maps[shard] = known
        return known


class FrameWriter:
    """Adds frames to a store.

    Args:
        store: whose lock is held.
    """

    def __init__(self, store: FrameStore) -> None:
        self._store = store
        last = max(store._entries.values(), key=lambda e: (e.shard, e.start), default=None)
        self._shard, self._start = (0, 0) if last is None else (last.shard, store._end(last))

    def add(self, items: Sequence[tuple[str, Tensor]]) -> None:
        """Put utterances into the store, on the disk when this returns.

        Args:
            items: key and (layers, L, D) frames of each, L at least 1.

        Raises:
            TrainingError: a frame holds a value that is not finite, or that the store's number type cannot hold.
            StorageError: the disk is full or refuses.
        """
        store = self._store
        packed = [(key, _packed(key, frames, store.kind)) for key, frames in items]
        entries = {key: self._place(numbers) for key, numbers in packed}
        with storage_errors(store.folder):
            for shard in sorted({entry.shard for entry in entries.values()}):
                inside = [(entries[key].start, numbers) for key, numbers in packed if entries[key].shard == shard]
                data = torch.cat([numbers.flatten() for _, numbers in inside]).view(torch.uint8).numpy().data
                _write_at(store._shard(shard), inside[0][0] * _BYTES, data)
            told = "".join(_line(key, entry) for key, entry in entries.items()).encode()
            _write_at(store.folder / _INDEX_FILE, store._read_bytes, told)  # behind its last whole line
            store._read_bytes += len(told)
        store._entries.update(entries)

    def _place(self, numbers: Tensor) -> _Entry:
        """Where the next utterance goes."""
        if self._start and (self._start + numbers.numel()) * _BYTES > self._store._shard_bytes:
            self._shard, self._start = self._shard + 1, 0
        entry = _Entry(self._shard, self._start, numbers.shape[1])
        self._start = self._store._end(entry)
        return entry


def _line(key: str, entry: _Entry) -> str:
    return json.dumps([key, entry.shard, entry.start, entry.frames]) + "\n"


def _packed(key: str, frames: Tensor, kind: StoreKind) -> Tensor:
    """Frames in the store's number type, all finite."""
    expected = (len(kind.layers), kind.dim)
    if frames.ndim != 3 or (frames.shape[0], frames.shape[2]) != expected or frames.shape[1] < 1:
        raise UsageError(
            "frames of another shape than the store holds",
            where=key,
            found=tuple(frames.shape),
            expected=f"({expected[0]}, frames, {expected[1]})",
        )
    if not bool(frames.isfinite().all()):
        bad = int((~frames.isfinite()).sum())
        raise TrainingError(
            f"the {kind.kind} upstream gave frames that are not finite",
            where=key,
            found=f"{bad} of {frames.numel()} values",
            hint="Look at the recording, and check the weights with `serenade upstream check`",
        )
    numbers = frames.detach().cpu().to(_DTYPES[kind.numbers]).contiguous()
    if not bool(numbers.isfinite().all()):
        raise TrainingError(
            f"a frame of the {kind.kind} upstream is too large for {kind.numbers}",
            where=key,
            found=f"a magnitude of {float(frames.abs().max()):g}",
            expected=f"at most {torch.finfo(_DTYPES[kind.numbers]).max:g}",
            hint="Store bfloat16",
        )
    return numbers


def _write_at(path: Path, position: int, data: bytes | memoryview) -> None:
    """Put bytes at a position of a file, on the disk when this returns; what stood behind is cut off."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(position)
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _read_kind(folder: Path) -> StoreKind | None:
    path = folder / _KIND_FILE
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != _FORMAT:
            raise ValueError("another format")
        return StoreKind(**{**values, "layers": tuple(values["layers"])})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "the description of stored frames cannot be read", where=path, found=str(error), hint="Remove the folder"
        ) from error


def _differences(one: StoreKind, other: StoreKind) -> str:
    mine, others = asdict(one), asdict(other)
    return ", ".join(f"{name} = {value}" for name, value in mine.items() if value != others[name])
