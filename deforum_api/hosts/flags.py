"""Command-line flags of the standalone host."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from deforum_api.hosts import messages
from deforum_api.hosts.webui_flags import preload
from deforum_api.http.security import split_list
from deforum_api.queue.ray.settings import RaySettings, address_problem, ray_problem
from deforum_helpers.engines.memory import AUTO, OFFLOAD_CHOICES, PRECISION_CHOICES
from deforum_helpers.engines.part_options import add_part_options, model_parts, part_words
from deforum_helpers.engines.registry import declared, default_engine, lacks_checkpoint, own_engines

DEFAULT_PORT = 7860
BUG_REPORT = "deforum-debug.zip"
MOST_WORKERS = 10_000
# Flags that mean nothing without --deforum-ray, and their defaults.
WORKER_FLAGS = {
    "deforum_workers": 0,
    "deforum_gpus_per_worker": 0.0,
    "deforum_ray_files": "auto",
    "deforum_ray_fallback": False,
}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the standalone host."""
    parser = argparse.ArgumentParser(
        prog="webui.py", description="Deforum: videos from prompts and schedules."
    )
    add_flags(parser)
    return parser


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add all flags of the standalone host to `parser`."""
    preload(parser)
    add = parser.add_argument
    add(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help="port to listen on; 0 = any free one, which is printed",
    )
    add("--listen", action="store_true", help="answer other machines too; requires --api-auth")
    add("--api-auth", default="", metavar="USER:PASSWORD[,...]", help="require one of these logins")
    add("--insecure", action="store_true", help="allow --listen without --api-auth")
    add("--cors-allow-origins", default="", metavar="ORIGIN[,...]", help="web pages that may use the API")
    add(
        "--ckpt",
        default="",
        metavar="PATH_OR_NAME",
        help="model folder, .safetensors or GGUF file, or hub id",
    )
    add_part_options(parser)
    add("--allow-download", action="store_true", help="allow a hub id to be downloaded")
    engines = own_engines()
    add(
        "--deforum-engine",
        default="",
        choices=("", *engines),
        metavar="|".join(engines),
        help="engine that generates images",
    )
    add(
        "--deforum-offload",
        default=AUTO,
        choices=OFFLOAD_CHOICES,
        help="parts of the model that leave the memory of the device while others work: none, model = the text "
        "encoders, streamed = all layers but the one at work; by default as needed",
    )
    add(
        "--deforum-precision",
        default=AUTO,
        choices=PRECISION_CHOICES,
        help="weights of the model's blocks: native = as loaded, fp8 or int8 = in 8 bits, which takes half the memory "
        "and changes images a little; by default native where it fits",
    )
    add("--deforum-outdir", default="outputs", metavar="DIR", help="folder for all outputs")
    _add_worker_flags(add)
    add(
        "--deforum-debug",
        nargs="?",
        const=BUG_REPORT,
        default="",
        metavar="FILE",
        help=f"write a zip file for a bug report ({BUG_REPORT} by default) and exit",
    )
    add("--deforum-debug-prompts", action="store_true", help="include prompts, names and paths in it")


def _add_worker_flags(add: Callable[..., Any]) -> None:
    add(
        "--deforum-ray",
        default="",
        metavar="local|auto|HOST:PORT",
        help="render on workers: local = on the GPUs of this machine, auto = of the Ray cluster that runs here, "
        "HOST:PORT = of the one with this head node",
    )
    add(
        "--deforum-workers",
        type=_count,
        default=0,
        metavar="N",
        help="number of workers; by default one per GPU, without GPUs one per machine",
    )
    add(
        "--deforum-gpus-per-worker",
        type=_share,
        default=0.0,
        metavar="F",
        help="GPUs per worker; 0.5 lets two share one; by default 1 where there are GPUs",
    )
    add(
        "--deforum-ray-files",
        default="auto",
        choices=("auto", "shared", "streamed"),
        help="shared = all workers write to the output folder, streamed = they send their files to this server, "
        "auto = those write to it that see it",
    )
    add(
        "--deforum-ray-fallback",
        action="store_true",
        help="render in this process while there is no cluster",
    )


def ray_settings(flags: argparse.Namespace) -> RaySettings | None:
    """Return what the flags say about workers; None if this process is to render."""
    if not flags.deforum_ray:
        return None
    return RaySettings(
        flags.deforum_ray,
        flags.deforum_workers,
        flags.deforum_gpus_per_worker,
        flags.deforum_ray_files,
        flags.deforum_ray_fallback,
    )


def flag_problem(flags: argparse.Namespace) -> str | None:
    """Return the message that says which flags do not fit together, or None."""
    accounts = split_list(flags.api_auth)
    if not all(":" in account.strip(":") for account in accounts):
        return messages.LOGIN_MALFORMED()
    if flags.listen and not accounts and not flags.insecure:
        return messages.LISTEN_WITHOUT_LOGIN()
    asked = flags.deforum_engine
    if asked and lacks_checkpoint(asked, flags.ckpt):
        return messages.ENGINE_WITHOUT_CHECKPOINT(engine=asked)
    parts = model_parts(flags)
    if parts and not declared(asked or default_engine(flags.ckpt)).takes_checkpoint:
        return messages.PARTS_WITHOUT_CHECKPOINT(flags=", ".join(part_words(parts)[::2]))
    if flags.deforum_terminate_after_run_now and not flags.deforum_run_now:
        return messages.NOTHING_TO_RUN()
    if flags.deforum_ray and flags.deforum_lockstep > 1:
        return messages.LOCKSTEP_WITH_RAY()
    if flags.deforum_ray:
        return address_problem(flags.deforum_ray) or ray_problem()
    for name, unset in WORKER_FLAGS.items():
        if getattr(flags, name) != unset:
            return messages.FLAG_WITHOUT_RAY(flag=f"--{name.replace('_', '-')}")
    return None


def _count(text: str) -> int:
    if text.isdecimal() and 0 < int(text) <= MOST_WORKERS:
        return int(text)
    raise argparse.ArgumentTypeError(messages.WORKERS_INVALID(found=text, most=MOST_WORKERS))


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if 0 < share < 1 or (share >= 1 and share.is_integer()):
        return share
    raise argparse.ArgumentTypeError(messages.GPU_SHARE_INVALID(found=text))


def _port(text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(messages.PORT_INVALID(found=text))
