"""Images of a GPU stay there, and nothing waits for them: seen with tensors that have a device but no content.

Mixing them with tensors of the CPU is an error, and so is looking at a value, for which a GPU would have to be waited.
They also refuse float64, which not every device has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from deforum_helpers.camera.pose import next_from_prev
from deforum_helpers.image import adjust, composite, convert, inpaint, mask, noise, warp
from deforum_helpers.image.color import ColorReference, match_color
from deforum_helpers.models.depth.scene import raw_depth, scene_depth
from deforum_helpers.models.flow.warp import flow_image, moved_along
from tests.without_float64 import WithoutFloat64

HEIGHT_PX, WIDTH_PX = 48, 64
POSE = next_from_prev((3.0, 0.0, 6.0), (1.0, 2.0, 0.5))
HILLS = {"kind": "perlin", "amount": 0.2, "seed": 1, "octaves": 2, "persistence": 0.5}
SHARP = {"kernel": 5, "sigma": 1.0, "amount": 0.3, "threshold": 2.0}


def seen(image: Any, depth: Any, **changes: Any) -> Any:
    lens = {"fov_deg": 70, "aspect": 1, "padding_mode": "reflection", "sampling_mode": "bicubic"}
    return warp.warp_3d(image, depth, POSE, **lens | changes)


def matched(image: Any, other: Any, mode: str) -> Any:
    return match_color(image, ColorReference.of(other, mode))


OPERATIONS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "contrast": lambda a, b, m, f: adjust.contrast(a, 1.2),
    "exposure": lambda a, b, m, f: adjust.expose(a, 0.7),
    "saturation and hue": lambda a, b, m, f: adjust.saturate(a, 1.4, 75.0),
    "grayscale": lambda a, b, m, f: adjust.grayscale(a),
    "noise": lambda a, b, m, f: noise.add_noise(a, **HILLS, mask=m),
    "turned": lambda a, b, m, f: warp.warp_2d(a, np.array([[1, 0, 3], [0.1, 1, 0], [0, 0, 1.0]]), "wrap"),
    "sharpened": lambda a, b, m, f: adjust.unsharp(a, **SHARP, mask=m),
    "on the grid": lambda a, b, m, f: convert.on_8_bit_grid(a),
    "resized": lambda a, b, m, f: convert.resized(convert.resized(a, 32, 32), WIDTH_PX, HEIGHT_PX),
    "LAB": lambda a, b, m, f: matched(a, b, "LAB"),
    "HSV": lambda a, b, m, f: matched(a, b, "HSV"),
    "RGB": lambda a, b, m, f: matched(a, b, "RGB"),
    "through depth": lambda a, b, m, f: seen(a, m + 1),
    "through a plane": lambda a, b, m, f: seen(a, None, padding_mode="border", sampling_mode="bilinear"),
    "flipped": lambda a, b, m, f: seen(a, m + 1, flip_dst_from_src=np.eye(3)),
    "masked": lambda a, b, m, f: mask.masked(a, b, mask.blurred(m, 3)),
    "a mask": lambda a, b, m, f: mask.as_image(mask.exclusive(m, mask.difference(m, mask.luma(a)))),
    "smeared": lambda a, b, m, f: inpaint.fill_from_rim(a, m),
    "composite": lambda a, b, m, f: composite.composite(a, b, composite.difference_mask(a, b), 0.3),
    "blend": lambda a, b, m, f: composite.composite(a, b, composite.blend_mask(a, b, 0.5), 0.3),
    "along a flow": lambda a, b, m, f: moved_along(a, f, 0.5),
    "a flow": lambda a, b, m, f: flow_image(f),
}
PLANES: dict[str, Callable[[Any, Any], Any]] = {
    "scene depth": lambda m, a: scene_depth(m, 1.0, 2.0, far_is_large=True),
    "raw depth": lambda m, a: raw_depth(m, metric=False, far_is_large=False),
    "finished mask": lambda m, a: composite.adjusted_mask(
        m, invert=True, equalize="None", contrast=1.5, cutoffs_percent=None
    ),
    "adjusted mask": lambda m, a: mask.mask_of(a, WIDTH_PX, HEIGHT_PX, brightness=1.2, contrast=0.8),
}


@pytest.fixture(autouse=True)
def _without_float64() -> Iterator[None]:
    with WithoutFloat64():
        yield


def without_content(channels: int) -> torch.Tensor:
    return torch.empty((channels, HEIGHT_PX, WIDTH_PX), device="meta")


@pytest.mark.parametrize("name", OPERATIONS)
def test_images_stay_on_their_device(name: str) -> None:
    image, other, flow = (without_content(channels) for channels in (3, 3, 2))
    result = OPERATIONS[name](image, other, without_content(1)[0], flow)
    assert result.device.type == "meta"
    assert result.dtype == torch.float32
    assert result.shape == (3, HEIGHT_PX, WIDTH_PX)


@pytest.mark.parametrize("name", PLANES)
def test_masks_and_depths_stay_on_their_device(name: str) -> None:
    result = PLANES[name](without_content(1)[0], without_content(3))
    assert result.device.type == "meta"
    assert result.shape == (HEIGHT_PX, WIDTH_PX)


def test_a_forgotten_device_and_a_look_would_be_seen() -> None:
    image = without_content(3)
    with pytest.raises(RuntimeError):
        image + torch.zeros(3, 1, 1)
    with pytest.raises(RuntimeError):
        float(image.max())
