"""The service under load, abuse and time: latency, throughput, overload, hostile uploads, a soak.

    python benchmarks/service.py load        3-s clips at 1, 8 and 32 clients
    python benchmarks/service.py overload    64 clients against room for 8
    python benchmarks/service.py hostile     1,000 uploads that are broken or meant to do harm
    python benchmarks/service.py soak --minutes 60 --pause 2

A real service runs in a process of its own and is asked over HTTP on loopback; clients are threads of this process, so
they take processor time too.
"""

import argparse
import http.client
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import soundfile

from serenade.corpora.synthetic import long_recording

CLIP_S = 3.0
PATIENCE_S = 900  # of a client; a machine that does other things besides may need it
RATE = 16_000
BOUNDARY = "serenade-benchmark"


class Server:
    """`serenade serve` on a free port.

    Args:
        settings: `key=value` for --set.
    """

    def __init__(self, *settings: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="serenade-uploads-")
        command = [sys.executable, "-m", "serenade.app", "serve", "--port", "0", "--set", "requests_per_minute=0"]
        for setting in settings:
            command += ["--set", setting]
        environment = {**os.environ, "TMPDIR": self.folder.name}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        self.host, port = line.strip().rstrip("/").rpartition("//")[2].split(":")
        self.port = int(port)
        self.log: list[str] = []
        threading.Thread(target=lambda: self.log.extend(self.process.stderr or ()), daemon=True).start()
        self.told = psutil.Process(self.process.pid)

    def memory_mb(self) -> float:
        """Resident memory of the service and of its warm decoder."""
        sizes = [self.told, *self.told.children(recursive=True)]
        total = 0
        for process in sizes:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 2**20

    def cpu_s(self) -> float:
        """Processor time of the service; that of decoders that have ended is with the warm one."""
        total = 0.0
        for process in [self.told, *self.told.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def left_files(self) -> int:
        return len(list(Path(self.folder.name).iterdir()))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(90)
        self.folder.cleanup()
        return code


@contextmanager
def serving(*settings: str) -> Iterator[Server]:
    server = Server(*settings)
    try:
        yield server
    finally:
        code = server.stop()
        print(f"the service ended with {code}" + (f" and said: {''.join(server.log[-20:])}" if server.log else ""))


def form(data: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


class Client:
    """One connection that is kept; a broken one is opened anew."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.line = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE_S)

    def post(self, body: bytes, path: str = "/v1/recognize") -> tuple[int, str, bytes]:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        for again in (True, False):
            try:
                self.line.request("POST", path, body, headers)
                answer = self.line.getresponse()
                return answer.status, answer.headers.get_content_type(), answer.read()
            except TimeoutError:
                self.line.close()
                return 0, "timeout", b""
            except (http.client.HTTPException, ConnectionError):
                # A refusal that came before the whole upload was sent closes the connection: that is told by TCP only.
                self.line.close()
                if not again:
                    return 0, "", b""
        raise AssertionError


def clips(count: int) -> list[bytes]:
    """WAV files of generated voices."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        long_recording(path, max(5.0, count * CLIP_S))
        samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    length = round(CLIP_S * RATE)
    return [wav(samples[place * length : (place + 1) * length]) for place in range(count)]


def wav(samples: np.ndarray, rate: int = RATE, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


def drive(server: Server, clients: int, bodies: list[bytes], each: int) -> list[tuple[float, int, str, bytes]]:
    """Every client sends `each` clips one after the other; (seconds, status, type, body) of every answer."""
    answers: list[tuple[float, int, str, bytes]] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        client = Client(server)
        for turn in range(each):
            start_s = time.perf_counter()
            answer = client.post(bodies[(number * each + turn) % len(bodies)])
            with lock:
                answers.append((time.perf_counter() - start_s, *answer))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def load(requests: int) -> None:
    bodies = [form(data) for data in clips(16)]
    print("| clients | clips | p50 ms | p95 ms | clips/s | x real time | CPU ms/clip | segments/batch | lost |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with serving() as server:
        drive(server, 2, bodies, 4)
        for clients in (1, 8, 32):
            each = max(4, requests // clients)
            cpu_s, batches, start_s = server.cpu_s(), batched(server), time.perf_counter()
            answers = drive(server, clients, bodies, each)
            wall_s = time.perf_counter() - start_s
            cpu_ms = (server.cpu_s() - cpu_s) / len(answers) * 1e3
            done = batched(server)
            filled = (done[0] - batches[0]) / max(1, done[1] - batches[1])
            seconds = sorted(answer[0] for answer in answers)
            p50, p95 = (seconds[min(len(seconds) - 1, int(share * len(seconds)))] * 1e3 for share in (0.5, 0.95))
            lost = clients * each - sum(answer[1] == 200 for answer in answers)
            speed = len(answers) / wall_s
            print(
                f"| {clients} | {len(answers)} | {p50:.0f} | {p95:.0f} | {speed:.1f} | {speed * CLIP_S:.0f} "
                f"| {cpu_ms:.0f} | {filled:.1f} | {lost} |",
                flush=True,
            )
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def batched(server: Server) -> tuple[float, float]:
    """Segments and batches so far."""
    line = http.client.HTTPConnection(server.host, server.port)
    line.request("GET", "/metrics")
    text = line.getresponse().read().decode()
    values = [
        float(row.split()[-1])
        for name in ("sum", "count")
        for row in text.splitlines()
        if row.startswith(f"serenade_batch_segments_{name} ")
    ]
    return values[0], values[1]


def overload() -> None:
    bodies = [form(data) for data in clips(8)]
    with serving("concurrent_requests=2", "waiting_requests=6") as server:
        answers = drive(server, 64, bodies, 4)
        kinds: Counter[str] = Counter()
        for _, status, kind, body in answers:
            kinds["answered" if status == 200 else told(status, kind, body)] += 1
        print(f"64 clients x 4 clips against room for 8: {dict(kinds)}; {256 - len(answers)} lost")
        after = [answer[1] for answer in drive(server, 1, bodies, 3)]
        print(f"afterwards one client gets {after}")


def told(status: int, kind: str, body: bytes) -> str:
    """The kind of a problem; whatever is none of ours is named so that it is seen."""
    if status == 0:
        return f"no answer within {PATIENCE_S} s" if kind == "timeout" else "connection closed"
    if kind != "application/problem+json":
        return f"UNTYPED {status} {kind}"
    return f"{status} {json.loads(body)['kind']}"


def hostile_uploads(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """What a stranger might send: name of the sort, bytes."""
    draw = random.Random(seed)
    voice = clips(1)[0]
    samples = soundfile.read(io.BytesIO(voice), dtype="int16")[0]
    good = {kind: wav(samples, kind=kind) for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF", "W64")}
    good |= {"webm": webm(samples), "mp4": webm(samples, "mp4", "aac")}
    silence = wav(np.zeros(5 * 3600 * RATE, np.int16), kind="FLAC")  # five hours in 200 kB
    thin = wav(np.zeros((200_000, 64), np.int16), 1000)

    def fuzzed() -> bytes:
        data = bytearray(draw.choice(list(good.values())))
        for _ in range(draw.randint(1, 30)):  # most in the header, where the sizes stand
            data[draw.randrange(min(len(data), draw.choice((64, 512, len(data)))))] = draw.randrange(256)
        return bytes(data)

    def truncated() -> bytes:
        data = draw.choice(list(good.values()))
        return data[: draw.randrange(len(data))]

    def spliced() -> bytes:
        first, second = draw.choice(list(good.values())), draw.choice(list(good.values()))
        return first[: draw.randrange(16, 4096)] + second[draw.randrange(len(second)) :]

    def headed() -> bytes:
        return draw.choice([data[:16] for data in good.values()]) + draw.randbytes(draw.randrange(1, 60_000))

    def typed() -> bytes:
        return draw.choice(
            [
                b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
                b"ffconcat version 1.0\nfile /etc/passwd\n",
                b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
                b"%PDF-1.7\n" + draw.randbytes(3000),
                b"PK\x03\x04" + draw.randbytes(3000),
                b"\x89PNG\r\n\x1a\n" + draw.randbytes(3000),
                b"MZ" + draw.randbytes(3000),
                b"",
                b"\0",
                draw.randbytes(200_000),
            ]
        )

    def bomb() -> bytes:
        return draw.choice([silence, thin, bytes(150_000_000)])

    sorts: list[tuple[str, Callable[[], bytes], float]] = [
        ("fuzzed", fuzzed, 0.4),
        ("truncated", truncated, 0.25),
        ("spliced", spliced, 0.1),
        ("noise behind a header", headed, 0.1),
        ("another type", typed, 0.13),
        ("bomb", bomb, 0.02),
    ]
    for _ in range(count):
        name, make, _ = draw.choices(sorts, [share for _, _, share in sorts])[0]
        yield name, make()


def webm(samples: np.ndarray, container: str = "webm", codec: str = "libopus") -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        track = out.add_stream(codec, rate=48_000)
        track.layout = "mono"
        values = np.repeat(samples, 3).astype(np.float32) / 32768
        for start in range(0, len(values) - 1023, 960 if codec == "libopus" else 1024):
            stop = start + (960 if codec == "libopus" else 1024)
            kind = "flt" if codec == "libopus" else "fltp"
            frame = av.AudioFrame.from_ndarray(values[None, start:stop], format=kind, layout="mono")
            frame.rate, frame.pts = 48_000, start
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return file.getvalue()


def hostile(count: int, seed: int) -> None:
    good = form(clips(1)[0])
    told_of: dict[str, Counter[str]] = {}
    with serving("decode_cpu_s=20") as server:
        client = Client(server)
        expected = client.post(good)
        for _ in range(20):
            client.post(good)
        memory = [server.memory_mb()]
        descriptors = server.told.num_fds()
        for number, (sort, data) in enumerate(hostile_uploads(count, seed), start=1):
            status, kind, body = client.post(form(data))
            name = "heard" if status == 200 else told(status, kind, body)
            told_of.setdefault(sort, Counter())[name] += 1
            if number % (count // 4) == 0:
                memory.append(server.memory_mb())
                print(f"after {number}: {memory[-1]:.0f} MB", flush=True)
        time.sleep(1)
        decoders = len(server.told.children(recursive=True)) - 1
        print(f"{count} uploads, seed {seed}; the process runs on: {server.process.poll() is None}")
        for sort, kinds in told_of.items():
            print(f"  {sort}: {', '.join(f'{name} {times}' for name, times in kinds.most_common())}")
        print(f"memory MB at the start and after each quarter: {', '.join(f'{value:.0f}' for value in memory)}")
        print(f"descriptors before and after: {descriptors}, {server.told.num_fds()}")
        print(f"files left: {server.left_files()}; decoders left: {decoders}")
        print(f"a good clip still gets the same answer: {client.post(good) == expected}")


def soak(minutes: float, pause_s: float) -> None:
    """Four clients with good clips, long files, line by line, and broken ones, for a while; each waits in between."""
    bodies = [form(data) for data in clips(8)]
    long = form(wav(np.concatenate([soundfile.read(io.BytesIO(data), dtype="int16")[0] for data in clips(20)])))
    broken = form(bodies[0][300:9000])
    end_s = time.monotonic() + minutes * 60
    kinds: Counter[str] = Counter()
    lock = threading.Lock()
    with serving() as server:
        drive(server, 2, bodies, 10)

        def work(number: int) -> None:
            client, turn = Client(server), number
            while time.monotonic() < end_s:
                turn += 1
                path = "/v1/recognize" + ("?division=windows&window_s=1&detector=energy" if turn % 5 == 0 else "")
                body = broken if turn % 7 == 0 else long if turn % 11 == 0 else bodies[turn % len(bodies)]
                status, kind, text = client.post(body, path)
                with lock:
                    kinds["answered" if status == 200 else told(status, kind, text)] += 1
                time.sleep(pause_s)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        memory = [server.memory_mb()]
        descriptors = server.told.num_fds()
        for thread in threads:
            thread.start()
        every_s = max(10.0, minutes * 60 / 10)
        while time.monotonic() < end_s:
            time.sleep(min(every_s, max(0.1, end_s - time.monotonic())))
            memory.append(server.memory_mb())
            print(f"{sum(kinds.values())} answers, {memory[-1]:.0f} MB", flush=True)
        for thread in threads:
            thread.join()
        time.sleep(2)
        memory.append(server.memory_mb())
        print(f"{minutes:g} minutes, {sum(kinds.values())} answers: {dict(kinds)}")
        print(f"memory MB, decoders at work among it, and at rest at the end: {', '.join(f'{m:.0f}' for m in memory)}")
        print(
            f"descriptors before and after: {descriptors}, {server.told.num_fds()}; files left: {server.left_files()}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["load", "overload", "hostile", "soak"])
    parser.add_argument("--requests", type=int, default=320, help="clips for each number of clients")
    parser.add_argument("--count", type=int, default=1000, help="hostile uploads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--pause", type=float, default=0.05, help="of a client between two requests of the soak, s")
    options = parser.parse_args()
    if options.what == "load":
        load(options.requests)
    elif options.what == "overload":
        overload()
    elif options.what == "hostile":
        hostile(options.count, options.seed)
    else:
        soak(options.minutes, options.pause)


if __name__ == "__main__":
    main()
