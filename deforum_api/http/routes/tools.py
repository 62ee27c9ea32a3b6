"""Tools for existing videos and images: what there is, and jobs that run one."""

from __future__ import annotations

import threading
from typing import Any

from fastapi import Header
from starlette.responses import JSONResponse, Response

from deforum_api.http.docs_pages import links
from deforum_api.http.models import BatchSubmitResponse
from deforum_api.http.routes.batches import KEY_MEANING
from deforum_api.http.routing import (
    JOBS,
    BufferedRequest,
    Router,
    change_error_responses,
    error_responses,
    json_response,
    run_while_connected,
)
from deforum_api.queue.checks.request import CheckRequest
from deforum_api.queue.errors import UnknownTool
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.submission import reply
from deforum_helpers.tools.arguments import TOOLS, schema_of

ARGUMENTS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "description": "The tool's arguments; where wanted, options_overrides, priority, webhook_url.",
                },
                "examples": {
                    "interpolate": {"value": {"video": "clip.mp4", "times": 4}},
                    "stitch": {
                        "value": {"pattern": "img2img-images/lake/20260102030405_%09d.png", "fps": 12}
                    },
                },
            }
        },
    }
}

router = Router(prefix="/deforum_api", tags=["Tools"])


@router.get("/tools", response_model=dict[str, Any], responses=error_responses(), summary="List tools")
async def list_tools() -> Response:
    """Every tool with the JSON schema of its arguments."""
    return JSONResponse({tool: schema_of(tool) for tool in TOOLS})


@router.post(
    "/tools/{tool}",
    status_code=202,
    response_model=BatchSubmitResponse,
    responses={
        **change_error_responses(400, 404, 429, 503),
        **links(202, job="$response.body#/job_ids/0", batch="$response.body#/batch_id"),
    },
    openapi_extra=ARGUMENTS,
    summary="Queue a tool",
)
async def submit_tool(
    tool: str,
    request: BufferedRequest,
    idempotency_key: str | None = Header(None, min_length=1, max_length=200, description=KEY_MEANING),
    jobs: JobQueue = JOBS,
) -> Response:
    """Checks the arguments and the input, and queues the tool as the only job of a batch."""
    if tool not in TOOLS:
        raise UnknownTool(tool, TOOLS)
    check_request = CheckRequest("submit", request.raw_body, jobs.limits.batch, tool=tool)

    def submit(gone: threading.Event) -> str:
        if idempotency_key is None:
            return reply(jobs.submit_request(check_request, gone))
        return jobs.submit_once(idempotency_key, check_request, gone)

    return json_response(await run_while_connected(request, submit), 202)
