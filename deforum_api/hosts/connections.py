"""Limits on the connections of the standalone server, in number and in time.

uvicorn limits only the time between two requests. This adds limits for slow requests and for responses that the client
does not read; `Server.on_tick` ends overdue connections once a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from math import inf
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from deforum_api.queue.descriptors import MOST_CONNECTIONS

log = logging.getLogger(__name__)

HEADERS_S = 10.0
KEEP_ALIVE_S = 30
GRACE_S = 10.0  # before a rate is asked for, and until a connection that is closed has sent what it holds
LEAST_BYTES_PER_S = 8 * 1024
# Accepted at one moment, before any of them is counted.
ACCEPTED_AT_ONCE = 16
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 45\r\n\r\n"
    b"The server has as many clients as it can have"
)


class BoundedConnection(H11Protocol):
    """One connection with its deadlines; it may be closed for a new one while it has no complete request."""

    most = MOST_CONNECTIONS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._began: float | None = self.loop.time()
        self._received = 0
        self._sending_until: float | None = None
        self._closing_since: float | None = None
        others = [one for one in self.connections if one is not self and isinstance(one, BoundedConnection)]
        others = [one for one in others if not one.transport.is_closing()]
        if len(others) >= self.most:
            self._find_room(others)

    def data_received(self, data: bytes) -> None:
        if self._began is None:
            self._began, self._received = self.loop.time(), 0
        self._received += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._began = self.loop.time() if self.conn.trailing_data[0] else None
        self._received = 0
        super().on_response_complete()

    def pause_writing(self) -> None:
        waiting_bytes = self.transport.get_write_buffer_size()
        self._sending_until = self.loop.time() + GRACE_S + waiting_bytes / LEAST_BYTES_PER_S
        super().pause_writing()

    def resume_writing(self) -> None:
        self._sending_until = None
        super().resume_writing()

    @property
    def is_complete(self) -> bool:
        """Whether there is a request that came whole and has no whole answer yet."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    @property
    def waiting_since(self) -> float:
        """When it began to wait for a request, or for the rest of one; between two of them, later than any other."""
        return inf if self._began is None else self._began

    def _is_overdue(self, now: float) -> bool:
        """Tell whether its client has kept it waiting for too long."""
        if self._sending_until is not None and now > self._sending_until:
            return True
        if self._began is None or self.is_complete:
            return False
        if self.cycle is None or self.cycle.response_complete:
            return now > self._began + HEADERS_S
        if self.flow.read_paused:  # it is us who do not read
            self._began, self._received = now, 0
        return now > self._began + GRACE_S + self._received / LEAST_BYTES_PER_S

    def end_if_due(self, now: float) -> None:
        """Close it if it is overdue; end it where what it still holds is not taken either."""
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            if now > self._closing_since + GRACE_S:
                self.transport.abort()
        elif self._is_overdue(now):
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()
            else:
                self.transport.abort()

    def _find_room(self, others: list[BoundedConnection]) -> None:
        """End the connection that has waited longest for a request, or else this one."""
        waiting = [one for one in others if not one.is_complete]
        if waiting:
            min(waiting, key=lambda one: one.waiting_since).transport.abort()
        else:
            log.warning("All %d connections are in use; another one is turned away.", self.most)
            self.transport.write(FULL)
            self.transport.close()


def end_overdue(connections: Iterable[Any], now: float) -> None:
    """End every connection whose client has kept it waiting for too long."""
    for one in list(connections):
        if isinstance(one, BoundedConnection):
            one.end_if_due(now)
