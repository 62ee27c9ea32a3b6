"""The tools of the MCP server: settings, jobs and outputs. Their docstrings are what an assistant reads."""

from __future__ import annotations

import io
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal

import anyio
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from deforum_api.client import Client
from deforum_api.mcp import messages
from deforum_helpers.output.kinds import numbered_kinds

MOST_LISTED = 60
MOST_VALUES = 120
Words = Annotated[str, Field(description="Words that name, title or help must contain; '' = all settings.")]
Tab = Annotated[
    str, Field(description="Only settings of this tab, such as 'Keyframes > Motion' or 'Output'.")
]
Names = Annotated[list[str], Field(description="Names of settings.")]
OneJob = Annotated[
    dict[str, Any], Field(description="A settings object; omitted settings have their defaults.")
]
Schedules = Annotated[list[str], Field(description="Schedules to return the values of, frame by frame.")]


class SettingsTools:
    """Tools about settings."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list_settings(self, words: Words = "", tab: Tab = "") -> dict[str, Any]:
        """List settings with type, default and a line of help; filter them by words or by tab."""
        properties = self._client.schema()["properties"]
        found = [
            (name, about) for name, about in properties.items() if _matches(name, about, words.split(), tab)
        ]
        return {
            "settings": [_setting_summary(name, about) for name, about in found[:MOST_LISTED]],
            "more": max(0, len(found) - MOST_LISTED),
            "tabs": sorted({str(about.get("x-tab") or "") for about in properties.values()} - {""}),
        }

    def describe_settings(self, names: Names) -> dict[str, Any]:
        """Describe settings: type, default, bounds, unit, choices, help, and when each has an effect."""
        properties = self._client.schema()["properties"]
        unknown = [name for name in names if name not in properties]
        return {
            "settings": {name: properties[name] for name in names if name in properties},
            "unknown": unknown,
        }

    def check_settings(self, settings: OneJob, values_of: Schedules = []) -> dict[str, Any]:  # noqa: B006
        """Check settings without rendering: every problem, every warning, and the cost of the video."""
        (job,) = self._client.validate(settings, series=bool(values_of))
        answer = {name: job[name] for name in ("errors", "warnings", "plan")}
        if values_of and job.get("series"):
            answer |= _values(job["series"], values_of)
        return answer


def _matches(name: str, about: Mapping[str, Any], words: Sequence[str], tab: str) -> bool:
    text = f"{name} {about.get('title', '')} {about.get('description', '')}".lower()
    place = str(about.get("x-tab") or "").lower()
    return all(word.lower() in text for word in words) and place.startswith(tab.lower())


def _setting_summary(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    sentence = str(about.get("description", "")).partition(". ")[0]
    default = about.get("default")
    short = {"name": name, "kind": about.get("x-kind"), "help": sentence, "tab": about.get("x-tab")}
    return {**short, "unit": about.get("x-unit"), "default": default if len(str(default)) < 200 else "..."}


def _values(series: Mapping[str, list[Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return the values of the schedules at each frame, or at evenly spaced frames of a long video."""
    chosen = {name: series[name] for name in names if name in series}
    frames = max((len(values) for values in chosen.values()), default=0)
    step = max(1, -(-frames // MOST_VALUES))
    return {
        "frames": list(range(0, frames, step)),
        "values": {name: values[::step] for name, values in chosen.items()},
        "not_schedules": [name for name in names if name not in series],
    }


POLL_EVERY_S = 0.5
MOST_FRAMES = 6
JPEG_QUALITY = 85
JOB_FIELDS = (
    "id",
    "kind",
    "status",
    "phase",
    "phase_progress",
    "frame",
    "max_frames",
    "eta_seconds",
    "queue_position",
    "priority",
    "error_type",
    "cancelling",
    "message",
    "warnings",
    "deliveries",
    "outdir",
    "timestring",
)
JobId = Annotated[str, Field(description="Id of a job, such as 'batch(52321525)-0'.")]
Videos = Annotated[
    list[dict[str, Any]],
    Field(description="One settings object per video; omitted settings have their defaults."),
]
Priority = Annotated[int, Field(description="Jobs of a higher priority are rendered first.")]
Webhook = Annotated[str | None, Field(description="Address that the server notifies of each job's end.")]
Options = Annotated[dict[str, Any] | None, Field(description="Host options for these jobs only.")]
Status = Annotated[
    Literal["ACCEPTED", "SUCCEEDED", "FAILED", "CANCELLED"] | None,
    Field(description="Only jobs with this status."),
]
Seconds = Annotated[float, Field(description="Return after this many seconds at the latest.", ge=0, le=600)]
Numbers = Annotated[
    list[int],
    Field(
        description="Frame numbers from 0, at most six; an empty list = the newest frame.",
        max_length=MOST_FRAMES,
    ),
]
Side = Annotated[int, Field(description="Longest side of the images in pixels.", ge=64, le=1024)]


class JobTools:
    """Tools about jobs and their outputs."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def submit(
        self, films: Videos, options: Options = None, priority: Priority = 0, webhook_url: Webhook = None
    ) -> dict[str, Any]:
        """Queue videos for rendering; if any is invalid, none is queued."""
        return self._client.submit(films, options, priority=priority, webhook_url=webhook_url)

    def list_video_tools(self) -> dict[str, Any]:
        """List the tools for existing videos and images, each with the JSON schema of its arguments."""
        return self._client.tools()

    def run_video_tool(
        self,
        tool: Annotated[str, Field(description="Name from list_video_tools.")],
        arguments: Annotated[dict[str, Any], Field(description="Its arguments; paths on the server.")],
        options: Options = None,
        priority: Priority = 0,
        webhook_url: Webhook = None,
    ) -> dict[str, Any]:
        """Queue a tool: interpolation, upscaling or depth of an existing video, or a video from images."""
        return self._client.run_tool(tool, arguments, options, priority=priority, webhook_url=webhook_url)

    def list_jobs(
        self, status: Status = None, limit: Annotated[int, Field(ge=1, le=100)] = 20
    ) -> dict[str, Any]:
        """List the newest jobs with their status."""
        newest = deque(self._client.jobs(status), maxlen=limit)
        return {"jobs": [job_summary(job) for job in reversed(newest)]}

    def get_job(self, job_id: JobId, with_settings: bool = False) -> dict[str, Any]:
        """Return a job: status, phase, frames written, seconds left, message; optionally its settings."""
        job = self._client.job(job_id)
        return {**job_summary(job), **({"settings": job["deforum_settings"]} if with_settings else {})}

    async def watch(self, job_id: JobId, ctx: Context[Any, Any], timeout_s: Seconds = 45) -> dict[str, Any]:
        """Wait until a job has ended or the time is over; call again while its status is ACCEPTED."""
        deadline, seen = time.monotonic() + timeout_s, -1
        while True:
            job = await anyio.to_thread.run_sync(self._client.job, job_id)
            if job["updates"] != seen:
                seen = job["updates"]
                await ctx.report_progress(job["frame"], job["max_frames"] or None, job["phase"])
            if job["status"] != "ACCEPTED" or time.monotonic() >= deadline:
                return job_summary(job)
            await anyio.sleep(POLL_EVERY_S)

    def cancel(self, id: Annotated[str, Field(description="Id of a job or of a batch.")]) -> dict[str, Any]:
        """Cancel a job, or the unfinished jobs of a batch; written frames stay."""
        return {"cancelled": self._client.cancel(id)}

    def resume(self, job_id: JobId) -> dict[str, Any]:
        """Resume a FAILED or CANCELLED job from its last saved frame."""
        return job_summary(self._client.resume(job_id))

    def show_frames(
        self,
        job_id: JobId,
        numbers: Numbers = [],  # noqa: B006
        max_side_px: Side = 512,
    ) -> list[Any]:
        """Show frames of a job as images: the newest one, also while it renders, or the given ones."""
        if not numbers:
            return [f"{job_id}, newest frame", scaled_jpeg(self._client.preview(job_id), max_side_px)]
        shown: list[Any] = []
        for number in numbers:
            image = scaled_jpeg(self._client.frame(job_id, number), max_side_px)
            shown += [f"{job_id}, frame {number}", image]
        return shown

    def list_outputs(self, job_id: JobId) -> dict[str, Any]:
        """List a job's videos, GIF, subtitles and settings file with address and path; count its images."""
        job, files = self._client.job(job_id), self._client.outputs(job_id)
        numbered = numbered_kinds()
        images = Counter(file["kind"] for file in files if file["kind"] in numbered)
        others = [file for file in files if file["kind"] not in numbered]
        return {"files": [self._located(file, job) for file in others], "pictures": dict(images)}

    def list_workers(self) -> dict[str, Any]:
        """List the workers that render: machine, device, memory, model, job, state."""
        return {"workers": self._client.workers()}

    def set_worker_drained(
        self,
        worker_id: Annotated[str, Field(description="Id from list_workers.")],
        drained: Annotated[bool, Field(description="False: let it take jobs again.")] = True,
    ) -> dict[str, Any]:
        """Let a worker finish its job and take no other one, for maintenance; or let it take jobs again."""
        return self._client.drain(worker_id) if drained else self._client.undrain(worker_id)

    def server_health(self) -> dict[str, Any]:
        """Return the server's health: engine, model, queue, free disk, missing features and why."""
        return self._client.health()

    def _located(self, file: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
        about = {name: file[name] for name in ("kind", "name", "size")}
        path = str(PurePath(job["outdir"], file["name"])) if job["outdir"] else None
        return {**about, "url": f"{self._client.connection.url}{file['link']}", "path_on_server": path}


def job_summary(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's record without the submitted settings."""
    return {name: job[name] for name in JOB_FIELDS if name in job}


def scaled_jpeg(image: bytes, max_side_px: int) -> Image:
    """Return an encoded image as JPEG whose longest side has at most `max_side_px` pixels.

    Raises:
        ToolError: `image` cannot be decoded.
    """
    from PIL import Image as PillowImage
    from PIL import UnidentifiedImageError

    jpeg = io.BytesIO()
    try:
        with PillowImage.open(io.BytesIO(image)) as opened:
            shrunk = opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ToolError(messages.FRAME_UNREADABLE(error=error)) from None
    shrunk.thumbnail((max_side_px, max_side_px))
    shrunk.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    return Image(data=jpeg.getvalue(), format="jpeg")
