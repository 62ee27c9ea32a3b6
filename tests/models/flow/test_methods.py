"""What every way to measure motion must do, and what each does with a known move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from deforum_helpers.core.errors import MissingFeature
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.image.convert import from_bytes, resized
from deforum_helpers.image.types import Image
from deforum_helpers.models.flow import missing_feature
from deforum_helpers.models.flow.estimators import (
    FlowEstimator,
    RaftFlow,
    dis_fine,
    dis_medium,
    farneback,
    make_flow_estimator,
)
from deforum_helpers.models.flow.matrix import motion_matrix, moved_by
from deforum_helpers.models.flow.warp import agreeing, moved_along
from deforum_helpers.settings.tables import FLOW_METHODS
from tests.image.sample_images import random_image, soft_image


class ShiftNetwork:
    """Stands for RAFT's network: says that everything moved by (5, -3), and what it was asked."""

    def __call__(
        self, source: torch.Tensor, target: torch.Tensor, num_flow_updates: int
    ) -> list[torch.Tensor]:
        assert source.shape == target.shape
        assert all(side % 8 == 0 and side >= 128 for side in source.shape[2:])
        assert source.min() >= -1
        assert source.max() <= 1
        assert source.min() < 0
        flow = torch.empty(1, 2, *source.shape[2:])
        flow[:, 0], flow[:, 1] = 5.0, -3.0
        return [torch.zeros_like(flow)] * (num_flow_updates - 1) + [flow]


def cloth(height_px: int = 96, width_px: int = 128) -> Image:
    """An image with detail everywhere."""
    return resized(random_image(height_px // 6, width_px // 6, 3), width_px, height_px)


def shift(across: float, down: float, like: Image) -> torch.Tensor:
    flow = torch.empty(2, *like.shape[1:])
    flow[0], flow[1] = across, down
    return flow


METHODS: dict[str, Callable[[], FlowEstimator]] = {
    "RAFT": lambda: RaftFlow(ShiftNetwork()),
    "DIS Medium": dis_medium,
    "DIS Fine": dis_fine,
    "Farneback": farneback,
}


@pytest.fixture(params=METHODS)
def method(request: Any) -> FlowEstimator:
    return METHODS[request.param]()


class TestContract:
    def test_it_has_the_settings_name(self, method: FlowEstimator) -> None:
        assert method.name in FLOW_METHODS

    def test_it_finds_a_move(self, method: FlowEstimator) -> None:
        source = cloth()
        flow = method.estimate(source, moved_along(source, shift(5, -3, source)))
        assert flow.dtype == torch.float32
        assert flow.shape == (2, 96, 128)
        inner = flow[:, 16:-16, 16:-16]
        assert torch.allclose(inner.median(-1).values.median(-1).values, torch.tensor([5.0, -3.0]), atol=0.3)

    def test_every_pair_is_measured_alike(self, method: FlowEstimator) -> None:
        source = cloth()
        target = moved_along(source, shift(2, 1, source))
        first = method.estimate(source, target)
        method.estimate(target, cloth(96, 128).flip(1))
        assert torch.equal(method.estimate(source, target), first)

    def test_a_guess_is_accepted_and_left_alone(self, method: FlowEstimator) -> None:
        source = cloth()
        guess = shift(2, 2, source)
        flow = method.estimate(source, moved_along(source, shift(5, -3, source)), guess)
        assert torch.isfinite(flow).all()
        assert torch.equal(guess, shift(2, 2, source))

    @pytest.mark.parametrize("size", [(1, 1), (8, 40), (16, 16), (65, 33)])
    def test_any_size(self, method: FlowEstimator, size: tuple[int, int]) -> None:
        image = from_bytes(np.zeros((*size, 3), np.uint8))
        assert method.estimate(image, image).shape == (2, *size)


@pytest.mark.parametrize("name", ["DIS Medium", "DIS Fine", "Farneback"])
def test_names_make_methods(name: str) -> None:
    assert make_flow_estimator(name).name == name
    assert missing_feature(name) is None


def test_unknown_name_lists_the_names() -> None:
    with pytest.raises(UnknownName, match="DIS Medium, DIS Fine, Farneback"):
        make_flow_estimator("Horn")


def test_raft_is_missed_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    monkeypatch.setattr("deforum_helpers.models.flow.find_spec", lambda name: None)
    with pytest.raises(MissingFeature, match="pip install torchvision"):
        make_flow_estimator("RAFT")
    assert "pip install torchvision" in (missing_feature("RAFT") or "")


class TestConsistency:
    def test_flows_that_undo_each_other_stay(self) -> None:
        there = shift(2, 1, cloth())
        assert torch.equal(agreeing(there, -there, 0), there)

    def test_what_does_not_lead_back_is_still(self) -> None:
        there, back = shift(4, 0, cloth()), -shift(4, 0, cloth())
        back[0, 40:60, 40:60] = 9
        agreed = agreeing(there, back, 0)
        # the block of the other image is met four pixels further left in this one
        assert (agreed[:, 40:60, 36:56] == 0).all()
        assert torch.equal(agreed[:, :39], there[:, :39])

    def test_blur_softens_the_border_and_never_turns_round(self) -> None:
        there, back = shift(4, 0, cloth()), -shift(4, 0, cloth())
        back[0, 40:60, 40:60] = 9
        agreed = agreeing(there, back, 3)
        assert agreed[0].min() == 0
        assert 0 < agreed[0, 50, 37] < 4
        assert agreed[0, 20, 70] == pytest.approx(4)


class TestMatrix:
    @pytest.mark.parametrize("kind", ["Affine", "Perspective"])
    def test_it_finds_a_turn(self, kind: Any) -> None:
        cos, sin = np.cos(0.1), np.sin(0.1)
        wanted = np.array([[cos, -sin, 12.0], [sin, cos, -4.0], [0, 0, 1]])
        source = cloth(192, 256)
        found = motion_matrix(source, moved_by(source, wanted), kind)
        corners = np.array([[60, 60, 1], [180, 60, 1], [60, 140, 1]]).T
        there, truth = found @ corners, wanted @ corners
        assert np.abs(there[:2] / there[2] - truth[:2]).max() < 0.5

    def test_it_stands_still_where_nothing_can_be_seen(self) -> None:
        black = from_bytes(np.zeros((64, 64, 3), np.uint8))
        assert np.array_equal(motion_matrix(black, black, "Affine"), np.eye(3))

    def test_moving_by_whole_pixels(self) -> None:
        source = cloth()
        matrix = np.array([[1.0, 0, 7], [0, 1, -2], [0, 0, 1]])
        assert torch.allclose(moved_by(source, matrix)[:, :-2, 7:], source[:, 2:, :-7], atol=1e-5)

    def test_few_things_in_common_are_no_motion(self) -> None:
        assert np.array_equal(motion_matrix(cloth(), 1 - soft_image(96, 128), "Perspective"), np.eye(3))
