"""Batches: submit, list, look at, cancel, and check without submitting."""

from __future__ import annotations

import json
import threading
from typing import Any

from fastapi import Header
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from deforum_api.http import messages
from deforum_api.http.docs_pages import links
from deforum_api.http.models import (
    Batch,
    BatchCancelResponse,
    BatchSubmitResponse,
    DeforumJobStatus,
    ValidateResponse,
)
from deforum_api.http.routing import (
    JOBS,
    BufferedRequest,
    Router,
    change_error_responses,
    error_responses,
    json_response,
    run_while_connected,
)
from deforum_api.http.views import jobs_json
from deforum_api.queue.checks.request import CheckRequest
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.submission import reply

EXAMPLE: dict[str, Any] = {
    "requestBody": {
        "content": {
            "application/json": {
                "example": {
                    "deforum_settings": {
                        "prompts": {"0": "a castle on a hill, morning", "12": "a castle on a hill, night"},
                        "max_frames": 24,
                        "animation_mode": "3D",
                        "translation_z": "0: (2)",
                    }
                }
            }
        }
    }
}

KEY_MEANING = (
    "A text of the client's own; the same key with the same body, sent again within 24 hours, gets the "
    "same reply and queues nothing."
)

router = Router(prefix="/deforum_api", tags=["Batches"])


@router.post(
    "/batches",
    status_code=202,
    response_model=BatchSubmitResponse,
    responses={
        **change_error_responses(400, 429, 503),
        **links(202, job="$response.body#/job_ids/0", batch="$response.body#/batch_id"),
    },
    openapi_extra=EXAMPLE,
    summary="Queue one or more jobs",
)
async def submit_batch(
    request: BufferedRequest,
    batch: Batch,
    idempotency_key: str | None = Header(None, min_length=1, max_length=200, description=KEY_MEANING),
    jobs: JobQueue = JOBS,
) -> Response:
    """Checks all jobs and queues them as one batch; if any of them is wrong, nothing is accepted."""
    check_request = CheckRequest("submit", request.raw_body, jobs.limits.batch)

    def submit(gone: threading.Event) -> str:
        if idempotency_key is None:
            return reply(jobs.submit_request(check_request, gone))
        return jobs.submit_once(idempotency_key, check_request, gone)

    return json_response(await run_while_connected(request, submit), 202)


@router.get(
    "/batches", response_model=dict[str, list[str]], responses=error_responses(), summary="List batches"
)
async def list_batches(jobs: JobQueue = JOBS) -> Response:
    """Every batch with the ids of its jobs, in the order of submission."""
    return json_response(json.dumps(await run_in_threadpool(jobs.store.batches)))


@router.get(
    "/batches/{id}",
    response_model=list[DeforumJobStatus],
    responses=error_responses(404, 422),
    summary="Look at a batch",
)
async def get_batch(id: str, jobs: JobQueue = JOBS) -> Response:
    """The jobs of the batch, in the order of submission."""

    def read() -> str:
        batch = jobs.batch(id)
        return jobs_json(batch, jobs.positions(), jobs.deliveries(batch))

    return json_response(await run_in_threadpool(read))


@router.delete(
    "/batches/{id}",
    response_model=BatchCancelResponse,
    responses=change_error_responses(404),
    summary="Cancel a batch",
)
async def cancel_batch(id: str, jobs: JobQueue = JOBS) -> Response:
    """Cancels every job of the batch that has not finished; `ids` are those that were really cancelled."""
    ids = await run_in_threadpool(jobs.cancel_batch, id)
    message = messages.BATCH_CANCELLED(count=len(ids))
    return JSONResponse({"ids": list(ids), "message": message, "message:": message})


@router.post(
    "/validate",
    response_model=ValidateResponse,
    responses=change_error_responses(400, 429, 503),
    openapi_extra=EXAMPLE,
    summary="Check jobs without queueing them",
)
async def validate(
    request: BufferedRequest, batch: Batch, series: bool = False, jobs: JobQueue = JOBS
) -> Response:
    """What would become of each job: its errors, or its settings and what it costs; nothing is queued."""
    check_request = CheckRequest("validate", request.raw_body, jobs.limits.batch, series=series)
    found = await run_while_connected(request, lambda gone: jobs.checks.examine(check_request, gone))
    return json_response(found.answer)
