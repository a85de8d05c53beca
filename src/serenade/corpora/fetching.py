"""A corpus from its home into a folder: fetched, verified, unpacked, and noted down beside the data.

Everything in progress lies in ``FOLDER/.serenade-fetch/``: parts of archives, archives that are being unpacked. An
archive is unpacked there and then moved to its place, so the folder never holds half of one. What is finished stands in
``FOLDER/serenade-fetch.json``: from where, when, how large, the hashes, and whether these were compared with what the
home publishes. A second run finds there what is done and does the rest.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

from serenade.core.errors import FetchError, UsageError
from serenade.core.files import read_json, storage_errors, write_json
from serenade.corpora.downloading import Digests, Network, download
from serenade.corpora.layout import FETCH_RECORD
from serenade.corpora.sources import Archive, Source, choose, notice
from serenade.corpora.unpacking import Unpacked, is_archive, unpack

__all__ = ["Fetched", "Progress", "fetch", "missing_archives"]

_WORK = ".serenade-fetch"
_FORMAT = 1
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(.*\n)*?oid sha256:(?P<sha256>[0-9a-f]{64})\nsize (?P<size>\d+)\n?"
)
_LONGEST_POINTER = 1024
_CONNECTIONS = 8  # for the many small files of Git LFS

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, the bytes done, and the bytes in all, None where nobody says."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a call of `fetch` did.

    Args:
        folder: where the corpus lies.
        fetched: names of the archives that came now.
        kept: names of those that were there already.
        unverified: names of those, of both, for which no checksum of the home is known.
        files: how many files the archives held.
        size: the bytes of these files.
    """

    folder: Path
    fetched: tuple[str, ...]
    kept: tuple[str, ...]
    unverified: tuple[str, ...]
    files: int
    size: int


def fetch(
    source: Source,
    folder: Path,
    *,
    parts: Sequence[str] = (),
    mirror: str | None = None,
    network: Network | None = None,
    progress: Progress | None = None,
    keep_archives: bool = False,
) -> Fetched:
    """Fetch what is not there yet of a corpus; may be interrupted at any time and called again.

    Args:
        source: what to fetch: of `serenade.corpora.sources`.
        folder: where to; empty, or an earlier call's.
        parts: the parts of the corpus; all if empty.
        mirror: where copies of the archives lie under their names, instead of the home.
        network: how patient to be.
        progress: called while it works.
        keep_archives: leave the archives in ``.serenade-fetch``.

    Raises:
        FetchError: no network, a refusal, a damaged archive, or a corpus that one must ask for.
        UsageError: the folder holds something else, or there is no such part.
        StorageError: the disk is full or refuses.
    """
    archives = choose(source, tuple(parts))
    todo = missing_archives(source, folder, parts)
    record = _Record(source, folder)
    job = _Job(source, record, mirror, network or Network(), progress or (lambda *_: None), keep_archives)
    if todo:
        with _alone(record.work):
            for archive in todo:
                job.fetch(archive)
    entries = [record.archives[archive.name] for archive in archives]
    return Fetched(
        folder,
        fetched=tuple(archive.name for archive in todo),
        kept=tuple(archive.name for archive in archives if archive not in todo),
        unverified=tuple(archive.name for archive in archives if not record.archives[archive.name]["verified_by"]),
        files=sum(entry["files"] for entry in entries),
        size=sum(entry["bytes"] for entry in entries),
    )


def missing_archives(source: Source, folder: Path, parts: Sequence[str] = ()) -> tuple[Archive, ...]:
    """The archives of a corpus that a folder does not hold, whole and as they came.

    Raises:
        FetchError: one must ask for the corpus.
        UsageError: the folder holds something else, or there is no such part.
    """
    archives = choose(source, tuple(parts))
    record = _Record(source, folder)
    return tuple(archive for archive in archives if not record.holds(archive))


class _Record:
    """What of a corpus a folder holds.

    Raises:
        UsageError: the folder holds something else.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self.source, self.folder, self.work = source, folder, folder / _WORK
        self._path = folder / FETCH_RECORD
        self.archives: dict[str, dict[str, Any]] = {}
        if self._path.is_file():
            self._read()
        elif folder.exists() and (not folder.is_dir() or any(path.name != _WORK for path in folder.iterdir())):
            raise UsageError(
                "the folder is not empty and was not made by fetch, so nothing is put there",
                where=folder,
                hint=f"Give another folder. If the corpus lies there: serenade corpus check {source.name} {folder}",
            )

    def _read(self) -> None:
        try:
            stored = read_json(self._path)
            name, archives = stored["corpus"], stored["archives"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                "the note on what was fetched cannot be read", where=self._path, hint="Give another folder"
            ) from error
        if name != self.source.name:
            raise UsageError(
                "the folder holds another corpus",
                where=self.folder,
                found=name,
                expected=self.source.name,
                hint="Give another folder",
            )
        self.archives = archives

    def holds(self, archive: Archive) -> bool:
        """Whether every file of an archive lies where it was put, in its size."""
        listed = self._files_of(archive)
        if archive.name not in self.archives or not listed.is_file():
            return False
        return all(_size(self.folder / name) == size for name, size in read_json(listed).items())

    def add(self, archive: Archive, url: str, digests: Digests, unpacked: Unpacked) -> None:
        write_json(self._files_of(archive), unpacked.files)
        self.archives[archive.name] = {
            "url": url,
            "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
            "size": digests.size,
            "md5": digests.md5,
            "sha256": digests.sha256,
            "verified_by": archive.checksum,
            "files": len(unpacked.files),
            "bytes": sum(unpacked.files.values()),
            "links_left_out": list(unpacked.links),
        }
        self.write()

    def write(self) -> None:
        about = notice(self.source)
        write_json(
            self._path,
            {
                "format": _FORMAT,
                "corpus": self.source.name,
                "title": about.title,
                "homepage": about.homepage,
                "licence": about.licence,
                "citation": about.citation,
                "archives": self.archives,
            },
        )

    def _files_of(self, archive: Archive) -> Path:
        return self.work / f"{archive.name}.files.json"


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Keep a second fetch out of a folder while the block runs; the system lets go of it however the process ends.

    Raises:
        UsageError: another fetch is at work there.
    """
    with storage_errors(work):
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / "lock").open("w")
    with lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass  # Windows: two at once are the user's to avoid
        except BlockingIOError as error:
            raise UsageError(
                "another fetch is at work in this folder", where=work.parent, hint="Wait for it or give another folder"
            ) from error
        yield


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


class _Job:
    """Fetching into one folder."""

    def __init__(
        self,
        source: Source,
        record: _Record,
        mirror: str | None,
        network: Network,
        progress: Progress,
        keep_archives: bool,
    ) -> None:
        self.source, self.record, self.mirror = source, record, mirror
        self.network, self.progress, self.keep_archives = network, progress, keep_archives

    def fetch(self, archive: Archive) -> None:
        """Fetch, verify, unpack, put in place, note down."""
        self.record.write()  # from now on the folder is known as this corpus's
        path = self.record.work / archive.name
        url = self._address(archive.url, archive.name)
        digests = download(
            url,
            path,
            size=archive.size,
            checksum=archive.checksum,
            network=self.network,
            received=partial(self.progress, f"Fetching {archive.name}"),
            verified=partial(self.progress, f"Verifying {archive.name}"),
        )
        staging = self.record.work / f"{archive.name}.unpacked"
        with storage_errors(staging):
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
        unpacked = self._unpack(archive, path, staging)
        if archive.pointers is not None:
            unpacked = self._fill_pointers(self.mirror or archive.pointers, staging, unpacked)
        with storage_errors(self.record.folder):
            _move_all(staging, self.record.folder)
            self.record.add(archive, url, digests, unpacked)
            shutil.rmtree(staging, ignore_errors=True)
            if not self.keep_archives:
                path.unlink(missing_ok=True)

    def _address(self, url: str, name: str) -> str:
        return url if self.mirror is None else f"{self.mirror.rstrip('/')}/{quote(name)}"

    def _unpack(self, archive: Archive, path: Path, staging: Path) -> Unpacked:
        if not is_archive(path):
            shutil.copyfile(path, staging / archive.name)
            return Unpacked({archive.name: path.stat().st_size}, ())
        received = partial(self.progress, f"Unpacking {archive.name}")
        try:
            unpacked = unpack(path, staging, strip=archive.strip, keep=archive.keep, received=received)
            return self._unpack_nested(staging, unpacked) if archive.nested else unpacked
        except FetchError as error:
            path.unlink(missing_ok=True)
            raise FetchError(
                error.what,
                where=error.where,
                found=error.found,
                expected=error.expected,
                hint=error.hint or "It was thrown away: run the same command again to fetch it anew",
            ) from error

    def _unpack_nested(self, staging: Path, unpacked: Unpacked) -> Unpacked:
        """Unpack the archives that lie in an archive, each where it lies."""
        files, links = dict(unpacked.files), list(unpacked.links)
        for name in [name for name in files if is_archive(Path(name))]:
            inner = staging / name
            received = partial(self.progress, f"Unpacking {name}")
            found = unpack(inner, inner.parent, received=received)
            inner.unlink()
            del files[name]
            above = "" if "/" not in name else name.rpartition("/")[0] + "/"
            files |= {above + below: size for below, size in found.files.items()}
            links += [above + below for below in found.links]
        return Unpacked(files, tuple(links))

    def _fill_pointers(self, base: str, staging: Path, unpacked: Unpacked) -> Unpacked:
        """Put the files of Git LFS in place of their pointers, each verified by the pointer's SHA-256."""
        pointers = {name: found for name in unpacked.files if (found := _read_pointer(staging / name)) is not None}
        store = self.record.work / "lfs"
        self._fetch_objects(base, store, pointers)
        files = dict(unpacked.files)
        for name, (sha256, size) in pointers.items():
            with storage_errors(staging / name):
                shutil.copyfile(store / sha256, staging / name)
            files[name] = size
        shutil.rmtree(store, ignore_errors=True)
        return Unpacked(files, unpacked.links)

    def _fetch_objects(self, base: str, store: Path, pointers: dict[str, tuple[str, int]]) -> None:
        wanted = list(_each_once(pointers))
        total, done = sum(size for _, _, size in wanted), 0
        stop = Event()

        def pause(seconds: float) -> None:
            if stop.wait(seconds):
                raise FetchError("stopped, because another file failed or the user wished it")

        network = replace(self.network, pause=pause)
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            running = {}
            for name, sha256, size in wanted:
                url = f"{base.rstrip('/')}/{quote(name)}"
                checksum = f"sha256:{sha256}"
                task = pool.submit(download, url, store / sha256, size=size, checksum=checksum, network=network)
                running[task] = size
            try:
                for task in as_completed(running):
                    task.result()
                    done += running[task]
                    self.progress("Fetching recordings", done, total)
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _each_once(pointers: dict[str, tuple[str, int]]) -> Iterator[tuple[str, str, int]]:
    """Name, SHA-256 and size of every pointer whose content no other before it has."""
    seen = set()
    for name, (sha256, size) in pointers.items():
        if sha256 not in seen:
            seen.add(sha256)
            yield name, sha256, size


def _read_pointer(path: Path) -> tuple[str, int] | None:
    """SHA-256 and size of the file that a Git LFS pointer stands for; None for any other file.

    The format: github.com/git-lfs/git-lfs, docs/spec.md.
    """
    if path.stat().st_size > _LONGEST_POINTER:
        return None
    found = _POINTER.fullmatch(path.read_bytes())
    return None if found is None else (found["sha256"].decode(), int(found["size"]))


def _move_all(staging: Path, folder: Path) -> None:
    """Move every file to its place in a folder."""
    for path in sorted(staging.rglob("*")):
        place = folder / path.relative_to(staging)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            path.replace(place)
