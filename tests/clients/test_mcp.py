"""The MCP server, asked by the official client over both of its transports, in front of the real server."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters
from PIL import Image

from tests.integration.server import SMALL, Server

ROOT = Path(__file__).parents[2]
TOOLS = {
    "list_settings",
    "describe_settings",
    "check_settings",
    "submit",
    "list_video_tools",
    "run_video_tool",
    "list_jobs",
    "get_job",
    "watch",
    "cancel",
    "resume",
    "show_frames",
    "list_outputs",
    "list_workers",
    "set_worker_drained",
    "server_health",
}
Ask = Callable[[Callable[[Client], Awaitable[None]]], None]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deforum_api.mcp", *arguments]


@pytest.fixture(scope="module")
def mcp_url(deforum: Server) -> Iterator[str]:
    """The address of the MCP server over HTTP."""
    started = subprocess.Popen(
        command("--url", deforum.url, "--http", "--port", "0"), cwd=ROOT, text=True, stdout=subprocess.PIPE
    )
    assert started.stdout
    timer = threading.Timer(60, started.kill)
    timer.start()
    address = started.stdout.readline().split()[2]
    timer.cancel()
    yield address
    started.terminate()
    with started.stdout:
        assert started.wait(20) == 0
    timer.cancel()


def over_stdio(deforum: Server) -> StdioServerParameters:
    first, *rest = command()
    environment = {**os.environ, "DEFORUM_URL": deforum.url}
    return StdioServerParameters(command=first, args=rest, cwd=ROOT, env=environment)


def ask(where: Any, questions: Callable[[Client], Awaitable[None]], mode: str = "auto") -> None:
    async def asked() -> None:
        async with Client(where, mode=mode, read_timeout_seconds=60) as client:
            await questions(client)

    # On a thread of its own: a browser test before us may have left a loop running on this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, asked()).result()


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool and return its answer."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return dict(result.structured_content)


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that fails and return why."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)  # type: ignore[union-attr]


def image_of(content: Any) -> Image.Image:
    assert content.mime_type == "image/jpeg"
    return Image.open(io.BytesIO(base64.b64decode(content.data)))


async def video_from_idea_to_frames(client: Client) -> None:
    """What an assistant does: look up, check, submit, watch, show."""
    assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
    found = await called(client, "list_settings", words="zoom scales")
    assert [one["name"] for one in found["settings"]] == ["zoom"]
    assert (await called(client, "describe_settings", names=["W", "x"]))["unknown"] == ["x"]
    settings = {**SMALL, "zoom": "0: (1), 3: (4)"}
    checked = await called(client, "check_settings", settings=settings, values_of=["zoom", "W"])
    assert checked["errors"] == []
    assert checked["values"] == {"zoom": [1.0, 2.0, 3.0, 4.0]}
    assert checked["not_schedules"] == ["W"]
    (job_id,) = (await called(client, "submit", films=[settings], priority=2))["job_ids"]
    seen: list[tuple[float, float | None]] = []

    async def progressed(done: float, total: float | None, message: str | None) -> None:
        seen.append((done, total))

    result = await client.call_tool("watch", {"job_id": job_id}, progress_callback=progressed)
    job = dict(result.structured_content or {})
    assert (job["status"], job["frame"], job["priority"]) == ("SUCCEEDED", 4, 2)
    assert seen[-1] == (4, 4)
    shown = (
        await client.call_tool("show_frames", {"job_id": job_id, "numbers": [0, 3], "max_side_px": 64})
    ).content
    assert [image_of(one).size for one in shown[1::2]] == [(64, 64)] * 2
    newest = (await client.call_tool("show_frames", {"job_id": job_id})).content
    assert image_of(newest[1]).size == (64, 64)
    outputs = await called(client, "list_outputs", job_id=job_id)
    assert outputs["pictures"] == {"frame": 4}
    video = next(file for file in outputs["files"] if file["kind"] == "video")
    assert Path(video["path_on_server"]).stat().st_size == video["size"]
    with urllib.request.urlopen(video["url"]) as answer:
        assert len(answer.read()) == video["size"]
    await finished_video_is_a_resource(client, job_id)
    described = await called(client, "list_video_tools")
    arguments = {
        "video": video["path_on_server"],
        "factor": described["upscale"]["properties"]["factor"]["default"],
    }
    queued = await client.call_tool("run_video_tool", {"tool": "upscale", "arguments": arguments})
    (larger,) = (queued.structured_content or {})["job_ids"]
    ended = await called(client, "watch", job_id=larger)
    assert (ended["status"], ended["kind"], ended["frame"]) == ("SUCCEEDED", "upscale", 4)


async def finished_video_is_a_resource(client: Client, job_id: str) -> None:
    listed = {one.name: str(one.uri) for one in (await client.list_resources()).resources}
    record = json.loads((await client.read_resource(listed[job_id])).contents[0].text)  # type: ignore[union-attr]
    assert (record["id"], record["deforum_settings"]["W"]) == (job_id, 64)
    preview = (await client.read_resource(f"{listed[job_id]}/preview")).contents[0]
    assert base64.b64decode(preview.blob)[:2] == b"\xff\xd8"  # type: ignore[union-attr]
    files = json.loads((await client.read_resource(f"{listed[job_id]}/outputs")).contents[0].text)  # type: ignore[union-attr]
    assert "video" in {file["kind"] for file in files}
    schema = (await client.read_resource("deforum://settings/schema")).contents[0].text  # type: ignore[union-attr]
    assert "zoom" in json.loads(schema)["properties"]


async def what_goes_wrong_is_told(client: Client) -> None:
    wrong = {**SMALL, "W": "wide", "zoom": "0: (1/0)"}
    problems = await refused(client, "submit", films=[wrong])
    assert "W is 'wide'" in problems
    assert "zoom, frame 0" in problems
    assert len((await called(client, "check_settings", settings=wrong))["errors"]) == 2
    assert "There is no job 'batch(0)-9'" in await refused(client, "get_job", job_id="batch(0)-9")
    assert "has no frame yet" not in await refused(client, "show_frames", job_id="../health", numbers=[1])
    with pytest.raises(MCPError, match="no job"):
        await client.read_resource("deforum://jobs/none")


async def cancel_and_resume(client: Client) -> None:
    videos = [{**SMALL, "max_frames": 900}] * 2
    job_id = (await called(client, "submit", films=videos))["job_ids"][1]
    assert (await called(client, "watch", job_id=job_id, timeout_s=0))["status"] == "ACCEPTED"
    assert (await called(client, "cancel", id=job_id))["cancelled"] == [job_id]
    assert (await called(client, "list_jobs", status="CANCELLED"))["jobs"][0]["id"] == job_id
    assert (await called(client, "resume", job_id=job_id))["status"] == "ACCEPTED"
    assert len((await called(client, "cancel", id=job_id.rpartition("-")[0]))["cancelled"]) == 2
    assert (await called(client, "server_health"))["engine"] == "null"
    while not (workers := (await called(client, "list_workers"))["workers"]):
        await asyncio.sleep(0.1)  # those of a cluster join after the server has started
    worker = workers[0]
    drained = await called(client, "set_worker_drained", worker_id=worker["id"])
    assert drained["state"] in ("draining", "drained")
    undrained = await called(client, "set_worker_drained", worker_id=worker["id"], drained=False)
    assert undrained["id"] == worker["id"]


async def prompts_name_only_tools_that_exist(client: Client) -> None:
    arguments = {"idea": "a lighthouse", "settings": "{}", "job_id": "batch(1)-0"}
    for prompt in (await client.list_prompts()).prompts:
        needed = {one.name: arguments[one.name] for one in prompt.arguments or () if one.required}
        text = (await client.get_prompt(prompt.name, needed)).messages[0].content.text  # type: ignore[union-attr]
        assert all(value in text for value in needed.values())
        words = {word.strip(".,:;()'") for word in text.split()}
        assert {word for word in words if "_" in word} <= TOOLS | {"values_of", "max_frames"}


def test_over_stdio(deforum: Server) -> None:
    async def questions(client: Client) -> None:
        await video_from_idea_to_frames(client)
        await what_goes_wrong_is_told(client)

    ask(over_stdio(deforum), questions, mode="legacy")  # the handshake of most assistants


def test_over_http(mcp_url: str) -> None:
    async def questions(client: Client) -> None:
        await video_from_idea_to_frames(client)
        await cancel_and_resume(client)
        await prompts_name_only_tools_that_exist(client)

    ask(mcp_url, questions)


@pytest.mark.parametrize(
    "header",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Content-Type": "text/plain"},
    ],
)
def test_web_pages_do_not_reach_it(mcp_url: str, header: dict[str, str]) -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"} | header
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'
    request = urllib.request.Request(mcp_url, body, headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as error:
        assert error.code in (403, 415, 421)
        assert not [name for name in error.headers if name.lower().startswith("access-control-")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("reads", [False, True])
def test_it_ends_quietly_when_its_client_dies(busy: bool, reads: bool) -> None:
    """The client closes its ends of the pipes, as the system does for one that was killed.

    Args:
        busy: a tool still waits for a server that does not answer, for far longer than the test may take.
        reads: the client's end of the answers is open until the program has ended.
    """
    pipe = subprocess.PIPE
    waiting = command("--url", "http://127.0.0.1:9", "--patience", "3600")
    with subprocess.Popen(waiting, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as started:
        assert started.stdin
        assert started.stdout
        assert started.stderr
        capable = {"capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
        begin = {"protocolVersion": "2025-06-18", **capable}
        messages: list[dict[str, Any]] = [
            {"id": 1, "method": "initialize", "params": begin},
            {"method": "notifications/initialized"},
        ]
        if busy:
            call = {"name": "list_jobs", "arguments": {}}
            messages.append({"id": 2, "method": "tools/call", "params": call})
        for message in messages:
            print(json.dumps({"jsonrpc": "2.0", **message}), file=started.stdin, flush=True)
        assert started.stdout.readline()
        if not reads:
            started.stdout.close()
        print('{"jsonrpc": "2.0", "id": 3, "method": "tools/list"}', file=started.stdin, flush=True)
        started.stdin.close()
        assert (started.wait(120), started.stderr.read()) == (0, "")


def test_without_the_package_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "mcp").mkdir()
    (tmp_path / "mcp" / "__init__.py").write_text("")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    done = subprocess.run(
        command(),
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'install it with: pip install "mcp>=2,<3" pillow' in done.stderr
