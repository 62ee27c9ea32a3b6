"""Command line: `python -m deforum_helpers run|check|plot FILE...`, here;
`python -m deforum_helpers interpolate|upscale|vid2depth|stitch ...`, for videos and pictures that are there already;
`python -m deforum_helpers submit|tool|watch|jobs|cancel|resume --url URL ...`, on a server.

Exit codes: 0 all is well, 1 a job failed or was stopped, 2 the settings or the command are wrong.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    from deforum_helpers.commands import check, plot, run, tools
    from deforum_helpers.commands.job_files import check_engine
    from deforum_helpers.engines.names import ENGINES
    from deforum_helpers.errors import ModelError
    from deforum_helpers.progress_line import LogLines
except ModuleNotFoundError as missing:
    if (missing.name or "").startswith("deforum"):
        raise
    sys.exit(
        f"The package {missing.name} is not installed for this Python, {sys.executable}; `python webui.py` makes the "
        "folder venv with all packages, whose Python is venv/bin/python (Windows: venv\\Scripts\\python)."
    )

# Commands, and the options that may stand before them.
ON_A_SERVER = ("submit", "tool", "watch", "jobs", "cancel", "resume", "--url", "--api-auth", "--patience")
STRICT_HELP = "refuse what would be left out, too: restore_faces, LoRAs, units without a picture"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0].partition("=")[0] in ON_A_SERVER:
        # By name, as HTTP lies above us: rendering here works without it.
        return int(importlib.import_module("deforum_api.__main__").main(arguments))
    options = _parser().parse_args(arguments)
    lines = LogLines()
    lines.setFormatter(_WithoutTraceback("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    logging.captureWarnings(True)
    own = {"run": run.run, "check": check.check, "plot": plot.plot}
    try:
        if options.command in own:
            check_engine(options)
        code = own.get(options.command, tools.run_tool)(options)
        sys.stdout.flush()
        return code
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # who reads along, as in "check FILE | head", has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("\nStopped before anything was made.", file=sys.stderr)
        return 1


class _WithoutTraceback(logging.Formatter):
    """A terminal gets the sentence; where it came from is for the log of a server."""

    def formatException(self, ei: object) -> str:
        return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deforum_helpers", description=__doc__)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="|".join(("run", "check", "plot", *tools.NAMES))
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="settings file (.txt, .json), or a frame or film of a run",
    )
    shared.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="replace a setting; the value is JSON, or else taken as text; may be repeated",
    )
    shared.add_argument(
        "--option",
        dest="options",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="replace a host option, as options_overrides do over HTTP; may be repeated",
    )
    shared.add_argument("--engine", choices=ENGINES, help="default: diffusers with --ckpt, else demo")
    shared.add_argument("--ckpt", metavar="PATH_OR_NAME", help="model folder, .safetensors file or hub id")
    shared.add_argument("--allow-download", action="store_true", help="fetch models that are not here")
    shared.add_argument(
        "--out", type=Path, metavar="PATH", help="output root; for plot: the SVG file or folder"
    )
    run_parser = commands.add_parser("run", parents=[shared], help="render films")
    run_parser.add_argument(
        "--resume", metavar="TIMESTRING", help="continue a run: the 14 digits its file names begin with"
    )
    check_parser = commands.add_parser("check", parents=[shared], help="report on settings without rendering")
    check_parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    check_parser.add_argument("--strict", action="store_true", help=STRICT_HELP)
    check_parser.add_argument(
        "--compare-classic", action="store_true", help="say what looks different from classic Deforum"
    )
    plot_parser = commands.add_parser("plot", parents=[shared], help="draw schedules and prompts as SVG")
    plot_parser.add_argument(
        "--schedules", metavar="NAME,NAME", help="which; default: all that change and have an effect"
    )
    tools.add_parsers(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
