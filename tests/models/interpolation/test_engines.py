"""The engines: all behave alike, and each makes the images between two."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.image.convert import from_pixels
from deforum_helpers.image.types import Image
from deforum_helpers.models.interpolation import missing_feature
from deforum_helpers.models.interpolation.engines import Interpolator, MotionInterpolator, make_interpolator
from deforum_helpers.models.interpolation.networks import FilmInterpolator, expected_shapes
from tests.models.weights.networks import blending


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@cache
def random_film() -> dict[str, torch.Tensor]:
    """FILM with small random weights of half precision."""
    random = torch.Generator().manual_seed(1)
    return {
        name: (torch.randn(shape, generator=random) * (0.5 / max(np.prod(shape[1:]), 1)) ** 0.5).half()
        for name, shape in expected_shapes().items()
    }


@pytest.fixture(scope="module", params=["conv.", "0."])
def film_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FILM's file as either of those who wrote it spells its names."""
    path = tmp_path_factory.mktemp("run") / "film_net_fp16.safetensors"
    save_file({spelled(name, request.param): value for name, value in random_film().items()}, path)
    return path


def spelled(name: str, between: str) -> str:
    convolution, _, kind = name.rpartition(".")
    return name if "output_conv" in name else f"{convolution}.{between}{kind}"


def gliding(shift_px: float, side_px: int = 96) -> Image:
    """A smooth pattern moved to the right."""
    rows, columns = np.mgrid[:side_px, :side_px].astype(np.float32)
    columns = columns - shift_px
    shapes = [np.sin(columns / 7 + rows / 11), np.cos(columns / 9), np.sin(rows / 5 + columns / 13)]
    return from_pixels(np.stack(shapes, -1).astype(np.float32) * 0.5 + 0.5)


@pytest.fixture(params=["RIFE v4.6", "FILM", "Flow"])
def interpolator(request: pytest.FixtureRequest, tmp_path: Path) -> Interpolator:
    if request.param == "FILM":
        return FilmInterpolator({name: value.float() for name, value in random_film().items()}, "cpu")
    blending(tmp_path / "rife-v4.6")
    return make_interpolator(request.param)


@pytest.mark.parametrize("size", [(33, 47), (8, 100)])
def test_images_keep_their_size_and_range(interpolator: Interpolator, size: tuple[int, int]) -> None:
    one, other = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(3))
    copies = one.clone(), other.clone()
    interpolated = list(interpolator.between(one, other, [0.25, 0.5]))
    assert [image.shape for image in interpolated] == [(3, *size)] * 2
    assert all(0 <= float(image.min()) <= float(image.max()) <= 1 for image in interpolated)
    assert torch.equal(one, copies[0])
    assert torch.equal(other, copies[1])
    again = list(interpolator.between(one, other, [0.25, 0.5]))
    assert all(torch.equal(a, b) for a, b in zip(interpolated, again, strict=True))


def test_rife_is_asked_for_the_moment(tmp_path: Path) -> None:
    blending(tmp_path / "rife-ncnn-vulkan" / "models" / "rife-v4.6")
    one, other = torch.zeros(3, 40, 50), torch.ones(3, 40, 50)
    interpolated = list(make_interpolator("RIFE v4.6").between(one, other, [0.25, 0.75]))
    assert [float(image.mean()) for image in interpolated] == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("time", [0.25, 0.5, 0.8])
def test_flow_moves_what_moves(time: float) -> None:
    (interpolated,) = MotionInterpolator().between(gliding(0), gliding(8), [time])
    inside = (slice(None), slice(12, -12), slice(12, -12))
    wrong = (interpolated - gliding(8 * time))[inside].abs().mean()
    blend = (torch.lerp(gliding(0), gliding(8), time) - gliding(8 * time))[inside].abs().mean()
    assert float(wrong) < 0.02
    assert float(wrong) < float(blend) / 4


def test_flow_leaves_still_images_alone() -> None:
    (interpolated,) = MotionInterpolator().between(gliding(0), gliding(0), [0.5])
    torch.testing.assert_close(interpolated, gliding(0), atol=0.002, rtol=0)


class Counting(FilmInterpolator):
    """Records the times of frames and those of their neighbours."""

    def __init__(self) -> None:
        super().__init__({}, "cpu")
        self.made: list[tuple[float, float, float]] = []

    def frame_at(self, first: torch.Tensor, second: torch.Tensor, time: float) -> torch.Tensor:
        begin, end = float(first.mean()), float(second.mean())
        self.made.append((begin, end, round(time, 6)))
        return torch.lerp(first, second, time)


@pytest.mark.parametrize("x_amount", [2, 3, 5, 8, 300])
def test_video_halves_what_it_knows(x_amount: int) -> None:
    interpolator = Counting()
    times = [number / x_amount for number in range(1, x_amount)]
    interpolated = [
        float(p.mean()) for p in interpolator.between(torch.zeros(3, 8, 8), torch.ones(3, 8, 8), times)
    ]
    assert interpolated == pytest.approx(times, abs=1e-4)
    assert len(interpolator.made) == x_amount - 1
    assert all(0.3 < time < 0.7 for _, _, time in interpolator.made)


def test_video_reads_either_spelling(film_file: Path, tmp_path: Path) -> None:
    (tmp_path / film_file.name).symlink_to(film_file)
    one, other = torch.rand(2, 3, 64, 64)
    (interpolated,) = make_interpolator("FILM").between(one, other, [0.5])
    halved = FilmInterpolator({name: value.float() for name, value in random_film().items()}, "cpu")
    torch.testing.assert_close(interpolated, next(halved.between(one, other, [0.5])))


def test_video_with_shared_features_moves_by_its_flow() -> None:
    """With weights that are all zero but the output's bias, every pixel is that bias."""
    weights = {name: torch.zeros(shape) for name, shape in expected_shapes().items()}
    weights["fuse.output_conv.bias"] = torch.tensor([0.1, 0.5, 0.9])
    (interpolated,) = FilmInterpolator(weights, "cpu").between(
        torch.rand(3, 64, 64), torch.rand(3, 64, 64), [0.5]
    )
    torch.testing.assert_close(interpolated.mean((1, 2)), torch.tensor([0.1, 0.5, 0.9]))


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_broken_video_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "film_net_fp16.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"film_net_fp16\.safetensors") as caught:
        make_interpolator("FILM")
    assert caught.value.message_code in ("film_broken", "film_foreign")


@pytest.mark.parametrize(
    ("name", "line"),
    [("RIFE v4.6", "git clone --depth 1 "), ("FILM", "hf download Comfy-Org/frame_interpolation ")],
)
def test_what_is_missing_is_told_with_the_line_that_mends_it(name: str, line: str) -> None:
    said = missing_feature(name)
    assert said is not None
    assert line in said
    assert "or choose Flow" in said
    with pytest.raises(ModelError, match="not on this machine"):
        make_interpolator(name)


def test_flow_needs_nothing_and_unknown_names_are_listed() -> None:
    assert missing_feature("Flow") is None
    with pytest.raises(UnknownName, match=r"RIFE v4\.6, FILM, Flow"):
        make_interpolator("RIFE")
