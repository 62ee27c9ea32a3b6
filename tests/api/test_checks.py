"""Checks in programs of their own: their line, their limits, their cost, and that nobody else waits for them."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.queue.checks import processes as checking_programs
from deforum_api.queue.checks.check_process import host_facts, plain_facts
from deforum_api.queue.checks.processes import CheckerPool, CheckerProcess, ClientGone
from deforum_api.queue.checks.request import (
    MOST_ANSWER_BYTES,
    CheckRequest,
    CheckResult,
    batch_body,
    run_check,
)
from deforum_api.queue.errors import MOST_PROBLEMS, ApiError, Busy, QueueClosed, TooLarge
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.submission import SCHEDULES
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.settings.files import RepeatingObject
from tests.api.fake_renderer import SMALL, WAIT_S, Renderer, serving, submit

# Many seconds of planning on any machine.
LARGE = {"max_frames": 100_000, "W": 64, "H": 64, "animation_mode": "3D", "prompts": {"0": "a"}}


def batch(*settings: dict[str, Any], overrides: dict[str, Any] | None = None) -> CheckRequest:
    return CheckRequest("submit", batch_body(settings, overrides), 100)


def large() -> CheckRequest:
    return batch(*[LARGE] * 5)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[CheckerPool]:
    made = CheckerPool(lambda: own_facts("null", None, tmp_path), most_waiting=2)
    yield made
    made.close()


class Asked:
    """A question that another thread waits for."""

    def __init__(self, pool: CheckerPool, question: CheckRequest) -> None:
        self.gone = threading.Event()
        self._pool = pool
        self._question = question
        self._thread = threading.Thread(target=self._ask)
        self.outcome: Any = None
        self._thread.start()

    def _ask(self) -> None:
        try:
            self.outcome = self._pool.examine(self._question, self.gone)
        except (ApiError, ClientGone) as error:
            self.outcome = error

    def ended(self) -> Any:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        return self.outcome


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def planning(pool: CheckerPool) -> bool:
    """Whether a large question has a program of its own."""
    return pool._slots_of_large._slots == 0 and pool._slots_of_all._slots < checking_programs.PROCESSES


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[CheckerProcess]:
    """Every program that is started."""
    started: list[CheckerProcess] = []

    class Noted(CheckerProcess):
        def __init__(self) -> None:
            super().__init__()
            started.append(self)

    monkeypatch.setattr(checking_programs, "CheckerProcess", Noted)
    return started


def test_a_good_batch_comes_back_as_its_records_need_it(pool: CheckerPool) -> None:
    repeating = RepeatingObject({**SMALL, "unheard_of": 1})
    repeating.repeated = ("W",)
    prompts = RepeatingObject({"0": "a"})
    prompts.repeated = ("0",)
    repeating["prompts"] = prompts
    found = pool.examine(batch(repeating, SMALL, overrides={"deforum_ffmpeg_crf": 3}))
    first, second = found.jobs
    assert json.loads(second.settings_json) == SMALL
    assert json.loads(found.overrides_json) == {"deforum_ffmpeg_crf": 3}
    assert (first.frames, second.warnings) == (4, ())
    assert any("unheard_of" in warning for warning in first.warnings)
    for name in ("'W'", "prompts contains '0'"):
        assert any(name in warning and "more than once" in warning for warning in first.warnings)


def test_programs_find_what_the_asking_thread_would_find(pool: CheckerPool, tmp_path: Path) -> None:
    facts = own_facts("null", None, tmp_path)
    for question in (
        batch({**SMALL, "W": 1, "zoom": "0: (", "batch_name": "é\n\x00"}),
        batch(SMALL, overrides={"nonsense": 1}),
        CheckRequest("submit", b'{"deforum_settings": {}, "priority": 12}', 100),
        CheckRequest("submit", b'{"deforum_settings": [1], "priority": "high"}', 100),
        CheckRequest("validate", batch_body([SMALL | {"seed": 3}, {"W": 0}], None), 100, series=True),
        CheckRequest("run", b"settings_json=%7B%22seed%22:1%7D&allowed_params=seed", 100, is_form=True),
        CheckRequest("run", b"[]", 100, arguments={"settings_json": None, "allowed_params": None}),
        CheckRequest("submit", b"{", 100),
        batch(*[SMALL] * 101),
    ):
        here = outcome(lambda asked: run_check(asked, lambda *a, **_: prepare(a[0], facts, a[1])), question)
        assert outcome(pool.examine, question) == here


def outcome(examine: Callable[[CheckRequest], CheckResult], question: CheckRequest) -> Any:
    try:
        found = examine(question)
    except ApiError as error:
        return error.code, error.envelope(), error.headers
    return found.answer, found.terms, [job.frames for job in found.jobs]


def test_facts_of_a_host_are_the_same_on_the_other_side(tmp_path: Path) -> None:
    facts = own_facts("diffusers", str(tmp_path / "model.safetensors"), tmp_path)
    (tmp_path / "loras").mkdir()
    there = host_facts(json.loads(json.dumps(plain_facts(facts))))
    assert plain_facts(there) | {"free_bytes": 0} == plain_facts(facts) | {"free_bytes": 0}
    assert there.fetcher.cache.folder == facts.fetcher.cache.folder
    assert (there.options, there.controlnet, there.samplers) == (
        facts.options,
        facts.controlnet,
        facts.samplers,
    )


def test_what_takes_long_leaves_a_program_to_others_and_ends_with_its_client(
    pool: CheckerPool, programs: list[CheckerProcess]
) -> None:
    long = Asked(pool, large())
    until(lambda: planning(pool))
    behind = [Asked(pool, large()) for _ in range(2)]
    assert len(pool.examine(batch(SMALL)).jobs) == 1
    assert not any(one.outcome for one in (long, *behind))
    until(lambda: len(pool._slots_of_large._waiting) == 2)
    with pytest.raises(Busy):
        pool.examine(large())
    before = len(programs)
    for one in (*behind, long):
        one.gone.set()
    assert {type(one.ended()) for one in (long, *behind)} == {ClientGone}
    assert len(programs) == before, "those who still waited were never begun"
    assert [program.alive for program in programs].count(False) == 1
    assert len(pool.examine(batch(SMALL)).jobs) == 1


def test_what_takes_too_long_is_ended(tmp_path: Path, programs: list[CheckerProcess]) -> None:
    pool = CheckerPool(lambda: own_facts("null", None, tmp_path), longest_check_s=WAIT_S)
    assert pool.examine(batch(SMALL)).jobs
    pool._longest_check_s = 0.5
    with pytest.raises(TooLarge):
        pool.examine(large())
    pool._longest_check_s = WAIT_S
    assert pool.examine(batch(SMALL)).jobs
    pool.close()


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_a_program_that_dies_costs_one_answer(pool: CheckerPool, programs: list[CheckerProcess]) -> None:
    long = Asked(pool, large())
    until(lambda: planning(pool))
    for program in programs:
        with suppress(ProcessLookupError):
            os.killpg(program._program.pid, signal.SIGKILL)
    assert isinstance(long.ended(), ApiError)
    assert pool.examine(batch(SMALL)).jobs


def test_a_queue_that_closes_ends_its_checks(pool: CheckerPool, programs: list[CheckerProcess]) -> None:
    asked = [Asked(pool, large()) for _ in range(2)]
    until(lambda: planning(pool))
    pool.close()
    assert {type(one.ended()) for one in asked} == {QueueClosed}
    until(lambda: not any(program._program.poll() is None for program in programs))
    with pytest.raises(QueueClosed):
        pool.examine(batch(SMALL))


def test_more_frames_than_one_request_may_have_are_refused_before_they_are_planned() -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was planned")

    with pytest.raises(TooLarge, match="500,000"):
        run_check(batch(*[LARGE] * 6), never)
    with pytest.raises(TooLarge):
        run_check(batch({**LARGE, "max_frames": "1000"}, {"max_frames": 120.0}), never) if 0 else run_check(
            CheckRequest(
                "submit", batch_body([{"max_frames": "1000"}], None), 100, most_cells=999 * SCHEDULES
            ),
            never,
        )


TICKS = {"prompts": {str(number): "`" * 19_000 for number in range(100)}}


@pytest.mark.parametrize(
    ("settings", "overrides"),
    [
        ([TICKS], None),
        ([{**SMALL, "seed": f"{'x' * 20_000}"} for _ in range(100)], None),
        ([{f"W{number}": "\x01" * 40 for number in range(4000)}], None),
        ([dict.fromkeys(("zoom", "angle", "strength_schedule"), "\x01" * 1000) for _ in range(60)], None),
        ([SMALL], {f"option {number}": "\x01" * 100 for number in range(60)}),
    ],
    ids=["back-ticks", "long values", "unknown names", "control characters", "options"],
)
def test_an_answer_full_of_problems_is_bounded(
    tmp_path: Path, settings: list[dict[str, Any]], overrides: dict[str, Any] | None
) -> None:
    facts = own_facts("null", None, tmp_path)
    body = batch_body(settings, overrides)

    def check(submitted: Any, overrides: Any, *, resume: str | None = None, kind: str = "") -> Any:
        return prepare(submitted, facts, overrides, resume=resume)

    told = outcome(lambda question: run_check(question, check), CheckRequest("submit", body, 100))
    assert len(json.dumps(told[1])) < MOST_ANSWER_BYTES
    assert len(told[1]["errors"] if isinstance(told[1], dict) else ()) <= MOST_PROBLEMS + 1
    with suppress(TooLarge):
        answer = run_check(CheckRequest("validate", body, 100), check).answer
        assert len(answer) < MOST_ANSWER_BYTES + len(body)


def test_gets_are_answered_while_every_check_waits(renderer: Renderer, jobs: JobQueue) -> None:
    """Fifty requests wait on threads of their own; no answer needs one of those, and the event loop reads no body."""
    going, threads = threading.Event(), set()

    class Waiting:
        def examine(self, question: CheckRequest, gone: threading.Event | None = None) -> CheckResult:
            threads.add(threading.current_thread().name)
            assert going.wait(WAIT_S)
            return CheckResult(answer=b"{}")

        def start(self) -> None:
            pass

        def close(self) -> None:
            pass

    with serving(jobs) as client:
        (job_id,) = submit(client, {"batch_name": "looked at"})
        jobs.checks = Waiting()
        with ThreadPoolExecutor(50) as pool:
            asked = [
                pool.submit(client.post, "/deforum_api/validate", content=b"[" * 1000) for _ in range(50)
            ]
            until(lambda: threads)
            for path in (f"jobs/{job_id}", f"jobs/{job_id}/outputs", "jobs", "health"):
                assert client.get(f"/deforum_api/{path}").status_code == 200
            assert not any(one.done() for one in asked)
            going.set()
            assert {one.result(WAIT_S).status_code for one in asked} == {200}
    assert {name.rpartition("_")[0] for name in threads} == {"deforum-request"}


def test_a_batch_whose_client_has_gone_is_not_queued(client: TestClient, jobs: JobQueue) -> None:
    class Gone:
        def examine(self, question: CheckRequest, gone: threading.Event | None = None) -> CheckResult:
            raise ClientGone

        def start(self) -> None:
            pass

        def close(self) -> None:
            pass

    jobs.checks = Gone()
    assert client.post("/deforum_api/batches", json={"deforum_settings": SMALL}).status_code == 400
    assert client.get("/deforum_api/jobs").json() == {}
