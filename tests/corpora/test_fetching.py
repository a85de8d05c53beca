"""A corpus from its home into a folder: interrupted, repeated, damaged, and put together from Git LFS."""

import hashlib
import io
import json
import tarfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.corpora.server import Home, serve
from tests.corpora.trees import fingerprint

from serenade.core.errors import FetchError, StorageError, UsageError
from serenade.corpora import fetching
from serenade.corpora.downloading import Network
from serenade.corpora.fetching import fetch, missing_archives
from serenade.corpora.layout import FETCH_RECORD, walk_files
from serenade.corpora.sources import Archive, Notice, Source

FAST = Network(attempts=3, pause_s=0.001, timeout_s=5)
ABOUT = Notice("Tiny", "CC0 1.0", "Nobody: Nothing. 2020.", "https://example.org", True)


def zip_of(files: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def md5_of(content: bytes) -> str:
    return "md5:" + hashlib.md5(content, usedforsecurity=False).hexdigest()


ONE = zip_of({"top/a/1.wav": b"1" * 5000, "top/a/2.wav": b"2" * 6000, "top/notes.txt": b"notes"})
TWO = tar_of({"b/3.wav": b"3" * 7000})
INSIDE = {"a/1.wav": b"1" * 5000, "a/2.wav": b"2" * 6000, "notes.txt": b"notes", "b/3.wav": b"3" * 7000}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def home() -> Iterator[Home]:
    with serve(Home({"/one.zip": ONE, "/two.tar.gz": TWO})) as running:
        yield running


@pytest.fixture
def tiny(home: Home) -> Source:
    archives = (
        Archive(f"{home.url}/one.zip", "one.zip", len(ONE), md5_of(ONE), part="a", strip=1),
        Archive(f"{home.url}/two.tar.gz", "two.tar.gz", part="b"),
    )
    return Source("tiny", archives, own_notice=ABOUT)


def visible(folder: Path) -> dict[str, bytes]:
    """What a loader sees."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in walk_files(folder)}


def in_progress(folder: Path) -> set[str]:
    work = folder / ".serenade-fetch"
    return {path.name for path in work.iterdir() if path.name != "lock" and not path.name.endswith(".files.json")}


def test_a_corpus_is_fetched_and_noted_down(tiny: Source, tmp_path: Path) -> None:
    seen: list[str] = []
    folder = tmp_path / "tiny"
    done = fetch(tiny, folder, network=FAST, progress=lambda what, *_: seen.append(what))
    assert visible(folder) == INSIDE
    assert (done.fetched, done.kept, done.unverified) == (("one.zip", "two.tar.gz"), (), ("two.tar.gz",))
    assert (done.files, done.size) == (4, sum(map(len, INSIDE.values())))
    assert in_progress(folder) == set()
    assert dict.fromkeys(seen) == dict.fromkeys(
        f"{doing} {name}" for name in ("one.zip", "two.tar.gz") for doing in ("Fetching", "Verifying", "Unpacking")
    )
    noted = json.loads((folder / FETCH_RECORD).read_text())
    assert (noted["corpus"], noted["licence"], noted["citation"]) == ("tiny", ABOUT.licence, ABOUT.citation)
    one, two = noted["archives"]["one.zip"], noted["archives"]["two.tar.gz"]
    assert one["verified_by"] == md5_of(ONE)
    assert two["verified_by"] is None
    assert two["sha256"] == hashlib.sha256(TWO).hexdigest()
    assert (one["size"], one["files"], one["bytes"]) == (len(ONE), 3, 11_005)


def test_a_second_run_finds_all_done_and_does_nothing(home: Home, tiny: Source, tmp_path: Path) -> None:
    fetch(tiny, tmp_path / "tiny", network=FAST)
    before = fingerprint(tmp_path)
    home.requests.clear()
    done = fetch(tiny, tmp_path / "tiny", network=FAST)
    assert (done.fetched, done.kept) == ((), ("one.zip", "two.tar.gz"))
    assert home.requests == []
    assert fingerprint(tmp_path) == before
    assert missing_archives(tiny, tmp_path / "tiny") == ()


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_what_was_lost_since_is_fetched_again(home: Home, tiny: Source, tmp_path: Path, damage: str) -> None:
    fetch(tiny, tmp_path / "tiny", network=FAST)
    victim = tmp_path / "tiny" / "b" / "3.wav"
    if damage == "lost":
        victim.unlink()
    else:
        victim.write_bytes(b"3")
    home.requests.clear()
    assert fetch(tiny, tmp_path / "tiny", network=FAST).fetched == ("two.tar.gz",)
    assert visible(tmp_path / "tiny") == INSIDE


def test_parts_are_chosen_and_added(tiny: Source, tmp_path: Path) -> None:
    fetch(tiny, tmp_path / "tiny", parts=["b"], network=FAST)
    assert set(visible(tmp_path / "tiny")) == {"b/3.wav"}
    fetch(tiny, tmp_path / "tiny", parts=["a"], network=FAST)
    assert visible(tmp_path / "tiny") == INSIDE
    assert fetch(tiny, tmp_path / "tiny", network=FAST).fetched == ()


def test_a_mirror_gives_the_archives_by_their_names(home: Home, tiny: Source, tmp_path: Path) -> None:
    moved = replace(tiny, archives=tuple(replace(one, url="http://127.0.0.1:9/gone") for one in tiny.archives))
    home.files = {f"/copies{path}": content for path, content in home.files.items()}
    fetch(moved, tmp_path / "tiny", mirror=f"{home.url}/copies/", network=FAST)
    assert visible(tmp_path / "tiny") == INSIDE


def test_a_mirror_is_not_trusted_more_than_the_home(home: Home, tiny: Source, tmp_path: Path) -> None:
    home.files["/one.zip"] = zip_of({"top/a/1.wav": b"x" * 5000, "top/a/2.wav": b"2" * 6000, "top/notes.txt": b"notes"})
    with pytest.raises(FetchError, match="not the one that its home published"):
        fetch(tiny, tmp_path / "tiny", mirror=home.url, network=FAST)
    assert visible(tmp_path / "tiny") == {}


def test_the_first_archive_stays_when_the_second_fails(home: Home, tiny: Source, tmp_path: Path) -> None:
    home.statuses = [0, 404]
    with pytest.raises(FetchError, match="404"):
        fetch(tiny, tmp_path / "tiny", network=FAST)
    assert set(visible(tmp_path / "tiny")) == {"a/1.wav", "a/2.wav", "notes.txt"}
    home.requests.clear()
    fetch(tiny, tmp_path / "tiny", network=FAST)
    assert [path for path, _ in home.requests] == ["/two.tar.gz"]
    assert visible(tmp_path / "tiny") == INSIDE


def test_an_interruption_while_unpacking_leaves_no_half_corpus(home: Home, tiny: Source, tmp_path: Path) -> None:
    def interrupt(what: str, *_: object) -> None:
        if what == "Unpacking one.zip":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tiny, tmp_path / "tiny", network=FAST, progress=interrupt)
    assert visible(tmp_path / "tiny") == {}
    home.requests.clear()
    fetch(tiny, tmp_path / "tiny", network=FAST)
    assert [path for path, _ in home.requests] == ["/two.tar.gz"]  # the first archive was there already
    assert visible(tmp_path / "tiny") == INSIDE
    assert in_progress(tmp_path / "tiny") == set()


def test_an_interruption_while_fetching_is_continued(home: Home, tiny: Source, tmp_path: Path) -> None:
    home.break_after = [4000, 0, 0, 0]
    with pytest.raises(FetchError, match=r"4\.0 kB have come and are kept"):
        fetch(tiny, tmp_path / "tiny", network=FAST)
    home.break_after.clear()
    home.requests.clear()
    fetch(tiny, tmp_path / "tiny", network=FAST)
    assert home.requests[0] == ("/one.zip", "bytes=4000-")


@pytest.mark.parametrize(
    "content", [TWO[:100], b"<p>Sorry", zip_of({"../evil.wav": b"x"})], ids=["cut", "page", "escape"]
)
def test_an_archive_that_cannot_be_unpacked_is_thrown_away(
    home: Home, tiny: Source, tmp_path: Path, content: bytes
) -> None:
    home.files["/two.tar.gz"] = content
    with pytest.raises(FetchError):
        fetch(tiny, tmp_path / "tiny", parts=["b"], network=FAST)
    assert not (tmp_path / "tiny" / ".serenade-fetch" / "two.tar.gz").exists()
    assert visible(tmp_path) == {}
    home.files["/two.tar.gz"] = TWO
    fetch(tiny, tmp_path / "tiny", parts=["b"], network=FAST)
    assert set(visible(tmp_path / "tiny")) == {"b/3.wav"}


def test_a_full_disk_while_unpacking_is_said_and_cured(
    tiny: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("cannot write, the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(fetching, "unpack", full)
        with pytest.raises(StorageError):
            fetch(tiny, tmp_path / "tiny", network=FAST)
    assert visible(tmp_path / "tiny") == {}
    fetch(tiny, tmp_path / "tiny", network=FAST)
    assert visible(tmp_path / "tiny") == INSIDE


def test_two_at_once_do_not_mix(home: Home, tiny: Source, tmp_path: Path) -> None:
    def fetch_as_well(*_: object) -> None:
        with pytest.raises(UsageError, match="another fetch is at work in this folder"):
            fetch(tiny, tmp_path / "tiny", network=FAST)

    fetch(tiny, tmp_path / "tiny", network=FAST, progress=fetch_as_well)
    assert visible(tmp_path / "tiny") == INSIDE
    assert len(home.requests) == 2


def test_archives_can_be_kept(tiny: Source, tmp_path: Path) -> None:
    fetch(tiny, tmp_path / "tiny", network=FAST, keep_archives=True)
    assert in_progress(tmp_path / "tiny") == {"one.zip", "two.tar.gz"}
    assert (tmp_path / "tiny" / ".serenade-fetch" / "one.zip").read_bytes() == ONE
    assert visible(tmp_path / "tiny") == INSIDE


def test_a_plain_file_is_put_in_place(home: Home, tmp_path: Path) -> None:
    home.files["/labels.csv"] = b"a,b\n"
    source = Source("tiny", (Archive(f"{home.url}/labels.csv", "labels.csv"),), own_notice=ABOUT)
    fetch(source, tmp_path / "tiny", network=FAST)
    assert visible(tmp_path / "tiny") == {"labels.csv": b"a,b\n"}


def test_archives_in_an_archive_are_unpacked_where_they_lie(home: Home, tmp_path: Path) -> None:
    inner = tar_of({"train_splits/1.mp4": b"1", "train_splits/._1.mp4": b"mac"})
    home.files["/raw.tar.gz"] = tar_of({"MELD.Raw/train.tar.gz": inner, "MELD.Raw/train.csv": b"x"})
    archive = Archive(f"{home.url}/raw.tar.gz", "raw.tar.gz", strip=1, nested=True)
    source = Source("tiny", (archive,), own_notice=ABOUT)
    fetch(source, tmp_path / "tiny", network=FAST)
    assert visible(tmp_path / "tiny") == {"train_splits/1.mp4": b"1", "train.csv": b"x"}
    assert fetch(source, tmp_path / "tiny", network=FAST).fetched == ()


def test_a_folder_with_something_else_is_not_touched(tiny: Source, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    before = fingerprint(tmp_path)
    with pytest.raises(UsageError, match=r"not empty and was not made by fetch.*serenade corpus check tiny"):
        fetch(tiny, tmp_path, network=FAST)
    with pytest.raises(UsageError, match="not empty"):
        fetch(tiny, tmp_path / "mine.txt", network=FAST)
    assert fingerprint(tmp_path) == before


def test_a_folder_with_another_corpus_is_refused(tiny: Source, tmp_path: Path) -> None:
    fetch(tiny, tmp_path / "tiny", network=FAST)
    with pytest.raises(UsageError, match=r"holds another corpus.*Found: tiny. Expected: other"):
        fetch(replace(tiny, name="other"), tmp_path / "tiny", network=FAST)
    (tmp_path / "tiny" / FETCH_RECORD).write_text("[]")
    with pytest.raises(UsageError, match="cannot be read"):
        fetch(tiny, tmp_path / "tiny", network=FAST)


def pointer(content: bytes) -> bytes:
    """A Git LFS pointer, as its specification has it."""
    return (
        b"version https://git-lfs.github.com/spec/v1\n"
        + f"oid sha256:{hashlib.sha256(content).hexdigest()}\nsize {len(content)}\n".encode()
    )


RECORDINGS = {f"AudioWAV/{number:04d} A.wav": bytes([number]) * 3000 for number in range(20)}
RECORDINGS["AudioWAV/twin.wav"] = RECORDINGS["AudioWAV/0001 A.wav"]


@pytest.fixture
def with_pointers(home: Home) -> Source:
    listed = {f"repo-HEAD/{name}": pointer(content) for name, content in RECORDINGS.items()}
    home.files["/repo.zip"] = zip_of({**listed, "repo-HEAD/README.md": b"read", "repo-HEAD/Video/x.flv": pointer(b"x")})
    home.files |= {f"/media/{name}": content for name, content in RECORDINGS.items()}
    archive = Archive(
        f"{home.url}/repo.zip", "repo.zip", strip=1, keep=("AudioWAV/", "README.md"), pointers=f"{home.url}/media"
    )
    return Source("tiny", (archive,), own_notice=ABOUT)


def test_pointers_of_git_lfs_are_filled(home: Home, with_pointers: Source, tmp_path: Path) -> None:
    shown: list[tuple[int, int | None]] = []

    def note(what: str, done: int, total: int | None) -> None:
        if what == "Fetching recordings":
            shown.append((done, total))

    done = fetch(with_pointers, tmp_path / "tiny", network=FAST, progress=note)
    assert visible(tmp_path / "tiny") == {**RECORDINGS, "README.md": b"read"}
    assert done.size == 21 * 3000 + 4
    assert shown[-1] == (20 * 3000, 20 * 3000)  # the twin is fetched once
    assert in_progress(tmp_path / "tiny") == set()
    assert fetch(with_pointers, tmp_path / "tiny", network=FAST).fetched == ()


def test_recordings_that_came_before_a_failure_are_kept(home: Home, with_pointers: Source, tmp_path: Path) -> None:
    lost = home.files.pop("/media/AudioWAV/0019 A.wav")
    with pytest.raises(FetchError, match="404"):
        fetch(with_pointers, tmp_path / "tiny", network=FAST)
    assert visible(tmp_path / "tiny") == {}
    came = sum(path.startswith("/media") for path, _ in home.requests) - 1
    home.files["/media/AudioWAV/0019 A.wav"] = lost
    home.requests.clear()
    fetch(with_pointers, tmp_path / "tiny", network=FAST)
    assert len(home.requests) == 20 - came  # and the archive not again
    assert visible(tmp_path / "tiny") == {**RECORDINGS, "README.md": b"read"}


def test_a_failure_does_not_wait_for_those_that_are_pausing(home: Home, with_pointers: Source, tmp_path: Path) -> None:
    home.files["/media/AudioWAV/0003 A.wav"] = b"x"  # of another size: final at once
    home.troubled = {f"/media/AudioWAV/{number:04d} A.wav" for number in (0, 1, 2)}  # asked again in an hour
    began = time.monotonic()
    with pytest.raises(FetchError, match="not the one that its home published"):
        fetch(with_pointers, tmp_path / "tiny", network=Network(pause_s=3600, longest_pause_s=3600, timeout_s=5))
    assert time.monotonic() - began < 60


def test_a_recording_that_is_not_what_its_pointer_says_is_refused(
    home: Home, with_pointers: Source, tmp_path: Path
) -> None:
    home.files["/media/AudioWAV/0003 A.wav"] = b"x" * 3000
    with pytest.raises(FetchError, match=r"not the one that its home published: http.*0003%20A\.wav"):
        fetch(with_pointers, tmp_path / "tiny", network=FAST)
    assert visible(tmp_path / "tiny") == {}


def test_a_pointer_that_names_a_path_is_no_pointer(home: Home, tmp_path: Path) -> None:
    evil = b"version https://git-lfs.github.com/spec/v1\noid sha256:../../../evil\nsize 1\n"
    home.files["/repo.zip"] = zip_of({"a.wav": evil})
    archive = Archive(f"{home.url}/repo.zip", "repo.zip", pointers=f"{home.url}/media")
    fetch(Source("tiny", (archive,), own_notice=ABOUT), tmp_path / "tiny", network=FAST)
    assert visible(tmp_path / "tiny") == {"a.wav": evil}
