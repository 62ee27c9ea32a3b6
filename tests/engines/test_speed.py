"""What the diffusion engine does once and not again, and what it waits for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deforum_helpers.core.errors import NotFinite
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import FreeU, GenerateRequest
from deforum_helpers.engines.diffusion.acceleration import (
    CHOICES,
    Accelerator,
    CudaMachine,
    StoredTimes,
    Times,
    accelerator_for,
)
from deforum_helpers.engines.diffusion.autoencoder import autoencoder_of
from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.engines.diffusion.loading import prepare_vae

TinyMaker = Callable[[str], Path]
RequestMaker = Callable[..., GenerateRequest]


def engine_of(tiny: TinyMaker, kind: str = "sd1") -> DiffusionEngine:
    engine = make_engine("diffusers", checkpoint=str(tiny(kind)), device="cpu")
    assert isinstance(engine, DiffusionEngine)
    return engine


class Counting(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[func.overloadpacket._qualified_op_name] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["sd1", "sdxl", "flux", "flux2-klein"])
@pytest.mark.parametrize("steps", [2, 5])
def test_one_value_is_read_per_image_however_many_steps(
    tiny: TinyMaker, request_for: RequestMaker, kind: str, steps: int
) -> None:
    """On a GPU, reading a value waits for all of its work; this one tells whether the image holds NaN."""
    engine = engine_of(tiny, kind)
    init = torch.rand(3, 48, 32)
    request = request_for(steps=steps, init_image=init, denoising_strength=1.0, sampler="DPM++ 2M")
    engine.generate(request, CancelToken())
    with Counting() as counting:
        engine.generate(request, CancelToken())
    assert counting.counts["aten::_local_scalar_dense"] == 1


@pytest.mark.parametrize(("cfg_scale", "expected"), [(1.0, 1), (5.0, 2)])
def test_the_negative_prompt_is_left_out_at_a_cfg_scale_of_1(
    tiny: TinyMaker, request_for: RequestMaker, cfg_scale: float, expected: int
) -> None:
    engine = engine_of(tiny)
    request = request_for(cfg_scale=cfg_scale)
    engine.generate(request, CancelToken())
    assert engine._loaded is not None
    batches: list[int] = []
    engine._loaded[1].network.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    engine.generate(request, CancelToken())
    assert batches == [expected] * request.steps


class FakeMachine:
    """Repeats functions in place of recording them; the time of an evaluation depends on its way.

    Args:
        fails: the way that cannot be prepared.
        traces: whether torch's compiler traces the network, which it counts; it makes no kernels.
    """

    def __init__(self, fails: str = "", traces: bool = False) -> None:
        self.speed_s = {"plain": 1.0, "graph": 0.7, "compiled": 0.5}
        self.traces = traces
        self.fails = fails
        self.way = "plain"
        self.captured: list[str] = []

    def capture(self, forward: Any, args: Any, kwargs: Any) -> Any:
        if self.fails == "graph":
            raise RuntimeError("no recording")
        if self.way != "compiled":
            self.way = "graph"
        self.captured.append(self.way)
        return forward

    def compile(self, forward: Any) -> Any:
        if self.fails == "compiled":
            raise RuntimeError("no compiler")
        self.way = "compiled"
        return torch.compile(forward, backend="eager", dynamic=False) if self.traces else forward

    def stopwatch(self) -> Any:
        def stop() -> Any:
            seconds = self.speed_s[self.way]
            return lambda: seconds

        return stop


@pytest.fixture
def accelerated(tiny: TinyMaker, tmp_path: Path) -> Callable[..., tuple[DiffusionEngine, FakeMachine]]:
    def make(kind: str = "sd1", way: str = "auto", **changes: Any) -> tuple[DiffusionEngine, FakeMachine]:
        engine, machine = engine_of(tiny, kind), FakeMachine(**changes)
        engine._accelerator = Accelerator(
            machine, engine.device, StoredTimes(tmp_path / "times.json"), CHOICES[way]
        )
        return engine, machine

    return make


AcceleratedMaker = Callable[..., tuple[DiffusionEngine, FakeMachine]]


@pytest.mark.parametrize("kind", ["sd1", "flux2-klein"])
def test_a_whole_video_is_compiled_once(
    accelerated: AcceleratedMaker, tiny: TinyMaker, request_for: RequestMaker, kind: str
) -> None:
    """Strength, CFG scale and prompt change from frame to frame, and with them only the content of tensors."""
    torch._dynamo.reset()
    engine, machine = accelerated(kind, "always", traces=True)
    plain, init, traced = engine_of(tiny, kind), torch.rand(3, 48, 32), []
    counters = torch._dynamo.utils.counters
    for frame in range(5):
        request = request_for(
            seed=frame,
            cfg_scale=2.0 + frame,
            denoising_strength=0.4 + 0.1 * frame,
            init_image=init,
            prompt=("a hill", "snow")[frame % 2],
        )
        image = engine.generate(request, CancelToken())
        torch.testing.assert_close(image, plain.generate(request, CancelToken()), atol=1e-5, rtol=0)
        traced.append(counters["stats"]["unique_graphs"])
        init = image
    assert machine.captured == ["compiled"]
    assert traced[0] > 0
    assert set(traced) == {traced[0]}


def test_the_way_pays_for_its_preparation(
    accelerated: AcceleratedMaker, request_for: RequestMaker, tmp_path: Path
) -> None:
    engine, machine = accelerated()

    def generate(steps_ahead: int) -> list[str]:
        engine.generate(request_for(steps_ahead=steps_ahead), CancelToken())
        return machine.captured

    assert generate(10_000) == [], "the plain way is timed first"
    assert generate(5) == [], "2 s of preparation save 0.3 s each"
    assert generate(50) == ["graph"]
    machine.way = "plain"
    assert generate(10_000) == ["graph", "compiled"]
    generate(10_000)
    generate(10_000)
    (entry,) = json.loads((tmp_path / "times.json").read_text()).values()
    assert entry["plain"] == [0.0, 1.0]
    assert entry["compiled"][1] == 0.5
    later, machine = accelerated()
    later.generate(request_for(steps_ahead=10_000), CancelToken())
    assert machine.captured == ["compiled"], "the times of the last start are known"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', '{"a": {"plain": ["x", -1]}}'])
def test_a_damaged_store_is_empty(tmp_path: Path, content: str) -> None:
    path = tmp_path / "deeper" / "times.json"
    path.parent.mkdir()
    path.write_text(content)
    store = StoredTimes(path)
    assert store.get("a") == {}
    store.put("a", {"graph": Times(2.0, 0.1)})
    store.put("a", {"plain": Times(0.0, 0.2)})
    assert StoredTimes(path).get("a") == {"graph": Times(2.0, 0.1), "plain": Times(0.0, 0.2)}


@pytest.mark.parametrize("fails", ["graph", "compiled"])
def test_a_machine_that_cannot_prepare_goes_on_without(
    accelerated: AcceleratedMaker,
    tiny: TinyMaker,
    request_for: RequestMaker,
    fails: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine, machine = accelerated("sd1", "always", fails=fails)
    request = request_for()
    expected = engine_of(tiny).generate(request, CancelToken())
    for _ in range(3):
        assert torch.equal(engine.generate(request, CancelToken()), expected)
    assert machine.captured == []
    assert len([record for record in caplog.records if "faster evaluations" in record.message]) == 1


def test_what_changes_the_network_is_evaluated_plainly(
    accelerated: AcceleratedMaker, tiny: TinyMaker, request_for: RequestMaker
) -> None:
    engine, machine = accelerated("sd1", "always")
    for changes in ({"freeu": FreeU(1.1, 1.2, 0.9, 0.2)}, {"tiling": True}):
        request = request_for(**changes)
        image = engine.generate(request, CancelToken())
        assert torch.equal(image, engine_of(tiny).generate(request, CancelToken()))
    assert machine.captured == []


def test_graphs_of_other_weights_are_dropped(
    accelerated: AcceleratedMaker, request_for: RequestMaker
) -> None:
    engine, machine = accelerated("sd1", "always")
    engine.generate(request_for(), CancelToken())
    assert engine._loaded is not None
    network = engine._loaded[1].network
    assert "forward" not in vars(network)
    for weight in network.parameters():
        weight.data = weight.data.clone()
    engine.generate(request_for(), CancelToken())
    engine.generate(request_for(), CancelToken())
    assert machine.captured == ["compiled", "compiled"]


def test_only_cuda_is_accelerated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert accelerator_for(torch.device("cpu")) is None
    monkeypatch.setenv("DEFORUM_COMPILE", "never")
    assert accelerator_for(torch.device("cuda")) is None


def test_a_tiny_autoencoder_takes_the_place_of_the_full_one(
    tiny: TinyMaker, request_for: RequestMaker, tmp_path: Path
) -> None:
    small = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    small.save_pretrained(tmp_path / "small")
    engine = engine_of(tiny)
    image = engine.generate(request_for(vae=str(tmp_path / "small")), CancelToken())
    assert image.shape == (3, 48, 32)
    assert engine._loaded is not None
    assert isinstance(engine._loaded[1].autoencoder.vae, diffusers.AutoencoderTiny)
    again = request_for(vae=str(tmp_path / "small"), init_image=image, denoising_strength=0.5)
    assert engine.generate(again, CancelToken()).shape == (3, 48, 32)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["sd1", "sdxl", "flux", "flux2-klein"])
@pytest.mark.parametrize("way", ["graph", "compiled"])
def test_gpu_graphs_repeat_the_plain_evaluations(
    tiny: TinyMaker, request_for: RequestMaker, tmp_path: Path, kind: str, way: str
) -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    plain, fast = (make_engine("diffusers", checkpoint=str(tiny(kind)), device=str(device)) for _ in range(2))
    assert isinstance(plain, DiffusionEngine)
    assert isinstance(fast, DiffusionEngine)
    plain._accelerator = None
    fast._accelerator = Accelerator(CudaMachine(device), device, StoredTimes(tmp_path / "times.json"), (way,))
    for seed in range(3):
        request = request_for(seed=seed, cfg_scale=2.0 + seed)
        expected, found = (engine.generate(request, CancelToken()) for engine in (plain, fast))
        torch.testing.assert_close(found, expected, atol=0 if way == "graph" else 0.02, rtol=0)
    (shape,) = fast._accelerator._shapes.values()
    assert set(shape.ready) == {way}


@pytest.mark.parametrize(("asked", "expected"), [(None, torch.float16), (True, torch.float32)])
def test_a_vae_runs_in_float32_where_its_own_configuration_asks(
    asked: bool | None, expected: torch.dtype
) -> None:
    options = {} if asked is None else {"force_upcast": asked}
    vae = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, **options).half()
    prepare_vae(vae)
    assert vae.dtype == expected


def test_an_image_that_overflows_in_half_precision_is_decoded_in_float32() -> None:
    vae = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4).half()
    with torch.no_grad():
        vae.post_quant_conv.weight.mul_(200)
    before = {name: weight.clone() for name, weight in vae.state_dict().items()}
    autoencoder = autoencoder_of(vae)
    with torch.no_grad():
        latents = torch.full((1, 4, 4, 4), 500.0)
        assert not torch.isfinite(autoencoder._decoded_in(latents, torch.float16)).all()
        image = autoencoder.decode(latents)
        assert torch.isfinite(image).all()
        with pytest.raises(NotFinite):
            autoencoder.decode(torch.full((1, 4, 4, 4), float("nan")))
    assert vae.dtype == torch.float16
    assert all(torch.equal(weight, before[name]) for name, weight in vae.state_dict().items())
