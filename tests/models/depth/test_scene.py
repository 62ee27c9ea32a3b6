"""From answers to scene depth: equalisation, ranges, directions, maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.models.depth import DEPTH_NAMES, depth_name
from deforum_helpers.models.depth.estimators import BlendedDepth, SceneDepth, make_estimator
from deforum_helpers.models.depth.scene import (
    BINS,
    depth_bytes,
    equalised_anywhere,
    raw_depth,
    scene_depth,
)
from tests.image.sample_images import golden, hills_depth, random_image


class Ramp:
    """A model that answers each pixel's column, as distance or as nearness."""

    metric = False

    def __init__(self, *, far_is_large: bool) -> None:
        self.far_is_large = far_is_large

    def answer(self, image: torch.Tensor) -> torch.Tensor:
        columns = torch.arange(image.shape[2], dtype=torch.float32).expand(image.shape[1:])
        return columns if self.far_is_large else 100 - columns


def equalised(answer: torch.Tensor) -> torch.Tensor:
    return scene_depth(answer, 0, 1, far_is_large=True)


def plain_equalised(answer: np.ndarray) -> np.ndarray:
    """The readable form, in classic Deforum's words."""
    share = (answer - answer.min()) / (answer.max() - answer.min())
    counts, edges = np.histogram(share, BINS, (0, 1))
    return np.interp(share, edges[:-1], np.cumsum(counts) / share.size)


def test_classic_equalisation() -> None:
    result = equalised(torch.from_numpy(hills_depth()))
    np.testing.assert_allclose(result.numpy(), golden("depth_equalise.json")["rows"], atol=2e-7)


def test_documented_row() -> None:
    torch.testing.assert_close(equalised(torch.tensor([[0, 0.5, 1]])), torch.tensor([[1 / 3, 2 / 3, 1]]))


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 1000), st.floats(0.1, 8))
def test_equalisation_equals_the_readable_form(height_px: int, width_px: int, seed: int, bend: float) -> None:
    answer = np.random.default_rng(seed).random((height_px, width_px)).astype(np.float32) ** np.float32(bend)
    for form in (equalised, equalised_anywhere):
        np.testing.assert_allclose(form(torch.from_numpy(answer)), plain_equalised(answer), atol=1e-4)


@pytest.mark.parametrize("far_is_large", [True, False])
def test_scene_depth_has_its_range_and_direction(far_is_large: bool) -> None:
    answer = Ramp(far_is_large=far_is_large).answer(torch.zeros(3, 40, 60))
    depth = scene_depth(answer, 1.3, 2.3, far_is_large=far_is_large)
    assert (depth.diff(dim=1) > 0).all()
    assert depth.min() >= 1.3 - 1e-5
    assert depth.max() <= 2.3 + 1e-5


@pytest.mark.parametrize(
    "answer",
    [
        torch.full((6, 8), 3.0),
        torch.tensor([[1.0, float("nan")]]),
        torch.tensor([[1.0, float("inf")], [2, 3]]),
    ],
    ids=["constant", "not a number", "infinite"],
)
def test_an_unusable_answer_is_a_plane_at_depth_1(answer: torch.Tensor) -> None:
    for depth in (
        scene_depth(answer, 1, 2, far_is_large=False),
        raw_depth(answer, metric=False, far_is_large=True),
        raw_depth(answer, metric=True, far_is_large=True),
    ):
        assert torch.equal(depth, torch.ones_like(depth))


def test_old_algorithms_use_metres_as_they_are() -> None:
    metres = torch.tensor([[0.0, 1.5, 9.0]])
    torch.testing.assert_close(
        raw_depth(metres, metric=True, far_is_large=True), torch.tensor([[1e-3, 1.5, 9.0]])
    )


@pytest.mark.parametrize("far_is_large", [True, False])
def test_old_algorithms_spread_relative_answers(far_is_large: bool) -> None:
    answer = torch.tensor([[0.0, 5.0, 10.0]])
    depth = raw_depth(answer if far_is_large else -answer, metric=False, far_is_large=far_is_large)
    torch.testing.assert_close(depth, torch.tensor([[20.0, 35.0, 50.0]]) / 19)


@pytest.mark.parametrize("name", [name for name, entry in DEPTH_NAMES.items() if not entry.raw])
def test_every_name_keeps_its_range_whoever_serves_it(name: str) -> None:
    entry = depth_name(name)
    near, far = (
        SceneDepth(entry, Ramp(far_is_large=far_is_large)).estimate(torch.zeros(3, 64, 100))
        for far_is_large in (False, True)
    )
    torch.testing.assert_close(near, far, atol=1e-3, rtol=0)
    assert (near.diff(dim=1) > 0).all()
    assert near.min() == pytest.approx(entry.nearest, abs=0.02)
    assert near.max() == pytest.approx(entry.farthest, abs=0.02)


def test_the_built_in_network_sees_landscapes() -> None:
    """The sky above a horizon is far, the ground at the lower edge is near."""
    rows = torch.linspace(0, 1, 256)[:, None].expand(256, 256)
    sky = torch.stack([0.5 + 0.3 * rows, 0.65 + 0.2 * rows, 0.9 + 0 * rows])
    ground = torch.stack([0.25 + 0.1 * rows, 0.4 - 0.1 * rows, 0.15 + 0 * rows])
    image = torch.where(rows < 0.5, sky, ground)
    depth = make_estimator("Built-in", "cpu").estimate(image)
    assert depth.shape == (256, 256)
    assert depth.dtype == torch.float32
    assert depth[:60].mean() > depth[-60:].mean() + 0.3
    assert not depth.is_inference()
    assert depth[20:60, 20:-20].std() < 1e-3  # the sky is a backdrop, and moves as one


def test_a_plane_is_at_depth_1() -> None:
    depth = make_estimator("Plane", "cpu").estimate(random_image(5, 9))
    assert torch.equal(depth, torch.ones(5, 9))


def test_documented_map_levels() -> None:
    depth = torch.full((2, 3), 1.25)
    assert depth_bytes(depth, "Midas-3-Hybrid").tolist() == [[191] * 3] * 2
    assert depth_bytes(depth, "Zoe").tolist() == [[64] * 3] * 2


def test_maps_have_one_scale_for_all_frames() -> None:
    narrow, wide = torch.linspace(1.4, 1.6, 50)[None], torch.linspace(1, 2, 101)[None]
    assert depth_bytes(narrow, "Leres")[0, 0] == depth_bytes(wide, "Leres")[0, 40]
    assert depth_bytes(torch.tensor([[-5.0, 50.0]]), "Zoe+AdaBins (old)").tolist() == [[0, 255]]


@pytest.mark.gpu
def test_gpu_equalises_as_the_cpu_does() -> None:
    answer = torch.rand(200, 300)
    torch.testing.assert_close(equalised(answer.cuda()).cpu(), equalised(answer), atol=1e-5, rtol=0)


def test_two_models_are_mixed_by_their_share() -> None:
    image = random_image(4, 6)
    old = depth_name("Midas+AdaBins (old)")
    near, far = SceneDepth(old, Ramp(far_is_large=True)), SceneDepth(old, Ramp(far_is_large=False))
    first, second = near.estimate(image), far.estimate(image)
    mixed = BlendedDepth(old.name, near, far, 0.25).estimate(image)
    assert torch.allclose(mixed, 0.25 * first + 0.75 * second)


def test_old_algorithms_mix_where_there_are_two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def model(family: str, *arguments: object, **more: object) -> Ramp:
        made.append(family)
        return Ramp(far_is_large=True)

    monkeypatch.setattr("deforum_helpers.models.depth.estimators.make_model", model)
    for families, name, weight, wanted in (
        (("midas", "zoe", "demo", "plane"), "Midas+AdaBins (old)", 0.2, ["midas", "zoe"]),
        (("midas", "zoe", "demo", "plane"), "Midas+AdaBins (old)", 1.0, ["midas"]),
        (("midas", "zoe", "demo", "plane"), "Midas-3-Hybrid", 0.2, ["midas"]),
        (("zoe", "demo", "plane"), "Zoe+AdaBins (old)", 0.2, ["zoe"]),
        (("demo", "plane"), "Midas+AdaBins (old)", 0.2, ["demo"]),
    ):
        made.clear()
        monkeypatch.setattr(
            "deforum_helpers.models.depth.estimators.available_families", lambda *a, f=families, **k: f
        )
        assert make_estimator(name, "cpu", weight=weight).name == name
        assert made == wanted
