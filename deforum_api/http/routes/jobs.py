"""Jobs: list, look at, follow, cancel, resume."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from deforum_api.http import messages
from deforum_api.http.docs_pages import links
from deforum_api.http.models import DeforumJobStatus, JobCancelResponse, JobStatusCategory
from deforum_api.http.routing import (
    JOBS,
    SERVICE,
    Router,
    Service,
    change_error_responses,
    error_responses,
    json_response,
)
from deforum_api.http.sse import EventResponse, event_stream
from deforum_api.http.views import SlicedResponse, job_json, listed_json
from deforum_api.queue.errors import InvalidBody
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Status

JOBS_AT_ONCE = 16
# A thread lists jobs until its text is so long: each change of threads waits for those that render.
LISTED_CHARACTERS = 1 << 21

router = Router(prefix="/deforum_api", tags=["Jobs"])

EVENT = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
    "required": ["id", "event", "data"],
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`status` when status or phase changed, else `progress`; data: DeforumJobStatus",
        "content": {"text/event-stream": {"schema": EVENT}},
    }
}

ONLY_STATUS = Query(None, description="Only jobs of this status.")
PURGE = Query(False, description="Delete the record of a finished job instead; its files stay.")


@router.get(
    "/jobs", response_model=dict[str, DeforumJobStatus], responses=error_responses(422), summary="List jobs"
)
async def list_jobs(
    status: JobStatusCategory | None = ONLY_STATUS,
    limit: int | None = Query(None, ge=1, le=1000, description="Number of jobs at most."),
    cursor: str | None = Query(None, description="The X-Next-Cursor header of the previous page."),
    summary: bool = Query(False, description="Leave out deforum_settings and options_overrides."),
    service: Service = SERVICE,
) -> Response:
    """All jobs by id, in the order of submission; if there are more, X-Next-Cursor leads to them."""
    after = _order(cursor)
    chosen: Status | None = status.value if status else None
    most = limit + 1 if limit else None
    async with service.reading:
        orders = await run_in_threadpool(service.jobs.store.orders, chosen, after, most)
    headers = {}
    if limit and len(orders) > limit:
        orders = orders[:limit]
        headers["X-Next-Cursor"] = str(orders[-1])
    return SlicedResponse(_listed(service, orders, chosen, summary=summary), headers=headers)


async def _listed(
    service: Service, orders: Sequence[int], status: Status | None, *, summary: bool
) -> AsyncIterator[str]:
    """Yield the object job id -> DeforumJobStatus a few jobs at a time: all of them may be more than memory holds."""
    store, positions = service.jobs.store, service.jobs.positions()

    def read(some: Sequence[int]) -> str:
        page = [job for job in store.page(status, some[0] - 1, len(some)) if job.order <= some[-1]]
        return listed_json(page, positions, service.jobs.deliveries(page), summary=summary)

    pages = iter([orders[start : start + JOBS_AT_ONCE] for start in range(0, len(orders), JOBS_AT_ONCE)])

    def read_some() -> list[str] | None:
        texts: list[str] = []
        for page in pages:
            texts.append(read(page))
            if sum(map(len, texts)) >= LISTED_CHARACTERS:
                break
        return texts or None

    yield "{"
    separator = ""
    while True:
        async with service.reading:
            texts = await run_in_threadpool(read_some)
        if texts is None:
            break
        if text := ", ".join(filter(None, texts)):
            yield separator + text
            separator = ", "
    yield "}"


@router.get(
    "/jobs/{id}",
    response_model=DeforumJobStatus,
    responses={**error_responses(404, 422), **links(200, job="$response.body#/id")},
    summary="Look at a job",
)
async def get_job(id: str, jobs: JobQueue = JOBS) -> Response:
    """All that is known of the job."""
    job = jobs.job(id)
    position = jobs.positions().get(id) if job.queued else None
    return json_response(job_json(job, position, jobs.deliveries((job,))))


@router.delete(
    "/jobs/{id}",
    response_model=JobCancelResponse,
    responses=change_error_responses(400, 404, 409, 503),
    summary="Cancel or forget a job",
)
async def cancel_job(id: str, purge: bool = PURGE, jobs: JobQueue = JOBS) -> Response:
    """A queued job ends at once, a running one within one sampling step; what it has written is kept."""
    if purge:
        await run_in_threadpool(jobs.forget, id)
        return JSONResponse({"id": id, "message": messages.JOB_FORGOTTEN()})
    await run_in_threadpool(jobs.cancel, id)
    return JSONResponse({"id": id, "message": messages.JOB_CANCELLED()})


@router.post(
    "/jobs/{id}/resume",
    status_code=202,
    response_model=DeforumJobStatus,
    responses={**change_error_responses(404, 409, 503), **links(202, job="$response.body#/id")},
    summary="Resume a job",
)
async def resume_job(id: str, jobs: JobQueue = JOBS) -> Response:
    """Queues a FAILED or CANCELLED job again; it continues from its last saved frame, as a new attempt."""
    job = await run_in_threadpool(jobs.resume, id)
    return json_response(job_json(job, jobs.positions().get(id), jobs.deliveries((job,))), 202)


@router.get(
    "/jobs/{id}/events",
    response_class=StreamingResponse,
    responses={**error_responses(404, 422, 429), **EVENTS},
    summary="Follow a job",
)
async def follow_job(
    id: str,
    request: Request,
    last_event_id: str | None = Header(
        None, description="Id of the last event seen; only newer ones are sent."
    ),
    service: Service = SERVICE,
) -> Response:
    """Server-Sent Events until the job ends; a comment line every 15 seconds keeps the connection."""
    job = service.jobs.job(id)
    seen = (
        int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 16 else -1
    )
    return EventResponse(event_stream(service.jobs, job.id, seen), service.streams)


def _order(cursor: str | None) -> int:
    if cursor is None:
        return -1
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 16):
        raise InvalidBody(messages.CURSOR_INVALID(), ("query", "cursor"))
    return int(cursor)
