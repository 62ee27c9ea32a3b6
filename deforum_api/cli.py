"""The program `deforum`: the table of its commands, and the dispatch of a command line to one of them.

`python -m deforum_helpers` and `python -m deforum_api` run the same program. Only the module of the chosen command is
imported, so help appears at once, and commands that use a server need no other package.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deforum_api.version import VERSION
from deforum_helpers.cli import messages
from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.library_environment import (
    let_allocator_keep_memory,
    let_cpu_replace_missing_operators,
    let_program_end_without_collection,
    let_waiting_threads_sleep,
)
from deforum_helpers.core.progress_line import LogLines

Run = Callable[[argparse.Namespace], int]

# Options of the commands that use a server; they may also precede the command.
ADDRESS = ("--url", "--api-auth", "--patience")
EPILOG = """
`{prog} COMMAND --help` lists the options of a command.

Exit codes: 0 success, 1 a job failed or was stopped, 2 the command or the settings are wrong or the server does not
respond, 130 interrupted while a job continues on its server.
"""


@dataclass(frozen=True)
class Group:
    """Commands under one heading of the help.

    Args:
        title: the heading.
        commands: name -> one line of help.
        prepare: imports the command of that name, adds its options to the parser, and returns the function that runs
            it and gives the exit code.
    """

    title: str
    commands: Mapping[str, str]
    prepare: Callable[[str, argparse.ArgumentParser], Run]


def _render(name: str, parser: argparse.ArgumentParser) -> Run:
    from deforum_helpers.cli import rendering

    return rendering.prepare(name, parser)


def _tool(name: str, parser: argparse.ArgumentParser) -> Run:
    from deforum_helpers.cli import tools

    tools.add_options(name, parser)
    return tools.run_tool


def _list_models(name: str, parser: argparse.ArgumentParser) -> Run:
    from deforum_helpers.cli import models

    return models.prepare(parser)


def _ask_server(name: str, parser: argparse.ArgumentParser) -> Run:
    from deforum_api.client import commands

    return commands.prepare(name, parser)


def _serve(name: str, parser: argparse.ArgumentParser) -> Run:
    from deforum_api.hosts.flags import add_flags

    def serve(flags: argparse.Namespace) -> int:
        from deforum_api.hosts import standalone

        return standalone.serve(flags)

    add_flags(parser)
    return serve


def _serve_mcp(name: str, parser: argparse.ArgumentParser) -> Run:
    from deforum_api.mcp import __main__ as mcp

    mcp.add_options(parser)
    return mcp.serve_and_exit


GROUPS = (
    Group(
        "render settings files on this machine",
        {
            "run": "render videos",
            "check": "report on settings without rendering",
            "plot": "plot schedules and prompts as SVG",
            "convert": "write settings with all keys in frames, seconds or beats",
            "camera": "write the camera of a video as glTF, JSON or COLMAP text",
        },
        _render,
    ),
    Group(
        "convert videos and images",
        {
            "interpolate": "add frames between those of a video, or between images",
            "upscale": "enlarge a video",
            "vid2depth": "make a depth video of a video",
            "stitch": "make a video from numbered images",
        },
        _tool,
    ),
    Group(
        "use a Deforum server (--url, --api-auth and --patience may precede the command)",
        {
            "submit": "queue settings files",
            "tool": "queue a tool for an existing video or images",
            "watch": "show the progress of jobs until they end",
            "jobs": "list jobs",
            "cancel": "cancel jobs or batches",
            "resume": "resume failed or cancelled jobs",
            "workers": "list workers, drain and undrain them",
        },
        _ask_server,
    ),
    Group(
        "look at models",
        {"models": "list the models here, their licences, and whether they fit; install one from the hub"},
        _list_models,
    ),
    Group("start a server", {"serve": "serve the tab and the HTTP API, and render jobs"}, _serve),
    Group("let an assistant use a server", {"mcp": "serve the Model Context Protocol"}, _serve_mcp),
)


def main(arguments: Sequence[str] | None = None, prog: str = "deforum") -> int:
    """Run a command and return its exit code.

    Args:
        arguments: the words after the program's name; default: those of the process.
        prog: the program's name in usage and help.
    """
    let_waiting_threads_sleep()
    let_cpu_replace_missing_operators()
    let_allocator_keep_memory()
    let_program_end_without_collection()
    program = _program(prog)
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        program.print_help(sys.stderr)
        return 2
    first = program.parse_args(arguments)
    group = next((group for group in GROUPS if first.command in group.commands), None)
    if group is None:
        program.error(_unknown(first.command, prog))
    parser = argparse.ArgumentParser(
        prog=f"{prog} {first.command}", description=_sentence(group.commands[first.command])
    )
    try:
        run = group.prepare(first.command, parser)
        _log_to_terminal()
        code = run(parser.parse_args([*_address(first), *first.arguments]))
        sys.stdout.flush()
        return code
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("deforum"):
            raise
        text = messages.PACKAGE_NOT_INSTALLED(package=missing.name, python=sys.executable)
        print(text, file=sys.stderr)
        return 1
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has closed the pipe, as in "check FILE | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"\n{messages.INTERRUPTED()}", file=sys.stderr)
        return 1


def _program(prog: str) -> argparse.ArgumentParser:
    """Return the parser of the words up to the command; the command has a parser of its own."""
    width = max(len(name) for group in GROUPS for name in group.commands)
    listed = [
        f"{group.title}:\n" + "\n".join(f"  {name:<{width}}  {help}" for name, help in group.commands.items())
        for group in GROUPS
    ]
    parser = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s COMMAND ...",
        description="Deforum turns prompts and schedules into animation.\n\n" + "\n\n".join(listed),
        epilog=EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"Deforum {VERSION}", help="show the version and exit"
    )
    for flag in ADDRESS:
        parser.add_argument(flag, help=argparse.SUPPRESS)
    parser.add_argument("command", metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help=argparse.SUPPRESS)
    return parser


def _address(first: argparse.Namespace) -> list[str]:
    """Return the server options that preceded the command, as words to put behind it."""
    found = ((flag, getattr(first, flag.strip("-").replace("-", "_"))) for flag in ADDRESS)
    return [f"{flag}={value}" for flag, value in found if value is not None]


def _unknown(command: str, prog: str) -> str:
    names = [name for group in GROUPS for name in group.commands]
    near = difflib.get_close_matches(command.lower(), names, cutoff=0.5)
    advice = messages.DID_YOU_MEAN(names=" or ".join(near)) if near else messages.SEE_HELP(program=prog)
    return messages.UNKNOWN_COMMAND(command=command[:80], advice=advice)


def _sentence(line: str) -> str:
    return f"{line[0].upper()}{line[1:]}."


def _log_to_terminal() -> None:
    lines = LogLines()
    lines.setFormatter(_WithoutTraceback("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    logging.captureWarnings(True)


class _WithoutTraceback(logging.Formatter):
    """Formats log records without the traceback, which only the log of a server shows."""

    def formatException(self, ei: object) -> str:
        return ""
