"""The updates of a job as an async iterator and as Server-Sent Events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Receive, Scope, Send

from deforum_api.http import messages
from deforum_api.http.views import SlicedResponse, job_json
from deforum_api.queue.errors import Busy
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job

COMMENT_EVERY_S = 15.0
MOST_STREAMS = 64


class Streams:
    """Limits the clients that follow a job or wait for its end, each of which holds a connection."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self.now = 0
        self._most = most

    def begin(self) -> None:
        """Count one more.

        Raises:
            Busy: there are too many.
        """
        if self.now >= self._most:
            raise Busy(messages.TOO_MANY_STREAMS(most=self._most))
        self.now += 1

    def end(self) -> None:
        """Count one less."""
        self.now -= 1


class EventResponse(SlicedResponse):
    """Server-Sent Events, counted as long as they are sent."""

    def __init__(self, events: AsyncIterator[str], streams: Streams) -> None:
        headers = {"Cache-Control": "no-store", "Content-Encoding": "identity", "X-Accel-Buffering": "no"}
        super().__init__(events, headers=headers, media_type="text/event-stream")
        streams.begin()
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.end()


async def job_updates(jobs: JobQueue, job_id: str, every_s: float | None = None) -> AsyncIterator[Job]:
    """Yield the job now and after every update until it has finished or the queue closes.

    Updates that come faster than they are taken are seen as one. With `every_s`, the unchanged job is also
    yielded after this many seconds without an update.

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
    async for job in job_updates(jobs, job_id, COMMENT_EVERY_S):
        if job.updates <= seen:
            yield ": waiting\n\n"
            continue
        kind = "progress" if stage == (job.status, job.phase) else "status"
        stage, seen = (job.status, job.phase), job.updates
        position = jobs.positions().get(job_id) if job.queued else None
        yield f"id: {job.updates}\nevent: {kind}\ndata: {job_json(job, position, jobs.deliveries((job,)))}\n\n"
