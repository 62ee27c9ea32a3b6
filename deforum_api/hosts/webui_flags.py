"""Command-line flags of the extension, for the parser of a WebUI or of our own server.

Needs the standard library alone and nothing of this package: preload.py loads this file by its path.
"""

from __future__ import annotations

import argparse
import contextlib
import math
from typing import Any

# Each job has a thread, its frames and its depth model in memory.
MOST_IN_LOCKSTEP = 64


def preload(parser: argparse.ArgumentParser) -> None:
    """Add the flags to `parser`. No default is None: hosts derive each flag's type from it.

    Flags that another Deforum beside this one has added already are left as they are.
    """

    def add(flag: str, **more: Any) -> None:
        with contextlib.suppress(argparse.ArgumentError):
            parser.add_argument(flag, **more)

    add(
        "--deforum-api",
        action="store_true",
        help="serve the job API under /deforum_api and the simple API under /deforum",
    )
    add(
        "--deforum-simple-api",
        action="store_true",
        help="serve the simple API under /deforum only",
    )
    add(
        "--deforum-run-now",
        default="",
        metavar="FILE[,FILE...]",
        help="render these settings files, one after another, once the server is up",
    )
    add(
        "--deforum-terminate-after-run-now",
        action="store_true",
        help="exit after the files of --deforum-run-now: 0 if all succeeded, 1 if any failed",
    )
    add(
        "--deforum-database",
        default="",
        metavar="DIR",
        help="folder of the job database, on a disk of this machine; by default that of all outputs",
    )
    add(
        "--deforum-webhook-allow",
        action=_Joined,
        default="",
        metavar="HOST[:PORT][,...]",
        help="hosts of the private network that webhooks of jobs may contact; may be repeated",
    )
    add(
        "--deforum-webhook-key-file",
        default="",
        metavar="FILE",
        help="file with the key that signs webhooks (default: environment variable DEFORUM_WEBHOOK_KEY)",
    )
    add(
        "--deforum-upload-to",
        default="",
        metavar="URL",
        help="upload the outputs of succeeded jobs below this URL: s3://..., gs://..., file://...",
    )
    add(
        "--deforum-hang-after",
        type=_seconds,
        default=600.0,
        metavar="SECONDS",
        help="report a job as hanging after this time without progress, later on a slow machine; 0 = never",
    )
    add(
        "--deforum-lockstep",
        type=_jobs,
        default=1,
        metavar="N",
        help="render up to N jobs of one checkpoint and size at the same time, as one batch; not in a WebUI",
    )


class _Joined(argparse.Action):
    """Joins the values of a repeated flag by commas, as hosts know texts but no lists."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: Any = None
    ) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, f"{before},{values}" if before else values)


def _jobs(text: str) -> int:
    if text.isdecimal() and 0 < int(text) <= MOST_IN_LOCKSTEP:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number of jobs from 1 to {MOST_IN_LOCKSTEP}, not {text!r}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds) and seconds >= 0:
        return seconds
    raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, not {text!r}")
