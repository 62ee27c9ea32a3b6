"""The routes of the standalone tab: its events, uploads, and the outputs that it shows.

gradio only builds the page: it receives no values, and of its own routes only those in `PAGE_FILES` are open.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from deforum_api.http.outputs import Output, file_response
from deforum_api.http.routing import error_response, json_response
from deforum_api.http.security import UPLOAD_PATH
from deforum_api.queue.checks.body import parse_json, read_body
from deforum_api.queue.errors import ApiError, InvalidBody, Refused
from deforum_api.tab import messages
from deforum_helpers.core.files.atomic import SPARE_BYTES
from deforum_helpers.core.files.no_links import Folder, resolved
from deforum_helpers.output.kinds import KINDS
from deforum_helpers.ui.service import Event
from deforum_helpers.ui.uploads import MAX_FILES, Uploads

log = logging.getLogger(__name__)

EVENT_PATH = "/gradio_api/run/{name}"
FILE_PATH = "/gradio_api/file={path:path}"
# Events check settings on threads of this program, which every other answer shares the interpreter with.
MAX_AT_ONCE = 4
CHUNK_BYTES = 1 << 20
# A still beside the frames: a mask or a composite that a run saves for a person to look at.
STILL = {".jpg": "image/jpeg"}
# What the page itself is made of: (method, path, what it is). A path that ends in a slash stands for all below it.
PAGE_FILES = (
    ("GET", "/", "the page"),
    ("GET", "/config", "its components, without a value of anybody's"),
    ("GET", "/theme.css", "its colours"),
    ("GET", "/favicon.ico", "its icon"),
    ("GET", "/assets/", "gradio's scripts and styles"),
    ("GET", "/static/", "gradio's scripts and styles"),
)
_OWN = re.compile(rf"POST (/gradio_api/run/[^/]+|{UPLOAD_PATH})|(GET|HEAD) /gradio_api/file=.*", re.DOTALL)

Answer = Callable[[Request], Awaitable[Response]]


def is_open(method: str, path: str) -> bool:
    """Tell whether a request may get beyond the gate: what the page needs, and nothing else that gradio offers."""
    if _OWN.fullmatch(f"{method} {path}"):
        return True
    plain = ".." not in path.split("/") and "\\" not in path and "//" not in path and "\0" not in path
    looked = "GET" if method == "HEAD" else method
    return plain and any(
        looked == its and (path.startswith(open_path) if open_path[1:].endswith("/") else path == open_path)
        for its, open_path, _ in PAGE_FILES
    )


def add_tab_routes(app: FastAPI, events: Mapping[int, Event], uploads: Uploads, root: Path) -> None:
    """Add the routes to `app`, before gradio is mounted there.

    Args:
        app: of the tab.
        events: what the page's events call, by their numbers; may be filled later.
        uploads: where dropped files are kept.
        root: the output folder.
    """
    limiter = anyio.CapacityLimiter(MAX_AT_ONCE)

    async def event(request: Request) -> Response:
        return await _event_answer(request, events, limiter)

    async def upload(request: Request) -> Response:
        return await _upload_answer(request, uploads)

    async def file(request: Request) -> Response:
        return await run_in_threadpool(_file_answer, request, root)

    for path, answer, method in (
        (EVENT_PATH, event, "POST"),
        (UPLOAD_PATH, upload, "POST"),
        (FILE_PATH, file, "GET"),
    ):
        app.add_route(path, _with_error_envelope(answer), methods=[method], include_in_schema=False)


def _with_error_envelope(answer: Answer) -> Answer:
    """Return `answer` with its errors in the API's envelope; the page's script reads the field `error`."""

    async def told(request: Request) -> Response:
        try:
            return await answer(request)
        except ApiError as error:
            refused = error
        except ClientDisconnect:
            refused = Refused(messages.TAB_BODY_INCOMPLETE(), code=413)
        except Exception as error:
            log.exception("%s %s met an unexpected error", request.method, request.url.path[:100])
            refused = ApiError(messages.TAB_REQUEST_FAILED(kind=type(error).__name__), code=500)
        if request.method == "GET":
            return error_response(refused)
        return json_response(json.dumps(refused.envelope() | {"error": refused.message}), refused.code)

    return told


async def _event_answer(
    request: Request, events: Mapping[int, Event], limiter: anyio.CapacityLimiter
) -> Response:
    body = await read_body(request)
    said = await anyio.to_thread.run_sync(lambda: _event_json(body, events), limiter=limiter)
    return json_response(said)


def _event_json(whole: bytes, events: Mapping[int, Event]) -> str:
    """Call the event that a body names and return its answer as JSON; takes long where settings are checked."""
    begun = time.monotonic()
    body = parse_json(whole)
    number, values = (body.get("fn_index"), body.get("data")) if isinstance(body, dict) else (None, None)
    event = events.get(number) if isinstance(number, int) and not isinstance(number, bool) else None
    if event is None:
        raise InvalidBody(messages.TAB_EVENT_UNKNOWN(), ("body", "fn_index"), "value_error")
    if not isinstance(values, list) or len(values) != event.inputs:
        message = messages.TAB_EVENT_VALUES(count=event.inputs)
        raise InvalidBody(message, ("body", "data"), "value_error")
    said = event(*values)
    seconds = time.monotonic() - begun
    answer = {
        "data": said if event.outputs != 1 else [said],
        "is_generating": False,
        "duration": seconds,
        "average_duration": seconds,
    }
    return json.dumps(answer, allow_nan=False)


async def _upload_answer(request: Request, uploads: Uploads) -> Response:
    """Keep the files of a form and return their ids."""
    length = int(request.headers.get("content-length", "0"))
    if uploads.free_bytes() < 2 * length + SPARE_BYTES:
        raise ApiError(messages.UPLOAD_DISK_FULL(), code=413)
    try:
        form = await request.form(max_files=MAX_FILES, max_fields=1)
    except (HTTPException, ValueError) as error:
        reason = getattr(error, "detail", None) or "it is incomplete or damaged."
        raise InvalidBody(messages.UPLOAD_NOT_A_FORM(reason=str(reason)[:200])) from None
    try:
        files = [one for one in form.getlist("files") if not isinstance(one, str)]
        if not files:
            raise InvalidBody(messages.UPLOAD_EMPTY(), ("body", "files"), "missing")
        ids = [
            await run_in_threadpool(uploads.add, one.filename or "file", _file_chunks(one.file))
            for one in files
        ]
    finally:
        await form.close()
    return json_response(json.dumps(ids))


def _file_chunks(file: Any) -> Any:
    file.seek(0)
    return iter(lambda: file.read(CHUNK_BYTES), b"")


def _shown_types() -> dict[str, str]:
    """Return the media types of what the page shows or offers, by how the files' names end."""
    shown = (kind for kind in KINDS.values() if kind.downloadable or kind.numbered)
    return STILL | {kind.extension: kind.media_type for kind in shown}


def _file_answer(request: Request, root: Path) -> Response:
    """Return a file of the output folder if it is an output; everything else is a 404."""
    path = Path(str(request.path_params["path"]).replace("\0", ""))
    none = ApiError(messages.NO_SUCH_OUTPUT(), code=404)
    try:
        place = resolved(root, path)
        inside = place.relative_to(root.resolve()).parts
        if ".." in path.parts or not path.is_absolute() or any(part.startswith(".") for part in inside):
            raise none
        media_type = _shown_types()[place.suffix.lower()]
        with Folder(place.parent) as folder, folder.read(place.name) as opened:
            about = os.fstat(opened.fileno())
    except (OSError, ValueError, KeyError):
        raise none from None
    return file_response(request, Output("", media_type, place, about.st_size, about.st_mtime_ns))
