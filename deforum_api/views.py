"""Jobs as JSON text; the settings are kept as text and joined in, so that 1,000 jobs are listed at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from deforum_api.record import Job


def job_json(job: Job, queue_position: int | None, *, summary: bool = False) -> str:
    """Return the DeforumJobStatus of `job` as JSON text; `summary` leaves out the submitted objects."""
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
    text = json.dumps(fields, ensure_ascii=False)
    if summary:
        return text
    return (
        f'{text[:-1]}, "deforum_settings": {job.settings_json}, "options_overrides": {job.overrides_json}}}'
    )


def jobs_json_by_id(jobs: Iterable[Job], positions: Mapping[str, int], *, summary: bool = False) -> str:
    """Return the object job id -> DeforumJobStatus as JSON text."""
    entries = (
        f"{json.dumps(job.id)}: {job_json(job, positions.get(job.id), summary=summary)}" for job in jobs
    )
    return f"{{{', '.join(entries)}}}"


def jobs_json(jobs: Iterable[Job], positions: Mapping[str, int]) -> str:
    """Return the array of DeforumJobStatus as JSON text."""
    return f"[{', '.join(job_json(job, positions.get(job.id)) for job in jobs)}]"
