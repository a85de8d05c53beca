"""``serenade corpus fetch`` as a user sees it, against a home on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.corpora.server import Home, serve
from tests.corpora.test_fetching import md5_of, zip_of
from tests.corpora.trees import make_emodb

from serenade.app.commands import corpus_fetch
from serenade.app.main import main
from serenade.corpora.layout import FETCH_RECORD
from serenade.corpora.sources import SOURCES

NAMES = ["03a01Wa", "03a01Nc", "03a02Fc", "08a01Wa"]


@pytest.fixture
def emodb(tmp_path: Path) -> bytes:
    """EMO-DB's archive, with four recordings."""
    root = make_emodb(tmp_path / "original", NAMES)
    return zip_of({path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*")})


@pytest.fixture
def home(emodb: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    with serve(Home({"/emodb.zip": emodb})) as running:
        yield running


def test_a_corpus_is_fetched_and_ready_for_the_check(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "fetch", "emodb", "--from", home.url, "--accept-licence"]) == 0
    shown, complaints = capsys.readouterr()
    lines = shown.splitlines()
    assert lines[0] == "EMO-DB"
    assert lines[1].startswith("  Licence:  CC0 1.0 (commercial use permitted)")
    assert "Burkhardt" in lines[2]
    assert "EMO-DB lies in corpora/emodb: 5 files" in shown
    assert f"The SHA-256 of what came stands in corpora/emodb/{FETCH_RECORD}" in shown
    assert complaints == ""
    command = lines[-1].removeprefix("Check it: serenade ").split()
    assert command == ["corpus", "check", "emodb", "corpora/emodb"]
    assert main(command) == 0
    assert "4 utterances can be used" in capsys.readouterr().out


def test_the_next_command_names_the_folder_that_the_loader_wants(
    home: Home, emodb: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "original"
    below = {f"EmoDB/{path.relative_to(root).as_posix()}": path.read_bytes() for path in root.rglob("*.*")}
    home.files["/emodb.zip"] = zip_of(below)
    assert main(["corpus", "fetch", "emodb", "a folder", "--from", home.url, "--accept-licence"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Check it: serenade corpus check emodb 'a folder/EmoDB'"


def test_a_published_checksum_is_said_and_compared(
    home: Home, emodb: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = replace(SOURCES["emodb"].archives[0], checksum=md5_of(emodb), size=len(emodb))
    monkeypatch.setitem(SOURCES, "emodb", replace(SOURCES["emodb"], archives=(archive,)))
    assert main(["corpus", "fetch", "emodb", "good", "--from", home.url, "--accept-licence"]) == 0
    assert "Verified against the checksums that the home publishes" in capsys.readouterr().out
    home.files["/emodb.zip"] = bytes(len(emodb))
    assert main(["corpus", "fetch", "emodb", "bad", "--from", home.url, "--accept-licence"]) == 1
    _, complaint = capsys.readouterr()
    assert "not the one that its home published" in complaint
    assert complaint.count("\n") == 1
    assert not (Path("bad") / "wav").exists()


def test_a_second_run_does_nothing_and_asks_nothing(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "fetch", "emodb", "here", "--from", home.url, "--accept-licence"]) == 0
    home.requests.clear()
    capsys.readouterr()
    assert main(["corpus", "fetch", "emodb", "here"]) == 0
    shown, _ = capsys.readouterr()
    assert shown == "EMO-DB is complete in here: nothing to fetch.\nCheck it: serenade corpus check emodb here\n"
    assert home.requests == []


def test_without_the_licence_accepted_nothing_is_fetched(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "fetch", "emodb", "here", "--from", home.url]) == 2
    shown, complaint = capsys.readouterr()
    assert "Licence:  CC0 1.0" in shown
    assert "must be accepted before anything is fetched" in complaint
    assert "--accept-licence" in complaint
    assert home.requests == []
    assert not Path("here").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_at_a_terminal_it_asks(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, code: int
) -> None:
    import io

    keyboard = io.StringIO(answer)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", keyboard)
    assert main(["corpus", "fetch", "emodb", "here", "--from", home.url]) == code
    assert "Do you accept this licence" in capsys.readouterr().out
    assert (len(home.requests) == 1) is (code == 0)


def test_trouble_on_the_way_is_said(home: Home, emodb: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    home.statuses = [503]
    assert main(["corpus", "fetch", "emodb", "here", "--from", home.url, "--accept-licence"]) == 0
    assert "The server answered 503 Service Unavailable; trying again in 1 s" in capsys.readouterr().err


def test_without_network_nothing_is_lost_and_the_way_out_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import socket

    from serenade.corpora import downloading

    def no_names(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    monkeypatch.setattr(downloading.time, "sleep", lambda _: None)
    assert main(["corpus", "fetch", "ravdess", str(tmp_path / "r"), "--accept-licence"]) == 1
    _, complaint = capsys.readouterr()
    last = complaint.splitlines()[-1]
    assert last.startswith("Error: the server cannot be reached: https://zenodo.org/records/1188976/")
    assert "Found: the name of the server cannot be resolved." in last
    assert "Check the network connection" in last
    assert "Run the same command again later" in last


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ravdes"], 2, "Did you mean 'ravdess'?"),
        ([], 2, "serenade corpus fetch --list"),
        (["iemocap"], 1, "iemocap_release.htm"),
        (["librispeech"], 2, "--part with one or more of dev-clean,"),
        (["librispeech", "--part", "dev-clear"], 2, "Did you mean 'dev-clean'?"),
        (["emodb", "--from", "copies"], 2, "a mirror is the address of a folder on the web"),
        (["emodb", "--json"], 2, "--json is for --list"),
        (["emodb", "full"], 2, "not empty and was not made by fetch"),
    ],
)
def test_a_wrong_call_is_explained_in_one_paragraph(
    home: Home, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    assert main(["corpus", "fetch", *arguments]) == code
    shown, complaint = capsys.readouterr()
    assert shown == ""
    assert message in complaint
    assert complaint.count("\n") == 1
    assert home.requests == []


def test_list_names_every_corpus_its_size_and_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "fetch", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("ravdess"))
    assert row.split("  ")[-1] == "CC BY-NC-SA 4.0"
    assert "208 MB" in row
    assert "MD5" in row
    assert all(any(line.strip().startswith(name) for line in lines) for name in SOURCES)
    assert main(["corpus", "fetch", "--list", "--json"]) == 0
    told = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert set(told) == set(SOURCES)
    assert told["ravdess"]["archives"][0]["checksum"] == "md5:bc696df654c87fed845eb13823edef8a"
    assert told["iemocap"]["archives"] == []
    assert told["iemocap"]["request"]


def test_list_of_one_corpus_names_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "fetch", "librispeech", "--list"]) == 0
    shown = capsys.readouterr().out
    assert "dev-clean: 338 MB, md5:42e2234ba48799c1f50f24a7926300a1" in shown
    assert "https://www.openslr.org/resources/12/dev-clean.tar.gz" in shown
    assert main(["corpus", "fetch", "savee", "--list"]) == 0
    assert "Register at" in capsys.readouterr().out


def test_progress_shows_what_is_done_in_megabytes(capsys: pytest.CaptureFixture[str]) -> None:
    from serenade.app import console

    now = [100.0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(console.time, "monotonic", lambda: now[0])
        with corpus_fetch._Bars(quiet=False) as bars:
            bars.show("Fetching a.zip", 0, 208_468_073)
            now[0] += 10
            bars.show("Fetching a.zip", 100_000_000, 208_468_073)
            now[0] += 20
            bars.say("The connection broke off")
            bars.show("Fetching a.zip", 0, 208_468_073)  # from the beginning
            bars.show("Unpacking a.zip", 1, None)
            now[0] += 10
            bars.show("Unpacking a.zip", 2_000_001, None)
    assert capsys.readouterr().err.splitlines() == [
        "Fetching a.zip: 100 of 209 MB, 10 s spent, about 11 s left",
        "The connection broke off",
        "Fetching a.zip: 0 of 209 MB, 30 s spent",
        "Unpacking a.zip: 3 MB, 10 s spent",
    ]


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to a child there")
def test_ctrl_c_keeps_what_has_come(home: Home) -> None:
    home.files["/emodb.zip"] = bytes(4_000_000)
    home.break_after = [400_000] * 50  # so that it is never done
    command = [sys.executable, "-m", "serenade.app", "corpus", "fetch", "emodb", "here"]
    child = subprocess.Popen(
        [*command, "--from", home.url, "--accept-licence"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    part = Path("here/.serenade-fetch/emodb.zip.part")
    until = time.monotonic() + 60
    while time.monotonic() < until and not (part.is_file() and part.stat().st_size >= 400_000):
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, complaint = child.communicate(timeout=60)
    assert child.returncode == 130
    assert complaint.splitlines()[-1] == "Interrupted; what was finished is kept."
    there = part.stat().st_size
    assert there >= 400_000
    home.requests.clear()
    home.break_after.clear()
    assert main(["corpus", "fetch", "emodb", "here", "--from", home.url, "--accept-licence"]) == 1  # no archive, zeros
    assert home.ranges_asked()[0] == f"bytes={there}-"
