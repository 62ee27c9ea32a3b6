"""Memory growth in a long video: the resident set over 1,000 frames."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

from benchmarks.rows import Row
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.pipeline.job import Progress, run_job
from deforum_helpers.pipeline.prepare import HostFacts, prepare

NAME = "memory"
BAR = "<= 10 MB over 1,000 null frames at 512x512"
FRAMES, WARM_UP = 1100, 100


def run() -> list[Row]:
    """Return the growth in MB between frame 100 and frame 1,100."""
    resident: dict[int, float] = {}

    def report(progress: Progress) -> None:
        if progress.frame in (WARM_UP, FRAMES):
            resident.setdefault(progress.frame, resident_mb())

    settings = {"max_frames": FRAMES, "diffusion_cadence": 1, "seed": 1, "color_coherence": "None"}
    with tempfile.TemporaryDirectory() as folder:
        facts = HostFacts("benchmark", "null", None, Path(folder), samplers(), schedulers())
        run_job(prepare(settings, facts), make_engine("null"), CancelToken(), report)
    return [Row("growth over 1,000 frames", resident[FRAMES] - resident[WARM_UP], 10.0, unit="MB")]


def resident_mb() -> float:
    """Return the resident set of this process in MB."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux: use the highest value so far
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1e6
