"""Runs that several workers share: the same files as by one worker, whatever dies or stops on the way."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import NoisyEngine, host, prepared

from deforum_helpers.core.child_programs import WorkerLost, WorkerUnusable
from deforum_helpers.core.errors import BlankFrame, Cancelled, Parked, ProgramKilled
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken, Progress, RunResult, StopRequest
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.image.types import Image
from deforum_helpers.output.paths import Run
from deforum_helpers.output.step_files import StepFiles
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.pipeline.segment_process import EngineChoice, process_workers
from deforum_helpers.pipeline.segments import EngineWorker, SegmentTask
from deforum_helpers.pipeline.work_orders import MoreWorkers, WorkOrder, open_worker, work_order

NOW = datetime(2026, 1, 2, 3, 4, 5)
EACH_ALONE = {"animation_mode": "Interpolation", "max_frames": 12}
SCENES = {
    "max_frames": 14,
    "prompts": {"0": "a lighthouse", "4": "a harbour", "7": "a forest", "11": "a desert"},
    "prompt_transition": "cut",
    "color_coherence": "LAB",
    "diffusion_cadence": 2,
    "zoom": "0:(1.03)",
}
LOOP = SCENES | {"seamless_loop": True, "ending_frames": 3}
MEMORY = {
    "animation_mode": "3D",
    "depth_warp": "exact",
    "scene_memory": True,
    "rotation_3d_y": "0:(4)",
    "translation_z": "0:(8)",
}
QUICK = {"deforum_ffmpeg_preset": "ultrafast"}


class SlowEngine(NoisyEngine):
    """Generates as the noisy engine does, and holds back at a frame until it may go on."""

    def __init__(self, at: Callable[[GenerateRequest], None] = lambda request: None) -> None:
        super().__init__()
        self._at = at

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        self._at(request)
        return super().generate(request, cancel)


class Mortal:
    """A worker that is lost each time it has finished as many steps as `lives` says next."""

    def __init__(self, worker: EngineWorker, lives: list[int], gone: type[WorkerLost] = WorkerLost) -> None:
        self._worker, self._lives, self._gone = worker, lives, gone

    def render(self, task: SegmentTask) -> Iterator[StepFiles]:
        left = self._lives.pop(0) if self._lives else 1000
        for step in self._worker.render(task):
            if left == 0:
                raise self._gone("killed")
            left -= 1
            yield step

    def stop(self, request: StopRequest) -> None:
        self._worker.stop(request)


def threads(
    root: Path, count: int, wrap: Callable[[EngineWorker], Any] = lambda worker: worker
) -> MoreWorkers:
    """Workers with engines of their own in threads of this process."""

    @contextmanager
    def opened(order: WorkOrder, device: torch.device, beat: Callable[[], None]) -> Iterator[Sequence[Any]]:
        yield [wrap(open_worker(order, host(root), NoisyEngine(), beat)) for _ in range(count)]

    return opened


def rendered(
    job: Prepared,
    more: MoreWorkers | None = None,
    *,
    engine: Any = None,
    cancel: CancelToken | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> RunResult:
    token = cancel or CancelToken()
    return run_job(job, engine or NoisyEngine(), token, report, now=lambda: NOW, more_workers=more)


def stopped_midway(cancel: CancelToken, how: str) -> tuple[SlowEngine, Callable[[Progress], None]]:
    """An engine that waits at its second frame until the job is stopped, and a report that stops it after a third."""
    count = 0

    def wait(request: GenerateRequest) -> None:
        nonlocal count
        count += 1
        while count > 1 and cancel.stop_request == "none":
            time.sleep(0.01)

    def report(progress: Progress) -> None:
        if progress.phase == "GENERATING" and progress.fraction >= 0.3:
            getattr(cancel, how)()

    return SlowEngine(wait), report


def contents(outdir: Path) -> dict[str, str]:
    """Every file of a run but its internal ones, by name, as a digest."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(outdir.iterdir())
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.mark.parametrize("changes", [EACH_ALONE, SCENES, LOOP, SCENES | MEMORY])
def test_several_workers_write_the_files_of_one(tmp_path: Path, changes: dict[str, Any]) -> None:
    changes = changes | {"save_depth_maps": True}
    one = rendered(prepared(tmp_path / "one", QUICK, **changes))
    several = rendered(prepared(tmp_path / "several", QUICK, **changes), threads(tmp_path, 2))
    assert contents(one.outdir) == contents(several.outdir)
    assert not list(several.outdir.glob(".*.ahead"))


def test_the_others_render_too(tmp_path: Path) -> None:
    """The own engine waits at its first frame until all others have been finished by the second worker."""
    ahead = threading.Event()
    engine = SlowEngine(lambda request: None if ahead.wait(60) else pytest.fail("nobody else renders"))

    def report(progress: Progress) -> None:
        if progress.phase == "GENERATING" and progress.fraction >= 0.5 and progress.frame == 0:
            ahead.set()

    result = rendered(
        prepared(tmp_path, QUICK, **EACH_ALONE), threads(tmp_path, 1), engine=engine, report=report
    )
    assert len(engine.requests) < 12
    assert result.frames == 12


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        (SCENES, WorkerLost),
        (SCENES | MEMORY, WorkerLost),
        (EACH_ALONE, WorkerLost),
        (SCENES, WorkerUnusable),
    ],
)
def test_the_frames_of_a_lost_worker_go_on_elsewhere(
    tmp_path: Path, changes: dict[str, Any], gone: type[WorkerLost]
) -> None:
    one = rendered(prepared(tmp_path / "one", **changes))

    def wrap(worker: EngineWorker) -> Mortal:
        return Mortal(worker, [1, 0, 1], gone)

    several = rendered(prepared(tmp_path / "several", **changes), threads(tmp_path, 2, wrap))
    assert contents(one.outdir) == contents(several.outdir)


def test_a_frame_that_kills_each_worker_ends_the_job(tmp_path: Path) -> None:
    deaths, enough = [], threading.Event()

    class Deadly:
        def __init__(self, worker: EngineWorker) -> None:
            self._worker, self.stop = worker, worker.stop

        def render(self, task: SegmentTask) -> Iterator[StepFiles]:
            if task.start == 1:
                deaths.append(task)
                if len(deaths) == 3:
                    enough.set()
                raise WorkerLost("killed")
            yield from self._worker.render(task)

    # The own engine is at frame 0 until the frame after it has ended three of the others.
    engine = SlowEngine(lambda request: None if enough.wait(60) else pytest.fail("no worker died"))
    with pytest.raises(ProgramKilled) as caught:
        rendered(prepared(tmp_path, **EACH_ALONE), threads(tmp_path, 3, Deadly), engine=engine)
    assert caught.value.retryable
    assert caught.value.message_code == "segment_worker_lost"
    (outdir,) = (tmp_path / "img2img-images").iterdir()
    assert [path.name[-6:] for path in sorted(outdir.glob("*_?????????.png"))] == ["00.png"]


@pytest.mark.parametrize(
    ("changes", "again"), [(EACH_ALONE, 0), (SCENES, 2), (LOOP, 0), (SCENES | MEMORY, 2), (LOOP | MEMORY, 0)]
)
def test_a_parked_run_goes_on_exactly_with_any_number_of_workers(
    tmp_path: Path, changes: dict[str, Any], again: int
) -> None:
    one = rendered(prepared(tmp_path / "one", QUICK, **changes))
    job, cancel = prepared(tmp_path / "several", QUICK, **changes), CancelToken()
    engine, report = stopped_midway(cancel, "park")
    with pytest.raises(Parked):
        rendered(job, threads(tmp_path, 2), engine=engine, cancel=cancel, report=report)
    job = replace(job, resume=one.timestring)
    result = rendered(job, threads(tmp_path, again) if again else None)
    assert contents(one.outdir) == contents(result.outdir)
    assert not list(result.outdir.glob(".*.ahead"))


def test_steps_that_were_finished_ahead_are_not_rendered_again(tmp_path: Path) -> None:
    held = threading.Event()
    first = SlowEngine(lambda request: None if held.wait(60) else pytest.fail("nobody else renders"))
    job, cancel = prepared(tmp_path, QUICK, **EACH_ALONE), CancelToken()

    def park(progress: Progress) -> None:
        if progress.phase == "GENERATING" and progress.fraction >= 0.5 and progress.frame == 0:
            cancel.park()
            held.set()

    with pytest.raises(Parked):
        rendered(job, threads(tmp_path, 1), engine=first, cancel=cancel, report=park)
    second = NoisyEngine()
    result = rendered(replace(job, resume="20260102030405"), engine=second)
    assert len(first.requests) + len(second.requests) <= 12 - 5
    one = rendered(prepared(tmp_path / "one", QUICK, **EACH_ALONE))
    assert contents(one.outdir) == contents(result.outdir)


def test_a_cancel_ends_all_workers_and_keeps_the_frames_in_order(tmp_path: Path) -> None:
    cancel = CancelToken()
    engine, report = stopped_midway(cancel, "cancel")
    job = prepared(tmp_path, QUICK, **EACH_ALONE)
    with pytest.raises(Cancelled):
        rendered(job, threads(tmp_path, 2), engine=engine, cancel=cancel, report=report)
    (outdir,) = (tmp_path / "img2img-images").iterdir()
    frames = sorted(int(path.stem[-9:]) for path in outdir.glob("*_?????????.png"))
    assert frames == list(range(len(frames)))
    assert frames
    assert bool(list(outdir.glob("*.mp4"))) == (len(frames) > 1)


def test_a_black_frame_ends_the_run_where_one_worker_would_have_ended(tmp_path: Path) -> None:
    changes = EACH_ALONE | {"reroll_blank_frames": "interrupt"}
    job = prepared(tmp_path, QUICK, **changes)
    black = job.plan.key_frames[7].request.seed

    class Dark(NoisyEngine):
        def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
            image = super().generate(request, cancel)
            return torch.zeros_like(image) if request.seed == black else image

    @contextmanager
    def opened(order: WorkOrder, device: torch.device, beat: Callable[[], None]) -> Iterator[Sequence[Any]]:
        yield [open_worker(order, host(tmp_path), Dark(), beat) for _ in range(2)]

    with pytest.raises(BlankFrame):
        rendered(job, opened, engine=Dark())
    (outdir,) = (tmp_path / "img2img-images").iterdir()
    assert len(list(outdir.glob("*_?????????.png"))) == 7


def test_a_run_of_one_segment_opens_no_workers(tmp_path: Path) -> None:
    def more(*arguments: Any) -> AbstractContextManager[Sequence[Any]]:
        pytest.fail("the frames build on each other")
        return nullcontext([])

    assert rendered(prepared(tmp_path, QUICK), more).frames == 5


def test_a_worker_in_a_process_of_its_own_may_be_killed(tmp_path: Path) -> None:
    one = rendered(prepared(tmp_path / "one", QUICK, **EACH_ALONE), engine=make_engine("null"))
    opened, killed = process_workers(EngineChoice("null"), 1), threading.Event()

    @contextmanager
    def watched(*arguments: Any) -> Iterator[Sequence[Any]]:
        with opened(*arguments) as workers:
            (worker,) = workers

            class Killed:
                stop = staticmethod(worker.stop)

                @staticmethod
                def render(task: SegmentTask) -> Iterator[StepFiles]:
                    for step in worker.render(task):
                        yield step
                        if not killed.is_set():
                            os.kill(worker.pid, signal.SIGTERM)
                            killed.set()

            yield [Killed()]

    class Patient(NullEngine):
        """Begins when the other process has rendered a step and was killed."""

        def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
            assert killed.wait(120)
            return super().generate(request, cancel)

    result = rendered(prepared(tmp_path / "several", QUICK, **EACH_ALONE), watched, engine=Patient())
    assert contents(one.outdir) == contents(result.outdir)


def test_a_process_with_another_plan_is_left_out(tmp_path: Path) -> None:
    job = prepared(tmp_path, **EACH_ALONE)
    order = replace(work_order(job, Run(tmp_path, "20260102030405"), "null"), digest="another")
    with pytest.raises(WorkerUnusable) as caught:
        open_worker(order, host(tmp_path), NoisyEngine())
    assert code_of(caught.value.args[0]) == "worker_plans_otherwise"
