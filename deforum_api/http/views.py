"""Jobs as JSON, and long responses sent in slices, between which the event loop serves other requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import lru_cache

from starlette.responses import StreamingResponse

from deforum_api.queue import messages
from deforum_api.queue.record import Job
from deforum_api.queue.store import Delivery
from deforum_helpers.core.net.fetch import host_and_port

SLICE_BYTES = 128 * 1024


class SlicedResponse(StreamingResponse):
    """Sends pieces of any length in slices of `SLICE_BYTES`.

    Args:
        pieces: text or bytes.
        headers, media_type: of the answer.
    """

    def __init__(
        self,
        pieces: AsyncIterator[str] | AsyncIterator[bytes],
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        media_type: str = "application/json",
    ) -> None:
        super().__init__(_slices(pieces), status_code, headers, media_type)


async def whole(content: bytes) -> AsyncIterator[bytes]:
    """Yield one piece."""
    yield content


async def _slices(pieces: AsyncIterator[str] | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        content = piece.encode() if isinstance(piece, str) else piece
        for start in range(0, len(content), SLICE_BYTES):
            yield content[start : start + SLICE_BYTES]
            await asyncio.sleep(0)


CACHED_JOBS = 16_384

_ENCODER = json.JSONEncoder(check_circular=False)


# Job id -> what is sent after its end.
Deliveries = Mapping[str, Sequence[Delivery]]


def job_json(job: Job, queue_position: int | None, deliveries: Deliveries) -> str:
    """Return the DeforumJobStatus of `job` as JSON text."""
    return "".join(_parts(job, queue_position, deliveries, summary=False))


def jobs_json(jobs: Iterable[Job], positions: Mapping[str, int], deliveries: Deliveries) -> str:
    """Return the array of DeforumJobStatus as JSON text."""
    return f"[{', '.join(job_json(job, positions.get(job.id), deliveries) for job in jobs)}]"


def listed_json(
    jobs: Iterable[Job], positions: Mapping[str, int], deliveries: Deliveries, *, summary: bool
) -> str:
    """Return the members job id -> DeforumJobStatus of an object; `summary` leaves out the submitted objects."""
    parts: list[str] = []
    for job in jobs:
        parts += (", " if parts else "", '"', job.id, '": ')
        parts += _parts(job, positions.get(job.id), deliveries, summary=summary)
    return "".join(parts)


def _paused(job: Job) -> str:
    return messages.TOOL_PAUSED() if job.is_tool else messages.PAUSED()


@lru_cache(maxsize=CACHED_JOBS)
def _known(job: Job) -> str:
    """Return the JSON text that stays the same until the job's next update."""
    return _ENCODER.encode(
        {
            "id": job.id,
            "kind": job.kind,
            "status": job.status,
            "phase": job.phase,
            "error_type": job.error_type,
            "phase_progress": job.phase_progress,
            "started_at": job.started_at,
            "last_updated": job.last_updated,
            "execution_time": job.last_updated - job.started_at,
            "update_interval_time": job.update_interval_time,
            "updates": job.updates,
            "cancelling": job.cancel_requested and not job.finished,
            "message": job.message or (_paused(job) if job.held else None),
            "outdir": job.outdir,
            "timestring": job.timestring,
            "frame": job.frame,
            "max_frames": job.max_frames,
            "eta_seconds": job.eta_seconds,
            "priority": job.priority,
            "warnings": job.warnings,
        }
    )[:-1]


def _deliveries(job: Job, deliveries: Sequence[Delivery]) -> str:
    """Return the array of DeliveryStatus as JSON text; the address of a webhook may be secret, its host is not."""
    if not deliveries:  # of most jobs; an encoder would take as long for them as for the rest of a listed job
        return "[]"
    told = [
        {
            "kind": one.kind,
            "state": one.state,
            "tries": one.tries,
            "target": one.place if one.kind == "upload" else host_and_port(job.webhook_url)[0],
            "message": one.message,
        }
        for one in deliveries
    ]
    return _ENCODER.encode(told)


def _parts(job: Job, queue_position: int | None, deliveries: Deliveries, *, summary: bool) -> tuple[str, ...]:
    """Return the pieces of a job's JSON text; they are joined once, as settings are long."""
    place = "null" if queue_position is None or not job.queued else str(queue_position)
    sent = _deliveries(job, deliveries.get(job.id, ()))
    text = (_known(job), ', "queue_position": ', place, ', "deliveries": ', sent)
    if summary:
        return (*text, "}")
    settings, overrides = job.settings_json, job.overrides_json
    return (*text, ', "deforum_settings": ', settings, ', "options_overrides": ', overrides, "}")
