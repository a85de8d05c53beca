"""Live streams: rows are those of the recogniser's own stream, and whatever is off is told."""

import gc
import json
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from serenade.inference.division import TimelineSettings
from serenade.inference.formats import to_row
from serenade.inference.recognizer import Recognizer

from .conftest import Running, Start, children_of, soon, sound_file, voice
from .media import webm

OPENING = {"type": "start", "window_s": 1, "hop_s": 0.5, "detector": "energy"}
STOP = json.dumps({"type": "stop"})


def parts_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def rows_of(lines: list[dict[str, object]]) -> list[dict[str, object]]:
    return [line for line in lines if line["kind"] == "row"]


@pytest.mark.parametrize(("encoding", "kind", "scale"), [("pcm_s16le", "<i2", 32767), ("pcm_f32le", "<f4", 1)])
def test_rows_are_those_of_the_recogniser(
    service: Running, model_folder: Path, encoding: str, kind: str, scale: int
) -> None:
    samples = (voice(3.0) * scale).astype(kind)
    told = service.talk(OPENING | {"encoding": encoding}, [*parts_of(samples.tobytes(), 1501), STOP])
    recognizer = Recognizer.load(model_folder)
    stream = recognizer.stream(TimelineSettings(window_s=1, hop_s=0.5, detector="energy"))
    heard = samples.astype(np.float32) / (32768 if scale > 1 else 1)
    expected = [to_row(row) for row in [*stream.add(heard), *stream.finish()]]
    assert told[0]["kind"] == "start"
    assert [(row["start"], row["end"]) for row in rows_of(told)] == [(row["start"], row["end"]) for row in expected]
    for row, wanted in zip(rows_of(told), expected, strict=True):
        assert row["scores"] == pytest.approx(wanted["scores"], abs=2e-5)
    assert told[-1]["kind"] == "end"
    assert told[-1]["duration_s"] == 3.0


def test_channels_are_averaged_and_rates_converted(service: Running) -> None:
    left = voice(2.0, rate=48_000)
    both = np.stack([left, np.zeros_like(left)], axis=1)
    opening = OPENING | {"encoding": "pcm_f32le", "sample_rate": 48_000}
    told = service.talk(opening | {"channels": 2}, [*parts_of(both.tobytes(), 10_001), STOP])
    alone = service.talk(opening, [*parts_of((left / 2).tobytes(), 7777), STOP])
    assert rows_of(told) == rows_of(alone)
    assert told[-1]["duration_s"] == pytest.approx(2.0, abs=0.01)


def test_media_of_a_browser_are_heard_while_they_arrive(service: Running) -> None:
    from websockets.sync.client import connect

    data = webm(voice(4.0, rate=48_000))
    with connect(service.address.replace("http", "ws") + "v1/stream") as socket:
        socket.send(json.dumps(OPENING | {"encoding": "webm"}))
        assert json.loads(socket.recv(timeout=30))["kind"] == "start"
        for part in parts_of(data[: len(data) * 3 // 4], 500):
            socket.send(part)
        assert json.loads(socket.recv(timeout=30))["kind"] == "row"  # before the rest was sent
        socket.send(data[len(data) * 3 // 4 :])
        socket.send(STOP)
        lines = []
        while not lines or lines[-1]["kind"] != "end":
            lines.append(json.loads(socket.recv(timeout=30)))
    assert lines[-1]["duration_s"] == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize(
    ("opening", "parts", "kind"),
    [
        ("no json", [], "bad-request"),
        (b"\0\0", [], "bad-request"),
        ("[1]", [], "bad-request"),
        ({"type": "begin"}, [], "bad-request"),
        (OPENING | {"sample_rate": 1}, [], "bad-request"),
        (OPENING | {"nonsense": 1}, [], "bad-request"),
        (OPENING | {"model": "another"}, [], "not-found"),
        (OPENING, ['{"type": "pause"}'], "bad-request"),
        (OPENING, ["["], "bad-request"),
        (OPENING | {"encoding": "pcm_f32le"}, [np.array([np.nan] * 100, "<f4").tobytes()], "nothing-to-hear"),
        (OPENING | {"encoding": "webm"}, [b"\x1a\x45\xdf\xa3" + b"x" * 5000, STOP], "not-media"),
        (OPENING | {"encoding": "ogg"}, [b"not ogg at all" * 400, STOP], "not-media"),
    ],
)
def test_what_is_off_is_told_as_a_problem(service: Running, opening: object, parts: list[bytes], kind: str) -> None:
    last = service.talk(opening, parts)[-1]
    assert last["kind"] == "problem"
    assert last["problem"]["kind"] == kind, last
    assert soon(lambda: service.service.gate.streams == 0)


def test_stream_ends_where_it_is_too_long(service: Running) -> None:
    second = np.zeros(16_000, "<i2").tobytes()
    assert service.talk(OPENING, [second] * 40)[-1]["problem"]["kind"] == "too-long"


def test_client_that_leaves_takes_nothing_with_it(service: Running) -> None:
    from websockets.sync.client import connect

    for encoding in ("pcm_s16le", "webm"):
        with connect(service.address.replace("http", "ws") + "v1/stream") as socket:
            socket.send(json.dumps(OPENING | {"encoding": encoding}))
            assert json.loads(socket.recv(timeout=30))["kind"] == "start"
            socket.send(webm(voice(1.0, rate=48_000))[:900])
    assert soon(lambda: service.service.gate.streams == 0)


def test_clients_that_leave_at_any_moment_cost_nobody_else_a_decoder(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    from websockets.sync.client import connect

    there = start(concurrent_streams=40)
    there.post(sound_file(voice(1.0)))
    sandbox = there.service.sandbox
    nursery, descriptors = sandbox._nursery, psutil.Process().num_fds()
    data = webm(voice(1.0, rate=48_000))
    for number in range(40):
        with connect(there.address.replace("http", "ws") + "v1/stream") as socket:
            socket.send(json.dumps(OPENING | {"encoding": "webm"}))
            if number % 2:
                assert json.loads(socket.recv(timeout=30))["kind"] == "start"
                socket.send(data[: number * 100])
            time.sleep(number % 5 / 1000)
    assert soon(lambda: there.service.gate.streams == 0)
    assert sandbox._nursery is nursery
    assert soon(lambda: children_of(sandbox) == [])
    assert soon(lambda: psutil.Process().num_fds() <= descriptors + 2)
    gc.collect()  # a task that failed unheard is told when it is collected
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("stops", ["client", "service"])
def test_decoder_that_hangs_holds_up_nobody(start: Start, stops: str) -> None:
    from websockets.sync.client import connect

    there = start(drain_s=0.2)
    with connect(there.address.replace("http", "ws") + "v1/stream") as socket:
        socket.send(json.dumps(OPENING | {"encoding": "webm"}))
        assert json.loads(socket.recv(timeout=30))["kind"] == "start"
        assert soon(lambda: len(children_of(there.service.sandbox)) == 1)
        child = children_of(there.service.sandbox)[0]
        child.send_signal(signal.SIGSTOP)
        if stops == "service":
            there.server.should_exit = True
            assert soon(lambda: there.service.gate.streams == 0)
    assert soon(lambda: there.service.gate.streams == 0)
    assert soon(lambda: not child.is_running())


def test_line_that_cannot_be_told_is_a_bug_and_no_client_that_left(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serenade.service.streams.summaries_of", lambda stream: [object()])
    last = service.talk(OPENING, [STOP])[-1]
    assert last["kind"] == "problem"
    assert last["problem"]["kind"] == "internal"


def test_many_streams_of_media_do_not_keep_each_other_waiting(start: Start) -> None:
    from contextlib import ExitStack

    from websockets.sync.client import connect

    there = start(concurrent_streams=8)
    data = webm(voice(2.0, rate=48_000))
    with ExitStack() as stack:
        sockets = [stack.enter_context(connect(there.address.replace("http", "ws") + "v1/stream")) for _ in range(8)]
        for socket in sockets:  # all are open, and their decoders wait for more
            socket.send(json.dumps(OPENING | {"encoding": "webm"}))
            socket.send(data[:300])
        for socket in sockets:
            assert json.loads(socket.recv(timeout=30))["kind"] == "start"
        for socket in sockets:
            socket.send(data[300:])
            socket.send(STOP)
        for socket in sockets:
            lines = [json.loads(socket.recv(timeout=60))]
            while lines[-1]["kind"] != "end":
                lines.append(json.loads(socket.recv(timeout=60)))
            assert lines[-1]["duration_s"] == pytest.approx(2.0, abs=0.05)


def test_silence_on_the_line_ends_a_stream(start: Start) -> None:
    there = start(idle_s=0.3)
    assert there.talk(OPENING, [])[-1]["problem"]["kind"] == "too-slow"


def test_there_is_room_for_so_many_streams(start: Start) -> None:
    from websockets.sync.client import connect

    there = start(concurrent_streams=1)
    with connect(there.address.replace("http", "ws") + "v1/stream") as socket:
        socket.send(json.dumps(OPENING))
        assert json.loads(socket.recv(timeout=30))["kind"] == "start"
        assert there.talk(OPENING, [])[-1]["problem"]["kind"] == "overloaded"


def test_stopping_lets_a_stream_end_with_what_it_has(start: Start) -> None:
    from websockets.sync.client import connect

    there = start(drain_s=20)
    with connect(there.address.replace("http", "ws") + "v1/stream") as socket:
        socket.send(json.dumps(OPENING))
        socket.send((voice(1.2) * 32767).astype("<i2").tobytes())
        lines = [json.loads(socket.recv(timeout=30)) for _ in range(2)]
        there.server.should_exit = True
        begun_s = time.monotonic()
        while lines[-1]["kind"] != "end":
            lines.append(json.loads(socket.recv(timeout=30)))
    assert time.monotonic() - begun_s < 10
    assert [line["kind"] for line in lines][:2] == ["start", "row"]
    assert lines[-1]["duration_s"] == pytest.approx(1.2)
