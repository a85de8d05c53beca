"""A service on a port of its own, with a model whose weights are drawn."""

import faulthandler
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
import torch

from serenade.core.labels import LabelSet
from serenade.systems import make_system, save_checkpoint

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("prometheus_client", reason="needs the extra serve")
httpx2 = pytest.importorskip("httpx2", reason="needs the extra dev")

from serenade.service.http import Service  # noqa: E402 - behind the check that it can be imported
from serenade.service.sandbox import Sandbox  # noqa: E402
from serenade.service.server import _listen, _server  # noqa: E402
from serenade.service.settings import ServiceSettings  # noqa: E402


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GLAM with drawn weights: it scores, though not well."""
    folder = tmp_path_factory.mktemp("model") / "drawn"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = make_system("glam", {"evaluation_overlap_s": 0.9}, LabelSet(("angry", "happy", "neutral", "sad")))
    save_checkpoint(system, "glam", folder)
    (folder / "card.md").write_text("# GLAM, untrained\n\nDrawn weights,\nfor tests only.\n\n## Data\n\nNone.\n")
    return folder


def voice(duration_s: float = 2.0, seed: int = 0, rate: int = 16_000) -> np.ndarray[Any, Any]:
    """Noise that gets louder and quieter."""
    swell = 0.2 + 0.15 * np.sin(np.arange(round(duration_s * rate)) / rate * 2)
    return (swell * np.random.default_rng(seed).uniform(-1, 1, len(swell))).astype(np.float32)


def sound_file(
    samples: np.ndarray[Any, Any], rate: int = 16_000, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    file = BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


class Running:
    """A service that runs in a thread, and how to talk to it."""

    def __init__(self, service: Service, address: str, server: Any) -> None:
        self.service, self.address, self.server = service, address, server
        self.client = httpx2.Client(base_url=address, timeout=60)

    def post(self, data: bytes, path: str = "/v1/recognize", **options: Any) -> Any:
        return self.client.post(path, files={"file": ("a.wav", data)}, **options)

    def lines(self, data: bytes, **options: Any) -> list[dict[str, Any]]:
        answer = self.post(data, headers={"Accept": "application/x-ndjson"}, **options)
        return [json.loads(line) for line in answer.text.splitlines()]

    def talk(self, opening: object, parts: Sequence[bytes | str]) -> list[dict[str, Any]]:
        """What a stream answers to an opening and what follows it."""
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect

        told = []
        with connect(self.address.replace("http", "ws") + "v1/stream") as socket:
            with suppress(ConnectionClosed):  # a refusal may come before all was sent; it is read below
                socket.send(opening if isinstance(opening, str | bytes) else json.dumps(opening))
                for part in parts:
                    socket.send(part)
            try:
                while True:
                    told.append(json.loads(socket.recv(timeout=60)))
            except ConnectionClosed:
                return told


Start = Callable[..., Running]


@contextmanager
def running(settings: ServiceSettings) -> Iterator[Running]:
    ready, address = threading.Event(), []

    def known(where: str) -> None:
        address.append(where)
        ready.set()

    with _listen(settings) as listening:
        service = Service.make(settings)
        server = _server(service, settings, known)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        assert ready.wait(120)
        there = Running(service, address[0], server)
        try:
            yield there
        finally:
            there.client.close()
            server.should_exit = True
            thread.join(60)
            if thread.is_alive():
                faulthandler.dump_traceback(all_threads=True, file=sys.__stderr__)  # who keeps it
            assert not thread.is_alive()


@pytest.fixture(scope="session")
def service(model_folder: Path) -> Iterator[Running]:
    """One service for all tests; those that need other settings use `start`."""
    with running(ServiceSettings(port=0, models=(str(model_folder),), max_upload_mb=4, max_duration_s=30)) as there:
        yield there


@pytest.fixture
def start(model_folder: Path) -> Iterator[Start]:
    """Starts services with settings of one's own."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def make(**changes: Any) -> Running:
            values = {"port": 0, "models": (str(model_folder),), "drain_s": 5} | changes
            return stack.enter_context(running(ServiceSettings(**values)))

        yield make


def children_of(sandbox: Sandbox) -> list[psutil.Process]:
    """The decoders at work."""
    nursery = sandbox._nursery
    return [] if nursery is None else psutil.Process(nursery.pid).children()


def soon(true: Callable[[], bool], within_s: float = 20) -> bool:
    """Whether something becomes true before long."""
    end_s = time.monotonic() + within_s
    while not true() and time.monotonic() < end_s:
        time.sleep(0.02)
    return true()
