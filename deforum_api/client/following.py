"""Follows a job: yields its record after each change, from the server's events or by polling."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

from deforum_api.client.connection import BROKEN, Ask, Connection
from deforum_api.client.errors import RefusedByServer

log = logging.getLogger(__name__)

POLL_EVERY_S = 1.0
Job = dict[str, Any]


def job_path(job_id: str) -> str:
    """Return the path of a job's route, with its id quoted."""
    return f"/deforum_api/jobs/{quote(job_id, safe='()')}"


def follow(
    connection: Connection,
    job_id: str,
    *,
    events: bool = True,
    poll_every_s: float = POLL_EVERY_S,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Job]:
    """Yield the job's record now and after every change, until it has ended.

    A broken stream is resumed after the last record seen. If the server has no events, or a proxy holds them back, the
    record is polled every `poll_every_s` seconds.

    Raises:
        RefusedByServer: the server has no such job.
        Unreachable: the server did not respond for `patience_s` seconds.
    """
    path, seen = job_path(job_id), -1
    while True:
        for job in _round(connection, path, seen, events):
            if job is None:
                events = False
            elif job["updates"] != seen:
                seen = job["updates"]
                yield job
            if job and job["status"] != "ACCEPTED":
                return
        sleep(poll_every_s)


def _round(connection: Connection, path: str, seen: int, events: bool) -> Iterator[Job | None]:
    """Yield the current record, then those of the event stream; None if the server has no events.

    The record comes first, because a server may count from an older update after a crash, which events would skip.
    """
    job: Job = connection.json(Ask("GET", path))
    yield job
    if not events or job["status"] != "ACCEPTED":
        return
    try:
        yield from stream(connection, path, job["updates"])
    except NoEvents:
        yield None


class NoEvents(Exception):
    """The server has no events, or a proxy holds them back."""


def stream(connection: Connection, path: str, seen: int) -> Iterator[Job]:
    """Yield the records of one event stream that are newer than number `seen`, until it ends or breaks.

    Raises:
        NoEvents: there is no such stream, or nothing arrives through it.
    """
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(seen)}
    heard: list[bool] = []
    try:
        with connection.open(Ask("GET", f"{path}/events", headers=headers)) as answer:
            if answer.headers.get_content_type() != "text/event-stream":
                raise NoEvents
            for data in event_data(_counted(answer, heard)):
                yield json.loads(data)
    except RefusedByServer as error:
        if error.code == 404 or not error.temporary:
            raise NoEvents from None
    except TimeoutError:
        if not heard:
            raise NoEvents from None
    except (*BROKEN, ValueError) as error:
        log.debug("The events of %s broke off: %s", path, error)


def _counted(lines: Iterable[bytes], heard: list[bool]) -> Iterator[bytes]:
    for line in lines:
        heard[:] = [True]
        yield line


def event_data(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield the `data` of each complete Server-Sent Event."""
    collected: list[str] = []
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if not line:
            if collected:
                yield "\n".join(collected)
            collected = []
        elif line.startswith("data:"):
            collected.append(line[5:].removeprefix(" "))
