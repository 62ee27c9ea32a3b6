from __future__ import annotations

import torch

from deforum_helpers.core.errors import RenderError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.null.engine import chart_pixels
from tests.refusals import refuses


def request(**changes: object) -> GenerateRequest:
    fields = {
        "prompt": "",
        "negative_prompt": "",
        "width_px": 96,
        "height_px": 64,
        "seed": 1,
        "steps": 3,
        "cfg_scale": 7.0,
        "sampler": "Euler",
    }
    return GenerateRequest(**{**fields, **changes})


def test_the_init_image_comes_back_exactly() -> None:
    image = torch.rand(3, 64, 96)
    assert torch.equal(make_engine("null").generate(request(init_image=image), CancelToken()), image)


def test_an_init_image_of_another_size_is_named() -> None:
    with refuses(RenderError, "init_image_size", "(3, 64, 64)", "(3, 64, 96)"):
        make_engine("null").generate(request(init_image=torch.rand(3, 64, 64)), CancelToken())


def test_the_chart_shows_what_a_warp_would_disturb() -> None:
    chart = chart_pixels(5, 256, 192)
    assert chart.shape == (192, 256, 3)
    assert len({tuple(pixel) for pixel in chart[20, 5:250]}) >= 8, "colour bars"
    assert abs(chart[170, 32] - chart[170, 40]).max() > 0.1, "grid lines"
    assert (chart * 255 % 1 < 1e-4).all() | (chart * 255 % 1 > 1 - 1e-4).all(), "8-bit values"


def test_another_seed_is_another_chart() -> None:
    assert (chart_pixels(1, 64, 64) != chart_pixels(2, 64, 64)).any()
