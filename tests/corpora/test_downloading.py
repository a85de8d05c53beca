"""One file over HTTP, from a home that breaks off, changes, refuses and lies."""

import errno
import hashlib
import json
import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.corpora.server import Home, serve

from serenade.core.errors import FetchError, StorageError
from serenade.corpora import downloading
from serenade.corpora.downloading import Network, download, parts_of, size_in_words

CONTENT = random.Random(0).randbytes(300_000)
MD5 = "md5:" + hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def home() -> Iterator[Home]:
    with serve(Home({"/a.bin": CONTENT})) as running:
        yield running


class Said(NamedTuple):
    network: Network
    sentences: list[str]


@pytest.fixture
def said() -> Said:
    """A network that hardly waits, and what it says."""
    sentences: list[str] = []
    return Said(Network(attempts=4, pause_s=0.001, longest_pause_s=0.01, timeout_s=5, say=sentences.append), sentences)


def test_a_whole_file_comes_in_one_request(home: Home, tmp_path: Path, said: Said) -> None:
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "sub" / "a.bin"
    digests = download(
        f"{home.url}/a.bin", target, checksum=MD5, network=said.network, received=lambda *now: seen.append(now)
    )
    assert target.read_bytes() == CONTENT
    assert (digests.size, f"md5:{digests.md5}", f"sha256:{digests.sha256}") == (len(CONTENT), MD5, SHA256)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in target.parent.iterdir()] == ["a.bin"]
    assert said.sentences == []


def test_a_broken_connection_is_continued_where_it_broke(home: Home, tmp_path: Path, said: Said) -> None:
    home.break_after = [100_000, 50_000]
    download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert home.ranges_asked() == [None, "bytes=100000-", "bytes=150000-"]
    assert home.sent == len(CONTENT)  # not a byte came twice
    assert "broke off after 100000 of 300000 bytes; trying again" in said.sentences[0]


def test_the_next_run_continues_what_the_last_left(home: Home, tmp_path: Path, said: Said) -> None:
    home.break_after = [100_000, 0, 0, 0]
    with pytest.raises(FetchError, match="100 kB have come and are kept: run the same command again"):
        download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)
    assert parts_of(tmp_path / "a.bin")[0].stat().st_size == 100_000
    home.requests.clear()
    download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)
    assert home.ranges_asked() == ["bytes=100000-"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_attempts_that_bring_something_do_not_count(home: Home, tmp_path: Path, said: Said) -> None:
    home.break_after = [30_000] * 9
    download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)
    assert len(home.requests) == 10
    assert said.network.attempts < 10


def test_a_server_that_cannot_continue_begins_anew(home: Home, tmp_path: Path, said: Said) -> None:
    home.ranges, home.break_after = False, [100_000]
    download(f"{home.url}/a.bin", tmp_path / "a.bin", checksum=SHA256, network=said.network)
    assert home.ranges_asked() == [None, "bytes=100000-"]
    assert home.sent == 100_000 + len(CONTENT)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_without_a_mark_of_the_version_nothing_is_continued(home: Home, tmp_path: Path, said: Said) -> None:
    home.validators, home.break_after = False, [100_000]
    download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)
    assert home.ranges_asked() == [None, None]
    assert said.sentences == [
        "The connection broke off after 100000 of 300000 bytes; trying again in 0 s"  # and not that anything is kept
    ]


def test_a_checksum_makes_up_for_the_mark(home: Home, tmp_path: Path, said: Said) -> None:
    home.validators, home.break_after = False, [100_000]
    download(f"{home.url}/a.bin", tmp_path / "a.bin", checksum=MD5, network=said.network)
    assert home.ranges_asked() == [None, "bytes=100000-"]


def leave_a_part(home: Home, target: Path, size: int, network: Network, checksum: str | None = None) -> None:
    """What a run leaves that lost its connection."""
    home.break_after = [size, *[0] * 8]
    with pytest.raises(FetchError):
        download(f"{home.url}/{target.name}", target, checksum=checksum, network=network)
    home.break_after.clear()
    home.requests.clear()


def test_a_file_that_changed_in_between_is_fetched_whole(home: Home, tmp_path: Path, said: Said) -> None:
    target = tmp_path / "a.bin"
    leave_a_part(home, target, 100_000, said.network)
    home.files["/a.bin"] = new = random.Random(1).randbytes(len(CONTENT))
    download(f"{home.url}/a.bin", target, network=said.network)
    assert target.read_bytes() == new
    assert len(home.requests) == 1  # If-Range: the server sends the new version at once


def test_two_versions_that_were_mixed_are_fetched_anew(home: Home, tmp_path: Path, said: Said) -> None:
    target = tmp_path / "a.bin"
    home.validators = False  # so that nothing but the checksum can tell
    home.files["/a.bin"] = random.Random(1).randbytes(len(CONTENT))
    leave_a_part(home, target, 100_000, said.network, checksum=MD5)
    home.files["/a.bin"] = CONTENT
    download(f"{home.url}/a.bin", target, checksum=MD5, network=said.network)
    assert target.read_bytes() == CONTENT
    assert home.ranges_asked() == ["bytes=100000-", None]
    assert any("beginning anew" in sentence for sentence in said.sentences)


def test_a_part_longer_than_the_file_is_thrown_away(home: Home, tmp_path: Path, said: Said) -> None:
    target = tmp_path / "a.bin"
    leave_a_part(home, target, 100_000, said.network, checksum=MD5)
    parts_of(target)[0].write_bytes(bytes(len(CONTENT) + 1))
    download(f"{home.url}/a.bin", target, checksum=MD5, network=said.network)
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_the_whole_file_already_needs_no_bytes(home: Home, tmp_path: Path, said: Said) -> None:
    target = tmp_path / "a.bin"
    leave_a_part(home, target, 100_000, said.network)
    parts_of(target)[0].write_bytes(CONTENT)
    sent = home.sent
    download(f"{home.url}/a.bin", target, checksum=MD5, network=said.network)
    assert home.sent == sent
    assert target.read_bytes() == CONTENT


def test_a_whole_file_is_verified_and_not_fetched_again(home: Home, tmp_path: Path, said: Said) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(CONTENT)
    download(f"{home.url}/a.bin", target, checksum=MD5, network=said.network)
    assert home.requests == []
    target.write_bytes(CONTENT[:-1])
    download(f"{home.url}/a.bin", target, checksum=MD5, network=said.network)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(home: Home, tmp_path: Path, said: Said, status: int) -> None:
    home.statuses = [status, status]
    download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)
    assert len(home.requests) == 3
    assert f"The server answered {status}" in said.sentences[0]


def test_a_server_that_stays_in_trouble_is_given_up(home: Home, tmp_path: Path, said: Said) -> None:
    home.statuses = [503] * 9
    with pytest.raises(FetchError, match=r"cannot be fetched: http://127.*Found: the server answered 503.*again later"):
        download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)
    assert len(home.requests) == 4


def test_a_refusal_is_final_at_once_but_not_for_ever(home: Home, tmp_path: Path, said: Said) -> None:
    home.statuses = [404]
    with pytest.raises(FetchError, match=r"404 Not Found, there is no such file.*--from URL"):
        download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)
    assert len(home.requests) == 1
    download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_pauses_double_and_heed_the_server(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(downloading.time, "sleep", pauses.append)
    home.statuses = [503] * 3
    download(f"{home.url}/a.bin", tmp_path / "a.bin", network=Network(attempts=5, pause_s=2, longest_pause_s=7))
    assert pauses == [2, 4, 7]
    pauses.clear()
    home.statuses, home.retry_after = [503, 503], "5"
    download(f"{home.url}/a.bin", tmp_path / "c.bin", network=Network(longest_pause_s=7))
    assert pauses == [5, 5]


def test_redirects_are_followed_also_when_continuing(home: Home, tmp_path: Path, said: Said) -> None:
    home.redirects, home.break_after = {"/old.bin": "/a.bin"}, [100_000]
    download(f"{home.url}/old.bin", tmp_path / "a.bin", network=said.network)
    assert home.requests[-1] == ("/a.bin", "bytes=100000-")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_an_error_and_leaves_nothing(home: Home, tmp_path: Path, said: Said) -> None:
    wrong = "md5:" + "0" * 32
    with pytest.raises(FetchError, match=rf"not the one that its home published.*Found: {MD5[:3]} {MD5[4:]}.*0000"):
        download(f"{home.url}/a.bin", tmp_path / "a.bin", checksum=wrong, network=said.network)
    assert list(tmp_path.iterdir()) == []
    assert len(home.requests) == 1  # it came in one go: the same bytes would come again


def test_a_file_of_another_size_is_an_error_before_it_is_fetched(home: Home, tmp_path: Path, said: Said) -> None:
    with pytest.raises(FetchError, match=r"Found: 300000 bytes. Expected: 300001 bytes"):
        download(f"{home.url}/a.bin", tmp_path / "a.bin", size=300_001, network=said.network)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_of_unknown_length_is_noticed_by_the_published_size(
    home: Home, tmp_path: Path, said: Said
) -> None:
    home.lengths, home.break_after = False, [100_000]
    download(f"{home.url}/a.bin", tmp_path / "a.bin", size=len(CONTENT), network=said.network)
    assert home.ranges_asked() == [None, "bytes=100000-"]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_web_page_is_not_taken_for_the_file(home: Home, tmp_path: Path, said: Said) -> None:
    home.content_type = "text/html; charset=utf-8"
    with pytest.raises(FetchError, match="a web page instead of the file"):
        download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)


def test_without_network_it_ends_soon_and_says_the_way_out(tmp_path: Path, said: Said) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a.bin"
        with pytest.raises(FetchError) as caught:
            download(url, tmp_path / "a.bin", network=said.network)
    assert str(caught.value).startswith(
        f"the server cannot be reached: {url}. Found: the server refuses the connection."
    )
    assert "https_proxy" in str(caught.value)
    assert "--from" in str(caught.value)
    assert len(said.sentences) == 2


def test_a_name_that_does_not_resolve_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    def no_names(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    with pytest.raises(FetchError, match="name of the server cannot be resolved"):
        download("http://zenodo.invalid/a.bin", tmp_path / "a.bin", network=said.network)


def test_a_server_that_falls_silent_counts_as_broken(tmp_path: Path, said: Said) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # takes connections and never answers
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/a.bin"
        with pytest.raises(FetchError, match="no answer came in time"):
            download(url, tmp_path / "a.bin", network=Network(attempts=2, pause_s=0.001, timeout_s=0.05))


def test_too_little_room_is_said_before_a_byte_comes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    usage = type(downloading.shutil.disk_usage(tmp_path))(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match=r"not enough room.*Found: 1.0 kB free. Expected: 300 kB more"):
        download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)


class FullDisk:
    """A file on a disk that takes so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, block: bytes) -> None:
        self.file.write(block[: self.room])
        if len(block) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(block)


def opened_for_appending(monkeypatch: pytest.MonkeyPatch, wrap: Callable[[Any], Any]) -> None:
    plain = Path.open

    def open_wrapped(path: Path, mode: str = "r", **options: Any) -> Any:
        file = plain(path, mode, **options)
        return wrap(file) if mode == "ab" else file

    monkeypatch.setattr(Path, "open", open_wrapped)


def test_a_disk_that_fills_up_loses_nothing(home: Home, tmp_path: Path, said: Said) -> None:
    with pytest.MonkeyPatch.context() as patched:
        opened_for_appending(patched, lambda file: FullDisk(file, 120_000))
        with pytest.raises(StorageError, match=r"the disk is full: .*a\.bin\.part\. Free some space"):
            download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network)
    assert parts_of(tmp_path / "a.bin")[0].stat().st_size == 120_000
    assert len(home.requests) == 1  # asking again would not make room
    download(f"{home.url}/a.bin", tmp_path / "a.bin", checksum=MD5, network=said.network)
    assert home.ranges_asked()[-1] == "bytes=120000-"


def test_an_interrupted_download_keeps_what_has_come(home: Home, tmp_path: Path, said: Said) -> None:
    def interrupt(there: int, _: int | None) -> None:
        if there > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{home.url}/a.bin", tmp_path / "a.bin", network=said.network, received=interrupt)
    there = parts_of(tmp_path / "a.bin")[0].stat().st_size
    assert 0 < there <= len(CONTENT)
    download(f"{home.url}/a.bin", tmp_path / "a.bin", checksum=MD5, network=said.network)
    assert home.ranges_asked()[1] == f"bytes={there}-"


def test_a_damaged_note_means_beginning_anew(home: Home, tmp_path: Path, said: Said) -> None:
    target = tmp_path / "a.bin"
    leave_a_part(home, target, 100_000, said.network)
    note = parts_of(target)[1]
    assert json.loads(note.read_text())["url"] == f"{home.url}/a.bin"
    note.write_text("{")
    download(f"{home.url}/a.bin", target, network=said.network)
    assert home.ranges_asked() == [None]
    assert target.read_bytes() == CONTENT


def test_sizes_are_said_as_people_do() -> None:
    assert [size_in_words(n) for n in (0, 999, 1000, 9_949, 12_345_678)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "9.9 kB",
        "12 MB",
    ]
