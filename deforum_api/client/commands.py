"""The commands that use a server: `submit`, `tool`, `watch`, `jobs`, `cancel`, `resume` and `workers`.

Ids and paths go to standard output, one per line; everything else to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from deforum_api.client import Client, ClientError, RefusedByServer, messages
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.progress import frame_words, state_words
from deforum_helpers.core.progress_line import ProgressLine
from deforum_helpers.output.kinds import KINDS

DEFAULT_URL = "http://127.0.0.1:7860"
END_POLL_S = 0.2
STATUSES = ("ACCEPTED", "SUCCEEDED", "FAILED", "CANCELLED")


def prepare(name: str, parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Add the options of command `name` to its parser; return the function that runs it."""
    if name == "submit":
        parser.add_argument(
            "files", nargs="+", type=Path, metavar="FILE", help="settings file, or a frame or video of a run"
        )
        parser.add_argument(
            "--set",
            dest="changes",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="replace a setting",
        )
    elif name == "tool":
        parser.add_argument("name", metavar="TOOL", help="interpolate, upscale, vid2depth or stitch")
        parser.add_argument(
            "arguments",
            nargs="*",
            metavar="NAME=VALUE",
            help="argument of the tool, as in video=clip.mp4 times=4; paths on the server",
        )
    elif name == "jobs":
        parser.add_argument("--status", choices=STATUSES, help="list only jobs with this status")
    elif name == "workers":
        for flag, effect in (
            ("--drain", "finish its job and take no other one"),
            ("--undrain", "take jobs again"),
        ):
            parser.add_argument(
                flag, action="append", default=[], metavar="WORKER", help=f"let this worker {effect}"
            )
    else:
        ids = "JOB_OR_BATCH" if name == "cancel" else "JOB"
        parser.add_argument("ids", nargs="+", metavar=ids, help="id, such as 'batch(52321525)-0'")
    if name == "cancel":
        parser.add_argument(
            "--no-wait", dest="wait", action="store_false", help="return before the jobs have stopped"
        )
    if name in ("submit", "tool"):
        parser.add_argument("--key", help="idempotency key: submissions with the same key are queued once")
        parser.add_argument(
            "--priority", type=int, default=0, metavar="N", help="jobs of a higher priority are taken first"
        )
        parser.add_argument(
            "--webhook", metavar="URL", help="address that the server notifies when a job has ended"
        )
    if name in ("submit", "tool", "resume"):
        parser.add_argument("--watch", action="store_true", help="show progress until the end")
    if name in ("submit", "tool", "resume", "watch"):
        parser.add_argument("--save", type=Path, metavar="FOLDER", help="download the videos to this folder")
    _add_address(parser)
    command = {
        "submit": submit,
        "tool": tool,
        "watch": watch,
        "jobs": jobs,
        "cancel": cancel,
        "resume": resume,
        "workers": workers,
    }[name]
    return lambda options: _run(command, options)


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        default=os.environ.get("DEFORUM_URL", DEFAULT_URL),
        help=f"address of the server (default: environment variable DEFORUM_URL, else {DEFAULT_URL})",
    )
    parser.add_argument(
        "--api-auth",
        default=os.environ.get("DEFORUM_API_AUTH", ""),
        metavar="USER:PASSWORD",
        help="login (default: environment variable DEFORUM_API_AUTH, which other users cannot see)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="how long to wait for a server that is down or busy (default: 120)",
    )


def _run(command: Callable[[Client, argparse.Namespace], int], options: argparse.Namespace) -> int:
    try:
        client = Client(options.url, login=options.api_auth or None, patience_s=options.patience)
        return command(client, options)
    except (RefusedByServer, SettingsError) as error:
        problems = [str(one.get("message")) for one in getattr(error, "errors", ())]
        problems = problems or [one.message for one in getattr(error, "problems", ())] or [str(error)]
        _print_lines(sys.stderr, *problems)
    except ClientError as error:
        _print_lines(sys.stderr, str(error))
    except KeyboardInterrupt:
        _print_lines(sys.stderr, "", messages.WATCHING_STOPPED())
        return 130
    return 2


def submit(client: Client, options: argparse.Namespace) -> int:
    """Queue settings files as one batch."""
    from deforum_helpers.cli.job_files import read_submitted

    settings = [read_submitted(path, options.changes) for path in options.files]
    return _print_accepted(client, client.submit(settings, **_terms(options)), options)


def tool(client: Client, options: argparse.Namespace) -> int:
    """Queue a tool."""
    given = (text.partition("=") for text in options.arguments)
    arguments = {name.replace("-", "_"): _value(text) for name, _, text in given}
    return _print_accepted(client, client.run_tool(options.name, arguments, **_terms(options)), options)


def _terms(options: argparse.Namespace) -> dict[str, Any]:
    return {"key": options.key, "priority": options.priority, "webhook_url": options.webhook}


def _value(text: str) -> Any:
    """Return an argument as JSON if it is a number, a list, true, false or null; else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, dict) else value


def _print_accepted(client: Client, accepted: Mapping[str, Any], options: argparse.Namespace) -> int:
    """Print the ids and warnings of accepted jobs; with `--watch` or `--save`, watch them."""
    for job_id in accepted["job_ids"]:
        _print_lines(sys.stdout, job_id)
        _print_lines(
            sys.stderr, *(messages.JOB_WARNING(warning=text) for text in accepted["warnings"].get(job_id, ()))
        )
    return _watch_all(client, accepted["job_ids"], options.save) if options.watch or options.save else 0


def watch(client: Client, options: argparse.Namespace) -> int:
    """Show the progress of jobs until they have ended."""
    return _watch_all(client, options.ids, options.save)


def jobs(client: Client, options: argparse.Namespace) -> int:
    """List jobs in the order of submission."""
    for job in client.jobs(options.status):
        _print_lines(sys.stdout, f"{job['id']} {job_words(job)}")
    return 0


def cancel(client: Client, options: argparse.Namespace) -> int:
    """Cancel jobs, or the unfinished jobs of batches, and wait until they have ended."""
    ending = [job_id for id in options.ids for job_id in client.cancel(id)]
    _print_lines(sys.stdout, *ending)
    deadline = time.monotonic() + options.patience
    while options.wait and (ending := [one for one in ending if client.job(one)["status"] == "ACCEPTED"]):
        if time.monotonic() > deadline:
            _print_lines(sys.stderr, *(messages.STILL_CANCELLING(job_id=job_id) for job_id in ending))
            break
        time.sleep(END_POLL_S)
    return 0


def resume(client: Client, options: argparse.Namespace) -> int:
    """Resume failed or cancelled jobs from their last saved frames."""
    for job_id in options.ids:
        _print_lines(sys.stdout, client.resume(job_id)["id"])
    return _watch_all(client, options.ids, options.save) if options.watch or options.save else 0


def workers(client: Client, options: argparse.Namespace) -> int:
    """Drain and undrain workers, then list all."""
    for worker_id in options.drain:
        client.drain(worker_id)
    for worker_id in options.undrain:
        client.undrain(worker_id)
    for one in client.workers():
        job = f" {one['job']}" if one["job"] else ""
        about = ", ".join(filter(None, (one["node"], one["device"], one["model"])))
        _print_lines(sys.stdout, f"{one['id']} {one['state']}{job} ({about})")
    return 0


def _watch_all(client: Client, ids: Sequence[str], folder: Path | None) -> int:
    failed = False
    for job_id in ids:
        line = ProgressLine(sys.stderr)
        line.show(job_id, messages.CONTACTING_SERVER())
        try:
            for job in client.watch(job_id):
                show(job, line)
        finally:
            line.end()
        if job["status"] != "SUCCEEDED":
            failed = True
        elif folder:
            _save(client, job_id, folder)
    return 1 if failed else 0


def show(job: Mapping[str, Any], line: ProgressLine) -> None:
    """Show a job's record in the progress line."""
    share = job["phase_progress"] if job["status"] == "ACCEPTED" else None
    line.show(job["id"], job_words(job), share, stage=f"{job['status']} {job['phase']}")


def job_words(job: Mapping[str, Any]) -> str:
    """Return the status of a job in the API's record, and its message."""
    message = f": {job['message']}" if job.get("message") else ""
    if job["status"] != "ACCEPTED":
        return f"{job['status']}{message}"
    position, cancelling = job.get("queue_position"), job.get("cancelling") is True
    missing, eta_seconds = job["max_frames"] - job["frame"], job["eta_seconds"]
    frames = frame_words(
        job["frame"],
        job["max_frames"],
        seconds_per_frame=eta_seconds / missing if missing > 0 else 0.0,
        eta_seconds=eta_seconds,
    )
    state = state_words(job["phase"], position=position, cancelling=cancelling)
    return ", ".join(filter(None, (state, frames))) + message


def _save(client: Client, job_id: str, folder: Path) -> None:
    for file in client.outputs(job_id):
        kind = KINDS.get(file["kind"])
        if kind is None or not kind.downloadable or kind.numbered:
            continue
        several = "" if kind.suffix == kind.extension else f"_{kind.name}"
        target = folder / f"{job_id}{several}{kind.extension}"
        _print_lines(sys.stdout, str(client.download(job_id, target, kind.name)))


def _print_lines(out: TextIO, *lines: str) -> None:
    out.writelines(f"{text}\n" for text in lines)
    out.flush()
