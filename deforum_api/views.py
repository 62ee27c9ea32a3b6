"""Jobs as JSON text; the settings are kept as text and joined in, so that 1,000 jobs are listed at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from deforum_api.record import Job


def job_json(job: Job, queue_position: int | None) -> str:
    """Return the DeforumJobStatus of `job` as JSON text."""
    return "".join(_parts(job, queue_position, summary=False))


def jobs_json(jobs: Iterable[Job], positions: Mapping[str, int]) -> str:
    """Return the array of DeforumJobStatus as JSON text."""
    return f"[{', '.join(job_json(job, positions.get(job.id)) for job in jobs)}]"


def jobs_json_by_id(jobs: Iterable[Job], positions: Mapping[str, int], *, summary: bool = False) -> str:
    """Return the object job id -> DeforumJobStatus as JSON text; `summary` leaves out the submitted objects."""
    parts: list[str] = []
    for job in jobs:
        parts += (", " if parts else "{", '"', job.id, '": ')
        parts += _parts(job, positions.get(job.id), summary=summary)
    return "".join([*parts, "}"]) if parts else "{}"


def _parts(job: Job, queue_position: int | None, *, summary: bool) -> tuple[str, ...]:
    """Return the pieces of a job's JSON text; they are joined once, as settings are long."""
    fields = {
        "id": job.id,
        "status": job.status,
        "phase": job.phase,
        "error_type": job.error_type,
        "phase_progress": job.phase_progress,
        "started_at": job.started_at,
        "last_updated": job.last_updated,
        "execution_time": job.last_updated - job.started_at,
        "update_interval_time": job.update_interval_time,
        "updates": job.updates,
        "message": job.message,
        "outdir": job.outdir,
        "timestring": job.timestring,
        "queue_position": queue_position if job.queued else None,
        "frame": job.frame,
        "max_frames": job.max_frames,
        "eta_seconds": job.eta_seconds,
        "warnings": job.warnings,
    }
    text = _ENCODER.encode(fields)
    if summary:
        return (text,)
    settings, overrides = job.settings_json, job.overrides_json
    return (text[:-1], ', "deforum_settings": ', settings, ', "options_overrides": ', overrides, "}")


_ENCODER = json.JSONEncoder(check_circular=False)
