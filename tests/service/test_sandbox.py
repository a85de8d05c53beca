"""What a decoder is kept from, tried from inside."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from serenade.service.sandbox import Sandbox
from serenade.service.settings import ServiceSettings

from .conftest import sound_file, voice
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
    live.feed(data)
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
