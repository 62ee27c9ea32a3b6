"""`run`, `check` and `plot`: the options that they share, and the check of the engine before each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from deforum_helpers.commands.job_files import check_engine
from deforum_helpers.engines.names import ENGINES

Run = Callable[[argparse.Namespace], int]


def prepare(name: str, parser: argparse.ArgumentParser) -> Run:
    """Add the options of command `name` to its parser; return the function that runs it.

    The function raises `ModelError` if the checkpoint cannot be used.
    """
    _add_shared_options(parser)
    chosen = {"run": _run, "check": _check, "plot": _plot}[name](parser)

    def run(options: argparse.Namespace) -> int:
        check_engine(options)
        return chosen(options)

    return run


def _add_shared_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="settings file (.txt, .json), or a frame or video of a run",
    )
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="replace a setting; the value is JSON, or else taken as text; may be repeated",
    )
    parser.add_argument(
        "--option",
        dest="options",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="replace a host option, as options_overrides do over HTTP; may be repeated",
    )
    parser.add_argument("--engine", choices=ENGINES, help="default: diffusers with --ckpt, else demo")
    parser.add_argument("--ckpt", metavar="PATH_OR_NAME", help="model folder, .safetensors file or hub id")
    parser.add_argument("--allow-download", action="store_true", help="download models that are missing")
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="output root; for plot: the SVG file or folder"
    )


def _run(parser: argparse.ArgumentParser) -> Run:
    from deforum_helpers.commands import run

    parser.add_argument(
        "--resume", metavar="TIMESTRING", help="continue a run: the 14 digits its file names begin with"
    )
    return run.run


def _check(parser: argparse.ArgumentParser) -> Run:
    from deforum_helpers.commands import check

    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="also refuse what would be left out: restore_faces, LoRAs, ControlNet units without an image",
    )
    parser.add_argument(
        "--compare-classic", action="store_true", help="list what looks different from classic Deforum"
    )
    return check.check


def _plot(parser: argparse.ArgumentParser) -> Run:
    from deforum_helpers.commands import plot

    parser.add_argument(
        "--schedules",
        metavar="NAME,NAME",
        help="the schedules to plot; default: all that change and have an effect",
    )
    return plot.plot
