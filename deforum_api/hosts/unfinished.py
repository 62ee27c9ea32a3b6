"""Log lines about jobs that outlive the server: parked when it ends, resumed at its next start."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from deforum_api.hosts import messages
from deforum_api.queue.record import Job
from deforum_api.queue.store import JobStore
from deforum_helpers.core.messages import Message

log = logging.getLogger(__name__)


def log_sentences(sentences: Iterable[str]) -> None:
    """Write sentences to the log, which a terminal shows."""
    for sentence in sentences:
        log.info("%s", sentence)


def resumed_sentences(store: JobStore) -> tuple[str, ...]:
    """Return sentences about the unfinished jobs that an earlier server has left."""
    jobs = sorted(store.page("ACCEPTED"), key=lambda job: (job.rank, job.place))
    begun = [job for job in jobs if not job.held and (job.frame or job.outdir)]
    sentences = [
        messages.RESUMING_JOB(job=_named(job), frame=job.frame, frames=job.max_frames)
        if job.frame
        else messages.RESUMING_UNSTARTED(job=_named(job))
        for job in begun
    ]
    return (*sentences, *_others(jobs, begun, messages.JOB_QUEUED, messages.JOBS_QUEUED))


def parked_sentences(store: JobStore, worked_on: Collection[str]) -> tuple[str, ...]:
    """Return sentences about the unfinished jobs that the ending server leaves for its next start.

    Args:
        store: the jobs.
        worked_on: ids of the jobs that were rendered when the server was told to end.
    """
    jobs = store.page("ACCEPTED")
    begun = [job for job in jobs if job.id in worked_on and not job.held]
    sentences = [
        messages.PARKED_JOB(job=_named(job), frame=job.frame, frames=job.max_frames)
        if job.frame
        else messages.PARKED_UNSTARTED(job=_named(job))
        for job in begun
    ]
    return (*sentences, *_others(jobs, begun, messages.JOB_LEFT, messages.JOBS_LEFT))


def _others(jobs: Sequence[Job], named: Sequence[Job], one: Message, several: Message) -> list[str]:
    """Return how many jobs besides the named ones wait, worded as `one` or `several`, and how many are paused."""
    others = [job for job in jobs if job not in named]
    paused = sum(job.held for job in others)
    sentences: list[str] = []
    if waiting := len(others) - paused:
        sentences.append(one() if waiting == 1 else several(count=waiting))
    if paused:
        sentences.append(messages.JOB_PAUSED() if paused == 1 else messages.JOBS_PAUSED(count=paused))
    return sentences


def _named(job: Job) -> str:
    return f"{job.id} ({Path(job.outdir).name})" if job.outdir else job.id
