"""Jobs in lockstep: what is joined into a batch, who waits for whom, and images that equal those of a job alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue.jobs import JobQueue
from deforum_helpers.core.errors import Cancelled, NotFinite
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import FreeU, GenerateRequest
from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.engines.diffusion.families import Scales
from deforum_helpers.engines.diffusion.lockstep import JoinedFamily, Lockstep, Place, PlacedEngine, _Join
from deforum_helpers.engines.memory import memory_notes
from deforum_helpers.image.types import Image
from deforum_helpers.models.devices import DeviceMemory
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.render.state import decode_state
from tests.api.fake_renderer import WAIT_S

RequestMaker = Callable[..., GenerateRequest]
TinyMaker = Callable[[str], Path]

# No test gets there: evaluations wait for every job that has a place, however slow the machine is.
FOREVER_S = 3600.0
# The largest difference between images in float32 that docs/scaling.md promises, a quarter of an 8-bit level.
TOLERANCE = 1e-3


class Network:
    """Doubles numbers, and notes the batches; `fails` tells for which batches it raises."""

    def __init__(self, fails: Callable[[Sequence[int]], bool] = lambda batch: False) -> None:
        self.batches: list[list[int]] = []
        self.fails = fails

    def __call__(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        if self.fails(batch):
            raise ValueError(f"no {batch}")
        return [2 * number for number in batch]

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


def started(lockstep: Lockstep, jobs: Sequence[Callable[[Place], Any]]) -> list[Future[Any]]:
    """Run each job on a thread of its own; all have their places before the first begins."""
    held = [ExitStack() for _ in jobs]
    places = [stack.enter_context(lockstep.place()) for stack in held]

    def run(number: int) -> Any:
        with held[number]:
            return jobs[number](places[number])

    pool = ThreadPoolExecutor(len(jobs))
    futures = [pool.submit(run, number) for number in range(len(jobs))]
    pool.shutdown(wait=False)
    return futures


def together(lockstep: Lockstep, *jobs: Callable[[Place], Any]) -> list[Any]:
    return [future.result() for future in started(lockstep, jobs)]


def until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.001)


def asking(
    network: Network,
    *numbers: int,
    key: Hashable = "key",
    first: bool = False,
    cancel: CancelToken | None = None,
) -> Callable[[Place], list[int]]:
    """A job that has the network evaluate these numbers, one after another."""

    def job(place: Place) -> list[int]:
        token = cancel or CancelToken()
        return [
            place.lockstep.evaluated(place, key, number, network, token, first=first) for number in numbers
        ]

    return job


class TestEvaluations:
    def test_those_of_all_jobs_become_one_batch(self) -> None:
        network = Network()
        answers = together(
            Lockstep(FOREVER_S), *(asking(network, *range(job, job + 40, 10)) for job in range(3))
        )
        assert network.batches == [[0, 1, 2], [10, 11, 12], [20, 21, 22], [30, 31, 32]]
        assert answers[2] == [4, 24, 44, 64]

    def test_a_job_that_ends_leaves_the_batch(self) -> None:
        network = Network()
        together(Lockstep(FOREVER_S), *(asking(network, *range(count)) for count in (1, 2, 4)))
        assert network.sizes == [3, 2, 1, 1]

    def test_unlike_ones_run_one_after_another(self) -> None:
        network = Network()
        small = [asking(network, 1, 2), asking(network, 3, 4)]
        answers = together(Lockstep(FOREVER_S), *small, asking(network, 5, 6, key="other shape"))
        assert sorted(map(sorted, network.batches)) == [[1, 3], [2, 4], [5], [6]]
        assert answers == [[2, 4], [6, 8], [10, 12]]

    def test_a_job_that_is_behind_catches_up(self) -> None:
        network = Network()

        def behind(place: Place) -> None:
            asking(network, 1, key="encode", first=True)(place)
            asking(network, 2)(place)

        together(Lockstep(FOREVER_S), asking(network, 3), behind)
        assert network.batches == [[1], [3, 2]]

    def test_a_job_that_does_other_work_is_waited_for_only_so_long(self) -> None:
        network, now = Network(), [0.0]
        lockstep = Lockstep(patience_s=5.0, clock=lambda: now[0])
        with lockstep.place():
            (job,) = started(lockstep, [asking(network, 1)])
            now[0] = 4.0
            assert not job.done()
            now[0] = 5.0
            job.result()
        assert network.sizes == [1]

    def test_by_default_as_long_as_the_last_evaluation_took(self) -> None:
        network, now = Network(), [0.0]
        lockstep = Lockstep(clock=lambda: now[0])

        def slow(batch: Sequence[int]) -> list[int]:
            now[0] += 0.25
            return network(batch)

        with lockstep.place() as place:
            lockstep.evaluated(place, "key", 1, slow, CancelToken())
            (job,) = started(lockstep, [asking(network, 2)])  # its answer waits for the place above
            now[0] += 0.25
            job.result()
        assert network.sizes == [1, 1]

    def test_a_cancelled_job_leaves_at_once_and_the_others_go_on(self) -> None:
        network, token, lockstep = Network(), CancelToken(), Lockstep(FOREVER_S)
        with lockstep.place() as last:
            cancelled, other = started(lockstep, [asking(network, 1, cancel=token), asking(network, 2)])
            token.cancel()
            with pytest.raises(Cancelled):
                cancelled.result()
            asking(network, 3)(last)
            assert other.result() == [4]
        assert [sorted(batch) for batch in network.batches] == [[2, 3]]

    def test_an_error_reaches_the_job_that_causes_it(self) -> None:
        network = Network(lambda batch: 2 in batch)
        good, bad, also_good = started(
            Lockstep(FOREVER_S), [asking(network, 1, 10), asking(network, 2), asking(network, 3, 30)]
        )
        with pytest.raises(ValueError, match=r"no \[2\]"):
            bad.result()
        assert (good.result(), also_good.result()) == ([2, 20], [6, 60])
        assert network.batches == [[1, 2, 3], [1], [2], [3], [10, 30]], "others are joined as before"

    def test_a_batch_that_is_too_large_is_halved_from_then_on(self) -> None:
        network = Network(lambda batch: len(batch) > 2)
        lockstep = Lockstep(FOREVER_S)
        together(lockstep, *(asking(network, job, job + 10) for job in range(4)))
        assert network.sizes == [4, 1, 1, 1, 1, 2, 2]
        network.batches.clear()
        together(lockstep, *(asking(network, job) for job in range(2)))
        assert network.sizes == [2]


class TestTheModel:
    """Which jobs have it at the same time."""

    def test_jobs_with_one_key_share_it_and_it_is_prepared_once(self) -> None:
        lockstep, prepared, token = Lockstep(FOREVER_S), [], CancelToken()
        meet = threading.Barrier(3)

        def job(place: Place) -> Any:
            with lockstep.turn(place, "key", token):
                meet.wait(60)
                return lockstep.prepared(place, lambda: prepared.append(1) or object(), token)

        first, *others = together(lockstep, job, job, job)
        assert all(model is first for model in others)
        assert len(prepared) == 1

    def test_a_model_that_cannot_be_prepared_is_tried_again_by_the_next_job(self) -> None:
        lockstep, token = Lockstep(), CancelToken()

        def broken() -> Any:
            raise ValueError("no model")

        with lockstep.place() as one, lockstep.place() as other:
            with pytest.raises(ValueError), lockstep.turn(one, "key", token):
                lockstep.prepared(one, broken, token)
            with lockstep.turn(other, "key", token):
                assert lockstep.prepared(other, lambda: "model", token) == "model"

    @pytest.mark.parametrize("key", ["other key", None])
    def test_a_job_with_another_key_waits_and_nobody_waits_for_it(self, key: str | None) -> None:
        network, lockstep, log = Network(), Lockstep(FOREVER_S), []

        def other(place: Place) -> None:
            with lockstep.turn(place, key, CancelToken()):
                log.append("other")

        with lockstep.place() as place:
            with lockstep.turn(place, "key", CancelToken()):
                (waiting,) = started(lockstep, [other])
                asking(network, 1)(place)  # returns once the other job waits for its turn
                log.append("this")
            waiting.result()
        assert log == ["this", "other"]

    def test_a_job_is_cancelled_while_it_waits(self) -> None:
        lockstep, token = Lockstep(), CancelToken()

        def other(place: Place) -> None:
            with lockstep.turn(place, None, token):
                raise AssertionError("it was not its turn")

        with lockstep.place() as place, lockstep.turn(place, "key", CancelToken()):
            (waiting,) = started(lockstep, [other])
            token.cancel()
            with pytest.raises(Cancelled):
                waiting.result()

    def test_those_that_came_before_have_it_before(self) -> None:
        lockstep, log = Lockstep(), []

        def job(name: str, key: str) -> Callable[[Place], None]:
            def run(place: Place) -> None:
                with lockstep.turn(place, key, CancelToken()):
                    log.append(name)

            return run

        with lockstep.place() as place:
            with lockstep.turn(place, "a", CancelToken()):
                (b,) = started(lockstep, [job("b", "b")])
                until(lambda: len(lockstep._entrance) == 1)
                (a,) = started(lockstep, [job("a", "a")])  # has the key of the one inside, but came later
                until(lambda: len(lockstep._entrance) == 2)
            a.result()
            b.result()
        assert log == ["b", "a"]


def engine_of(folder: Path) -> DiffusionEngine:
    engine = make_engine("diffusers", checkpoint=str(folder), device="cpu")
    engine._lockstep = Lockstep(FOREVER_S)
    return engine


def rendered(engine: DiffusionEngine, jobs: Sequence[Sequence[GenerateRequest]]) -> list[list[Image]]:
    """Return the images of jobs in lockstep."""

    def job(requests: Sequence[GenerateRequest]) -> Callable[[Place], list[Image]]:
        def run(place: Place) -> list[Image]:
            placed = PlacedEngine(engine, place)
            return [placed.generate(request, CancelToken()) for request in requests]

        return run

    return together(engine._lockstep, *(job(requests) for requests in jobs))


def alone(engine: DiffusionEngine, jobs: Sequence[Sequence[GenerateRequest]]) -> list[list[Image]]:
    return [[engine.generate(request, CancelToken()) for request in requests] for requests in jobs]


class TestImages:
    def test_a_model_that_does_not_fit_as_a_whole_is_had_in_turn(
        self, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        """Its parts are moved for one job, so no other may use them; each job sees what the memory lacks."""
        folder, memory = str(tiny("sd1")), DeviceMemory(1, 1)
        engine = DiffusionEngine(folder, device="cpu", offload="model", memory=lambda device: memory)
        jobs = [[request_for(seed=seed, steps=2) for _ in range(2)] for seed in (1, 2)]
        found = rendered(engine, jobs)
        for images, expected in zip(found, alone(engine, jobs), strict=True):
            assert all(torch.equal(one, other) for one, other in zip(images, expected, strict=True))
        with engine.place() as placed:
            assert memory_notes(placed) == engine.memory_notes != ()

    def test_jobs_unlike_each_other_get_the_images_that_they_get_alone(
        self, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        engine = engine_of(tiny("sd1"))
        init = torch.rand(3, 48, 32, generator=torch.Generator().manual_seed(5))
        changed: dict[str, Any] = {"init_image": init}
        jobs = [
            [request_for(), request_for(seed=2, **changed, denoising_strength=0.5)],
            [
                request_for(seed=3, steps=3, cfg_scale=1.0, sampler="Euler a"),
                request_for(seed=4, steps=6, **changed, denoising_strength=0.8, noise_source="inverted"),
            ],
            [
                request_for(seed=5, steps=5, prompt="red snow", sampler="DPM++ 2M"),
                request_for(seed=6, mask=torch.ones(48, 32), **changed, denoising_strength=0.7),
            ],
        ]
        expected = alone(engine, jobs)
        evaluated: list[int] = []
        network = engine._loaded[1].network
        network.register_forward_pre_hook(lambda _network, inputs: evaluated.append(len(inputs[0])))
        for image, single in zip(chain(*rendered(engine, jobs)), chain(*expected), strict=True):
            assert (image - single).abs().max() <= TOLERANCE
        assert evaluated[:3] == [5, 5, 5], "of two jobs with CFG and one without"

    def test_a_job_with_nobody_beside_it_gets_the_same_bits(
        self, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        engine = engine_of(tiny("sd1"))
        jobs = [[request_for(), request_for(seed=2)]]
        (expected,), (images,) = alone(engine, jobs), rendered(engine, jobs)
        assert all(torch.equal(image, wanted) for image, wanted in zip(images, expected, strict=True))

    def test_what_changes_the_network_is_no_concern_of_the_others(
        self, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        engine = engine_of(tiny("sd1"))
        jobs = [
            [request_for(seed=1), request_for(seed=2)],
            [request_for(seed=3, tiling=True), request_for(seed=4, freeu=FreeU(1.3, 1.4, 0.9, 0.2))],
        ]
        expected, images = alone(engine, jobs), rendered(engine, jobs)
        for image, single in zip(chain(*images), chain(*expected), strict=True):
            assert torch.equal(image, single)

    def test_an_image_that_is_not_finite_is_the_error_of_its_own_job(
        self, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        engine = engine_of(tiny("sd1"))
        good = [request_for(seed=1)]
        ((expected,),) = alone(engine, [good])
        broken = request_for(seed=2, init_image=torch.full((3, 48, 32), torch.nan), denoising_strength=0.5)

        def run(request: GenerateRequest) -> Callable[[Place], Image]:
            return lambda place: PlacedEngine(engine, place).generate(request, CancelToken())

        image, error = started(engine._lockstep, [run(good[0]), run(broken)])
        with pytest.raises(NotFinite):
            error.result()
        assert (image.result() - expected).abs().max() <= TOLERANCE

    @pytest.mark.parametrize("kind", ["sdxl", "lcm", "sd35", "flux", "z-image", "chroma", "qwen-image"])
    def test_every_family_has_a_time_and_a_prompt_for_each_sample(
        self, kind: str, tiny: TinyMaker, request_for: RequestMaker
    ) -> None:
        engine = engine_of(tiny(kind))
        alone(engine, [[request_for(steps=1)]])
        model = engine._loaded[1]
        generator = torch.Generator().manual_seed(0)
        shape = (1, model.autoencoder.channels, 16, 8)
        with torch.no_grad(), engine._lockstep.place() as place:
            samples = [
                (
                    torch.randn(shape, generator=generator),
                    torch.tensor(time),
                    model.family.encode(prompt, 1),
                    Scales(3.0, 3.5),
                )
                for time, prompt in ((900.0, "red hill"), (100.0, "red snow"))
            ]
            family = JoinedFamily(model.family, _Join(place, CancelToken()))
            joined = family._predicted(samples)
            for output, sample in zip(joined, samples, strict=True):
                expected = model.family.predict(*sample)
                assert expected.abs().max() > 1e-3
                assert (output - expected).abs().max() <= 1e-4 * expected.abs().max()


FRAMES = 3
SETTINGS = {
    "W": 64,
    "H": 64,
    "max_frames": FRAMES,
    "diffusion_cadence": 1,
    "steps": 3,
    "sampler": "Euler",
    "prompts": {"0": "a hill"},
    "skip_video_creation": True,
}
# One level of 8 bits in the first frame can become more in those that are made of it.
MOST_LEVELS = 2


@contextmanager
def serving(model: Path, folder: Path, jobs_at_once: int) -> Iterator[tuple[JobQueue, DiffusionEngine]]:
    engine = DiffusionEngine(str(model), device="cpu")
    engine._lockstep = Lockstep(patience_s=WAIT_S)
    facts = own_facts("diffusers", str(model), folder)

    def flag(name: str, default: Any) -> Any:
        return jobs_at_once if name == "deforum_lockstep" else default

    queue = make_queue(facts, lambda: engine, flag=flag)
    try:
        yield queue, engine
    finally:
        assert queue.close(WAIT_S)
        queue.store.close()


def frames(queue: JobQueue, job_id: str) -> list[np.ndarray]:
    job = queue.job(job_id)
    run = Run(Path(job.outdir or ""), job.timestring or "")
    return [read_frame(run.frame_path(frame)) for frame in range(FRAMES)]


def test_jobs_run_at_the_same_time_and_one_that_is_cancelled_leaves_the_others(
    tiny: TinyMaker, tmp_path: Path
) -> None:
    model = tiny("sd1")
    first, second = {"seed": 1}, {"seed": 2, "strength_schedule": "0: (0.4)", "cfg_scale_schedule": "0: (1)"}
    with serving(model, tmp_path / "alone", 1) as (queue, _):
        jobs = queue.submit([{**SETTINGS, **changes} for changes in (first, second)])
        until(lambda: all(queue.job(job.id).finished for job in jobs))
        expected = [frames(queue, job.id) for job in jobs]
    with serving(model, tmp_path / "lockstep", 3) as (queue, engine):
        begun, sizes = threading.Barrier(3), list[int]()
        enter = engine.place

        @contextmanager
        def together() -> Iterator[Any]:
            with enter() as placed:
                begun.wait(WAIT_S)  # broken unless three jobs run at the same time
                yield placed

        engine.place = together  # type: ignore[method-assign]
        network = engine._model(None, None).network
        network.register_forward_pre_hook(lambda _network, inputs: sizes.append(len(inputs[0])))
        endless = {"seed": 3, "max_frames": 2000}
        one, gone, other = queue.submit([{**SETTINGS, **changes} for changes in (first, endless, second)])
        until(lambda: queue.job(gone.id).frame > FRAMES)
        queue.cancel(gone.id)
        until(lambda: all(queue.job(job.id).finished for job in (one, gone, other)))
        ends = [queue.job(job.id).status for job in (one, gone, other)]
        found = [frames(queue, job.id) for job in (one, other)]
        left = queue.job(gone.id)
    state = Run(Path(left.outdir or ""), left.timestring or "").resume_state_path.read_bytes()
    assert decode_state(state, torch.device("cpu")).made_by == f"diffusers in lockstep with {model}"
    assert ends == ["SUCCEEDED", "CANCELLED", "SUCCEEDED"]
    assert max(sizes) == 5, "two jobs with CFG and one without in one batch"
    for images, alone in zip(found, expected, strict=True):
        for image, single in zip(images, alone, strict=True):
            assert np.abs(image.astype(int) - single.astype(int)).max() <= MOST_LEVELS
