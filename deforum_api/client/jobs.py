"""The client: one method per request of a program to a Deforum server."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from deforum_api.client import messages
from deforum_api.client.connection import Connection, Request
from deforum_api.client.errors import ClientError, JobEnded, RefusedByServer
from deforum_api.client.files import fetch
from deforum_api.client.following import POLL_EVERY_S, Job, follow, job_path
from deforum_helpers.output.kinds import single_kinds

PAGE_JOBS = 200
END_POLL_S = 0.2
Settings = Mapping[str, Any]


class Client:
    """A client of one Deforum server. Requests are retried while it is down or busy, for up to `patience_s` seconds.

    Args:
        url: address of the server.
        login: "user:password", or None.
        timeout_s: longest silence within one response, seconds.
        patience_s: how long a request is retried, seconds; the default outlasts a restart of the server.
        clock, sleep: clock and sleep function, in seconds.

    Raises:
        ClientError: `url` is not an http address.

    Every method may raise `Unreachable` and `RefusedByServer`.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:7860",
        *,
        login: str | None = None,
        timeout_s: float = 60.0,
        patience_s: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection = Connection(
            url, login=login, timeout_s=timeout_s, patience_s=patience_s, clock=clock, sleep=sleep
        )
        self._clock = clock
        self._sleep = sleep

    def submit(
        self,
        settings: Settings | Sequence[Settings],
        options: Settings | None = None,
        *,
        key: str | None = None,
        priority: int = 0,
        webhook_url: str | None = None,
    ) -> dict[str, Any]:
        """Queue one or more jobs; return `batch_id`, `job_ids` and `warnings`.

        Args:
            settings: one settings object, or a list of them, one job each.
            options: `options_overrides`.
            key: idempotency key; submissions with the same key are queued once. Default: a new one.
            priority: jobs of a higher one are taken first.
            webhook_url: address that is notified of each job's end.
        """
        body = {**_batch(settings, options), **_terms(priority, webhook_url)}
        return self._json("POST", "/batches", body=body, headers=_key(key))

    def run_tool(
        self,
        tool: str,
        arguments: Settings,
        options: Settings | None = None,
        *,
        key: str | None = None,
        priority: int = 0,
        webhook_url: str | None = None,
    ) -> dict[str, Any]:
        """Queue a tool for an existing video or images; return `batch_id`, `job_ids` (one) and `warnings`.

        Args:
            tool: interpolate, upscale, vid2depth or stitch.
            arguments: as described by `tools`; paths are the server's.
            options, key, priority, webhook_url: as for `submit`.
        """
        overrides = {} if options is None else {"options_overrides": dict(options)}
        body = {**arguments, **overrides, **_terms(priority, webhook_url)}
        return self._json("POST", f"/tools/{quote(tool, safe='')}", body=body, headers=_key(key))

    def validate(
        self,
        settings: Settings | Sequence[Settings],
        options: Settings | None = None,
        *,
        series: bool = False,
    ) -> list[dict[str, Any]]:
        """Return `errors`, `warnings`, `settings` and `plan` per job; `series` adds all schedules frame by frame."""
        query = {"series": "true"} if series else {}
        answer = self._json("POST", "/validate", body=_batch(settings, options), query=query)
        return list(answer["jobs"])

    def job(self, job_id: str) -> Job:
        """Return the job's record."""
        return dict(self.connection.json(Request("GET", job_path(job_id))))

    def jobs(self, status: str | None = None, *, summary: bool = True) -> Iterator[Job]:
        """Yield the records of all jobs, page by page; `summary` omits the submitted settings."""
        cursor: str | None = None
        query = {"status": status, "limit": PAGE_JOBS, "summary": "true" if summary else None}
        while True:
            request = Request("GET", "/deforum_api/jobs", query={**query, "cursor": cursor})
            page, cursor = self.connection.page(request)
            yield from page.values()
            if not cursor:
                return

    def watch(self, job_id: str, *, events: bool = True, poll_every_s: float = POLL_EVERY_S) -> Iterator[Job]:
        """Yield the job's record now and after every change, until it has ended.

        Args:
            job_id: id of the job.
            events: follow the server's events if it has them, else poll.
            poll_every_s: seconds between two polls.
        """
        return follow(self.connection, job_id, events=events, poll_every_s=poll_every_s, sleep=self._sleep)

    def wait(self, job_id: str) -> Job:
        """Wait until the job has SUCCEEDED and return its record.

        Raises:
            JobEnded: the job failed or was cancelled.
        """
        for job in self.watch(job_id):
            last = job
        if last["status"] != "SUCCEEDED":
            raise JobEnded(last)
        return last

    def cancel(self, id: str) -> list[str]:
        """Cancel a job, or the unfinished jobs of a batch; return the ids of the cancelled jobs."""
        if not _is_job(id):
            return list(self._json("DELETE", f"/batches/{_quoted(id)}")["ids"])
        try:
            self.connection.json(Request("DELETE", job_path(id)))
        except RefusedByServer as error:
            # The first try may have succeeded, with only its response lost.
            if error.code != 400 or error.tries == 1 or self.job(id)["status"] != "CANCELLED":
                raise
        return [id]

    def resume(self, job_id: str) -> Job:
        """Resume a FAILED or CANCELLED job from its last saved frame; return its record.

        If the job is still being cancelled, wait until it has ended, for up to `patience_s` seconds.
        """
        deadline = self._clock() + self.connection.patience_s
        while True:
            try:
                return dict(self.connection.json(Request("POST", f"{job_path(job_id)}/resume")))
            except RefusedByServer as error:
                job = self.job(job_id) if error.code == 409 else {}
                if not _is_cancelling(job):
                    # The first try may have succeeded, with only its response lost.
                    if error.tries > 1 and job.get("status") in ("ACCEPTED", "SUCCEEDED"):
                        return job
                    raise
                if self._clock() + END_POLL_S > deadline:
                    raise
            self._sleep(END_POLL_S)

    def forget(self, job_id: str) -> None:
        """Delete the record of a finished job; its files stay."""
        try:
            self.connection.json(Request("DELETE", job_path(job_id), query={"purge": "true"}))
        except RefusedByServer as error:
            # The first try may have succeeded, with only its response lost.
            if error.code != 404 or error.tries == 1:
                raise

    def outputs(self, job_id: str) -> list[dict[str, Any]]:
        """Return `kind`, `name`, `size` and `link` of each of the job's files."""
        return list(self.connection.json(Request("GET", f"{job_path(job_id)}/outputs")))

    def download(
        self,
        job_id: str,
        target: str | Path,
        kind: str = "video",
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Download a file of the job.

        Args:
            job_id: id of the job.
            target: file to write.
            kind: a kind with one file per job: "video", "gif", "subtitles", "settings", ...
            progress: called with (bytes so far, bytes in all).

        Raises:
            ClientError: `kind` has more than one file per job, or `target` cannot be written.
        """
        kinds = single_kinds()
        if kind not in kinds:
            raise ClientError(messages.NOT_A_SINGLE_FILE(allowed=", ".join(kinds), found=kind[:40]))
        return fetch(self.connection, f"{job_path(job_id)}/{kind}", Path(target), progress)

    def download_frames(self, job_id: str, folder: str | Path, *, depth: bool = False) -> list[Path]:
        """Download the frames (with `depth`, the depth maps) that `folder` lacks; return the paths of all."""
        wanted = [file for file in self.outputs(job_id) if file["kind"] == ("depth" if depth else "frame")]
        paths = []
        for file in wanted:
            target = Path(folder, PurePosixPath(str(file["name"]).replace("\\", "/")).name)
            if not target.is_file() or target.stat().st_size != file["size"]:
                fetch(self.connection, str(file["link"]), target)
            paths.append(target)
        return paths

    def camera(self, job_id: str, format: str = "glb") -> bytes:
        """Return the camera of the job's video as "glb", "gltf", "json", or "colmap" (a ZIP file)."""
        return self.connection.content(Request("GET", f"{job_path(job_id)}/camera", {"format": format}))

    def frame(self, job_id: str, number: int) -> bytes:
        """Return a frame as PNG."""
        return self.connection.content(Request("GET", f"{job_path(job_id)}/frames/{number}"))

    def preview(self, job_id: str) -> bytes:
        """Return the newest frame as JPEG."""
        return self.connection.content(Request("GET", f"{job_path(job_id)}/preview"))

    def workers(self) -> list[dict[str, Any]]:
        """Return `id`, `node`, `device`, `memory`, `model`, `job`, `state` and `since` of each worker."""
        return list(self.connection.json(Request("GET", "/deforum_api/workers")))

    def drain(self, worker_id: str) -> dict[str, Any]:
        """Let a worker finish its job and take no other one; return its state."""
        return self._json("POST", f"/workers/{quote(worker_id, safe='')}/drain")

    def undrain(self, worker_id: str) -> dict[str, Any]:
        """Let a worker take jobs again; return its state."""
        return self._json("POST", f"/workers/{quote(worker_id, safe='')}/undrain")

    def tools(self) -> dict[str, Any]:
        """Return all tools with the JSON schemas of their arguments."""
        return self._json("GET", "/tools")

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of all settings."""
        return self._json("GET", "/settings/schema")

    def defaults(self) -> dict[str, Any]:
        """Return every setting with its default."""
        return self._json("GET", "/settings/defaults")

    def health(self) -> dict[str, Any]:
        """Return the server's health: engine, model, queue, free disk."""
        return self._json("GET", "/health")

    def _json(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        return dict(self.connection.json(Request(method, f"/deforum_api{path}", **more)))


def _batch(settings: Settings | Sequence[Settings], options: Settings | None) -> dict[str, Any]:
    jobs: Any = dict(settings) if isinstance(settings, Mapping) else [dict(one) for one in settings]
    return {"deforum_settings": jobs, **({} if options is None else {"options_overrides": dict(options)})}


def _terms(priority: int, webhook_url: str | None) -> dict[str, Any]:
    """Return the fields of a batch that differ from their defaults; older servers ignore them."""
    terms = {"priority": priority or None, "webhook_url": webhook_url}
    return {name: value for name, value in terms.items() if value is not None}


def _key(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or str(uuid.uuid4())}


def _is_job(id: str) -> bool:
    return not id.endswith(")")


def _is_cancelling(job: Job) -> bool:
    """Whether a job that could not be resumed is being cancelled, or has just been."""
    return bool(job.get("cancelling")) or job.get("status") in ("FAILED", "CANCELLED")


def _quoted(id: str) -> str:
    return job_path(id).rpartition("/")[2]
