"""The simple API: versions, and one request that renders and waits."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deforum_api.body import parse_json
from deforum_api.errors import ApiError, InvalidBody, QueueClosed
from deforum_api.events import updates
from deforum_api.jobs import JobQueue
from deforum_api.links import links
from deforum_api.models import SimpleRunResponse, VersionResponse
from deforum_api.routing import JOBS, Router, changing_errors, errors
from deforum_api.security import FORM_TYPE
from deforum_api.version import VERSION
from deforum_helpers.settings import defaults

API_VERSION = "1.0"

router = Router(prefix="/deforum", tags=["Simple API"])

_TEXTS = {
    "settings_json": {"type": "string", "description": "A settings object as JSON text."},
    "allowed_params": {"type": "string", "description": "Names of the settings to take, separated by ';'."},
}
_JSON = {
    "type": "object",
    "properties": {**_TEXTS, "settings_json": {"anyOf": [{"type": "object"}, {"type": "string"}]}},
}
RUN_BODY = {
    "requestBody": {
        "content": {
            FORM_TYPE: {"schema": {"type": "object", "properties": _TEXTS}},
            "application/json": {"schema": _JSON},
        }
    }
}


@router.get("/api_version", response_model=VersionResponse, responses=errors(), summary="Version of this API")
async def api_version() -> Response:
    """The version of the HTTP API."""
    return JSONResponse({"version": API_VERSION})


@router.get("/version", response_model=VersionResponse, responses=errors(), summary="Version of Deforum")
async def version() -> Response:
    """The version of the extension."""
    return JSONResponse({"version": VERSION})


@router.post(
    "/run",
    response_model=SimpleRunResponse,
    responses={**changing_errors(400, 422, 429, 500, 503), **links(200, job="$response.body#/job_id")},
    summary="Render one job and wait for it",
    openapi_extra=RUN_BODY,
)
async def run(
    request: Request,
    settings_json: str | None = Query(None, description="A settings object as JSON text."),
    allowed_params: str | None = Query(None, description="Names of the settings to take, separated by ';'."),
    jobs: JobQueue = JOBS,
) -> Response:
    """Queues one job and answers when it has ended.

    The arguments come in the query, as a form or as JSON. Of `settings_json` only the settings named in
    `allowed_params` are taken; the others have their defaults.
    """
    given = {"settings_json": settings_json, "allowed_params": allowed_params}
    given.update(await _body_arguments(request))
    settings = _chosen_settings(given["settings_json"], given["allowed_params"])
    (accepted,) = await run_in_threadpool(jobs.submit, [settings])
    async for job in updates(jobs, accepted.id):
        ended = job
    if not ended.finished:
        raise QueueClosed
    if ended.status != "SUCCEEDED" or ended.outdir is None:
        raise ApiError(ended.message or f"The job ended as {ended.status}.", code=500, id=ended.id)
    return JSONResponse({"outdir": ended.outdir, "job_id": ended.id})


async def _body_arguments(request: Request) -> dict[str, Any]:
    whole = await request.body()
    if not whole:
        return {}
    if request.headers["content-type"].lower().startswith(FORM_TYPE):
        return dict(_form(whole))
    arguments = await request.json()
    if not isinstance(arguments, dict):
        raise InvalidBody("The body must be an object with settings_json and allowed_params.")
    return arguments


def _form(whole: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(whole.decode(), keep_blank_values=True, errors="strict", max_num_fields=16)
    except (UnicodeError, ValueError):
        raise InvalidBody("The form is not valid: at most 16 fields of UTF-8 text are taken.") from None


def _chosen_settings(submitted: Any, allowed_params: Any) -> dict[str, Any]:
    if submitted is None:
        raise InvalidBody(
            "settings_json is missing; send a settings object as JSON.", ("settings_json",), "missing"
        )
    if isinstance(submitted, str):
        submitted = parse_json(submitted, ("settings_json",))
    if not isinstance(submitted, Mapping):
        raise InvalidBody("settings_json must be a JSON object.", ("settings_json",))
    if not isinstance(allowed_params, str | None) or "," in (allowed_params or ""):
        raise InvalidBody("allowed_params must be names separated by ';'.", ("allowed_params",))
    allowed = {name.strip() for name in (allowed_params or "").split(";")} & defaults().keys()
    chosen = {name: value for name, value in submitted.items() if name in allowed}
    return {**chosen, "batch_name": uuid.uuid4().hex}
