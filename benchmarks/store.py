"""The job database as a farm uses it: an update per frame, a claim and an end per job, and looks at long queues."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from benchmarks.rows import Row, best_of
from deforum_api.queue.events import Claimed, Reported, Succeeded
from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import SqliteStore
from deforum_api.queue.store import Records
from deforum_helpers.settings import defaults

NAME = "store"
BAR = "none; docs/scaling.md computes with these numbers"

WAITING = 1000
FRAMES = 100


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder, "jobs.sqlite3"))
        try:
            return list(_rows(store, Records(store, lambda: 1.0)))
        finally:
            store.close()


def _rows(store: SqliteStore, records: Records) -> list[Row]:
    numbers = count()
    settings = json.dumps(defaults())

    def submitted(jobs: int = 1, **more: object) -> tuple[Job, ...]:
        batch = f"batch({next(numbers)})"
        new = Job(f"{batch}-0", batch, 0, settings, "null", 1.0, 1.0, max_frames=FRAMES)
        made = [replace(new, id=f"{batch}-{number}", order=number) for number in range(jobs)]
        return store.add([replace(one, **more) for one in made])  # type: ignore[arg-type]

    def whole() -> None:
        (job,) = submitted()
        claimed = records.change(job, Claimed())
        assert claimed is not None
        records.apply_to_attempt(claimed, Succeeded("/out", "20260102030405", FRAMES))

    (job,) = submitted()
    running = records.change(job, Claimed())
    assert running is not None
    frames = count(1)

    def update() -> None:
        report = Reported("GENERATING", 0.0, next(frames), FRAMES, "/out", "20260102030405")
        records.apply_to_attempt(running, report)

    rows = [
        Row("one update of a running job", best_of(update)),
        Row("submit, claim and end of one job, each on the disk", best_of(whole)),
    ]
    submitted(WAITING, webhook_url="https://example.org/hook")
    return [
        *rows,
        Row(f"ids of {WAITING} waiting jobs in their order", best_of(store.queued)),
        Row(f"records of {WAITING} waiting jobs", best_of(_records_of(store))),
        Row("look for due webhooks", best_of(lambda: store.due_deliveries("webhook", 1.0, 4))),
    ]


def _records_of(store: SqliteStore) -> Callable[[], list[Job | None]]:
    return lambda: [store.get(job_id) for job_id in store.queued()]
