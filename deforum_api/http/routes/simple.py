"""The simple API: versions, and one request that renders and waits."""

from __future__ import annotations

from fastapi import Query
from starlette.responses import JSONResponse, Response

from deforum_api.http import messages
from deforum_api.http.docs_pages import links
from deforum_api.http.models import SimpleRunResponse, VersionResponse
from deforum_api.http.routing import (
    SERVICE,
    BufferedRequest,
    Router,
    Service,
    change_error_responses,
    error_responses,
    run_while_connected,
)
from deforum_api.http.security import FORM_TYPE
from deforum_api.http.sse import job_updates
from deforum_api.queue.checks.request import CheckRequest
from deforum_api.queue.errors import ApiError, QueueClosed
from deforum_api.version import VERSION

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


@router.get(
    "/api_version", response_model=VersionResponse, responses=error_responses(), summary="Version of this API"
)
async def api_version() -> Response:
    """The version of the HTTP API."""
    return JSONResponse({"version": API_VERSION})


@router.get(
    "/version", response_model=VersionResponse, responses=error_responses(), summary="Version of Deforum"
)
async def version() -> Response:
    """The version of the extension."""
    return JSONResponse({"version": VERSION})


@router.post(
    "/run",
    response_model=SimpleRunResponse,
    responses={**change_error_responses(400, 422, 429, 500, 503), **links(200, job="$response.body#/job_id")},
    summary="Render one job and wait for it",
    openapi_extra=RUN_BODY,
)
async def run(
    request: BufferedRequest,
    settings_json: str | None = Query(None, description="A settings object as JSON text."),
    allowed_params: str | None = Query(None, description="Names of the settings to take, separated by ';'."),
    service: Service = SERVICE,
) -> Response:
    """Queues one job and answers when it has ended.

    The arguments come in the query, as a form or as JSON. Of `settings_json` only the settings named in
    `allowed_params` are taken; the others have their defaults.
    """
    jobs = service.jobs
    is_form = request.headers["content-type"].lower().startswith(FORM_TYPE)
    given = {"settings_json": settings_json, "allowed_params": allowed_params}
    check_request = CheckRequest("run", request.raw_body, jobs.limits.batch, is_form=is_form, arguments=given)
    service.streams.begin()
    try:
        (accepted,) = await run_while_connected(
            request, lambda gone: jobs.submit_request(check_request, gone)
        )
        async for job in job_updates(jobs, accepted.id):
            ended = job
    finally:
        service.streams.end()
    if not ended.finished:
        raise QueueClosed
    if ended.status != "SUCCEEDED" or ended.outdir is None:
        message = ended.message or messages.JOB_ENDED(status=ended.status)
        raise ApiError(message, code=500, id=ended.id)
    return JSONResponse({"outdir": ended.outdir, "job_id": ended.id})
