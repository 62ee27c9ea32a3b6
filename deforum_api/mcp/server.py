"""The MCP server: its prompts, tools and resources, and its HTTP transport."""

from __future__ import annotations

import functools
import inspect
import json
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import anyio
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp_types import Resource, ToolAnnotations
from pydantic import Field

from deforum_api.client import Client, ClientError, RefusedByServer
from deforum_api.http.app import Gate
from deforum_api.http.security import Access
from deforum_api.mcp.tools import JobTools, SettingsTools
from deforum_api.version import VERSION


def plan_film(
    idea: Annotated[str, Field(description="What the video shows.")],
    seconds: Annotated[str, Field(description="Its length in seconds.")] = "8",
) -> str:
    """Turn an idea into a video: plan it, check it, and render it once I agree."""
    return (
        f"Make a video of about {seconds} seconds with Deforum: {idea}\n\n"
        "1. Call server_health for the server's abilities, and list_settings with tab 'Keyframes > Motion'.\n"
        "2. Choose fps and max_frames for that length, prompts by frame, and schedules for a motion that suits it; "
        "a prompt should change every two to four seconds at most.\n"
        "3. Use check_settings, with values_of for the schedules that move, until there are no errors.\n"
        "4. Tell me the plan in a few lines, with the number of key frames, and wait for my consent.\n"
        "5. Then submit, watch, and show me the first, the middle and the last frame with show_frames."
    )


def mend_settings(
    settings: Annotated[str, Field(description="The settings as JSON, of any version.")],
) -> str:
    """Find and correct the mistakes in settings without changing what the video shows."""
    return (
        "These Deforum settings do not work as intended. Use check_settings, read about every setting that it names "
        "with describe_settings, and change as little as possible until there are no errors and no relevant warnings. "
        f"Explain each change, and give me the complete object.\n\n{settings}"
    )


def review_film(job_id: Annotated[str, Field(description="Id of the job.")]) -> str:
    """Look at a finished video and propose improvements."""
    return (
        f"Look at the Deforum job {job_id}: get_job with its settings, list_outputs, and show_frames for six frames "
        "spread evenly over the video. Say whether it matches its prompts, where it drifts, flickers or tears at the "
        "edges, and propose the three changes of settings that would help most, checked with "
        "check_settings."
    )


LISTED_JOBS = 50
INSTRUCTIONS = """Deforum turns prompts and schedules into videos. A video is a settings object: prompts by frame,
max_frames, W, H, animation_mode, and schedules such as "zoom": "0: (1.02), 30: (1 + 0.01 * sin(t / 5))".
Find settings with list_settings, read about them with describe_settings, check them with check_settings until there are
no errors, then submit; watch the job, view its frames with show_frames, and name the files from list_outputs."""

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
CHANGES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
ENDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)


def make_server(client: Client) -> MCPServer:
    """Return an MCP server for the Deforum server of `client`."""
    server = _Server(client)
    settings, jobs = SettingsTools(client), JobTools(client)
    table: tuple[tuple[Callable[..., Any], ToolAnnotations], ...] = (
        (settings.list_settings, READS),
        (settings.describe_settings, READS),
        (settings.check_settings, READS),
        (jobs.submit, ADDS),
        (jobs.list_video_tools, READS),
        (jobs.run_video_tool, ADDS),
        (jobs.list_jobs, READS),
        (jobs.get_job, READS),
        (jobs.watch, READS),
        (jobs.cancel, ENDS),
        (jobs.resume, ADDS),
        (jobs.show_frames, READS),
        (jobs.list_outputs, READS),
        (jobs.list_workers, READS),
        (jobs.set_worker_drained, CHANGES),
        (jobs.server_health, READS),
    )
    for tool, kind in table:
        images = tool == jobs.show_frames
        server.add_tool(
            _with_tool_errors(tool), annotations=kind, structured_output=False if images else None
        )
    _add_resources(server, client)
    server.prompt(title="Plan a video")(plan_film)
    server.prompt(title="Correct settings")(mend_settings)
    server.prompt(title="Review a video")(review_film)
    return server


class _Server(MCPServer):
    """An MCP server whose resources include the newest finished jobs."""

    def __init__(self, client: Client) -> None:
        super().__init__(
            "deforum", title="Deforum", version=VERSION, instructions=INSTRUCTIONS, log_level="WARNING"
        )
        self._client = client

    async def list_resources(self) -> list[Resource]:
        return [*await super().list_resources(), *await anyio.to_thread.run_sync(self._finished_jobs)]

    def _finished_jobs(self) -> list[Resource]:
        try:
            jobs = deque(self._client.jobs("SUCCEEDED"), maxlen=LISTED_JOBS)
        except ClientError:
            return []
        return [
            Resource(
                uri=f"deforum://jobs/{quote(job['id'], safe='')}",
                name=job["id"],
                description=f"A finished video of {job['max_frames']} frames in {job['outdir']}",
                mime_type="application/json",
            )
            for job in reversed(jobs)
        ]


def _add_resources(server: MCPServer, client: Client) -> None:
    @server.resource("deforum://settings/schema", mime_type="application/json")
    def schema() -> str:
        """JSON schema of all settings, with help, bounds, units and choices."""
        return _read(lambda: json.dumps(client.schema()))

    @server.resource("deforum://settings/defaults", mime_type="application/json")
    def defaults() -> str:
        """Every setting with its default."""
        return _read(lambda: json.dumps(client.defaults()))

    @server.resource("deforum://jobs/{job_id}", mime_type="application/json")
    def job(job_id: str) -> str:
        """A job's record with its submitted settings."""
        return _read(lambda: json.dumps(client.job(job_id)))

    @server.resource("deforum://jobs/{job_id}/outputs", mime_type="application/json")
    def outputs(job_id: str) -> str:
        """A job's files."""
        return _read(lambda: json.dumps(client.outputs(job_id)))

    @server.resource("deforum://jobs/{job_id}/preview", mime_type="image/jpeg")
    def preview(job_id: str) -> bytes:
        """A job's newest frame."""
        return _read(lambda: client.preview(job_id))


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RefusedByServer as error:
        kind = ResourceNotFoundError if error.code == 404 else ResourceError
        raise kind(_error_text(error)) from None
    except ClientError as error:
        raise ResourceError(str(error)) from None


def _with_tool_errors(tool: Callable[..., Any]) -> Callable[..., Any]:
    """Return the tool with the client's errors raised as tool errors, which the assistant reads.

    A tool that still waits for a server is abandoned once the assistant disconnects, so that the program can end.
    """

    @functools.wraps(tool)
    async def answer(*args: Any, **kwargs: Any) -> Any:
        try:
            if inspect.iscoroutinefunction(tool):
                return await tool(*args, **kwargs)
            call = functools.partial(tool, *args, **kwargs)
            return await anyio.to_thread.run_sync(call, abandon_on_cancel=True)
        except ClientError as error:
            raise ToolError(_error_text(error)) from None

    return answer


def _error_text(error: ClientError) -> str:
    messages = [str(one["message"]) for one in getattr(error, "errors", ()) if one.get("message")]
    return "\n".join(messages) or str(error)


ADDRESS = "127.0.0.1"
STOPPING_TIME_S = 2


async def serve_http(server: Any, port: int) -> None:
    """Serve `server` at /mcp of `port` (0 = any free port) until a signal stops the server.

    The address is printed once the server accepts requests. The gate of the API guards it against web pages.

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
        await _AnnouncingServer(config).serve(sockets=[listening])


class _AnnouncingServer(uvicorn.Server):
    """Prints its address once it accepts requests, and shuts down gracefully on a signal."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            sys.stdout.write(f"Running on http://{ADDRESS}:{sockets[0].getsockname()[1]}/mcp\n")
            sys.stdout.flush()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.should_exit = True
