"""The MCP server over streamable HTTP, for programs of this machine only."""

from __future__ import annotations

import socket
import sys
from typing import Any

import uvicorn

ADDRESS = "127.0.0.1"
STOPPING_TIME_S = 2


async def serve_http(server: Any, port: int) -> None:
    """Serve `server` at /mcp of `port` (0 = a free one) until the program is told to stop.

    The address is printed once it is answered. Host and Origin headers other than this machine's are refused, so that
    no web page reaches it.

    Raises:
        OSError: the port is taken.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
        app = server.streamable_http_app(host=ADDRESS)
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
