"""`run`, `check`, `plot`, `convert` and `camera`: their options, and the check of the engine before each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from deforum_helpers.cli import messages
from deforum_helpers.core.progress_line import ProgressLine
from deforum_helpers.engines.memory import AUTO, OFFLOAD_CHOICES
from deforum_helpers.engines.part_options import add_part_options
from deforum_helpers.engines.registry import own_engines

Run = Callable[[argparse.Namespace], int]

MOST_WORKERS = 64
# Shown while a command is imported.
FIRST_PHASE = {
    "run": "Checking",
    "check": "Checking",
    "plot": "Plotting",
    "convert": "Converting",
    "camera": "Planning",
}


def prepare(name: str, parser: argparse.ArgumentParser) -> Run:
    """Add the options of command `name` to its parser; return the function that runs it.

    The function raises `ModelError` if the checkpoint cannot be used.
    """
    _add_shared_options(parser)
    {
        "run": _add_run_options,
        "check": _add_check_options,
        "plot": _add_plot_options,
        "convert": _add_convert_options,
        "camera": _add_camera_options,
    }[name](parser)
    return lambda options: _loaded(name, options)(options)


def _loaded(name: str, options: argparse.Namespace) -> Run:
    """Import the command and check its engine.

    The progress line appears first, because the imports take half a second.
    """
    line = ProgressLine(sys.stderr, in_logs=False)
    line.show(FIRST_PHASE[name], ", ".join(path.name for path in options.files))
    try:
        from deforum_helpers.cli import check, exports, run
        from deforum_helpers.cli.job_files import check_engine

        check_engine(options)
        commands: dict[str, Run] = {
            "run": run.run,
            "check": check.check,
            "plot": exports.plot,
            "convert": exports.convert,
            "camera": exports.camera,
        }
        return commands[name]
    finally:
        line.end(keep=False)


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
        help="replace a setting; the value is JSON or plain text; may be repeated",
    )
    parser.add_argument(
        "--option",
        dest="options",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="replace a host option, as options_overrides does over HTTP; may be repeated",
    )
    parser.add_argument(
        "--engine",
        choices=own_engines(),
        help="what generates frames (default: diffusers with --ckpt, else demo)",
    )
    parser.add_argument(
        "--ckpt", metavar="PATH_OR_NAME", help="diffusers folder, .safetensors or GGUF file, or hub id"
    )
    add_part_options(parser)
    parser.add_argument("--allow-download", action="store_true", help="download missing models")
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="output root; for plot and convert: the file or folder"
    )


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resume", metavar="TIMESTRING", help="resume a run: the 14 digits that its file names begin with"
    )
    parser.add_argument(
        "--offload",
        choices=OFFLOAD_CHOICES,
        default=AUTO,
        help="parts of the model that leave the memory of the device while others work: none, model = the text "
        "encoders, streamed = all layers but the one at work (default: as needed)",
    )
    parser.add_argument(
        "--workers",
        type=worker_count,
        default=1,
        metavar="N",
        help="processes that share a video where its frames do not depend on each other; one GPU for each if there "
        "are several (default: 1)",
    )


def worker_count(text: str) -> int:
    """Return the value of `--workers`."""
    count = int(text)
    if not 1 <= count <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(messages.WORKER_COUNT(found=text, most=MOST_WORKERS))
    return count


def _add_check_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="also refuse what would be ignored: restore_faces, missing LoRAs, ControlNet units without an image",
    )
    parser.add_argument(
        "--compare-classic", action="store_true", help="list differences from classic Deforum"
    )


def _add_plot_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--schedules",
        metavar="NAME,NAME",
        help="the schedules to plot (default: all that change and have an effect)",
    )


def _add_convert_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keys",
        choices=("frames", "seconds", "beats"),
        default="frames",
        help="the unit of all keys in schedules, prompts and guide images (default: frames)",
    )


def _add_camera_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="PATH",
        help="a .glb, .gltf or .json file to write, or a folder for COLMAP's text files",
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        metavar="UNITS",
        help="units of the file (meters in glTF) per scene unit, default 1",
    )
