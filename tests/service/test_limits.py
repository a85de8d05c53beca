"""What the service refuses, and that nothing is left behind: no file, no descriptor, no process, no place."""

import hashlib
import os
import socket as sockets
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from serenade.core.errors import SettingsError
from serenade.service.gate import Keys, RateLimit, new_key
from serenade.service.problems import STATUS, Problem
from serenade.service.sandbox import _frames
from serenade.service.settings import ServiceSettings

from .conftest import Running, Start, running, soon, sound_file, voice

RECORDING = sound_file(voice(1.0))


def kind_of(answer: object) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code == STATUS[problem["kind"]][0]
    return problem["kind"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "bad-request"),
        (b"hello, this is text", "not-media"),
        (RECORDING[:2000], "not-media"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt " + b"\0" * 100, "not-media"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", "not-media"),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", "not-media"),
        (b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 8, "not-media"),
        (b"PK\x03\x04" + bytes(1000), "not-media"),
        (sound_file(np.zeros(16_000, np.float32)), "nothing-to-hear"),
        (sound_file(voice(0.05)), "nothing-to-hear"),
        (sound_file(np.zeros(40 * 16_000, np.int16), kind="FLAC"), "too-long"),
        (bytes(4_000_001), "too-large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_uploads_are_named_for_what_they_are(service: Running, data: bytes, kind: str) -> None:
    assert kind_of(service.post(data)) == kind


def test_problem_in_an_answer_under_way_is_its_last_line(service: Running) -> None:
    quiet = sound_file(np.concatenate([voice(2.0), np.zeros(40 * 16_000, np.float32)]), kind="FLAC")
    wishes = {"division": "windows", "window_s": 1, "detector": "energy"}
    lines = service.lines(quiet, params=wishes)
    assert lines[0]["kind"] == "start"
    assert lines[-1]["kind"] == "problem"
    assert lines[-1]["problem"]["kind"] == "too-long"


@pytest.mark.parametrize(
    "wishes",
    [
        {"division": "windows", "window_s": 0},
        {"window_s": 2},
        {"division": "windows", "window_s": 1e9},
        {"division": "nonsense"},
        {"path": "/etc/passwd"},
        {"url": "http://127.0.0.1/"},
        {"detector": "guess"},
        {"hop_s": 1},
        {"uncertain_below": "nan"},
    ],
)
def test_wishes_that_are_off_are_refused(service: Running, wishes: dict[str, object]) -> None:
    assert kind_of(service.post(RECORDING, params=wishes)) == "bad-request"


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (
            b'--x\r\nContent-Disposition: form-data; name="path"\r\n\r\n/etc/passwd\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (b"nonsense", "multipart/form-data"),
        (b"", "audio/wav"),
        (b"nonsense", "multipart/form-data; boundary=" + "x" * 5000),
    ],
)
def test_forms_that_are_off_are_refused(service: Running, content: bytes, header: str) -> None:
    answer = service.client.post("/v1/recognize", content=content, headers={"Content-Type": header})
    assert kind_of(answer) == "bad-request"


def test_addresses_and_methods_that_are_not_there(service: Running) -> None:
    assert kind_of(service.client.get("/v1/nothing")) == "not-found"
    assert kind_of(service.client.get("/page/..%2f..%2fhttp.py")) == "not-found"
    assert kind_of(service.client.get("/v1/recognize")) == "method-not-allowed"


def test_names_and_origins_of_others_are_refused(service: Running) -> None:
    assert kind_of(service.client.get("/v1/models", headers={"Host": "evil.example"})) == "forbidden"
    assert kind_of(service.client.get("/v1/models", headers={"Host": "[::"})) == "forbidden"
    assert kind_of(service.post(RECORDING, headers={"Origin": "http://evil.example"})) == "forbidden"
    own = service.address.rstrip("/")
    answer = service.post(RECORDING, headers={"Origin": own})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_streams_of_other_origins_are_refused(service: Running) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with pytest.raises(InvalidStatus, match="403"):
        connect(service.address.replace("http", "ws") + "v1/stream", origin="http://evil.example")


def test_every_answer_keeps_browsers_to_the_service(service: Running) -> None:
    for path in ("/", "/v1/models", "/v1/nothing"):
        headers = service.client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_origins_that_are_named_may_call(start: Start) -> None:
    there = start(allowed_origins=("https://app.example",))
    answer = there.post(RECORDING, headers={"Origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    before = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    assert there.client.options("/v1/recognize", headers=before).status_code == 200
    assert kind_of(there.post(RECORDING, headers={"Origin": "https://other.example"})) == "forbidden"


def test_keys_are_asked_for_and_known_by_their_hash(start: Start, tmp_path: Path) -> None:
    key, line = new_key("app")
    (tmp_path / "keys").write_text(f"# who may come in\n\n{line}\n")
    assert key not in line
    assert line.split()[1] == hashlib.sha256(key.encode()).hexdigest()
    there = start(keys=tmp_path / "keys")
    assert kind_of(there.post(RECORDING)) == "no-key"
    assert kind_of(there.post(RECORDING, headers={"Authorization": "Bearer wrong"})) == "no-key"
    assert there.post(RECORDING, headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert there.post(RECORDING, headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert there.client.get("/healthz").status_code == there.client.get("/").status_code == 200
    opening = {"type": "start", "detector": "energy"}
    assert there.talk(opening, [])[-1]["problem"]["kind"] == "no-key"
    assert there.talk(opening | {"key": key}, ['{"type": "stop"}'])[-1]["kind"] == "end"
    wrong = [kind_of(there.post(RECORDING, headers={"Authorization": "Bearer wrong"})) for _ in range(12)]
    assert "too-many-requests" in wrong  # nobody may try many
    assert there.post(RECORDING, headers={"Authorization": f"Bearer {key}"}).status_code == 200


@pytest.mark.parametrize("text", ["", "app\n", "app abc\n", "app " + "g" * 64])
def test_key_files_that_are_off_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(SettingsError):
        Keys(tmp_path / "keys")


def test_rate_is_kept_for_each_client() -> None:
    now = [0.0]
    limit = RateLimit(60, clock=lambda: now[0])
    for _ in range(6):
        limit.take("a")
    with pytest.raises(Problem) as caught:
        limit.take("a")
    assert caught.value.kind == "too-many-requests"
    assert caught.value.retry_after_s == 2
    limit.take("b")
    now[0] = 1.0
    limit.take("a")
    with pytest.raises(Problem):
        limit.take("a")


def test_too_many_requests_are_refused_with_the_time_to_wait(start: Start) -> None:
    there = start(requests_per_minute=20)
    answers = [there.client.get("/v1/models") for _ in range(4)]
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    assert kind_of(answers[-1]) == "too-many-requests"
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_overload_is_refused_and_the_rest_is_answered(start: Start) -> None:
    there = start(concurrent_requests=1, waiting_requests=1)
    long = sound_file(voice(12.0))
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(there.post(long))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) == 6
    assert 1 <= len(refused) <= 5
    assert {kind_of(answer) for answer in refused} == {"overloaded"}
    assert all("retry-after" in answer.headers for answer in refused)
    assert there.service.gate.requests == 0


def test_upload_that_does_not_arrive_is_given_up(start: Start) -> None:
    there = start(upload_s=0.3)
    host, port = there.address.removeprefix("http://").rstrip("/").split(":")
    with sockets.create_connection((host, int(port))) as line:
        line.sendall(f"POST /v1/recognize HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n\r\nRIFF".encode())
        line.settimeout(20)
        assert b"408" in line.recv(100)
    assert soon(lambda: there.service.gate.requests == 0)


def test_decoder_is_killed_when_it_is_over(start: Start) -> None:
    hungry = start(decode_memory_mb=8)
    many = sound_file(np.random.default_rng(0).integers(-99, 99, (150_000, 60), np.int16), 44_100)
    assert kind_of(hungry.post(many)) in ("decoder-stopped", "not-media")
    assert hungry.post(RECORDING).status_code == 200


def test_decoder_that_is_silent_is_given_up() -> None:
    reading, writing = os.pipe()
    with pytest.raises(Problem) as caught:
        list(_frames(reading, lambda waited_s: waited_s < 0.1))
    assert caught.value.kind == "decoder-stopped"
    os.close(reading)
    os.close(writing)


def test_decoder_that_dribbles_is_given_up() -> None:
    reading, writing = os.pipe()
    over = threading.Event()

    def dribble() -> None:
        os.write(writing, b"p\0\0\1\0")
        while not over.wait(0.02):
            os.write(writing, b"\0")

    thread = threading.Thread(target=dribble)
    thread.start()
    with pytest.raises(Problem) as caught:
        list(_frames(reading, lambda waited_s: waited_s < 0.3))
    assert caught.value.kind == "decoder-stopped"
    over.set()
    thread.join()
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    "told",
    [
        b"p\xff\xff\xff\xff",
        b"x\0\0\0\0",
        b"e\2\0\0\0{}",
        b"p\4\0\0\0" + np.array([np.nan], "<f4").tobytes(),
        b"p\10\0\0\0\0\0",
    ],
    ids=["too long", "unknown", "empty error", "not finite", "cut short"],
)
def test_decoder_that_talks_nonsense_is_not_believed(told: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, told)
    os.close(writing)
    with pytest.raises(Problem) as caught:
        list(_frames(reading, lambda waited_s: waited_s < 5))
    assert caught.value.kind == "decoder-stopped"
    os.close(reading)


def test_decoder_that_died_is_replaced(service: Running) -> None:
    nursery = service.service.sandbox._nursery
    assert nursery is not None
    nursery.kill()
    nursery.wait()
    assert service.post(RECORDING).status_code == 200


def test_answer_may_take_only_so_long(start: Start) -> None:
    there = start(request_s=0.001)
    assert kind_of(there.post(sound_file(voice(20.0)))) == "took-too-long"


def test_nothing_is_left_behind(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    there = start(max_upload_mb=1, max_duration_s=5)
    process = psutil.Process()
    there.post(RECORDING)
    descriptors = process.num_fds()
    uploads = [RECORDING, RECORDING[:999], b"x", bytes(2_000_000), sound_file(voice(9.0)), sound_file(voice(9.0))[:-9]]
    for data in uploads * 2:
        there.post(data)
        there.lines(data, params={"division": "windows", "detector": "energy"})
    with there.client.stream(
        "POST", "/v1/recognize", files={"file": RECORDING}, headers={"Accept": "application/x-ndjson"}
    ):
        pass  # leaves before the answer is read
    assert soon(lambda: there.service.gate.requests == 0)
    assert soon(lambda: process.num_fds() <= descriptors + 2)
    assert list((tmp_path / "temporary").iterdir()) == []
    nursery = there.service.sandbox._nursery
    assert nursery is not None
    assert soon(lambda: psutil.Process(nursery.pid).children() == [])


def test_stopping_waits_only_so_long(model_folder: Path) -> None:
    settings = ServiceSettings(port=0, models=(str(model_folder),), drain_s=0.1, max_duration_s=1000)
    long = sound_file(np.tile(voice(30.0), 20))
    before = set(threading.enumerate())
    with running(settings) as there:
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.append(there.post(long)))
        asking.start()
        assert soon(lambda: there.service.gate.requests == 1)
        there.server.should_exit = True
        asking.join(60)
    assert kind_of(answers[0]) == "draining"
    assert soon(lambda: not [t for t in set(threading.enumerate()) - before if t.name.startswith("serenade-")])


def test_stopping_lets_work_under_way_end(start: Start) -> None:
    there = start(drain_s=30, concurrent_requests=1)
    answers: list[object] = []
    long = sound_file(voice(28.0))
    threads = [threading.Thread(target=lambda: answers.append(there.post(long))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert soon(lambda: there.service.gate.requests == 2)
    there.server.should_exit = True
    assert soon(lambda: there.service.gate.draining.is_set())
    refused = []
    end_s = time.monotonic() + 5
    while not refused and time.monotonic() < end_s:
        refused = [kind_of(there.client.get("/readyz"))] if there.service.gate.requests else ["draining"]
    for thread in threads:
        thread.join()
    assert refused == ["draining"]
    assert [answer.status_code for answer in answers] == [200, 200]
