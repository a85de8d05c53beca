"""The addresses of the service, as a FastAPI application."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import IO, TYPE_CHECKING, Annotated, Any

from pydantic import Field

from serenade import __version__
from serenade.core.errors import SerenadeError
from serenade.core.settings import Settings
from serenade.core.timelines import SpeakerTurn
from serenade.service.conversion import convert, timeline_schema
from serenade.service.explaining import Explainers
from serenade.service.gate import Gate, Keys, RateLimit
from serenade.service.guard import Guard
from serenade.service.metrics import Metrics
from serenade.service.pages import all_formats, make_file
from serenade.service.problems import MEDIA_TYPE, STATUS, Problem, ProblemKind, problem_of
from serenade.service.recognition import Listener, Model, Models, Wishes, speakers_of
from serenade.service.sandbox import Sandbox
from serenade.service.settings import ServiceSettings
from serenade.service.streams import follow
from serenade.service.uploads import FIELD, SPEAKERS, receive_upload

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

__all__ = ["JSON_LINES", "ExplanationWishes", "RecordingWishes", "Service", "build_app"]

_log = logging.getLogger(__name__)

JSON_LINES = "application/x-ndjson"
_GUESSES_PER_MINUTE = 60
_THREADS, _THREADS_OF_STREAM = 4, 3
_PAGE_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}
_KINDS: dict[int, ProblemKind] = {404: "not-found", 405: "method-not-allowed"}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {
                    FIELD: {"type": "string", "format": "binary"},
                    SPEAKERS: {"type": "string", "description": "who talks when (RTTM), for recognize"},
                },
            }
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}


class RecordingWishes(Wishes):
    """What a client wants of a recording, and in which format."""

    format: str | None = Field(
        None, max_length=40, description="a file: json, csv, rttm, eaf, html, ... (/v1/models); unset: the answer"
    )
    name: str | None = Field(None, max_length=255, description="what the recording is called in a file")


class ExplanationWishes(Settings):
    """What a client wants to be explained."""

    model: str | None = Field(None, description="name of a model; unset: the first one of /v1/models")
    start_s: float = Field(0, ge=0, description="where the stretch begins")
    end_s: float | None = Field(None, gt=0, description="where it ends; at most 30 s are explained at once")
    target: str | None = Field(None, max_length=100, description="the class; unset: the predicted one")
    method: str = Field("auto", max_length=40, description="auto, attention, gradcam, integrated-gradients, occlusion")


@dataclass(frozen=True)
class Service:
    """All that answers.

    Args:
        settings: of the service.
        models: what is served.
        sandbox: decodes.
        listener: answers.
        explainers: explain.
        metrics: count.
        gate: room.
        keys: who may come in.
        rate: how often.
        guesses: how often without a key that is known.
    """

    settings: ServiceSettings
    models: Models
    sandbox: Sandbox
    listener: Listener
    explainers: Explainers
    metrics: Metrics
    gate: Gate
    keys: Keys
    rate: RateLimit
    guesses: RateLimit

    @classmethod
    def make(cls, settings: ServiceSettings) -> "Service":
        """Everything but the network; loads the models.

        Raises:
            CheckpointError: a model cannot be loaded.
            SettingsError: the file of keys is off.
            UsageError: two models have one name, there is no such device, or the system is not Linux.
        """
        metrics, sandbox = Metrics(), Sandbox(settings)
        keys = Keys(settings.keys)
        models = Models(settings, metrics)
        service = cls(
            settings,
            models,
            sandbox,
            Listener(sandbox, settings, metrics),
            Explainers(settings.device),
            metrics,
            Gate(settings),
            keys,
            RateLimit(settings.requests_per_minute),
            RateLimit(_GUESSES_PER_MINUTE),
        )
        metrics.watch("serenade_waiting_segments", "Segments that wait for a batch", lambda: models.waiting)
        metrics.watch("serenade_open_requests", "Uploads under way", lambda: service.gate.requests)
        metrics.watch("serenade_open_streams", "Live streams", lambda: service.gate.streams)
        return service

    def admit(self, connection: "HTTPConnection", key: str | None = None) -> None:
        """Let a request in.

        Args:
            connection: where its address and headers stand.
            key: its API key, where it cannot be in a header.

        Raises:
            Problem: its key is not known, or it is one too many.
        """
        address = "" if connection.client is None else connection.client.host
        kind, _, stated = connection.headers.get("authorization", "").partition(" ")
        given = stated.strip() if kind.lower() == "bearer" else key
        try:
            client = self.keys.client(given, address)
        except Problem:
            self.guesses.take(address)  # nobody may try many keys
            raise
        self.rate.take(client)


def build_app(service: Service) -> Callable[..., Any]:
    """The ASGI application of a service."""
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(app: "FastAPI") -> AsyncIterator[None]:
        # A stream of media waits for its decoder in a thread of its own; so many must not keep others waiting.
        threads = _THREADS + _THREADS_OF_STREAM * service.settings.concurrent_streams
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, "serenade-streams"))
        await asyncio.to_thread(service.sandbox.open)
        await asyncio.to_thread(service.models.warm_up)
        yield
        await asyncio.to_thread(service.sandbox.close)
        await asyncio.to_thread(service.models.close)

    app = FastAPI(
        title="Serenade",
        summary="How speech sounds: probabilities of emotions for recordings and live streams.",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
        responses={"default": {"description": "A problem (RFC 9457)", "content": {MEDIA_TYPE: {"schema": _schema()}}}},
    )
    _add_problems(app, service)
    _add_recognition(app, service)
    _add_explanation(app, service)
    _add_conversion(app, service)
    _add_models(app, service)
    _add_stream(app, service)
    _add_state(app, service)
    _add_page(app)
    if service.settings.allowed_origins:
        _allow_origins(app, service.settings)
    return Guard(app, service.settings, service.metrics)


def _schema() -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "integer"}
    properties = {"type": text, "title": text, "status": number, "kind": {"enum": list(STATUS)}, "detail": text}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _allow_origins(app: "FastAPI", settings: ServiceSettings) -> None:
    from fastapi.middleware.cors import CORSMiddleware

    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.allowed_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Accept"],
    )


def _add_problems(app: "FastAPI", service: Service) -> None:
    """Answer every error as a problem."""
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    def answer(problem: Problem) -> JSONResponse:
        service.metrics.problem(problem.kind)
        return JSONResponse(problem.to_json(), problem.status, problem.headers, MEDIA_TYPE)

    @app.exception_handler(Problem)
    async def on_problem(request: "Request", error: Problem) -> JSONResponse:
        return answer(error)

    @app.exception_handler(SerenadeError)
    async def on_error(request: "Request", error: SerenadeError) -> JSONResponse:
        problem = problem_of(error)
        if problem.kind == "internal":
            _log.error("the service failed: %s", error)
        return answer(problem)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: "Request", error: RequestValidationError) -> JSONResponse:
        return answer(Problem("bad-request", _said(error.errors())))

    @app.exception_handler(HTTPException)
    async def on_http(request: "Request", error: HTTPException) -> JSONResponse:
        return answer(Problem(_KINDS.get(error.status_code, "bad-request"), str(error.detail)))

    @app.exception_handler(Exception)
    async def on_bug(request: "Request", error: Exception) -> JSONResponse:
        return answer(Problem("internal", "The service failed; its log says more."))


def _said(errors: Any) -> str:
    """What is wrong with parameters, each with its name."""
    return " ".join(f"{'.'.join(map(str, error['loc'][1:]))}: {error['msg']}." for error in errors)


def _add_recognition(app: "FastAPI", service: Service) -> None:
    from fastapi import Query, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse, Response, StreamingResponse

    class Told(StreamingResponse):
        """Lines as they are known; what is held for them is given back whatever happens, also if nobody reads them."""

        def __init__(self, lines: Iterator[dict[str, Any]], held: ExitStack) -> None:
            self._held = held
            held.callback(lines.close)  # type: ignore[attr-defined]  # a generator: its decoder ends here
            self._told = _told(service, lines)
            super().__init__(self._told, media_type=JSON_LINES)

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            with self._held:
                try:
                    await super().__call__(scope, receive, send)
                finally:
                    await self._told.aclose()

    lines_too: dict[int | str, dict[str, Any]] = {
        200: {"content": {JSON_LINES: {}}, "description": "The answer, or its lines as they are known"}
    }

    @app.post("/v1/recognize", tags=["recognition"], openapi_extra={"requestBody": _BODY}, responses=lines_too)
    async def recognize(request: Request, wishes: Annotated[RecordingWishes, Query()]) -> Response:
        """The emotions of a recording: one row for all of it, for every turn of speech, or for every window.

        With `format` the answer is a file: a table, tiers, captions, or `html`, a page with the sound.

        Send the file as the form's field `file`, or as the body. With `Accept: application/x-ndjson` the answer comes
        line by line while the recording is still being heard: `start`, `row`s, `end`, or `problem` where it goes wrong.
        With who talks when (RTTM) in the form's field `speakers` everyone has rows and a summary of their own.
        """
        service.admit(request)
        model = service.models.find(wishes.model)
        with ExitStack() as held:
            held.enter_context(service.gate.request())
            told = bytearray()
            file = held.enter_context(await receive_upload(request, service.settings, told))
            turns = speakers_of(bytes(told), wishes.name)
            if wishes.format is not None:
                async with service.gate.work:
                    return _attached(*await run_in_threadpool(_made_file, service, file, model, wishes, turns))
            if JSON_LINES in request.headers.get("accept", ""):
                return Told(service.listener.lines(file, model, wishes, turns), held.pop_all())
            async with service.gate.work:
                return JSONResponse(await run_in_threadpool(service.listener.whole, file, model, wishes, turns))


def _add_explanation(app: "FastAPI", service: Service) -> None:
    from fastapi import Query, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse

    @app.post("/v1/explain", tags=["recognition"], openapi_extra={"requestBody": _BODY})
    async def explain(request: Request, wishes: Annotated[ExplanationWishes, Query()]) -> JSONResponse:
        """What an answer rests on: the spectrogram of a stretch of up to 30 s, and maps of what counted in it."""
        from serenade.inference.explanation import MOST_S

        service.admit(request)
        if not service.settings.explanations:
            raise Problem("not-found", "Explanations are switched off here.")
        model = service.models.find(wishes.model)
        end_s = min(wishes.start_s + MOST_S, wishes.end_s if wishes.end_s is not None else float("inf"))
        with service.gate.request(), await receive_upload(request, service.settings) as file:
            async with service.gate.work:
                samples = await run_in_threadpool(service.listener.samples, file, wishes.start_s, end_s)
                found = await run_in_threadpool(
                    service.explainers.explain, model, samples, wishes.start_s, wishes.target, wishes.method
                )
        return JSONResponse(found)


def _add_conversion(app: "FastAPI", service: Service) -> None:
    from fastapi import Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import Response

    stated = {"required": True, "content": {"application/json": {"schema": timeline_schema()}}}

    @app.post(
        "/v1/convert/{format_name}",
        tags=["recognition"],
        response_class=Response,
        openapi_extra={"requestBody": stated},
    )
    async def convert_timeline(request: Request, format_name: str) -> Response:
        """A timeline, as `recognize` or a stream gave it, as a file of another format."""
        service.admit(request)
        with service.gate.request(), await receive_upload(request, service.settings) as file:
            async with service.gate.work:
                data, name = await run_in_threadpool(lambda: convert(file.read(), format_name))
        return _attached(data, name)


def _made_file(
    service: Service, file: IO[bytes], model: Model, wishes: RecordingWishes, speakers: Sequence[SpeakerTurn]
) -> tuple[bytes, str]:
    """The bytes of a file, and what to call it."""
    explainers = service.explainers if service.settings.explanations else None
    assert wishes.format is not None
    return make_file(file, model, wishes, wishes.format, wishes.name, speakers, service.listener, explainers)


def _attached(data: bytes, name: str) -> "Response":
    """A file that a browser saves and does not open."""
    from fastapi.responses import Response

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/octet-stream", headers=headers)


async def _told(service: Service, lines: Iterator[dict[str, Any]]) -> AsyncGenerator[bytes]:
    """Lines of JSON; once the answer has begun, a problem is a line too."""
    from fastapi.concurrency import run_in_threadpool

    async with service.gate.work:
        try:
            while (line := await run_in_threadpool(next, lines, None)) is not None:
                yield _json(line)
            return
        except (Problem, SerenadeError) as error:
            problem = error if isinstance(error, Problem) else problem_of(error)
        except Exception:  # noqa: BLE001 - the status is out already: a bug too is told in a line, and logged
            _log.exception("an answer broke off")
            problem = Problem("internal", "The service failed; its log says more.")
        service.metrics.problem(problem.kind)
        yield _json({"kind": "problem", "problem": problem.to_json()})


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _add_models(app: "FastAPI", service: Service) -> None:
    from fastapi import Request

    @app.get("/v1/models", tags=["models"])
    async def models(request: Request) -> dict[str, Any]:
        """The models that are served, the first one is taken if none is named; and what else there is."""
        service.admit(request)
        return {
            "models": [model.to_json() for model in service.models],
            "formats": all_formats(),
            "explanations": service.settings.explanations,
            "limits": service.settings.model_dump(include={"max_upload_mb", "max_duration_s", "concurrent_streams"}),
            "version": __version__,
        }

    @app.get("/v1/models/{name}", tags=["models"])
    async def model_card(request: Request, name: str) -> dict[str, Any]:
        """A model and its card (Markdown): data, honest figures, what it is not for."""
        service.admit(request)
        found = service.models.find(name)
        return found.to_json() | {"card": found.recognizer.card}


def _add_stream(app: "FastAPI", service: Service) -> None:
    from fastapi import WebSocket

    @app.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        await follow(socket, service)


def _add_state(app: "FastAPI", service: Service) -> None:
    from fastapi import Request
    from fastapi.responses import PlainTextResponse, Response

    @app.get("/healthz", tags=["state"])
    async def health() -> PlainTextResponse:
        """Whether the process answers."""
        return PlainTextResponse("ok\n")

    @app.get("/readyz", tags=["state"])
    async def readiness() -> PlainTextResponse:
        """Whether it takes more: not while it is stopping."""
        if service.gate.draining.is_set():
            raise Problem("draining", "The service is stopping.")
        return PlainTextResponse("ready\n")

    @app.get("/metrics", tags=["state"])
    async def metrics(request: Request) -> Response:
        """Counters for Prometheus."""
        if service.settings.metrics_key:
            service.admit(request)
        body, kind = service.metrics.text()
        return Response(body, media_type=kind)


def _add_page(app: "FastAPI") -> None:
    from fastapi.responses import Response

    folder = files("serenade.service") / "page"
    parts = {item.name: (item.read_bytes(), _PAGE_TYPES[item.name.rpartition(".")[2]]) for item in folder.iterdir()}

    def part(name: str) -> Response:
        if name not in parts:
            raise Problem("not-found", "There is no such part of the page.")
        body, kind = parts[name]
        return Response(body, media_type=kind, headers={"Cache-Control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return part("index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def page_part(name: str) -> Response:
        return part(name)
