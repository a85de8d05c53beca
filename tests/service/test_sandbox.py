"""What a decoder is kept from, tried from inside."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from serenade.core.errors import AudioError
from serenade.service.problems import Problem
from serenade.service.sandbox import LiveDecoding, Sandbox, _frames
from serenade.service.settings import ServiceSettings

from .conftest import children_of, soon, sound_file, voice
from .media import webm

# Becomes what a child is before it decodes, opens its input as the decoder does, and then does what it must not.
CHILD = """
import os, resource, socket, sys, tempfile
from serenade.service.decoder import _give_up_rights, _take_places

before = tempfile.TemporaryFile()
before.write(b"sound")
before.flush()
result = os.dup(1)
_take_places(before.fileno(), result)
_give_up_rights(64, 5)
media = open("/dev/fd/3", "rb")
assert media.read() == b"sound"

def refused(act):
    try:
        act()
    except (OSError, MemoryError) as error:
        return type(error).__name__ + " " + str(getattr(error, "errno", ""))
    return "ALLOWED"

found = [
    refused(lambda: open("/etc/passwd")),
    refused(lambda: socket.socket()),
    refused(lambda: os.pipe()),
    refused(lambda: bytearray(200 << 20)),
    str(resource.getrlimit(resource.RLIMIT_FSIZE)[0]),
]
os.write(4, "|".join(found).encode())
"""


def test_decoder_can_open_nothing_but_its_input() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=False)
    files, connections, pipes, memory, written = done.stdout.split("|")
    too_many = "OSError 24"
    assert (files, connections, pipes) == (too_many, too_many, too_many)
    assert memory.startswith("MemoryError")
    assert written == "0"


def test_other_systems_are_told_what_is_needed() -> None:
    code = """
import os, sys
sys.modules["resource"] = None  # which Windows has not
del os.pidfd_open  # which Linux alone has
from serenade.app.main import main
import serenade.app.commands.timeline, serenade.app.timelines, serenade.inference.bench
sys.exit(main(["serve", "--port", "0"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True, timeout=120)
    assert done.returncode == 2
    assert "the service needs Linux" in done.stderr


def test_decoder_that_spends_too_much_time_is_killed() -> None:
    code = "from serenade.service.decoder import _give_up_rights\n_give_up_rights(64, 1)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert done.returncode < 0


# The warm process with children that end at once and a parent that is slow to look; prints what it answers to three.
NURSERY = """
import os, socket, threading, time
from serenade.service import decoder

look = os.pidfd_open
os.pidfd_open = lambda process: (time.sleep(0.1), look(process))[1]
decoder._be_child = lambda job, media, sound: os._exit(0)
ours, theirs = socket.socketpair()

def ask():
    ours.recv(1)
    for _ in range(3):
        socket.send_fds(ours, [b"{}"], [0, 1])
        answer, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        print(answer, len(descriptors))
    ours.close()

threading.Thread(target=ask).start()
decoder.main(theirs.detach())
"""


def test_children_that_end_at_once_do_not_end_the_warm_process() -> None:
    done = subprocess.run([sys.executable, "-c", NURSERY], capture_output=True, check=False, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["b's' 1"] * 3


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(ServiceSettings(max_duration_s=20))
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "webm"])
def test_samples_are_those_of_reading_the_file(sandbox: Sandbox, kind: str) -> None:
    from serenade.signal.audio import read_audio

    data = webm(voice(2.0, rate=48_000)) if kind == "webm" else sound_file(voice(2.0, rate=22_050), 22_050, kind)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        found = np.concatenate(list(sandbox.decode(file.fileno())))
    np.testing.assert_array_equal(found, read_audio(data).numpy())


def test_live_media_are_what_the_whole_is(sandbox: Sandbox) -> None:
    from serenade.signal.audio import read_audio

    data = webm(voice(3.0, rate=48_000))
    live = sandbox.decode_live("webm")
    blocks = live.blocks()
    assert live.feed(data)
    live.finish()
    found = np.concatenate(list(blocks))
    np.testing.assert_allclose(found, read_audio(data).numpy(), atol=1e-6)
    live.close()


def test_nothing_lies_in_the_folder_of_temporary_files(sandbox: Sandbox, tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(sound_file(voice(1.0)))
        file.flush()
        list(sandbox.decode(file.fileno()))
        assert list(tmp_path.iterdir()) == []


def at_once(act: Callable[[], object]) -> tuple[threading.Thread, list[str]]:
    """A thread that does it, and the kind of problem it is told in the end."""
    told: list[str] = []

    def run() -> None:
        try:
            act()
        except (Problem, AudioError) as error:
            told.append(error.kind if isinstance(error, Problem) else error.reason)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, told


def drawn(live: LiveDecoding) -> tuple[threading.Thread, list[str]]:
    return at_once(lambda: list(live.blocks()))


def test_live_decoding_that_was_given_up_begins_no_more(sandbox: Sandbox) -> None:
    live = sandbox.decode_live("webm")
    live.close()
    live.close()
    live.finish()
    assert not live.feed(b"x")
    with pytest.raises(Problem):
        list(live.blocks())


def test_giving_up_ends_who_draws(sandbox: Sandbox) -> None:
    live = sandbox.decode_live("webm")
    drawing, told = drawn(live)
    assert soon(lambda: len(children_of(sandbox)) == 1)
    live.close()
    drawing.join(5)
    assert told in (["undecodable"], ["decoder-stopped"])  # its input was at an end, or it was not waited for
    assert soon(lambda: children_of(sandbox) == [])


def test_giving_up_a_decoder_that_hangs_ends_who_feeds_and_who_draws(sandbox: Sandbox) -> None:
    live = sandbox.decode_live("webm")
    drawing, draws = drawn(live)
    assert soon(lambda: len(children_of(sandbox)) == 1)
    children_of(sandbox)[0].send_signal(signal.SIGSTOP)
    taken: list[bool] = []
    feeding, _ = at_once(lambda: taken.append(live.feed(bytes(50_000_000))))
    drawing.join(0.5)
    assert drawing.is_alive()
    assert feeding.is_alive()  # the way in is full
    live.close()
    drawing.join(5)
    feeding.join(5)
    assert draws == ["decoder-stopped"]
    assert taken == [False]
    assert soon(lambda: children_of(sandbox) == [])


def test_decoder_that_hangs_when_it_has_everything_is_given_up() -> None:
    sandbox = Sandbox(ServiceSettings(decode_stall_s=0.3))
    live = sandbox.decode_live("webm")
    drawing, told = drawn(live)
    assert soon(lambda: len(children_of(sandbox)) == 1)
    children_of(sandbox)[0].send_signal(signal.SIGSTOP)
    drawing.join(1)
    assert drawing.is_alive()  # a client may be silent for longer
    live.finish()
    drawing.join(5)
    assert told == ["decoder-stopped"]
    live.close()
    sandbox.close()


def test_decoder_that_hangs_while_it_is_fed_is_given_up() -> None:
    sandbox = Sandbox(ServiceSettings(decode_stall_s=0.3))
    live = sandbox.decode_live("webm")
    drawn(live)
    assert soon(lambda: len(children_of(sandbox)) == 1)
    children_of(sandbox)[0].send_signal(signal.SIGSTOP)
    assert not live.feed(bytes(50_000_000))
    live.close()
    sandbox.close()


def test_nobody_decodes_when_all_is_over() -> None:
    sandbox = Sandbox(ServiceSettings())
    lives = [sandbox.decode_live("webm") for _ in range(4)]
    drawing = [drawn(live) for live in lives]
    assert soon(lambda: len(children_of(sandbox)) == 4)
    children = children_of(sandbox)
    sandbox.close()
    for thread, told in drawing:
        thread.join(5)
        assert told == ["decoder-stopped"]
    assert soon(lambda: not any(child.is_running() for child in children))
    with tempfile.TemporaryFile() as file, pytest.raises(Problem) as caught:
        list(sandbox.decode(file.fileno()))
    assert caught.value.kind == "draining"
    for live in lives:
        live.close()


def test_child_whose_parent_is_gone_goes_too() -> None:
    code = "import os\nfrom serenade.service.decoder import _die_with\n_die_with(os.getppid())\n"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert subprocess.run([sys.executable, "-c", code.replace("getppid", "getpid")], check=False).returncode == 1


def test_descriptor_that_is_none_costs_nobody_else_a_decoder(sandbox: Sandbox) -> None:
    sandbox.open()
    before = sandbox._nursery
    with pytest.raises(OSError, match="Bad file descriptor"):
        list(sandbox.decode(1_000_000))
    assert sandbox._nursery is before


def test_any_number_of_descriptors_may_be_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        reading, writing = os.pipe()
        high = fcntl.fcntl(reading, fcntl.F_DUPFD, 1500)  # select() ends at 1024
        os.write(writing, b"p\4\0\0\0" + np.array([0.5], "<f4").tobytes() + b"d\0\0\0\0")
        assert [block.tolist() for block in _frames(high, lambda waited_s: True)] == [[0.5]]
        for descriptor in (reading, writing, high):
            os.close(descriptor)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
