"""Networks that become CUDA graphs, with a recording that needs no GPU."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from deforum_helpers.models import graphs
from deforum_helpers.models.depth import models as depth_models
from deforum_helpers.models.depth.models import CONVENTIONS, TransformersModel, make_model
from deforum_helpers.models.devices import channels_last, half_precision
from deforum_helpers.models.flow import estimators
from deforum_helpers.models.flow.estimators import RaftFlow
from deforum_helpers.models.graphs import MOST_RECORDED, PLAIN_CALLS, RecordedNetwork, Recorder, recorded


class Recording:
    """Stands for `Recorder.record`: counts recordings, and what is replayed of them."""

    def __init__(self) -> None:
        self.shapes: list[torch.Size] = []
        self.replayed = 0

    def __call__(self, forward: graphs.Forward, args: Any, kwargs: Any) -> graphs.Forward:
        self.shapes.append(args[0].shape)

        def replay(*tensors: torch.Tensor) -> Any:
            assert [one.shape for one in tensors] == [one.shape for one in args]
            self.replayed += 1
            return forward(*tensors)

        return replay


def doubled(image: torch.Tensor) -> torch.Tensor:
    return 2 * image


def test_a_shape_that_comes_back_is_recorded_once() -> None:
    record = Recording()
    network = RecordedNetwork(doubled, record, lambda: True)
    for number in range(PLAIN_CALLS + 5):
        image = torch.full((1, 3, 4, 4), float(number))
        assert torch.equal(network(image), 2 * image)
    assert (record.shapes, record.replayed) == ([(1, 3, 4, 4)], 5)


def test_the_shapes_used_last_are_kept() -> None:
    record = Recording()
    network = RecordedNetwork(doubled, record, lambda: True)
    sides = range(1, MOST_RECORDED + 2)
    for side in sides:
        for _ in range(PLAIN_CALLS + 1):
            network(torch.ones(1, side))
    assert len(record.shapes) == len(sides)
    network(torch.ones(1, sides[-1]))
    network(torch.ones(1, 1))  # the first one was dropped, and is counted anew
    assert (len(record.shapes), record.replayed) == (len(sides), len(sides) + 1)


def test_without_room_nothing_is_recorded_and_room_is_looked_for_once() -> None:
    record, asked = Recording(), []
    network = RecordedNetwork(doubled, record, lambda: bool(asked.append(1)))
    for _ in range(3 * PLAIN_CALLS):
        network(torch.ones(1))
    assert (record.shapes, len(asked)) == ([], 1)


def test_a_network_that_cannot_be_recorded_goes_on() -> None:
    tried = []

    def record(*given: Any) -> graphs.Forward:
        tried.append(given)
        raise RuntimeError("operation not permitted when stream is capturing")

    network = RecordedNetwork(doubled, record, lambda: True)
    for _ in range(3 * PLAIN_CALLS):
        assert torch.equal(network(torch.ones(2)), torch.full((2,), 2.0))
    assert len(tried) == 1


def test_only_cuda_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEFORUM_COMPILE", raising=False)
    assert recorded(doubled, "cpu") is recorded(doubled, "mps") is doubled
    assert isinstance(recorded(doubled, "cuda"), RecordedNetwork)
    monkeypatch.setenv("DEFORUM_COMPILE", "never")
    assert recorded(doubled, "cuda") is doubled


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Recording:
    """Networks are recorded on the CPU."""
    record = Recording()
    for module in (depth_models, estimators):
        monkeypatch.setattr(
            module, "recorded", lambda forward, device: RecordedNetwork(forward, record, lambda: True)
        )
    return record


def test_depth_is_the_same_from_a_graph(recording: Recording) -> None:
    image = torch.rand(3, 64, 96)
    model = make_model("demo", "cpu")
    plain = model.answer(image)
    for _ in range(PLAIN_CALLS + 1):
        answer = model.answer(image)
    assert torch.equal(answer, plain)
    assert (len(recording.shapes), recording.replayed) == (1, 2)


class Tiny(torch.nn.Module):
    """A network of transformers, as far as it is used: a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 1, 3, padding=1)

    @property
    def dtype(self) -> torch.dtype:
        return self.layer.weight.dtype

    def forward(self, pixel_values: torch.Tensor) -> Any:
        return type("Answer", (), {"predicted_depth": self.layer(pixel_values)[:, 0]})


def test_a_network_of_transformers_is_recorded_with_both_directions_of_a_mirrored_image(
    recording: Recording,
) -> None:
    image, network = torch.rand(3, 64, 96), Tiny()
    model = TransformersModel(CONVENTIONS["zoe"], network)
    plain = model.answer(image)
    for _ in range(PLAIN_CALLS):
        answer = model.answer(image)
    assert torch.equal(answer, plain)
    assert len(recording.shapes) == 1


class Raft(torch.nn.Module):
    """A network with RAFT's interface: features by a convolution, places in pixels beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Conv2d(3, 2, 3, padding=1)
        self.seen: list[torch.dtype] = []

    def forward(
        self, source: torch.Tensor, target: torch.Tensor, num_flow_updates: int
    ) -> list[torch.Tensor]:
        change = self.features(target) - self.features(source)
        places = torch.arange(source.shape[3], dtype=torch.float32) + 1000.25
        self.seen += [change.dtype, places.dtype]
        return [torch.zeros(1)] * (num_flow_updates - 1) + [change + places]


def test_raft_multiplies_in_half_precision_and_keeps_places_in_float32(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = torch.rand(3, 128, 136), torch.rand(3, 128, 136)
    network = Raft().eval()
    exact = RaftFlow(network).estimate(source, target)
    assert network.seen == [torch.float32, torch.float32]
    monkeypatch.setattr(estimators, "half_precision", lambda device: torch.autocast("cpu", torch.bfloat16))
    raft = RaftFlow(network)
    for _ in range(PLAIN_CALLS + 1):
        flow = raft.estimate(source, target)
    assert network.seen[-2:] == [torch.bfloat16, torch.float32]
    assert flow.dtype == torch.float32
    torch.testing.assert_close(flow, exact, atol=0.02, rtol=0)
    assert recording.replayed == 1


def test_the_cpu_keeps_float32_and_its_strides() -> None:
    image = torch.rand(1, 3, 8, 8)
    network = channels_last(Tiny(), torch.device("cpu"))
    with half_precision(torch.device("cpu")):
        assert network(image).predicted_depth.dtype == torch.float32
    with half_precision(torch.device("mps")):
        assert network(image).predicted_depth.dtype == torch.float32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a machine without CUDA
        assert half_precision(torch.device("cuda")).fast_dtype == torch.float16  # type: ignore[attr-defined]
    placed = channels_last(Tiny(), torch.device("meta"))
    assert placed.layer.weight.is_contiguous(memory_format=torch.channels_last)
    assert not network.layer.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["demo"])
def test_gpu_graphs_repeat_the_plain_depth(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(3, 256, 384, device="cuda")
    model = make_model(family, "cuda")
    plain = model.answer(image)
    monkeypatch.setattr(graphs, "FREE_SHARE", 0.0)
    for _ in range(PLAIN_CALLS + 2):
        answer = model.answer(image)
    assert torch.equal(answer, plain)


@pytest.mark.gpu
def test_gpu_recordings_take_new_content() -> None:
    replay = Recorder(torch.device("cuda")).record(doubled, (torch.ones(4, device="cuda"),), {})
    for value in (3.0, 5.0):
        assert torch.equal(replay(torch.full((4,), value, device="cuda")).cpu(), torch.full((4,), 2 * value))
