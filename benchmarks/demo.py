"""The built-in model from settings to video, as in the quick start."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.rows import Row
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import HostFacts, prepare
from deforum_helpers.settings import read_settings_file

NAME = "demo"
BAR = ">= 30 frames per minute on 2 CPU cores, end to end: <= 2000 ms per frame"
QUICK_START = Path(__file__).parents[1] / "config" / "quickstart.txt"
FRAMES = 24


def run() -> list[Row]:
    """Return the times per frame of the quick start's first frames, including loading the model.

    Processor time tells more than the clock where other programs use the cores.
    """
    settings = read_settings_file(QUICK_START) | {"max_frames": FRAMES}
    with tempfile.TemporaryDirectory() as folder:
        facts = HostFacts("benchmark", "demo", None, Path(folder), samplers(), schedulers())
        prepared = prepare(settings, facts)
        began, worked = time.perf_counter(), time.process_time()
        run_job(prepared, make_engine("demo"), CancelToken(), lambda progress: None)
        by_clock, of_processors = time.perf_counter() - began, time.process_time() - worked
    return [
        Row(f"quick start, {FRAMES} frames of 512x512, per frame", by_clock * 1000 / FRAMES, 2000.0),
        Row("processor time of a frame", of_processors * 1000 / FRAMES),
    ]
