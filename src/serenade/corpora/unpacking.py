"""Archives from strangers, unpacked so that nothing is written outside of the folder that was asked for.

An archive is a file that somebody else made. Absolute names, names that climb out with ``..`` and names on another
drive are refused, and then nothing of the archive stays. Links and devices are never made: a link could lead the next
member anywhere. Rights, owners and times in the archive are not taken over.
"""

import gzip
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from serenade.core.errors import FetchError
from serenade.core.files import storage_errors
from serenade.corpora.downloading import Received, require_space

__all__ = ["Unpacked", "is_archive", "unpack"]

_BLOCK = 1 << 20
_UTF8_NAMES = 0x800  # bit of a zip member's flags: its name is UTF-8
_ENCRYPTED = 0x1
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    LZMAError,
    EOFError,
    NotImplementedError,
)
_ARCHIVE_NAME = re.compile(r".*\.(zip|tar|tar\.gz|tgz|tar\.bz2|tar\.xz)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out of an archive.

    Args:
        files: names below the folder, with their bytes, in the order of the archive.
        links: names of links and devices, which were not made.
    """

    files: dict[str, int]
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Member:
    """A file of an archive; ``content`` is None for what is no plain file."""

    name: str
    size: int
    content: Callable[[], IO[bytes]] | None


def is_archive(path: Path) -> bool:
    """Whether the name is one of an archive that can be unpacked."""
    return _ARCHIVE_NAME.fullmatch(path.name) is not None


def unpack(
    archive: Path, folder: Path, *, strip: int = 0, keep: Sequence[str] = (), received: Received | None = None
) -> Unpacked:
    """Unpack a zip or tar archive into a folder.

    Args:
        archive: the archive; its content says what it is, not its name.
        folder: where to; made if it is not there.
        strip: how many leading folders to take off every name; what has no more is left out.
        keep: names (after `strip`) or folders (ending in ``/``) to unpack; all if empty.
        received: called with the bytes read of the archive and its size.

    Raises:
        FetchError: it is no archive, damaged, encrypted, or a name leads outside of the folder.
        StorageError: the disk is full or refuses.
    """
    files: dict[str, int] = {}
    links = []
    with _damage(archive), archive.open("rb") as raw:
        size = archive.stat().st_size
        for member in _members(raw, archive, folder):
            name = _place(member.name, archive, strip, keep)
            if name is None:
                continue
            if member.content is None:
                links.append(name)
                continue
            _write(member, folder / name)
            files[name] = member.size
            if received is not None:
                received(min(raw.tell(), size), size)
    if not files:
        raise FetchError("there is nothing in the archive that is looked for", where=archive)
    return Unpacked(files, tuple(links))


def _members(raw: IO[bytes], archive: Path, folder: Path) -> Iterator[_Member]:
    if zipfile.is_zipfile(raw):
        yield from _zip_members(zipfile.ZipFile(raw), archive, folder)
        return
    raw.seek(0)
    try:
        opened = tarfile.open(fileobj=raw, mode="r:*")  # noqa: SIM115 - closing is the archive file's business
    except tarfile.ReadError as error:
        raise FetchError(
            "this is no zip or tar archive",
            where=archive,
            found=_beginning(archive),
        ) from error
    yield from _tar_members(opened)


def _zip_members(opened: zipfile.ZipFile, archive: Path, folder: Path) -> Iterator[_Member]:
    infos = [info for info in opened.infolist() if not info.is_dir()]
    for info in infos:  # all names are looked at before anything is written
        _place(_zip_name(info), archive, 0, ())
        if info.flag_bits & _ENCRYPTED:
            raise FetchError("the archive is encrypted", where=archive, found=info.filename)
    folder.mkdir(parents=True, exist_ok=True)
    require_space(folder, sum(info.file_size for info in infos))
    for info in infos:
        mode = info.external_attr >> 16
        plain = stat.S_IFMT(mode) in (0, stat.S_IFREG)
        yield _Member(_zip_name(info), info.file_size, _opener(opened, info) if plain else None)


def _opener(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: opened.open(info)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The member's name; names that are UTF-8 without saying so (zips from a Mac) are read as such."""
    if info.flag_bits & _UTF8_NAMES:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _tar_members(opened: tarfile.TarFile) -> Iterator[_Member]:
    for info in opened:
        if not info.isdir():
            yield _Member(info.name, info.size, _tar_opener(opened, info) if info.isreg() else None)
    compressed = opened.fileobj
    while compressed is not None and compressed.read(_BLOCK):
        pass  # the sum of a gzip stands at its very end, behind the last member


def _tar_opener(opened: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def open_member() -> IO[bytes]:
        content = opened.extractfile(info)
        assert content is not None, "a regular file has content"
        return content

    return open_member


def _place(name: str, archive: Path, strip: int, keep: Sequence[str]) -> str | None:
    """Where a member belongs below the folder; None where it is not wanted.

    Raises:
        FetchError: the name leads outside.
    """
    clean = name.replace("\\", "/")
    if clean.startswith("/") or re.match(r"[A-Za-z]:/", clean) or ".." in clean.split("/") or "\0" in clean:
        raise FetchError(
            "the archive wants to write outside of its folder, so nothing of it was unpacked",
            where=archive,
            found=name,
            hint="Do not use it: an honest corpus has no such names",
        )
    parts = PurePosixPath(clean).parts[strip:]
    if not parts or "__MACOSX" in parts or parts[-1].startswith("._"):
        return None
    place = "/".join(parts)
    wanted = not keep or any(place == one or (one.endswith("/") and place.startswith(one)) for one in keep)
    return place if wanted else None


def _write(member: _Member, path: Path) -> None:
    assert member.content is not None
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.content() as content, path.open("wb") as file:
            written = 0
            while block := content.read(_BLOCK):
                file.write(block)
                written += len(block)
    if written != member.size:
        raise EOFError(f"{member.name} has {written} of {member.size} bytes")


@contextmanager
def _damage(archive: Path) -> Iterator[None]:
    """Turn what a broken archive throws into an error that names it."""
    try:
        yield
    except _DAMAGE as error:
        raise FetchError(
            "the archive is damaged",
            where=archive,
            found=str(error) or type(error).__name__,
        ) from error


def _beginning(path: Path) -> str:
    """The first bytes of a file, for a person to see what it is instead."""
    with path.open("rb") as file:
        first = file.read(60)
    text = first.decode("utf-8", errors="replace").split("\n")[0]
    shown = text if text.isprintable() and text.strip() else first[:8].hex(" ")
    return f"{path.stat().st_size} bytes that begin with {shown!r}"
