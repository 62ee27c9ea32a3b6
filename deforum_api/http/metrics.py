"""The state of the server: as an object for `/deforum_api/health`, as text for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.executors import WorkerInfo, WorkerState
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import STATUSES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

WORKER_STATES: tuple[WorkerState, ...] = ("idle", "busy", "draining", "drained", "lost")

Sample = tuple[Mapping[str, str], float]


def server_state(facts: Mapping[str, Any], jobs: JobQueue) -> dict[str, Any]:
    """Return the host's facts and the state of the queue; an unusable job database counts as an unavailable feature.

    Args:
        facts: host, engine, model, versions, free_disk_bytes and unavailable.
        jobs: the queue.
    """
    running = next(iter(jobs.runner.running), None)
    found = {**facts, "running": running, "accepting": not jobs.closing, "queue_length": 0}
    if jobs.runner.hanging:
        found["unavailable"] = [
            *found["unavailable"],
            {"feature": "rendering", "reason": jobs.runner.hanging},
        ]
    if lacks := jobs.lacks():
        found["unavailable"] = [
            *found["unavailable"],
            *({"feature": "workers", "reason": reason} for reason in lacks),
        ]
    try:
        found["queue_length"] = len(jobs.store.queued())
    except StoreUnavailable as error:
        found["accepting"] = False
        found["unavailable"] = [*found["unavailable"], {"feature": "jobs", "reason": error.message}]
    return found


def metrics_text(facts: Mapping[str, Any], jobs: JobQueue) -> str:
    """Return the state as Prometheus text: numbers only, no content of jobs.

    Raises:
        StoreUnavailable: the records cannot be read.
    """
    return "".join(line + "\n" for line in _metric_lines(server_state(facts, jobs), jobs))


def _metric_lines(found: Mapping[str, Any], jobs: JobQueue) -> Iterator[str]:
    about = {name: found[name] for name in ("host", "engine", "model")}
    about["version"] = found["versions"].get("deforum", "")
    yield from _gauge("deforum_info", "Host, engine, model and version; always 1.", [(about, 1)])
    counts = jobs.store.counts()
    each: list[Sample] = [({"status": status}, counts.get(status, 0)) for status in STATUSES]
    yield from _gauge("deforum_jobs", "Jobs on record by status.", each)
    yield from _gauge("deforum_jobs_waiting", "Queued jobs.", [({}, found["queue_length"])])
    workers = jobs.workers()
    busy = max(sum(worker.job is not None for worker in workers), found["running"] is not None)
    yield from _gauge("deforum_jobs_running", "Jobs that this server renders.", [({}, busy)])
    job = jobs.store.get(found["running"]) if found["running"] else None
    frames, most = (job.frame, job.max_frames) if job else (0, 0)
    yield from _gauge("deforum_running_frames_written", "Frames of the running job so far.", [({}, frames)])
    yield from _gauge("deforum_running_frames", "Frames that the running job will have.", [({}, most)])
    yield from _gauge("deforum_accepting_jobs", "1 while new jobs are accepted.", [({}, found["accepting"])])
    yield from _gauge(
        "deforum_free_disk_bytes", "Free bytes on the disk of the outputs.", [({}, found["free_disk_bytes"])]
    )
    yield from _worker_lines(workers, jobs)
    missing = len(found["unavailable"])
    yield from _gauge("deforum_unavailable_features", "Entries of unavailable in health.", [({}, missing)])


def _worker_lines(workers: Sequence[WorkerInfo], jobs: JobQueue) -> Iterator[str]:
    about = [
        ({"worker": one.id, "node": one.node, "device": one.device, "model": one.model}, 1) for one in workers
    ]
    yield from _gauge("deforum_worker_info", "Machine, device and model of each worker; always 1.", about)
    states = [
        ({"worker": one.id, "state": state}, one.state == state) for one in workers for state in WORKER_STATES
    ]
    yield from _gauge("deforum_worker_state", "1 for the state of each worker.", states)
    since = [({"worker": one.id}, one.since) for one in workers]
    yield from _gauge("deforum_worker_since_seconds", "Unix time of the last change of state.", since)
    used = [({"worker": one.id}, one.memory_used) for one in workers]
    yield from _gauge("deforum_worker_memory_used_bytes", "Used memory of each worker's device.", used)
    total = [({"worker": one.id}, one.memory_total) for one in workers]
    yield from _gauge("deforum_worker_memory_bytes", "Memory of each worker's device; 0 = unknown.", total)
    rendered = {one.id: jobs.store.get(one.job) if one.job else None for one in workers}
    written = [({"worker": worker}, job.frame if job else 0) for worker, job in rendered.items()]
    yield from _gauge("deforum_worker_frames_written", "Frames of each worker's job so far.", written)
    frames = [({"worker": worker}, job.max_frames if job else 0) for worker, job in rendered.items()]
    yield from _gauge("deforum_worker_frames", "Frames that each worker's job will have.", frames)


def _gauge(name: str, what: str, samples: Sequence[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{pairs}}} {int(value)}" if pairs else f"{name} {int(value)}"


def _escaped(text: str) -> str:
    return str(text).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
