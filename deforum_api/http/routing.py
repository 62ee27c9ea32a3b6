"""The class of all routes: it checks access, limits the body, and turns every error into the error envelope."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import APIRouter, Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from deforum_api.http import messages
from deforum_api.http.models import Batch, ErrorResponse
from deforum_api.http.security import CHANGING_METHODS, Access, guard
from deforum_api.http.sse import Streams
from deforum_api.http.views import SLICE_BYTES, SlicedResponse, whole
from deforum_api.queue.checks.body import BodyBudget, read_body
from deforum_api.queue.checks.processes import ClientGone
from deforum_api.queue.errors import ApiError
from deforum_api.queue.jobs import JobQueue

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
T = TypeVar("T")
# More threads than requests may wait for their checks, so that further ones can be refused.
_THREADS = ThreadPoolExecutor(64, "deforum-request")
_MEANINGS = {
    400: "The request cannot be carried out; `errors` lists the wrong settings",
    401: "User name and password are needed",
    403: "The request comes from a page of another origin",
    404: "Unknown id",
    405: "The method is not allowed here",
    409: "The job's status does not allow the request",
    413: "The body is too large",
    415: "The body's content type is not accepted",
    416: "The requested range is outside of the file",
    421: "The Host header names a foreign host",
    422: "The request has the wrong form; `detail` lists the wrong fields",
    429: "The queue is full, or the server is busy with other requests",
    500: "The job or the server failed",
    503: "The server is stopping, or the job database cannot be used",
}


@dataclass(frozen=True)
class Service:
    """The objects that the routes of one app use; stored as `app.state.deforum`."""

    jobs: JobQueue
    access: Access
    health: Callable[[], dict[str, Any]]
    body_budget: BodyBudget = field(default_factory=BodyBudget)
    streams: Streams = field(default_factory=Streams)
    # Many records are read on one thread at a time, as each reader holds the interpreter's lock.
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))


def service_of(request: Request) -> Service:
    """Return the service of the app that got the request."""
    service: Service = request.app.state.deforum
    return service


def jobs_of(request: Request) -> JobQueue:
    """Return the job queue of the app that got the request."""
    return service_of(request).jobs


# Without it, a browser might treat a response as HTML because of a prompt in it.
NOSNIFF = ("X-Content-Type-Options", "nosniff")
SERVICE = Depends(service_of)
JOBS = Depends(jobs_of)


def error_responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of a route's errors, including those of the access checks."""
    return {
        code: {"model": ErrorResponse, "description": _MEANINGS[code]} for code in sorted({*codes, 401, 421})
    }


def change_error_responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of the errors of a route that changes something."""
    return error_responses(403, 413, 415, 422, *codes)


def error_response(error: ApiError) -> JSONResponse:
    """Return the error envelope as a response."""
    return JSONResponse(error.envelope(), error.code, headers={**error.headers, NOSNIFF[0]: NOSNIFF[1]})


def json_response(text: str | bytes, code: int = 200) -> Response:
    """Return JSON text as a response."""
    content = text.encode() if isinstance(text, str) else text
    if len(content) <= SLICE_BYTES:
        return Response(content, code, media_type="application/json")
    return SlicedResponse(whole(content), code, {"Content-Length": str(len(content))})


class BufferedRequest(Request):
    """A request whose body was read, and is parsed in the checking process.

    FastAPI documents the body by the route's model; an empty model stands in for its value.
    """

    raw_body: bytes = b""

    async def body(self) -> bytes:
        return b"{}"

    async def json(self) -> Any:
        return Batch(deforum_settings={}, options_overrides=None, priority=None, webhook_url=None)


class Route(APIRoute):
    """A route that answers errors with the error envelope, without a handler for the whole app."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        path = self.path_format

        async def guarded(request: Request) -> Response:
            service = service_of(request)
            read = BufferedRequest(_with_content_type(request.scope), request.receive)
            try:
                guard(request, path, service.access)
                if request.method in CHANGING_METHODS:
                    read.raw_body = await read_body(request, service.body_budget)
                answered = await answer(read)
            except Exception as error:
                return error_response(_as_api_error(error, request))
            finally:
                service.body_budget.now_bytes -= len(read.raw_body)
            answered.headers[NOSNIFF[0]] = NOSNIFF[1]
            if request.method == "HEAD" and isinstance(answered, StreamingResponse):
                answered.body_iterator = _nothing()  # no file is read, and no job followed, for nobody
            return answered

        return guarded

    def matches(self, scope: Any) -> Any:
        """Accept HEAD where GET is accepted; the server omits the body."""
        return super().matches({**scope, "method": "GET"} if self._answers_head(scope) else scope)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] in (self.methods or ()) or self._answers_head(scope):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            guard(request, self.path_format, service_of(request).access)
            methods = METHODS.get(self.path_format, set())
            allowed = ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
            message = messages.METHOD_NOT_ALLOWED(method=scope["method"][:20], allowed=allowed)
            raise ApiError(message, code=405, headers={"Allow": allowed})
        except ApiError as error:
            await error_response(error)(scope, receive, send)

    def _answers_head(self, scope: Any) -> bool:
        return scope.get("method") == "HEAD" and "GET" in (self.methods or ())


METHODS: dict[str, set[str]] = {}


class Router(APIRouter):
    """A router of `Route`s that answers with and without a trailing slash."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(route_class=Route, **kwargs)

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:
        super().add_api_route(path, endpoint, **kwargs)
        super().add_api_route(f"{path}/", endpoint, **{**kwargs, "include_in_schema": False})
        for full in (f"{self.prefix}{path}", f"{self.prefix}{path}/"):
            METHODS.setdefault(full, set()).update(kwargs["methods"])


async def run_while_connected(request: Request, work: Callable[[threading.Event], T]) -> T:
    """Return the result of `work`, which runs on a thread of its own, unless the client disconnects first.

    Args:
        request: its body was read.
        work: called with an event that is set when the client has disconnected.

    Raises:
        ClientDisconnect: the client has disconnected.
    """
    gone = threading.Event()
    answer = asyncio.get_running_loop().run_in_executor(_THREADS, work, gone)
    answer.add_done_callback(_seen)
    leaving: asyncio.Future[Any] = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait([answer, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        result: T = answer.result()
        return result
    finally:
        gone.set()
        leaving.cancel()


def _seen(answer: asyncio.Future[Any]) -> None:
    """Retrieve an error that nobody awaits, so that asyncio does not log it."""
    if not answer.cancelled():
        answer.exception()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(LOOK_EVERY_S)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _with_content_type(scope: Any) -> Any:
    """Assume JSON if no content type is given: published clients omit it, and newer FastAPI would not parse it."""
    if any(name == b"content-type" for name, _ in scope["headers"]):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"content-type", b"application/json")]}


def _as_api_error(error: Exception, request: Request) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestValidationError):
        return _field_errors(error)
    if isinstance(error, HTTPException):
        return ApiError(str(error.detail), code=error.status_code, headers=error.headers)
    if isinstance(error, ClientDisconnect | ClientGone):
        return ApiError(messages.CLIENT_GONE(), code=400)
    return unexpected(error, request.method, request.url.path)


def unexpected(error: Exception, method: str, path: str) -> ApiError:
    """Return the error for a request that failed unexpectedly, and log the cause under the mark that it names."""
    mark = secrets.token_hex(4)
    log.error("%s %s met an unexpected error (%s)", method, path[:200], mark, exc_info=error)
    return ApiError(messages.UNEXPECTED_SERVER_ERROR(kind=type(error).__name__, mark=mark), code=500)


def _field_errors(error: RequestValidationError) -> ApiError:
    fields = [
        {"loc": list(entry["loc"]), "msg": str(entry["msg"]), "type": str(entry["type"])}
        for entry in error.errors()
    ]
    first = fields[0]
    where = ".".join(str(part) for part in first["loc"])[:100]
    if len(fields) > 1:
        message = messages.FIELDS_WRONG(field=where, reason=first["msg"], count=len(fields) - 1)
    else:
        message = messages.FIELD_WRONG(field=where, reason=first["msg"])
    return ApiError(message, code=422, detail=fields)
