"""Command-line flags of the standalone host."""

from __future__ import annotations

import argparse

from deforum_api.hosts.webui_flags import preload
from deforum_api.http.security import listed
from deforum_helpers.engines.registry import lacks_checkpoint, own_engines

DEFAULT_PORT = 7860
BUG_REPORT = "deforum-debug.zip"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the standalone host."""
    parser = argparse.ArgumentParser(
        prog="webui.py", description="Deforum: prompts and schedules become films."
    )
    add_flags(parser)
    return parser


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add all flags of the standalone host to `parser`."""
    preload(parser)
    add = parser.add_argument
    add(
        "--port", type=_port, default=DEFAULT_PORT, help="port to listen on; 0 = a free one, which is printed"
    )
    add("--listen", action="store_true", help="answer other machines too; needs --api-auth")
    add("--api-auth", default="", metavar="USER:PASSWORD[,...]", help="ask for one of these logins")
    add("--insecure", action="store_true", help="allow --listen without --api-auth")
    add("--cors-allow-origins", default="", metavar="ORIGIN[,...]", help="web pages that may use the API")
    add("--ckpt", default="", metavar="PATH_OR_NAME", help="model folder, .safetensors file, or hub id")
    add("--allow-download", action="store_true", help="allow a hub id to be downloaded")
    engines = own_engines()
    add("--deforum-engine", default="", choices=("", *engines), metavar="|".join(engines), help="what draws")
    add("--deforum-outdir", default="outputs", metavar="DIR", help="folder for everything that is written")
    add(
        "--deforum-debug",
        nargs="?",
        const=BUG_REPORT,
        default="",
        metavar="FILE",
        help=f"write a zip file for a bug report, {BUG_REPORT} unless named, and end",
    )
    add("--deforum-debug-prompts", action="store_true", help="leave prompts, names and paths in it")


def flag_problem(flags: argparse.Namespace) -> str | None:
    """Return what is wrong with the flags together, in one sentence, or None."""
    accounts = listed(flags.api_auth)
    if not all(":" in account.strip(":") for account in accounts):
        return "--api-auth must be user:password, or several of them separated by commas."
    if flags.listen and not accounts and not flags.insecure:
        return (
            "--listen lets every machine of the network use this server: add --api-auth user:password, or "
            "--insecure if that is meant."
        )
    asked = flags.deforum_engine
    if asked and lacks_checkpoint(asked, flags.ckpt):
        return f"--deforum-engine {asked} needs --ckpt with a model folder or a .safetensors file."
    if flags.deforum_terminate_after_run_now and not flags.deforum_run_now:
        return "--deforum-terminate-after-run-now needs --deforum-run-now with the settings files to render."
    return None


def _port(text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535, not {text!r}")
