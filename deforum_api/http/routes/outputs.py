"""The files that a job has written."""

from __future__ import annotations

import json
from asyncio import sleep
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

from fastapi import Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deforum_api.http import messages, outputs
from deforum_api.http.models import OutputFile
from deforum_api.http.routing import JOBS, Router, error_responses, run_while_connected
from deforum_api.queue.checks.request import CheckRequest, batch_body
from deforum_api.queue.errors import ApiError
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.webhooks import uploaded_url
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.media.camera_files import WRITERS
from deforum_helpers.output.kinds import KINDS, OutputKind, numbered_kinds, single_kinds
from deforum_helpers.settings.files import read_settings_file

# A frame that a client was told of may be on its way to the disk; it is waited for, two seconds in all.
TRIES_WHILE_WRITTEN = 100
PAUSE_WHILE_WRITTEN_S = 0.02
CAMERA_ENDINGS = {"glb": "glb", "gltf": "gltf", "json": "json", "colmap": "zip"}

router = Router(prefix="/deforum_api", tags=["Outputs"])

if TYPE_CHECKING:
    PictureKind = str
    CameraFormat = str
else:
    CameraFormat = Literal[tuple(CAMERA_ENDINGS)]
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


CAMERA: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The camera file",
        "content": {
            WRITERS[ending][0]: {"schema": {"type": "string", "format": "binary"}}
            for ending in CAMERA_ENDINGS.values()
        },
    }
}


@router.get(
    "/jobs/{id}/camera",
    response_class=Response,
    responses={**error_responses(400, 404, 413, 422, 429, 503), **CAMERA},
    summary="The camera",
)
async def get_camera(
    id: str, request: Request, format: CameraFormat = "glb", jobs: JobQueue = JOBS
) -> Response:
    """The camera of every frame for other programs, also before the job has run; `colmap` is a ZIP file."""
    job = jobs.job(id)
    if job.is_tool:
        raise ApiError(messages.OUTPUT_MISSING(id=id, what="camera"), code=404, id=id)
    ending = CAMERA_ENDINGS[format]

    def answer(gone: Event) -> bytes:
        body = batch_body([_settings_of(jobs, job)], json.loads(job.overrides_json))
        return jobs.checks.examine(CheckRequest("camera", body, 1, ending=ending), gone).answer

    content = await run_while_connected(request, answer)
    headers = {"Content-Disposition": f'attachment; filename="{job.timestring or id}_camera.{ending}"'}
    return Response(content, headers=headers, media_type=WRITERS[ending][0])


def _settings_of(jobs: JobQueue, job: Job) -> dict[str, Any]:
    """Return the settings that the job has saved, with its seed, or the submitted ones."""
    try:
        return read_settings_file(outputs.output(jobs.located(job), "settings").path)
    except (ApiError, SettingsError):
        submitted: dict[str, Any] = json.loads(job.settings_json)
        return submitted


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
