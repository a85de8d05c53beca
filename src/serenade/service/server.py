"""Running the service until it is told to stop, and letting work under way end first."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serenade.core.errors import MissingExtraError, UsageError
from serenade.service.http import Service, build_app
from serenade.service.settings import ServiceSettings

if TYPE_CHECKING:
    import uvicorn

__all__ = ["serve"]

_PACKAGES = ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client")
_BACKLOG = 512
_CLOSING_S = 5  # for connections that are still open when their work is done


def serve(settings: ServiceSettings, *, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; then nobody is let in any more and work under way has `drain_s` to end.

    Args:
        settings: of the service.
        ready: told the address when requests are answered.

    Raises:
        CheckpointError: a model cannot be loaded.
        MissingExtraError: the extra `serve` is not installed.
        SettingsError: the file of keys is off.
        UsageError: the address is taken or not ours, or the system is not Linux.
    """
    _require_packages()
    with _listen(settings) as listening:
        service = Service.make(settings)
        with _signals_end_quietly():
            _server(service, settings, ready).run(sockets=[listening])


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """The server raises a signal again when it is done with it; to be told to stop is no failure, and exits with 0."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _require_packages() -> None:
    import importlib

    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise MissingExtraError(name, extra="serve", purpose="the service") from error


def _listen(settings: ServiceSettings) -> socket.socket:
    """A socket, before anything slow is done: an address that is taken is told at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise UsageError(
            "the service cannot listen there",
            where=f"{settings.host}:{settings.port}",
            found=error.strerror,
            hint="Choose another --port or --host",
        ) from error
    listening.listen(_BACKLOG)
    return listening


def _server(service: Service, settings: ServiceSettings, ready: Callable[[str], None]) -> "uvicorn.Server":
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if sockets and not self.should_exit:
                host, port = sockets[0].getsockname()[:2]
                ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/")

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await service.gate.drain(settings.drain_s)
            service.listener.stop()
            await super().shutdown(sockets)

    return Server(
        uvicorn.Config(
            build_app(service),
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=False,  # whoever is let in by address must not choose it
            ws="websockets-sansio",
            ws_max_size=settings.max_message_kb * 1024,
            timeout_graceful_shutdown=_CLOSING_S,
        )
    )
