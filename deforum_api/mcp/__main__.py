"""`deforum mcp` and `python -m deforum_api.mcp`: an MCP server over stdio, or over streamable HTTP."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from typing import NoReturn

from deforum_api.client import Client, ClientError
from deforum_api.mcp import messages
from deforum_helpers.core.errors import MissingFeature
from deforum_helpers.core.optional import require

DEFAULT_PORT = 7865
INSTALL = 'pip install "mcp>=2,<3" pillow'


def main() -> NoReturn:
    """Run `python -m deforum_api.mcp`."""
    parser = argparse.ArgumentParser(prog="python -m deforum_api.mcp", description=__doc__)
    add_options(parser)
    serve_and_exit(parser.parse_args())


def serve(options: argparse.Namespace) -> int:
    """Serve until the client disconnects or a signal stops the server; return the exit code."""
    # Standard output belongs to the protocol.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s: %(message)s")
    try:
        require("mcp.server.mcpserver", "The MCP server", INSTALL)
        require("PIL.Image", "The MCP server", INSTALL)
        client = Client(options.url, login=options.api_auth or None, patience_s=options.patience)
    except (MissingFeature, ClientError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    from deforum_api.mcp.server import make_server, serve_http

    server = make_server(client)
    try:
        asyncio.run(serve_http(server, options.port) if options.http else server.run_stdio_async())
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        if not options.http and is_disconnect(error):
            return 0
        if not isinstance(error, OSError):
            raise
        text = messages.PORT_UNUSABLE(port=options.port, reason=error.strerror)
        sys.stderr.write(f"{text}\n")
        return 2
    return 0


def is_disconnect(error: BaseException) -> bool:
    """Return whether an error, or every error of a group, means that the client closed its pipe."""
    grouped = getattr(error, "exceptions", None)
    if grouped is not None:
        return all(map(is_disconnect, grouped))
    return isinstance(error, BrokenPipeError | ConnectionResetError | EOFError)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the MCP server to `parser`."""
    add = parser.add_argument
    add(
        "--url",
        default=os.environ.get("DEFORUM_URL", "http://127.0.0.1:7860"),
        help="address of the Deforum server (default: environment variable DEFORUM_URL, else http://127.0.0.1:7860)",
    )
    add(
        "--api-auth",
        default=os.environ.get("DEFORUM_API_AUTH", ""),
        metavar="USER:PASSWORD",
        help="its login (default: environment variable DEFORUM_API_AUTH)",
    )
    add(
        "--patience",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="how long to wait while it is down (default: 20)",
    )
    add("--http", action="store_true", help="serve streamable HTTP on 127.0.0.1 instead of stdio")
    add(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        metavar="N",
        help="port for --http; 0 = any free port, which is printed",
    )


def serve_and_exit(options: argparse.Namespace) -> NoReturn:
    """Serve, then end the process."""
    code = serve(options)
    sys.stderr.flush()
    # Tools may still wait for a Deforum server, and output for a client that has disconnected: drop both.
    os._exit(code)


if __name__ == "__main__":
    main()
