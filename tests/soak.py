"""Hundreds of jobs on a server that is killed again and again: run by hand, `python -m tests.soak --jobs 300`.

Two clients submit, follow, cancel and resume, with nothing but their own retries, while the engine runs out of memory
now and then and another program locks the job database. At the end every accepted job must have exactly one end, no
video may be short, no frame lost, and the server's memory not grown.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sqlite3
import tempfile
import threading
import time
import urllib.error
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from deforum_api.queue.sqlite import FILE_NAME
from deforum_helpers.media.containers import count_frames
from tests.faults.serving import SETTINGS, FaultyServer

MAX_GROWTH_MB = 50.0
NOT_NOW = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class Soak:
    """One run: the server as it is now, and what the clients were promised."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.server = self.started()
        self.accepted: dict[str, int] = {}
        self.cancelled: set[str] = set()
        self.ends: dict[str, dict[str, Any]] = {}
        self.counts: Counter[str] = Counter()
        self.grown_mb = 0.0
        self.lock = threading.Lock()
        self.over = threading.Event()

    def started(self) -> FaultyServer:
        return FaultyServer(self.folder / "outputs", "now and then out of memory")

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """Ask until there is an answer, as a client does whose server restarts."""
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                code, answer = self.server.ask(method, path, body, headers)
                if code != 503:
                    return code, answer
            except NOT_NOW:
                self.counts["requests tried again"] += 1
            time.sleep(0.1)

    def kill_now_and_then(self) -> None:
        """Restart the server at random moments, killed or in order, and see how its memory grows."""
        first_mb = None
        until = time.monotonic() + self.chance.uniform(2, 10)
        while not self.over.wait(0.2):
            resident = resident_mb(self.server.process.pid)
            if resident and self.counts["ended"] and first_mb is None:
                first_mb = resident
            if resident and first_mb:
                self.grown_mb = max(self.grown_mb, resident - first_mb)
            if self.chance.random() < 0.02:
                self.lock_database(self.chance.uniform(0.5, 7.0))
            if time.monotonic() < until:
                continue
            if self.chance.random() < 0.7:
                self.server.kill()
                self.counts["killed"] += 1
            else:
                self.server.terminate()
                self.counts["stopped in order"] += 1
            self.server, until = self.started(), time.monotonic() + self.chance.uniform(2, 10)

    def lock_database(self, seconds: float) -> None:
        """Write to the job database, as another program might, and take long over it."""
        with closing(sqlite3.connect(self.folder / "outputs" / FILE_NAME, isolation_level=None)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return
            self.over.wait(seconds)
            database.execute("ROLLBACK")
        self.counts["database locked"] += 1

    def client(self, name: str, jobs: int, seed: int) -> None:
        """Submit so many jobs, then follow them to their ends."""
        chance, mine = random.Random(seed), []
        while len(mine) < jobs:
            batch = [self.settings(chance, name) for _ in range(min(chance.randint(1, 3), jobs - len(mine)))]
            key = f"{name} {len(mine)}"
            code, reply = self.ask("POST", "/deforum_api/batches", {"deforum_settings": batch}, key)
            assert code == 202, reply
            mine += reply["job_ids"]
            with self.lock:
                self.accepted |= {
                    job_id: one["max_frames"] for job_id, one in zip(reply["job_ids"], batch, strict=True)
                }
            if chance.random() < 0.4:
                self.cancel(chance.choice(mine))
            time.sleep(chance.uniform(0, 0.2))
        for job_id in mine:
            self.follow(job_id)

    def settings(self, chance: random.Random, name: str) -> dict[str, Any]:
        frames = chance.randint(2, 8)
        return {**SETTINGS, "max_frames": frames, "batch_name": name, "seed": chance.randint(0, 99)}

    def cancel(self, job_id: str) -> None:
        code, _ = self.ask("DELETE", f"/deforum_api/jobs/{job_id}")
        self.counts["cancels"] += 1
        if code != 200:
            return
        self.cancelled.add(job_id)
        while self.chance.random() < 0.5:
            code, _ = self.ask("POST", f"/deforum_api/jobs/{job_id}/resume")
            if code == 202:
                self.cancelled.discard(job_id)
                self.counts["cancelled and resumed"] += 1
                return
            time.sleep(0.1)

    def follow(self, job_id: str) -> None:
        seen = 0
        while True:
            code, job = self.ask("GET", f"/deforum_api/jobs/{job_id}")
            assert code == 200, f"{job_id} was accepted and is not there: {job}"
            assert job["updates"] >= seen, f"{job_id} went back"
            seen = job["updates"]
            if job["status"] == "FAILED" and job["error_type"] == "RETRYABLE":
                self.counts["resumed"] += 1
                self.ask("POST", f"/deforum_api/jobs/{job_id}/resume")
            elif job["status"] != "ACCEPTED":
                break
            time.sleep(0.05)
        with self.lock:
            self.ends[job_id] = job
            self.counts["ended"] += 1

    def problems(self) -> list[str]:
        """Return all that is not as it was promised."""
        _, listed = self.ask("GET", "/deforum_api/jobs?summary=true")
        found = [f"{job_id} is there but was not accepted" for job_id in listed.keys() - self.accepted.keys()]
        found += [f"{job_id} is lost" for job_id in self.accepted.keys() - listed.keys()]
        for job_id, job in self.ends.items():
            if listed[job_id]["updates"] != job["updates"]:
                found.append(f"{job_id} changed after its end")
            found += [f"{job_id}: {what}" for what in self.wrong_with(job_id, job)]
        if self.grown_mb > MAX_GROWTH_MB:
            found.append(f"the server's memory grew by {self.grown_mb:.0f} MB")
        return found

    def wrong_with(self, job_id: str, job: dict[str, Any]) -> list[str]:
        stamp, folder = job["timestring"], Path(job["outdir"] or "")
        names = {path.name for path in folder.glob(f"{stamp}_[0-9]*.png")} if stamp else set()
        if names != {f"{stamp}_{frame:09d}.png" for frame in range(len(names))}:
            return [f"of its {len(names)} frames one is missing in between"]
        video = folder / f"{stamp}.mp4"
        in_video = count_frames(video) if stamp and video.exists() else 0
        if job["status"] == "SUCCEEDED" and not (len(names) == in_video == self.accepted[job_id]):
            return [f"{len(names)} frames, {in_video} in the video, {self.accepted[job_id]} promised"]
        if job["status"] == "CANCELLED" and in_video not in (0, len(names)):
            return [f"{len(names)} frames, {in_video} in the video"]
        if job["status"] == "CANCELLED" and job_id not in self.cancelled:
            return ["it was cancelled by nobody"]
        return [job["message"]] if job["status"] == "FAILED" else []


def resident_mb(pid: int | None) -> float:
    """Return the resident memory of a process, 0 if it is not there."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(line.split()[1]) / 1024


def main() -> int:
    """Run, and print a report; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--ray", action="store_true", help="40 jobs on workers of a Ray cluster that are killed"
    )
    parser.add_argument(
        "--engine", choices=("null", "demo"), default="null", help="the engine of the workers of --ray"
    )
    flags = parser.parse_args()
    if flags.ray:
        from tests.soak_ray import run

        return run(min(flags.jobs, 40), flags.seed, flags.engine)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="deforum-soak-") as folder:
        soak = Soak(Path(folder), flags.seed)
        killer = threading.Thread(target=soak.kill_now_and_then)
        clients = [
            threading.Thread(target=soak.client, args=(name, share, flags.seed + share))
            for name, share in (("ann", flags.jobs // 2), ("bob", flags.jobs - flags.jobs // 2))
        ]
        for thread in (killer, *clients):
            thread.start()
        for thread in clients:
            thread.join()
        soak.over.set()
        killer.join()
        problems = soak.problems()
        soak.server.terminate()
        log = Path(folder, "server.log").read_text(encoding="utf-8")
    if len(soak.ends) != flags.jobs:
        problems.append(f"{flags.jobs - len(soak.ends)} jobs were not followed to their ends")
    ends = Counter(job["status"] for job in soak.ends.values())
    seconds = round(time.monotonic() - began)
    soak.counts["out of memory"] = log.count("The device's memory did not suffice.")
    report = {"seconds": seconds, "jobs": flags.jobs, **ends, **soak.counts, "grown_mb": round(soak.grown_mb)}
    print(json.dumps({**report, "problems": problems}, indent=4))  # noqa: T201 - its report
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
