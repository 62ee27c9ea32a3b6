"""The files that a job has written."""

from __future__ import annotations

from asyncio import sleep
from typing import TYPE_CHECKING, Any, Literal

from fastapi import Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deforum_api.http import outputs
from deforum_api.http.models import OutputFile
from deforum_api.http.routing import JOBS, Router, error_responses
from deforum_api.queue.errors import ApiError
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.webhooks import uploaded_url
from deforum_helpers.output.kinds import KINDS, OutputKind, numbered_kinds, single_kinds

# A frame that a client was told of may be on its way to the disk; it is waited for, two seconds in all.
TRIES_WHILE_WRITTEN = 100
PAUSE_WHILE_WRITTEN_S = 0.02

router = Router(prefix="/deforum_api", tags=["Outputs"])

if TYPE_CHECKING:
    PictureKind = str
else:
    PictureKind = Literal[numbered_kinds()]


def file_responses(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Return what the documentation says of a route that sends a file."""
    schema = (
        {"type": "object"} if media_type == "application/json" else {"type": "string", "format": "binary"}
    )
    content = {"content": {media_type: {"schema": schema}}}
    return {
        **error_responses(404, 416, 422),
        200: {"description": "The file", **content},
        206: {"description": "The range that was asked for", **content},
        304: {"description": "The client has it already"},
    }


@router.get(
    "/jobs/{id}/outputs",
    response_model=list[OutputFile],
    responses=error_responses(404, 422),
    summary="List files",
)
async def list_outputs(id: str, jobs: JobQueue = JOBS) -> Response:
    """Every finished file of the job, with the link that sends it."""
    job = jobs.job(id)
    found = await run_in_threadpool(lambda: outputs.finished_files(jobs.located(job)))
    deliveries = jobs.deliveries((job,)).get(id, ())
    place = next((one.place for one in deliveries if one.kind == "upload"), None)
    return JSONResponse(
        [
            {
                "kind": one.kind,
                "name": one.path.name,
                "size": one.size,
                "link": one.link,
                "url": uploaded_url(place, one.name),
            }
            for one in found
        ]
    )


def _add_single_file(kind: OutputKind) -> None:
    async def send(id: str, request: Request, jobs: JobQueue = JOBS) -> Response:
        return await _file(request, jobs, id, kind.name)

    router.get(
        f"/jobs/{{id}}/{kind.name}",
        name=f"get_{kind.name}",
        response_class=Response,
        responses=file_responses(kind.media_type),
        summary=f"The {kind.label}",
        description=kind.about,
    )(send)


for _name in single_kinds():
    _add_single_file(KINDS[_name])


@router.get(
    "/jobs/{id}/frames/{n}",
    response_class=Response,
    responses=file_responses("image/png"),
    summary="One frame",
)
async def get_frame(
    id: str,
    request: Request,
    n: int = Path(..., ge=0, le=10**9 - 1, description="Frame number, from 0."),
    depth: bool = False,
    kind: PictureKind = "frame",
    jobs: JobQueue = JOBS,
) -> Response:
    """Frame `n` as PNG; with depth=true its saved depth map, with `kind` another kind with one file per frame."""
    return await _file(request, jobs, id, "depth" if depth else kind, n)


@router.get(
    "/jobs/{id}/preview",
    response_class=Response,
    responses=file_responses("image/jpeg"),
    summary="The newest frame",
)
async def get_preview(id: str, request: Request, jobs: JobQueue = JOBS) -> Response:
    """The newest frame as JPEG; with If-None-Match, only if it is a newer one."""
    job = jobs.job(id)
    return await run_in_threadpool(
        lambda: outputs.preview_response(request, outputs.newest_frame(jobs.located(job)))
    )


async def _file(request: Request, jobs: JobQueue, id: str, kind: str, frame: int | None = None) -> Response:
    job = jobs.job(id)
    drawn = kind == "frame" and frame is not None and not job.finished and frame < job.frame

    def answer() -> Response:
        return outputs.file_response(request, outputs.output(jobs.located(job), kind, frame))

    for _ in range(TRIES_WHILE_WRITTEN if drawn else 0):
        try:
            return await run_in_threadpool(answer)
        except ApiError as error:
            if error.code != 404:
                raise
        await sleep(PAUSE_WHILE_WRITTEN_S)
    return await run_in_threadpool(answer)
