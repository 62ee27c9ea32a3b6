"""Run benchmarks: `python -m benchmarks` runs all but the long ones, `python -m benchmarks warp` the named ones."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.rows import table
from deforum_helpers.core.library_environment import let_waiting_threads_sleep

MODULES = {
    "schedules": "benchmarks.schedules",
    "prompts": "benchmarks.prompts",
    "plan": "benchmarks.plan",
    "warp": "benchmarks.warp",
    "noise": "benchmarks.noise",
    "color": "benchmarks.color",
    "sharpen": "benchmarks.sharpen",
    "video": "benchmarks.video",
    "loop-512": "benchmarks.loop_512",
    "loop-1024": "benchmarks.loop_1024",
    "segments": "benchmarks.segments",
    "memory": "benchmarks.memory",
    "growth": "benchmarks.growth",
    "start": "benchmarks.start",
    "api": "benchmarks.api",
    "store": "benchmarks.store",
    "streams": "benchmarks.streams",
    "hostile": "benchmarks.hostile",
    "demo": "benchmarks.demo",
    "hybrid": "benchmarks.hybrid",
    "postproduction": "benchmarks.postproduction",
    "tab": "benchmarks.tab",
    "timeline": "benchmarks.timeline",
    "sound": "benchmarks.sound",
    "picture": "benchmarks.picture",
    "farm": "benchmarks.farm",
    **{
        f"gpu-{name}": "benchmarks.gpu"
        for name in ("chain", "turbo", "sd15", "klein", "sdxl", "klein-int8", "video")
    },
    "gpu-batch": "benchmarks.lockstep",
}
# They take many minutes each, or need a GPU, so they run only when named; "gpu" names all rows of a GPU.
LONG = ("growth", "picture", "farm", *(name for name in MODULES if name.startswith("gpu-")))
GROUPS = {"gpu": tuple(name for name in MODULES if name.startswith("gpu-"))}


def load(name: str) -> Any:
    """Return the row, a module or one of a module's `GPU_ROWS`; None if this checkout lacks it."""
    try:
        module = importlib.import_module(MODULES[name])
        return getattr(module, "GPU_ROWS", {}).get(name, module)
    except ModuleNotFoundError as error:
        if error.name != MODULES[name]:
            raise
        return None


def run(names: Sequence[str]) -> int:
    """Run the named rows in order and print them; return the number of exceeded limits."""
    missed = 0
    for name in names:
        module = load(name)
        if module is None:
            print(f"{name}: {MODULES[name].replace('.', '/')}.py is not here, so this row was not measured.")
            continue
        print(f"{module.NAME}  (bar: {module.BAR})", flush=True)
        rows = module.run()
        print(table(rows), flush=True)
        missed += sum(row.ratio is not None and row.ratio > 1 for row in rows)
    return missed


def main() -> int:
    """Run the command line; return 1 if a limit was exceeded, else 0."""
    let_waiting_threads_sleep()  # as the programs do that are measured
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="row",
        help=f"one of {', '.join([*MODULES, *GROUPS])}; without, all but {', '.join(LONG)}",
    )
    parser.add_argument(
        "--tiny", action="store_true", help="rows of a GPU: tiny networks and few frames, on any machine"
    )
    arguments = parser.parse_args()
    if arguments.tiny:
        importlib.import_module("benchmarks.gpu").TINY = True  # type: ignore[attr-defined]
    rows = [name for row in arguments.rows for name in GROUPS.get(row, (row,))]
    names = rows or [name for name in MODULES if name not in LONG]
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(MODULES)}")
    return 1 if run(names) else 0


if __name__ == "__main__":
    sys.exit(main())
