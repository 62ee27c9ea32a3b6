"""Workers: which there are, what each renders, and draining one for maintenance."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from deforum_api.http.models import WorkerStatus
from deforum_api.http.routing import JOBS, Router, change_error_responses, error_responses
from deforum_api.queue.executors import WorkerInfo
from deforum_api.queue.jobs import JobQueue

router = Router(prefix="/deforum_api", tags=["Workers"])


def worker_view(worker: WorkerInfo) -> dict[str, Any]:
    """Return a worker as the API shows it."""
    return {
        "id": worker.id,
        "node": worker.node,
        "device": worker.device,
        "memory": {"total_bytes": worker.memory_total, "used_bytes": worker.memory_used},
        "model": worker.model,
        "job": worker.job,
        "state": worker.state,
        "since": worker.since,
    }


@router.get(
    "/workers", response_model=list[WorkerStatus], responses=error_responses(), summary="List workers"
)
async def list_workers(jobs: JobQueue = JOBS) -> Response:
    """Every worker with its machine, device, memory, model, job and state; a server without Ray has one."""
    workers = await run_in_threadpool(jobs.workers)
    return JSONResponse([worker_view(worker) for worker in workers])


@router.post(
    "/workers/{id}/drain",
    response_model=WorkerStatus,
    responses=change_error_responses(404),
    summary="Drain a worker",
)
async def drain_worker(id: str, jobs: JobQueue = JOBS) -> Response:
    """The worker finishes its job and takes no other until it is undrained or the server is restarted."""
    return JSONResponse(worker_view(await run_in_threadpool(jobs.drain, id)))


@router.post(
    "/workers/{id}/undrain",
    response_model=WorkerStatus,
    responses=change_error_responses(404),
    summary="Undrain a worker",
)
async def undrain_worker(id: str, jobs: JobQueue = JOBS) -> Response:
    """The worker takes jobs again."""
    return JSONResponse(worker_view(await run_in_threadpool(jobs.undrain, id)))
