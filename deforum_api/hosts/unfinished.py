"""Jobs that outlive the program, in words: what is parked when it ends, and with what it goes on at its next start."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from deforum_api.queue.record import Job
from deforum_api.queue.store import JobStore

log = logging.getLogger(__name__)


def tell(sentences: Iterable[str]) -> None:
    """Say sentences in the log, which a terminal shows."""
    for sentence in sentences:
        log.info("%s", sentence)


def going_on(store: JobStore) -> tuple[str, ...]:
    """Return what becomes of the jobs that an earlier program has left, as sentences; () where there are none."""
    jobs = sorted(store.page("ACCEPTED"), key=lambda job: job.place)
    begun = [job for job in jobs if not job.held and (job.frame or job.outdir)]
    told = [f"Going on with {_named(job)}{_after(job)}." for job in begun]
    return (*told, *_others(jobs, begun, "queued"))


def parked(store: JobStore, worked_on: str | None) -> tuple[str, ...]:
    """Return what the ending program leaves for the next start, as sentences; () where there is nothing.

    Args:
        store: of the jobs.
        worked_on: id of the job that was worked on when the program was told to end, or None.
    """
    jobs = store.page("ACCEPTED")
    begun = [job for job in jobs if job.id == worked_on and not job.held]
    told = [f"Parked {_named(job)}{_after(job)}; it goes on at the next start." for job in begun]
    return (*told, *_others(jobs, begun, "left for the next start"))


def _others(jobs: tuple[Job, ...] | list[Job], told: list[Job], state: str) -> list[str]:
    """Return how many of the other jobs wait, and how many are paused."""
    others = [job for job in jobs if job not in told]
    paused = sum(job.held for job in others)
    sentences = []
    if waiting := len(others) - paused:
        sentences.append(f"{_count(waiting)} {state}.")
    if paused:
        sentences.append(f"{_count(paused)} paused until resumed.")
    return sentences


def _count(jobs: int) -> str:
    return "1 job is" if jobs == 1 else f"{jobs} jobs are"


def _named(job: Job) -> str:
    return f"{job.id} ({Path(job.outdir).name})" if job.outdir else job.id


def _after(job: Job) -> str:
    return f" after {job.frame} of {job.max_frames} frames" if job.frame else " before its first frame"
