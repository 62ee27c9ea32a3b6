"""The soak test of workers: jobs on a Ray cluster of four nodes whose workers, nodes and server are killed at random.

Run by `python -m tests.soak --ray`. At the end every job has exactly one end, and its frames are those of a run that
was never disturbed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from deforum_helpers.output.frames import read_frame
from tests.faults.farm import VIDEO_SETTINGS, Farm
from tests.integration.server import Server
from tests.soak import Soak

NODES = 4
SEEDS = 3
FRAMES = range(20, 60, 10)
PAUSE_S = (4.0, 12.0)
# One of each at first, so that a short run meets all; then in this proportion.
FIRST_FATES = ("workers", "nodes", "servers")
FATES = ("workers", "workers", "workers", "nodes", "servers")
# The built-in model takes a second per image on a CPU.
ENGINES: dict[str, dict[str, Any]] = {"null": {}, "demo": {"steps": 2, "sampler": "Euler a"}}


class RaySoak(Soak):
    """A server on a cluster, and what the clients were promised."""

    def __init__(self, folder: Path, seed: int, farm: Farm, engine: str) -> None:
        self.farm = farm
        self.engine = engine
        super().__init__(folder, seed)

    def started(self) -> Any:
        flags = ("--deforum-ray", self.farm.address, "--deforum-workers", str(NODES))
        return Server(self.folder / "outputs", "--deforum-engine", self.engine, *flags)

    def settings(self, chance: random.Random, name: str) -> dict[str, Any]:
        return {
            **VIDEO_SETTINGS,
            **ENGINES[self.engine],
            "max_frames": chance.choice(FRAMES),
            "seed": chance.randrange(SEEDS),
            "batch_name": name,
        }

    def kill_now_and_then(self, clients: Sequence[threading.Thread] = ()) -> None:
        """Kill a worker, a node or the server at random moments until the clients have their ends.

        On a busy machine workers take longer to start than the pause between two kills; so each kill waits for one.
        """
        fates = self.chance.sample(FIRST_FATES, len(FIRST_FATES))
        while any(thread.is_alive() for thread in clients):
            if not self.someone_renders():
                time.sleep(0.5)
                continue
            time.sleep(self.chance.uniform(*PAUSE_S))
            fate = fates[-1] if fates else self.chance.choice(FATES)
            if self.kill(fate):
                self.counts[f"{fate} killed"] += 1
                fates = fates[:-1]

    def someone_renders(self) -> bool:
        _, workers = self.ask("GET", "/deforum_api/workers")
        return any(worker["state"] == "busy" for worker in workers)

    def kill(self, fate: str) -> bool:
        """Kill a worker, a node or the server; return whether there was one."""
        if fate == "workers":
            pids = workers_of(self.farm)
            if not pids:
                return False
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(pids), signal.SIGKILL)
        elif fate == "nodes":
            self.farm.kill_node()
            self.farm.add_node()
        else:
            self.server.process.kill()
            self.server.process.wait()
            self.server = self.started()
        return True

    def differing(self, undisturbed: dict[int, list[np.ndarray]]) -> list[str]:
        """Return the jobs with a frame that is not that of a run that was never disturbed."""
        found = []
        for job_id, job in self.ends.items():
            wanted = undisturbed[self.seed_of(job_id)]
            paths = sorted(Path(job["outdir"] or "").glob(f"{job['timestring']}_[0-9]*.png"))
            found += [
                f"{job_id}: frame {frame} differs"
                for frame, path in enumerate(paths)
                if not np.array_equal(read_frame(path), wanted[frame])
            ]
        return found

    def seed_of(self, job_id: str) -> int:
        _, job = self.ask("GET", f"/deforum_api/jobs/{job_id}")
        return int(job["deforum_settings"]["seed"])


def workers_of(farm: Farm) -> list[int]:
    """Return the process ids of the workers on the nodes that are there."""
    raylets = {node.all_processes["raylet"][0].process.pid for node in farm.nodes}
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            name = (path.parent / "cmdline").read_bytes()
            if parent in raylets and name.startswith(b"ray::RenderWorker"):
                found.append(int(path.parent.name))
    return found


def undisturbed_frames(folder: Path, engine: str) -> dict[int, list[np.ndarray]]:
    """Return the frames of each seed, rendered by a server without workers."""
    server = Server(folder, "--deforum-engine", engine)
    settings = {**VIDEO_SETTINGS, **ENGINES[engine], "max_frames": max(FRAMES)}
    jobs = [{**settings, "seed": seed, "batch_name": str(seed)} for seed in range(SEEDS)]
    ends = [server.ended(job_id) for job_id in server.submit(*jobs)]
    server.process.terminate()
    server.process.wait()
    return {
        seed: [
            read_frame(path) for path in sorted(Path(end["outdir"]).glob(f"{end['timestring']}_[0-9]*.png"))
        ]
        for seed, end in enumerate(ends)
    }


def run(jobs: int, seed: int, engine: str) -> int:
    """Run with one of `ENGINES`, and print a report; 1 if a promise was broken."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="deforum-soak-") as folder:
        farm = Farm(Path(folder))
        for _ in range(NODES):
            farm.add_node()
        wanted = undisturbed_frames(Path(folder, "undisturbed"), engine)
        soak = RaySoak(Path(folder), seed, farm, engine)
        clients = [
            threading.Thread(target=soak.client, args=(name, share, seed + number), daemon=True)
            for number, (name, share) in enumerate((("ann", jobs // 2), ("bob", jobs - jobs // 2)))
        ]
        for thread in clients:
            thread.start()
        soak.kill_now_and_then(clients)  # on the main thread, where alone Ray starts nodes
        problems = soak.problems() + soak.differing(wanted)
        soak.server.process.terminate()
        soak.server.process.wait()
    farm.close()
    if len(soak.ends) != jobs:
        problems.append(f"{jobs - len(soak.ends)} jobs were not followed to their ends")
    problems += [f"no {fate} were killed" for fate in FIRST_FATES if not soak.counts[f"{fate} killed"]]
    ends = Counter(job["status"] for job in soak.ends.values())
    report = {"seconds": round(time.monotonic() - began), "jobs": jobs, **ends, **soak.counts}
    print(json.dumps({**report, "problems": problems}, indent=4))  # noqa: T201 - its report
    return 1 if problems else 0
