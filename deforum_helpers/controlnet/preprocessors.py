"""Depth as ControlNets were trained on it: near things bright, far things dark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from deforum_helpers.controlnet import messages
from deforum_helpers.controlnet.openpose import PoseFinder, make_pose_finder
from deforum_helpers.controlnet.units import MODULES, Module, depth_family, module_of
from deforum_helpers.core.errors import MissingFeature
from deforum_helpers.image.convert import from_bytes, resized, to_bytes
from deforum_helpers.image.fit import Fit, fitted
from deforum_helpers.image.mask import as_image
from deforum_helpers.image.types import Image
from deforum_helpers.models.depth.models import DepthModel, make_model
from deforum_helpers.models.depth.names import available_families

# The nearest and farthest of metric depth are single outliers; these shares of the pixels are left out of the range.
METRIC_RANGE = (0.02, 0.85)


def nearness(answer: torch.Tensor, *, far_is_large: bool) -> Image:
    """Return a depth model's answer as a grey picture (3, H, W), 1 = nearest; mid-grey where it is flat.

    Args:
        answer: (H, W) float32, in the model's own unit.
        far_is_large: whether it is distance, or inverse distance.
    """
    answer = torch.nan_to_num(answer.float())
    if far_is_large:
        low, high = (_share(answer, share) for share in METRIC_RANGE)
    else:
        low, high = answer.min(), answer.max()
    span = high - low
    if float(span) <= 0:
        return as_image(torch.full_like(answer, 0.5))
    share = ((answer - low) / span).clamp(0, 1)
    return as_image(1 - share if far_is_large else share)


def _share(values: torch.Tensor, share: float) -> torch.Tensor:
    """The value below which `share` of all lie."""
    return values.flatten().kthvalue(1 + int(share * (values.numel() - 1))).values


Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# A line is what is darker than its wide surroundings by more than a trace of noise; in 8-bit levels and pixels.
LINE_SURROUNDINGS_PX = 6.0
LINE_TRACE = 8.0
LINE_LEVEL = 127.0
STROKE_FINE_PX = 0.5
STROKE_SURROUNDINGS_PX = 5.0
EDGE_SCALES_PX = (1.0, 2.0, 4.0)
EDGE_BRIGHTEST_PERCENT = 99.0


def canny(picture: Picture, low: float, high: float) -> Picture:
    """Return edges one pixel wide, white on black: above `high`, or above `low` and joined to one that is."""
    return _grey(cv2.Canny(np.ascontiguousarray(picture), low, high))


def pencil_lines(picture: Picture) -> Picture:
    """Return how much darker than its surroundings each pixel is, the median of the lines brought to middle grey."""
    levels = picture.astype(np.float32)
    darker = (_blurred(levels, LINE_SURROUNDINGS_PX) - levels).min(axis=2).clip(0, 255)
    lines = darker[darker > LINE_TRACE]
    typical = max(16.0, float(np.median(lines))) if lines.size else 16.0
    return _grey((darker * (LINE_LEVEL / typical)).clip(0, 255).astype(np.uint8))


def strokes(picture: Picture, threshold: float) -> Picture:
    """Return white strokes on black where a pixel is darker than its surroundings by over half of `threshold`.

    The difference of two Gaussians, cut in two (Winnemöller, XDoG, 2012).
    """
    levels = picture.astype(np.float32)
    darker = (_blurred(levels, STROKE_SURROUNDINGS_PX) - _blurred(levels, STROKE_FINE_PX)).min(axis=2)
    return _grey(np.where(2 * darker.clip(0, 255) > threshold, 255, 0).astype(np.uint8))


def soft_edges(picture: Picture) -> Picture:
    """Return soft edges: the steepest channel's slope, fine and coarse together, the steepest of all nearly white."""
    levels = picture.astype(np.float32)
    total = np.zeros(levels.shape[:2], np.float32)
    for scale_px in EDGE_SCALES_PX:
        smooth = _blurred(levels, scale_px)
        slopes = [cv2.Scharr(smooth, cv2.CV_32F, *direction) for direction in ((1, 0), (0, 1))]
        total += np.hypot(*slopes).max(axis=2) * scale_px
    brightest = float(np.percentile(total, EDGE_BRIGHTEST_PERCENT))
    if brightest <= 1e-6 * levels.max():
        return np.zeros_like(picture)
    return _grey((total / brightest * 255).clip(0, 255).astype(np.uint8))


def black_and_white(picture: Picture, level: float) -> Picture:
    """Return white where the darkest channel is above `level`."""
    return _grey(np.where(picture.min(axis=2) > level, 255, 0).astype(np.uint8))


def gaussian(picture: Picture, sigma_px: float) -> Picture:
    """Return the picture blurred."""
    return np.rint(_blurred(picture.astype(np.float32), sigma_px)).astype(np.uint8)


def luminance(picture: Picture, gamma: float) -> Picture:
    """Return CIE lightness 0..1 to the power of `gamma`, as grey."""
    return _powered(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[..., 0], gamma)


def intensity(picture: Picture, gamma: float) -> Picture:
    """Return the brightest channel 0..1 to the power of `gamma`, as grey."""
    return _powered(picture.max(axis=2), gamma)


def _powered(levels: Picture, gamma: float) -> Picture:
    return _grey(np.rint((levels / 255.0) ** gamma * 255).astype(np.uint8))


def _blurred(levels: Floats, sigma_px: float) -> Floats:
    return cv2.GaussianBlur(levels, (0, 0), sigma_px).reshape(levels.shape).astype(np.float32, copy=False)


def _grey(levels: npt.NDArray[np.uint8] | cv2.Mat) -> Picture:
    return np.repeat(np.asarray(levels, np.uint8)[..., None], 3, axis=2)


# What is looked at never gets longer than this, however oblong the picture.
LONGEST_SIDE_PX = 8192

FITS: Mapping[str, Fit] = {
    "Just Resize": "stretch",
    "Inner Fit (Scale to Fit)": "inner",
    "Outer Fit (Shrink to Fit)": "outer",
}

_Draw = Callable[[Picture, float, float], Picture]
_DRAWINGS: Mapping[str, _Draw] = {
    "canny": canny,
    "lineart_standard": lambda picture, a, b: pencil_lines(picture),
    "softedge": lambda picture, a, b: soft_edges(picture),
    "scribble_xdog": lambda picture, a, b: strokes(picture, a),
    "threshold": lambda picture, a, b: black_and_white(picture, a),
    "blur_gaussian": lambda picture, a, b: gaussian(picture, a),
    "recolor_luminance": lambda picture, a, b: luminance(picture, a),
    "recolor_intensity": lambda picture, a, b: intensity(picture, a),
}


@dataclass(frozen=True)
class Look:
    """How a unit looks at its picture; names, choices and units are those of the settings."""

    module: str
    resize_mode: str
    pixel_perfect: bool = False
    processor_res: int = -1
    threshold_a: float = -1
    threshold_b: float = -1


class Preprocessors:
    """Makes control pictures; the models that some need are loaded with the first one and kept.

    Args:
        device: where these models run.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._depth: dict[str, DepthModel] = {}
        self._pose: PoseFinder | None = None

    def control_picture(self, image: Image, look: Look, width_px: int, height_px: int) -> Image:
        """Return what a ControlNet is shown of `image`, (3, height, width) float32 RGB 0..1.

        Args:
            image: (3, h, w) float32 RGB 0..1.
            look: the preprocessor and its numbers.
            width_px, height_px: of the frame.

        Raises:
            MissingFeature: there is no such preprocessor, or its models are not on this machine.
            ModelError: its models are broken.
        """
        module = module_of(look.module)
        if module is None:
            known = ", ".join(MODULES)
            raise MissingFeature(messages.PREPROCESSOR_MISSING(name=look.module, allowed=known))
        fit = FITS[look.resize_mode]
        seen = image
        if module.sized:
            side_px = module.resolution_px(look.processor_res)
            if look.pixel_perfect:
                side_px = perfect_side_px(image, width_px, height_px, fit)
            seen = _at_size(image, side_px)
        drawing = self._drawn(module, seen, look)
        picture = fitted(drawing, width_px, height_px, fit)
        # Lines that are enlarged shall stay black and white; where they shrink, grey tells how thin they are.
        enlarged = picture.shape[1] > drawing.shape[1] or picture.shape[2] > drawing.shape[2]
        return picture.round() if enlarged and _is_two_tone(drawing) else picture

    def _drawn(self, module: Module, seen: Image, look: Look) -> Image:
        a = module.a.read(look.threshold_a) if module.a else 0.0
        b = module.b.read(look.threshold_b) if module.b else 0.0
        if module.families:
            model = self._depth_model(module)
            return nearness(model.answer(seen), far_is_large=model.far_is_large)
        if module.name == "openpose":
            self._pose = self._pose or make_pose_finder(self._device)
            return self._pose.draw(seen)
        if module.name == "invert":
            return 1 - seen
        if module.name == "tile_resample":
            height, width = (max(1, int(side / a)) for side in seen.shape[1:])
            return resized(seen, width, height)
        if module.name in _DRAWINGS:
            return from_bytes(_DRAWINGS[module.name](to_bytes(seen), a, b), seen.device)
        return seen

    def _depth_model(self, module: Module) -> DepthModel:
        family = depth_family(module, available_families())
        if family not in self._depth:
            self._depth[family] = make_model(family, self._device)
        return self._depth[family]


def perfect_side_px(image: Image, width_px: int, height_px: int, fit: Fit) -> int:
    """Return the shorter side at which a picture has just the frame's pixels once it is fitted.

    A picture of 1920x1080 in a frame of 512x512 is looked at with 512 rows, with "outer" with 288.

    Args:
        image: (3, h, w).
        width_px, height_px: of the frame.
        fit: how it will be fitted.
    """
    height, width = image.shape[1:]
    scales = (height_px / height, width_px / width)
    scale = min(scales) if fit == "outer" else max(scales)
    return max(1, round(scale * min(height, width)))


def _at_size(image: Image, side_px: int) -> Image:
    height, width = image.shape[1:]
    scale = min(side_px / min(height, width), LONGEST_SIDE_PX / max(height, width))
    return resized(image, max(1, round(width * scale)), max(1, round(height * scale)))


def _is_two_tone(picture: Image) -> bool:
    return bool(((picture == 0) | (picture == 1)).all())
