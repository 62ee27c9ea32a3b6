"""The MCP server over streamable HTTP, for programs of this machine only."""

from __future__ import annotations

import socket
import sys
from typing import Any

import uvicorn

from deforum_api.gate import Gate
from deforum_api.security import Access

ADDRESS = "127.0.0.1"
STOPPING_TIME_S = 2


async def serve_http(server: Any, port: int) -> None:
    """Serve `server` at /mcp of `port` (0 = a free one) until the program is told to stop.

    The address is printed once it is answered. The gate of the API stands before it, so that no web page reaches it.

    Raises:
        OSError: the port is taken.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
        app = Gate(server.streamable_http_app(host=ADDRESS), Access())
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=STOPPING_TIME_S
        )
        await _Announced(config).serve(sockets=[listening])


class _Announced(uvicorn.Server):
    """Says where it answers, and ends in order when it is told to stop."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            sys.stdout.write(f"Running on http://{ADDRESS}:{sockets[0].getsockname()[1]}/mcp\n")
            sys.stdout.flush()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.should_exit = True
