"""Executors: which worker takes which job, draining, and the worker of this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deforum_api.hosts.own_host import local_executor, make_queue
from deforum_api.hosts.unfinished import parked_sentences
from deforum_api.queue.errors import UnknownId
from deforum_api.queue.executors import LOCAL_WORKER, LocalExecutor, WorkerInfo, WorkerTable
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_helpers.engines.memory import device_memory
from deforum_helpers.pipeline.host_facts import own_facts
from tests.api.fake_renderer import WAIT_S, Renderer

JOB = Job("batch(1)-0", "batch(1)", 0, "{}", "null", 0.0, 0.0)


def asking(name: str, checkpoint: str = "") -> Job:
    overrides = f'{{"sd_model_checkpoint": "{checkpoint}"}}' if checkpoint else "null"
    return replace(JOB, id=name, overrides_json=overrides)


def table(*nodes: str) -> WorkerTable:
    """A table with the workers 0, 1, ... on these nodes; 0 has been idle for the longest time."""
    seconds = iter(range(1000))
    made = WorkerTable("base", clock=lambda: float(next(seconds)))
    for number, node in enumerate(nodes):
        made.join(WorkerInfo(str(number), node, "cpu"))
    return made


def chosen(workers: WorkerTable, *jobs: Job) -> dict[str, str]:
    """Each worker that takes a job, with the id of the job."""
    found = {worker.id: workers.choose(worker.id, jobs) for worker in workers.all()}
    return {worker_id: job.id for worker_id, job in found.items() if job}


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_free_workers_take_the_jobs_in_their_order() -> None:
    workers = table("a", "a", "a")
    assert chosen(workers, asking("x"), asking("y")) == {"0": "x", "1": "y"}
    workers.take("0", asking("x"))
    assert chosen(workers, asking("y")) == {"1": "y"}


def test_a_job_goes_to_a_free_worker_with_its_checkpoint() -> None:
    workers = table("a", "a", "a")
    workers.take("2", asking("before", "photo"))
    workers.free("2")
    assert chosen(workers, asking("x", "photo"), asking("y", "paint")) == {"2": "x", "0": "y"}
    workers.take("2", asking("x", "photo"))
    assert chosen(workers, asking("y", "photo")) == {"0": "y"}, "a busy one does not count"


def test_a_worker_without_a_checkpoint_is_taken_before_one_that_would_have_to_exchange_it() -> None:
    workers = table("a", "a")
    workers.take("0", asking("before", "photo"))
    workers.free("0")
    assert chosen(workers, asking("x", "paint")) == {"1": "x"}
    assert chosen(workers, asking("x", "paint"), asking("y", "paint")) == {"1": "x", "0": "y"}


def test_among_equal_workers_the_least_loaded_node_gets_the_job() -> None:
    workers = table("a", "a", "b")
    workers.take("0", asking("before"))
    assert chosen(workers, asking("x")) == {"2": "x"}


def test_a_draining_worker_finishes_its_job_and_takes_no_other() -> None:
    workers = table("a")
    workers.take("0", asking("x"))
    assert workers.drain("0").state == "draining"
    assert workers.drain("0").job == "x"
    workers.free("0")
    assert (workers.get("0").state, workers.get("0").job) == ("drained", None)
    assert chosen(workers, asking("y")) == {}
    assert workers.undrain("0").state == "idle"
    assert chosen(workers, asking("y")) == {"0": "y"}


def test_draining_is_taken_back() -> None:
    workers = table("a")
    workers.take("0", asking("x"))
    workers.drain("0")
    assert workers.undrain("0").state == "busy"
    workers.drain("0")
    workers.lose("0")
    workers.free("0")
    workers.join(WorkerInfo("0", "b", "cpu"))
    assert workers.get("0").state == "drained", "what takes the place of a drained worker is drained as well"


def test_a_lost_worker_takes_nothing_until_another_has_its_place() -> None:
    workers = table("a")
    workers.take("0", asking("x"))
    workers.lose("0")
    assert (workers.get("0").state, workers.get("0").job) == ("lost", "x")
    workers.free("0")
    assert (workers.get("0").state, workers.get("0").job) == ("lost", None)
    assert chosen(workers, asking("x")) == {}
    workers.join(WorkerInfo("0", "b", "cpu"))
    assert chosen(workers, asking("x")) == {"0": "x"}


@pytest.mark.parametrize("act", [WorkerTable.drain, WorkerTable.undrain, WorkerTable.get])
def test_an_unknown_worker_is_refused(act: Callable[[WorkerTable, str], object]) -> None:
    with pytest.raises(UnknownId) as error:
        act(table("a"), "7")
    assert error.value.code == 404


def test_this_process_is_one_worker(jobs: JobQueue, renderer: Renderer) -> None:
    executor = jobs.runner.executor
    (idle,) = executor.workers()
    assert (idle.id, idle.state, idle.job) == (LOCAL_WORKER, "idle", None)
    renderer.gate.clear()
    first, second = (job.id for job in jobs.submit([{}, {}]))
    until(lambda: executor.workers()[0].job == first)
    (busy,) = executor.workers()
    assert busy.state == "busy"
    assert busy.since >= idle.since
    assert executor.drain(LOCAL_WORKER).state == "draining"
    renderer.gate.set()
    until(lambda: executor.workers()[0].state == "drained")
    assert jobs.job(first).status == "SUCCEEDED"
    jobs.runner.wake()
    assert (jobs.job(second).phase, jobs.runner.running) == ("QUEUED", ())
    executor.undrain(LOCAL_WORKER)
    until(lambda: jobs.job(second).finished)


def test_a_drained_process_still_makes_motion_previews(jobs: JobQueue) -> None:
    jobs.runner.executor.drain(LOCAL_WORKER)
    (preview,) = jobs.submit([{"motion_preview_mode": True}])
    until(lambda: jobs.job(preview.id).status == "SUCCEEDED")


def test_the_device_of_this_process_is_that_of_its_engine(tmp_path: Path) -> None:
    engine = SimpleNamespace(device="cuda:1")
    made: list[Any] = []
    executor = local_executor(own_facts("null", None, tmp_path), lambda: made[0] if made else None)
    assert [worker.device for worker in executor.workers()] == [""]
    made.append(engine)
    assert [worker.device for worker in executor.workers()] == ["cuda:1"]
    assert executor.drain(LOCAL_WORKER).device == "cuda:1"


def test_a_server_tells_the_device_of_the_engine_that_it_made(tmp_path: Path) -> None:
    queue = make_queue(own_facts("null", None, tmp_path), lambda: SimpleNamespace(device="xpu:0"))  # type: ignore[arg-type, return-value]
    try:
        assert [worker.device for worker in queue.workers()] == [""]
        queue.runner.render.engine()  # type: ignore[attr-defined]
        assert [worker.device for worker in queue.workers()] == ["xpu:0"]
    finally:
        assert queue.close(WAIT_S)


def test_the_memory_of_the_process_and_of_a_gpu_without_torch() -> None:
    total, used = device_memory("cpu")
    assert 0 <= used <= total
    assert device_memory("cuda:99") == (0, 0) or device_memory("cuda:99")[0] > 0


def of_size(name: str, width: int | None = 512, **changes: str) -> Job:
    settings = '{"prompts": {"0": "a <lora:snow:0.5> hill"}' + (f', "W": {width}}}' if width else "}")
    return replace(JOB, id=name, settings_json=settings, **changes)


class TestLockstep:
    """Which jobs this process renders at the same time."""

    def test_jobs_of_one_checkpoint_and_size_run_together(self) -> None:
        executor = LocalExecutor(model="base", in_lockstep=3)
        assert [worker.id for worker in executor.workers()] == ["local", "local-2", "local-3"]
        for worker, job in (("local-2", of_size("a")), ("local", of_size("b", None))):
            assert executor.choose(worker, [job]) is job
            executor.take(worker, job)
            assert executor.choose(worker, [of_size("c")]) is None, "it is busy"
        named = replace(of_size("c"), overrides_json='{"sd_model_checkpoint": "base"}')
        assert executor.choose("local-3", [named]) is named, "which is the one that is loaded"

    @pytest.mark.parametrize(
        "other",
        [
            of_size("x", 768),
            of_size("x", overrides_json='{"sd_model_checkpoint": "photo"}'),
            of_size("x", overrides_json='{"sd_vae": "sharp"}'),
            of_size("x", kind="upscale"),
            replace(of_size("x"), settings_json='{"W": 512, "prompts": {"0": "a <lora:snow:0.7> hill"}}'),
        ],
        ids=["size", "checkpoint", "vae", "tool", "lora"],
    )
    def test_another_job_waits_and_those_behind_it_do_not_overtake_it(self, other: Job) -> None:
        executor = LocalExecutor(model="base", in_lockstep=2)
        executor.take("local", of_size("a"))
        assert executor.choose("local-2", [other, of_size("b")]) is None
        executor.free("local")
        assert executor.choose("local-2", [other, of_size("b")]) is other
        executor.take("local-2", other)
        assert executor.choose("local", [of_size("b")]) is None
        again = replace(other, id="y")
        assert executor.choose("local", [again]) is (None if other.is_tool else again)

    def test_a_drained_place_stays_empty(self) -> None:
        executor = LocalExecutor(in_lockstep=2)
        executor.start(lambda *_: None, lambda: None)  # type: ignore[arg-type, return-value]
        assert executor.drain("local-2").state == "drained"
        assert executor.choose("local-2", [of_size("a")]) is None
        assert executor.choose("local", [of_size("a")]) is not None
        executor.undrain("local-2")
        assert executor.choose("local-2", [of_size("a")]) is not None

    def test_the_queue_keeps_its_order(self, renderer: Renderer) -> None:
        queue = JobQueue(renderer.check, renderer.render, executor=LocalExecutor(in_lockstep=3))
        try:
            renderer.gate.clear()
            sizes = (512, 512, 768, 512)
            jobs = queue.submit([{"batch_name": f"{i}", "W": size} for i, size in enumerate(sizes)])
            until(lambda: len(renderer.runs) == 2)
            assert {worker.job for worker in queue.workers()} == {jobs[0].id, jobs[1].id, None}
            queue.runner.wake()
            renderer.gate.set()
            until(lambda: all(queue.job(job.id).status == "SUCCEEDED" for job in jobs))
            assert [name for name, _ in renderer.runs][2:] == ["2", "3"]
            assert renderer.most_at_once == 2
        finally:
            assert queue.close(WAIT_S)


def test_all_jobs_that_run_are_named_when_they_are_parked(jobs: JobQueue, renderer: Renderer) -> None:
    renderer.gate.clear()
    submitted = [job.id for job in jobs.submit([{}, {}, {}, {"motion_preview_mode": True}])]
    first, second, _, preview = submitted
    until(lambda: jobs.runner.running == (first, preview))
    said = parked_sentences(jobs.store, (first, second))
    assert [getattr(text, "code", "") for text in said] == ["parked_unstarted"] * 2 + ["jobs_left"]
    assert [job_id for job_id in submitted if any(job_id in text for text in said)] == [first, second]
    renderer.gate.set()
