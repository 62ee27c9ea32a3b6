"""A job's updates, as they come: for whoever waits for its end, and as Server-Sent Events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from deforum_api.jobs import JobQueue
from deforum_api.record import Job
from deforum_api.views import job_json

COMMENT_EVERY_S = 15.0


async def updates(jobs: JobQueue, job_id: str, every_s: float | None = None) -> AsyncIterator[Job]:
    """Yield the job now and after every update until it has finished or the queue closes.

    Updates that come faster than they are taken are seen as one. With `every_s`, the unchanged job is also
    yielded when nothing happened for so many seconds.

    Raises:
        UnknownId: there is no such job.
    """
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(changed.set)

    with jobs.listen(job_id, wake):
        while True:
            changed.clear()
            job = jobs.job(job_id)
            yield job
            if job.finished or jobs.closing:
                return
            try:
                await asyncio.wait_for(changed.wait(), every_s)
            except asyncio.TimeoutError:
                continue


async def event_stream(jobs: JobQueue, job_id: str, seen: int) -> AsyncIterator[str]:
    """Yield the updates newer than number `seen` as Server-Sent Events, each with its number as id."""
    stage: tuple[str, str] | None = None
    async for job in updates(jobs, job_id, COMMENT_EVERY_S):
        if job.updates <= seen:
            yield ": waiting\n\n"
            continue
        kind = "progress" if stage == (job.status, job.phase) else "status"
        stage, seen = (job.status, job.phase), job.updates
        position = jobs.positions().get(job_id) if job.queued else None
        yield f"id: {job.updates}\nevent: {kind}\ndata: {job_json(job, position)}\n\n"
