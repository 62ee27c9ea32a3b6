"""Command line for a server elsewhere: `python -m deforum_api submit|tool|watch|jobs|cancel|resume --url URL`.

Ids go to standard output, one per line; all else to standard error. Exit codes: 0 all is well, 1 a job failed or was
cancelled, 2 the command or the settings are wrong or the server does not answer.
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

from deforum_api.client import Client, ClientError, RefusedByServer
from deforum_helpers.errors import SettingsError
from deforum_helpers.progress import frame_words, state_words
from deforum_helpers.progress_line import ProgressLine

DEFAULT_URL = "http://127.0.0.1:7860"
END_POLL_S = 0.2
COMMANDS = ("submit", "tool", "watch", "jobs", "cancel", "resume")
STATUSES = ("ACCEPTED", "SUCCEEDED", "FAILED", "CANCELLED")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = make_parser().parse_args(arguments)
    commands: dict[str, Callable[[Client, argparse.Namespace], int]] = {
        "submit": submit,
        "tool": tool,
        "watch": watch,
        "jobs": jobs,
        "cancel": cancel,
        "resume": resume,
    }
    try:
        client = Client(options.url, login=options.api_auth or None, patience_s=options.patience)
        return commands[options.command](client, options)
    except (RefusedByServer, SettingsError) as error:
        problems = [str(one.get("message")) for one in getattr(error, "errors", ())]
        problems = problems or [one.message for one in getattr(error, "problems", ())] or [str(error)]
        _tell(sys.stderr, *problems)
    except ClientError as error:
        _tell(sys.stderr, str(error))
    except KeyboardInterrupt:
        _tell(sys.stderr, "", "No longer watching; what the server has accepted goes on there.")
        return 130
    return 2


def submit(client: Client, options: argparse.Namespace) -> int:
    """Queue settings files as one batch."""
    from deforum_helpers.commands.job_files import read_submitted

    settings = [read_submitted(path, options.changes) for path in options.files]
    return _accepted(client, client.submit(settings, key=options.key), options)


def tool(client: Client, options: argparse.Namespace) -> int:
    """Queue a tool."""
    given = (text.partition("=") for text in options.arguments)
    arguments = {name.replace("-", "_"): _value(text) for name, _, text in given}
    return _accepted(client, client.run_tool(options.name, arguments, key=options.key), options)


def _value(text: str) -> Any:
    """Return an argument as JSON where it is a number, a list, true, false or null; else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, dict) else value


def _accepted(client: Client, accepted: Mapping[str, Any], options: argparse.Namespace) -> int:
    """Tell what was queued, and watch it where that is wanted."""
    for job_id in accepted["job_ids"]:
        _tell(sys.stdout, job_id)
        _tell(sys.stderr, *(f"  warning: {text}" for text in accepted["warnings"].get(job_id, ())))
    return _watched(client, accepted["job_ids"], options.save) if options.watch or options.save else 0


def watch(client: Client, options: argparse.Namespace) -> int:
    """Show the progress of jobs until they have ended."""
    return _watched(client, options.ids, options.save)


def jobs(client: Client, options: argparse.Namespace) -> int:
    """List jobs in the order of submission."""
    for job in client.jobs(options.status):
        _tell(sys.stdout, f"{job['id']} {job_words(job)}")
    return 0


def cancel(client: Client, options: argparse.Namespace) -> int:
    """End jobs, or what is unfinished of batches, and wait until they have ended."""
    ending = [job_id for id in options.ids for job_id in client.cancel(id)]
    _tell(sys.stdout, *ending)
    deadline = time.monotonic() + options.patience
    while options.wait and (ending := [one for one in ending if client.job(one)["status"] == "ACCEPTED"]):
        if time.monotonic() > deadline:
            _tell(sys.stderr, *(f"{job_id} was cancelled but has not ended yet." for job_id in ending))
            break
        time.sleep(END_POLL_S)
    return 0


def resume(client: Client, options: argparse.Namespace) -> int:
    """Let failed or cancelled jobs go on from their last saved frames."""
    for job_id in options.ids:
        _tell(sys.stdout, client.resume(job_id)["id"])
    return _watched(client, options.ids, options.save) if options.watch or options.save else 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m deforum_api", description=__doc__, parents=[_shared_options(with_defaults=True)]
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    shared = _shared_options(with_defaults=False)
    files = commands.add_parser("submit", parents=[shared], help="queue settings files")
    files.add_argument("files", nargs="+", type=Path, metavar="FILE", help="settings file, frame or film")
    files.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="NAME=VALUE", help="replace a setting"
    )
    run_tool = commands.add_parser("tool", parents=[shared], help="run a tool on an existing video or images")
    run_tool.add_argument("name", metavar="TOOL", help="interpolate, upscale, vid2depth or stitch")
    run_tool.add_argument(
        "arguments",
        nargs="*",
        metavar="NAME=VALUE",
        help="argument of the tool, as in video=clip.mp4 times=4; paths are the server's",
    )
    watched = commands.add_parser("watch", parents=[shared], help="show progress until the end")
    listed = commands.add_parser("jobs", parents=[shared], help="list jobs")
    listed.add_argument("--status", choices=STATUSES, help="only jobs of this status")
    ended = commands.add_parser("cancel", parents=[shared], help="end jobs or batches")
    resumed = commands.add_parser("resume", parents=[shared], help="let failed or cancelled jobs go on")
    for command, what in ((watched, "JOB"), (ended, "JOB_OR_BATCH"), (resumed, "JOB")):
        command.add_argument("ids", nargs="+", metavar=what, help="such as 'batch(52321525)-0'")
    ended.add_argument("--no-wait", dest="wait", action="store_false", help="do not wait for the end")
    for command in (files, run_tool):
        command.add_argument("--key", help="name of this submission: sent twice, it is queued once")
    for command in (files, run_tool, resumed):
        command.add_argument("--watch", action="store_true", help="show progress until the end")
    for command in (files, run_tool, watched, resumed):
        command.add_argument("--save", type=Path, metavar="FOLDER", help="fetch the films to this folder")
    return parser


def _shared_options(with_defaults: bool) -> argparse.ArgumentParser:
    """Return the options that stand before or after a command; after it, without defaults to replace those before."""

    def default(value: Any) -> Any:
        return value if with_defaults else argparse.SUPPRESS

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--url",
        default=default(os.environ.get("DEFORUM_URL", DEFAULT_URL)),
        help=f"address of the server; default: DEFORUM_URL of the environment, else {DEFAULT_URL}",
    )
    shared.add_argument(
        "--api-auth",
        default=default(os.environ.get("DEFORUM_API_AUTH", "")),
        metavar="USER:PASSWORD",
        help="login; default: DEFORUM_API_AUTH of the environment, which other users cannot see",
    )
    shared.add_argument(
        "--patience",
        type=float,
        default=default(120.0),
        metavar="SECONDS",
        help="how long to wait for a server that is away or busy",
    )
    return shared


def _watched(client: Client, ids: Sequence[str], folder: Path | None) -> int:
    failed = False
    for job_id in ids:
        line = ProgressLine(sys.stderr)
        line.show(job_id, "asking the server")
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
    """Show a job's record as the line of progress."""
    share = job["phase_progress"] if job["status"] == "ACCEPTED" else None
    line.show(job["id"], job_words(job), share, stage=f"{job['status']} {job['phase']}")


def job_words(job: Mapping[str, Any]) -> str:
    """Return where a job of the API stands, and what it says."""
    told = f": {job['message']}" if job.get("message") else ""
    if job["status"] != "ACCEPTED":
        return f"{job['status']}{told}"
    position, cancelling = job.get("queue_position"), job.get("cancelling") is True
    missing, eta_seconds = job["max_frames"] - job["frame"], job["eta_seconds"]
    frames = frame_words(
        job["frame"],
        job["max_frames"],
        seconds_per_frame=eta_seconds / missing if missing > 0 else 0.0,
        eta_seconds=eta_seconds,
    )
    state = state_words(job["phase"], position=position, cancelling=cancelling)
    return ", ".join(filter(None, (state, frames))) + told


def _save(client: Client, job_id: str, folder: Path) -> None:
    for file in client.outputs(job_id):
        if file["kind"] in ("video", "gif", "subtitles"):
            target = folder / f"{job_id}{Path(file['name']).suffix}"
        elif file["kind"] in ("upscaled_video", "interpolated_video"):
            target = folder / f"{job_id}_{file['kind']}.mp4"
        else:
            continue
        _tell(sys.stdout, str(client.download(job_id, target, file["kind"])))


def _tell(out: TextIO, *lines: str) -> None:
    out.writelines(f"{text}\n" for text in lines)
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
