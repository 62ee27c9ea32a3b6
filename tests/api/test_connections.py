"""One connection of the standalone server: when it is overdue, and when it gives way to another."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from deforum_api.hosts.connections import (
    FULL,
    GRACE_S,
    HEADERS_S,
    LEAST_BYTES_PER_S,
    BoundedConnection,
    end_overdue,
)
from deforum_api.queue.descriptors import out_of_descriptors
from tests.api.event_loops import run_elsewhere

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
SOON, LATE = 5.0, 5.0  # seconds before and after a limit, more than a test takes


class Line:
    """What a connection writes to."""

    def __init__(self) -> None:
        self.written, self.end, self.unsent_bytes = b"", "", 0

    def is_closing(self) -> bool:
        return bool(self.end)

    def close(self) -> None:
        self.end = self.end or "closed"

    def abort(self) -> None:
        self.end = "aborted"

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def get_extra_info(self, name: str) -> None:
        return None

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Connections:
    """Connections of one server, whose app reads bodies and answers when it is told to."""

    def __init__(self, most: int) -> None:
        self.state = ServerState()
        self.answering = asyncio.Event()
        protocol = type("Connection", (BoundedConnection,), {"most": most})
        self._config = uvicorn.Config(self._app, http=protocol, ws="none", interface="asgi3", log_config=None)
        self._config.load()
        self._make = protocol

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await self.answering.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": b"x"})

    def open(self, data: bytes = b"") -> tuple[BoundedConnection, Line]:
        line = Line()
        made = self._make(config=self._config, server_state=self.state, app_state={})
        made.connection_made(line)
        if data and not line.end:
            made.data_received(data)
        return made, line

    def look(self, later_s: float) -> None:
        end_overdue(self.state.connections, asyncio.get_running_loop().time() + later_s)


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def served(work: Callable[[Connections], Any], most: int = 10) -> None:
    async def run() -> None:
        connections = Connections(most)
        await work(connections)
        connections.answering.set()
        await turns()

    run_elsewhere(run())


@pytest.mark.parametrize("first_bytes", [b"", b"GET / HT", HEAD[:-2]])
def test_a_request_that_does_not_come_is_waited_for_ten_seconds(first_bytes: bytes) -> None:
    async def work(connections: Connections) -> None:
        _, line = connections.open(first_bytes)
        connections.look(HEADERS_S - SOON)
        assert not line.end
        connections.look(HEADERS_S + LATE)
        assert line.end == "closed"

    served(work)


def test_a_body_has_a_least_rate() -> None:
    async def work(connections: Connections) -> None:
        made, line = connections.open(BODY)
        await turns()
        connections.look(GRACE_S - SOON)
        assert not line.end
        for _ in range(10):
            made.data_received(b"x" * LEAST_BYTES_PER_S * 2)
            await turns()
        connections.look(GRACE_S + 20 - SOON)
        assert not line.end
        connections.look(GRACE_S + 20 + LATE)
        assert line.end == "aborted"

    served(work)


def test_a_client_that_has_asked_waits_for_its_answer_as_long_as_it_likes() -> None:
    async def work(connections: Connections) -> None:
        _, line = connections.open(HEAD)
        await turns()
        connections.look(10**6)
        assert not line.end
        connections.answering.set()
        await turns()
        assert line.written.endswith(b"x")
        assert not line.end

    served(work)


def test_the_headers_of_the_next_request_have_their_own_time() -> None:
    async def work(connections: Connections) -> None:
        connections.answering.set()
        made, line = connections.open(HEAD)
        await turns()
        connections.look(HEADERS_S + LATE)
        assert not line.end, "between two requests the time of keep-alive runs"
        made.data_received(b"GET / HT")
        connections.look(HEADERS_S - SOON)
        assert not line.end
        connections.look(HEADERS_S + LATE)
        assert line.end == "closed"

    served(work)


def test_an_answer_that_is_not_taken_is_not_kept() -> None:
    async def work(connections: Connections) -> None:
        made, line = connections.open(HEAD)
        await turns()
        line.unsent_bytes = 10 * LEAST_BYTES_PER_S
        made.pause_writing()
        connections.look(GRACE_S + 10 - SOON)
        assert not line.end
        made.resume_writing()
        connections.look(GRACE_S + 10 + LATE)
        assert not line.end
        made.pause_writing()
        connections.look(GRACE_S + 10 + LATE)
        assert line.end == "aborted"
        made.resume_writing()

    served(work)


def test_a_closed_connection_has_a_time_to_send_the_rest() -> None:
    async def work(connections: Connections) -> None:
        _, line = connections.open()
        line.close()
        connections.look(0)
        connections.look(GRACE_S - SOON)
        assert line.end == "closed"
        connections.look(GRACE_S + LATE)
        assert line.end == "aborted"

    served(work)


def test_who_waits_for_a_request_gives_way_and_who_asked_does_not() -> None:
    async def work(connections: Connections) -> None:
        asked = [connections.open(HEAD)[1] for _ in range(2)]
        idle = connections.open()[1]
        await turns()
        slow = connections.open(BODY)[1]
        assert (idle.end, slow.end) == ("aborted", "")
        third = connections.open(HEAD)[1]
        await turns()
        assert (slow.end, third.end) == ("aborted", "")
        turned_away = connections.open()[1]
        assert (turned_away.written, turned_away.end) == (FULL, "closed")
        assert not any(line.end for line in (*asked, third))

    served(work, most=3)


def test_errors_behind_errors_tell_of_descriptors() -> None:
    unread = ValueError("It cannot be opened.")
    assert not out_of_descriptors(unread)
    unread.__cause__ = OSError(errno.EMFILE, "Too many open files")
    assert out_of_descriptors(unread)
