"""Long responses while a job renders: events to 50 clients, and a download compared with a plain file server."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.api import ask, burning, p99, percentile, served, submit
from benchmarks.rows import Row, best_of

NAME = "streams"
BAR = "with 50 event streams while a worker burns a core: GET one job p99 50 ms; the rest has none"

CLIENTS = 50
EVENTS = 20
VIDEO_BYTES = 64 * 2**20
SMALL = {"W": 64, "H": 64, "max_frames": 2, "animation_mode": "2D", "batch_name": "film"}


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as outputs:
        with served(outputs) as address:
            connection = http.client.HTTPConnection(address, timeout=60)
            download = _download(connection)
            path = f"/deforum_api/jobs/{burning(connection)}"
            late, one = asyncio.run(_followed(address, connection, path))
        plain = _plain(next(Path(outputs).rglob("*.mp4")))
    return [
        Row(f"from a job's update to the last of {CLIENTS} clients, p99", 1000 * percentile(late)),
        Row(f"GET one job meanwhile, p99 of {CLIENTS}", one, 50.0),
        Row("download of 64 MiB", download),
        Row("the same file by Python's http.server", plain),
    ]


async def _followed(
    address: str, connection: http.client.HTTPConnection, path: str
) -> tuple[list[float], float]:
    """Return the delays of events in seconds at the last client, and the p99 of GET in milliseconds."""
    streams = [asyncio.create_task(_latenesses(address, path)) for _ in range(CLIENTS)]
    await asyncio.sleep(1.0)
    one = await asyncio.to_thread(p99, lambda: ask(connection, "GET", path), CLIENTS)
    arrivals: dict[int, list[float]] = {}
    for told in await asyncio.gather(*streams):
        for updates, late in told.items():
            arrivals.setdefault(updates, []).append(late)
    return [max(late) for late in arrivals.values() if len(late) == CLIENTS], one


async def _latenesses(address: str, path: str) -> dict[int, float]:
    """Follow a job for `count` events; return the delay of each in seconds by its number of updates."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**20)
    writer.write(f"GET {path}/events HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    told: dict[int, float] = {}
    while len(told) < EVENTS + 1:
        line = await reader.readline()
        if line.startswith(b"data: "):
            job = json.loads(line[6:])
            told[job["updates"]] = time.time() - job["last_updated"]
    writer.close()
    del told[min(told)]  # the record from before
    return told


def _download(connection: http.client.HTTPConnection) -> float:
    """Return the download time of a video of 64 MiB in milliseconds."""
    job_id = json.loads(submit(connection, [SMALL]))["job_ids"][0]
    while (job := json.loads(ask(connection, "GET", f"/deforum_api/jobs/{job_id}")))["status"] == "ACCEPTED":
        time.sleep(0.1)
    Path(job["outdir"], f"{job['timestring']}.mp4").write_bytes(bytes(VIDEO_BYTES))
    return best_of(lambda: ask(connection, "GET", f"/deforum_api/jobs/{job_id}/video"))


def _plain(video: Path) -> float:
    """Return the time in milliseconds in which Python's own file server sends the video."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "http.server",
        "0",
        "--bind",
        "127.0.0.1",
        "--protocol",
        "HTTP/1.1",
    ]
    server = subprocess.Popen(
        [*command, "--directory", str(video.parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout
        port = int(server.stdout.readline().split(" port ")[1].split()[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        return best_of(lambda: ask(connection, "GET", f"/{video.name}"))
    finally:
        server.kill()
        server.wait()
        if server.stdout:
            server.stdout.close()
