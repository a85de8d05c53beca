"""Archives from strangers: what comes out, and what never does."""

import gzip
import io
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from serenade.core.errors import FetchError, StorageError
from serenade.corpora import downloading
from serenade.corpora.unpacking import is_archive, unpack

FILES = {"top/wav/a.wav": b"a" * 1000, "top/wav/b.wav": b"b" * 2000, "top/README.md": b"read me", "top/empty.txt": b""}


def make_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()}


MAKERS = {
    "a.zip": make_zip,
    "a.tar.gz": make_tar,
    "a.tar": lambda path, files: make_tar(path, files, "w"),
    "a.tgz": make_tar,
    "a.tar.xz": lambda path, files: make_tar(path, files, "w:xz"),
}
every_kind = pytest.mark.parametrize("name", MAKERS)


@every_kind
def test_everything_comes_out(tmp_path: Path, name: str) -> None:
    archive = MAKERS[name](tmp_path / name, FILES)
    seen: list[tuple[int, int | None]] = []
    unpacked = unpack(archive, tmp_path / "out", received=lambda *now: seen.append(now))
    assert tree(tmp_path / "out") == FILES
    assert unpacked.files == {name: len(content) for name, content in FILES.items()}
    assert unpacked.links == ()
    assert is_archive(archive)
    assert len(seen) == len(FILES)
    assert all(0 < done <= (total or 0) == archive.stat().st_size for done, total in seen)


@every_kind
def test_leading_folders_are_taken_off_and_parts_chosen(tmp_path: Path, name: str) -> None:
    archive = MAKERS[name](tmp_path / name, FILES)
    unpack(archive, tmp_path / "out", strip=1, keep=["wav/", "empty.txt"])
    assert set(tree(tmp_path / "out")) == {"wav/a.wav", "wav/b.wav", "empty.txt"}


OUTSIDE = ["../evil.txt", "a/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "C:\\evil.txt", "C:/evil.txt"]


@pytest.mark.parametrize("evil", OUTSIDE)
def test_a_zip_that_climbs_out_is_refused_before_anything_is_written(tmp_path: Path, evil: str) -> None:
    archive = make_zip(tmp_path / "a.zip", {"good.txt": b"x", evil: b"x"})
    with pytest.raises(FetchError, match=r"wants to write outside of its folder, so nothing of it was unpacked"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "evil.txt").exists()


@pytest.mark.parametrize("evil", OUTSIDE)
def test_a_tar_that_climbs_out_writes_nothing_outside(tmp_path: Path, evil: str) -> None:
    archive = make_tar(tmp_path / "a.tar.gz", {"good.txt": b"x", evil: b"x"})
    with pytest.raises(FetchError, match="wants to write outside"):
        unpack(archive, tmp_path / "out")
    assert set(tree(tmp_path)) == {"a.tar.gz", "out/good.txt"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_never_made(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("door")
        link.type, link.linkname = kind, str(tmp_path)
        archive.addfile(link)
        through = tarfile.TarInfo("door/through.txt")
        through.size = 1
        archive.addfile(through, io.BytesIO(b"x"))
    unpacked = unpack(tmp_path / "a.tar", tmp_path / "out")
    assert unpacked.links == ("door",)
    assert not (tmp_path / "through.txt").exists()
    assert tree(tmp_path / "out") == {"door/through.txt": b"x"}
    assert not (tmp_path / "out" / "door").is_symlink()


def test_links_in_a_zip_are_never_made(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("door")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, str(tmp_path))
        archive.writestr("door/through.txt", "x")
    unpacked = unpack(tmp_path / "a.zip", tmp_path / "out")
    assert unpacked.links == ("door",)
    assert not (tmp_path / "through.txt").exists()


def test_what_a_mac_adds_is_left_out(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.wav": b"x", "._a.wav": b"x", "__MACOSX/a.wav": b"x"})
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"a.wav": b"x"}


def test_names_that_are_utf8_without_saying_so_are_read(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFC", "Colère/01.wav")
    make_zip(tmp_path / "a.zip", {"Col__re/01.wav": b"x"})
    raw = (tmp_path / "a.zip").read_bytes().replace(b"Col__re", "Colère".encode())
    (tmp_path / "a.zip").write_bytes(raw)
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert tree(tmp_path / "out") == {name: b"x"}


@every_kind
def test_an_archive_cut_short_is_damaged(tmp_path: Path, name: str) -> None:
    files = {f"{number}.bin": bytes([number]) * 50_000 for number in range(20)}
    archive = MAKERS[name](tmp_path / name, files)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(FetchError, match=r"damaged|no zip or tar archive"):
        unpack(archive, tmp_path / "out")


def test_a_zip_with_a_flipped_bit_is_damaged(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:  # stored, so that a flipped bit stays a flipped bit
        opened.writestr("a.bin", content)
    raw = bytearray(archive.read_bytes())
    raw[raw.index(content[:16]) + 5000] ^= 1
    archive.write_bytes(raw)
    with pytest.raises(FetchError, match=r"the archive is damaged.*Found: Bad CRC-32"):
        unpack(archive, tmp_path / "out")


def test_a_gzip_with_a_wrong_sum_is_damaged(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar.gz", {"a.bin": bytes(5000)})
    raw = bytearray(archive.read_bytes())
    raw[-8] ^= 1
    archive.write_bytes(raw)
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(bytes(raw))
    with pytest.raises(FetchError, match="damaged"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("content", [b"<!DOCTYPE html>\n<title>Sorry", b"", b"\0\1\2\3"])
def test_what_is_no_archive_is_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(FetchError, match=rf"no zip or tar archive.*Found: {len(content)} bytes that begin with"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", {"a.wav": b"x"})
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(FetchError, match=r"encrypted.*Found: a\.wav"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_nothing_to_find_is_an_error(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", FILES)
    with pytest.raises(FetchError, match="nothing in the archive that is looked for"):
        unpack(archive, tmp_path / "out", keep=["other/"])


def test_room_is_looked_for_before_a_zip_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip(tmp_path / "a.zip", FILES)
    usage = type(downloading.shutil.disk_usage(tmp_path))(10**9, 10**9 - 3006, 3006)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match="not enough room"):
        unpack(archive, tmp_path / "out")
