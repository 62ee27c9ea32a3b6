"""Preprocessors of ControlNet units: from an input image to the control image."""

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
from deforum_helpers.models.depth import available_families
from deforum_helpers.models.depth.models import DepthModel, make_model

# Quantiles that bound metric depth, whose extremes are outliers.
METRIC_RANGE = (0.02, 0.85)


def control_depth(answer: torch.Tensor, *, far_is_large: bool) -> Image:
    """Convert a depth model's output for ControlNets: (3, H, W) gray, 1 = nearest; 0.5 if it is flat.

    Args:
        answer: (H, W) float32, in the model's unit.
        far_is_large: True = distance, False = inverse distance.
    """
    answer = torch.nan_to_num(answer.float())
    if far_is_large:
        low, high = (_value_at(answer, share) for share in METRIC_RANGE)
    else:
        low, high = answer.min(), answer.max()
    span = high - low
    if float(span) <= 0:
        return as_image(torch.full_like(answer, 0.5))
    share = ((answer - low) / span).clamp(0, 1)
    return as_image(1 - share if far_is_large else share)


def _value_at(values: torch.Tensor, share: float) -> torch.Tensor:
    """Return the quantile `share` of `values`."""
    return values.flatten().kthvalue(1 + int(share * (values.numel() - 1))).values


Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# A line is darker than its surroundings by more than noise; in 8-bit levels and pixels.
LINE_SURROUNDINGS_PX = 6.0
LINE_TRACE = 8.0
LINE_LEVEL = 127.0
STROKE_FINE_PX = 0.5
STROKE_SURROUNDINGS_PX = 5.0
EDGE_SCALES_PX = (1.0, 2.0, 4.0)
EDGE_BRIGHTEST_PERCENT = 99.0


def canny(rgb: Pixels, low: float, high: float) -> Pixels:
    """Return Canny edges, one pixel wide, white on black, with hysteresis thresholds `low` and `high`."""
    return _as_rgb(cv2.Canny(np.ascontiguousarray(rgb), low, high))


def pencil_lines(rgb: Pixels) -> Pixels:
    """Return how much darker than its surroundings each pixel is, the median of the lines brought to middle grey."""
    levels = rgb.astype(np.float32)
    darker = (_blurred(levels, LINE_SURROUNDINGS_PX) - levels).min(axis=2).clip(0, 255)
    lines = darker[darker > LINE_TRACE]
    typical = max(16.0, float(np.median(lines))) if lines.size else 16.0
    return _as_rgb((darker * (LINE_LEVEL / typical)).clip(0, 255).astype(np.uint8))


def strokes(rgb: Pixels, threshold: float) -> Pixels:
    """Return white strokes on black where a pixel is darker than its surroundings by over half of `threshold`.

    The difference of two Gaussians, cut in two (Winnemöller, XDoG, 2012).
    """
    levels = rgb.astype(np.float32)
    darker = (_blurred(levels, STROKE_SURROUNDINGS_PX) - _blurred(levels, STROKE_FINE_PX)).min(axis=2)
    return _as_rgb(np.where(2 * darker.clip(0, 255) > threshold, 255, 0).astype(np.uint8))


def soft_edges(rgb: Pixels) -> Pixels:
    """Return soft edges: the steepest channel's slope, fine and coarse together, the steepest of all nearly white."""
    levels = rgb.astype(np.float32)
    total = np.zeros(levels.shape[:2], np.float32)
    for scale_px in EDGE_SCALES_PX:
        smooth = _blurred(levels, scale_px)
        slopes = [cv2.Scharr(smooth, cv2.CV_32F, *direction) for direction in ((1, 0), (0, 1))]
        total += np.hypot(*slopes).max(axis=2) * scale_px
    brightest = float(np.percentile(total, EDGE_BRIGHTEST_PERCENT))
    if brightest <= 1e-6 * levels.max():
        return np.zeros_like(rgb)
    return _as_rgb((total / brightest * 255).clip(0, 255).astype(np.uint8))


def black_and_white(rgb: Pixels, level: float) -> Pixels:
    """Return white where the darkest channel is above `level`."""
    return _as_rgb(np.where(rgb.min(axis=2) > level, 255, 0).astype(np.uint8))


def gaussian(rgb: Pixels, sigma_px: float) -> Pixels:
    """Return the image blurred by a Gaussian."""
    return np.rint(_blurred(rgb.astype(np.float32), sigma_px)).astype(np.uint8)


def luminance(rgb: Pixels, gamma: float) -> Pixels:
    """Return CIE lightness 0..1 to the power of `gamma`, as grey."""
    return _powered(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., 0], gamma)


def intensity(rgb: Pixels, gamma: float) -> Pixels:
    """Return the brightest channel 0..1 to the power of `gamma`, as grey."""
    return _powered(rgb.max(axis=2), gamma)


def _powered(levels: Pixels, gamma: float) -> Pixels:
    return _as_rgb(np.rint((levels / 255.0) ** gamma * 255).astype(np.uint8))


def _blurred(levels: Floats, sigma_px: float) -> Floats:
    return cv2.GaussianBlur(levels, (0, 0), sigma_px).reshape(levels.shape).astype(np.float32, copy=False)


def _as_rgb(levels: npt.NDArray[np.uint8] | cv2.Mat) -> Pixels:
    return np.repeat(np.asarray(levels, np.uint8)[..., None], 3, axis=2)


# The longer side of a preprocessor's input, however oblong the image.
LONGEST_SIDE_PX = 8192

FITS: Mapping[str, Fit] = {
    "Just Resize": "stretch",
    "Inner Fit (Scale to Fit)": "inner",
    "Outer Fit (Shrink to Fit)": "outer",
}

_Filter = Callable[[Pixels, float, float], Pixels]
_FILTERS: Mapping[str, _Filter] = {
    "canny": canny,
    "lineart_standard": lambda rgb, a, b: pencil_lines(rgb),
    "softedge": lambda rgb, a, b: soft_edges(rgb),
    "scribble_xdog": lambda rgb, a, b: strokes(rgb, a),
    "threshold": lambda rgb, a, b: black_and_white(rgb, a),
    "blur_gaussian": lambda rgb, a, b: gaussian(rgb, a),
    "recolor_luminance": lambda rgb, a, b: luminance(rgb, a),
    "recolor_intensity": lambda rgb, a, b: intensity(rgb, a),
}


@dataclass(frozen=True)
class PreprocessorSettings:
    """The preprocessor of a unit and its numbers; names, choices and units are those of the settings."""

    module: str
    resize_mode: str
    pixel_perfect: bool = False
    processor_res: int = -1
    threshold_a: float = -1
    threshold_b: float = -1


class Preprocessors:
    """Makes control images; the models that some preprocessors need are loaded on first use and cached.

    Args:
        device: of these models.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._depth: dict[str, DepthModel] = {}
        self._pose: PoseFinder | None = None

    def control_image(
        self, image: Image, settings: PreprocessorSettings, width_px: int, height_px: int
    ) -> Image:
        """Return the control image of `image`, (3, height, width) float32 RGB 0..1.

        Args:
            image: (3, h, w) float32 RGB 0..1.
            settings: the preprocessor and its numbers.
            width_px, height_px: of the frame.

        Raises:
            MissingFeature: the preprocessor is unknown, or its models are not on this machine.
            ModelError: its models are broken.
        """
        module = module_of(settings.module)
        if module is None:
            known = ", ".join(MODULES)
            raise MissingFeature(messages.PREPROCESSOR_MISSING(name=settings.module, allowed=known))
        fit = FITS[settings.resize_mode]
        seen = image
        if module.sized:
            side_px = module.resolution_px(settings.processor_res)
            if settings.pixel_perfect:
                side_px = perfect_side_px(image, width_px, height_px, fit)
            seen = _at_size(image, side_px)
        processed = self._preprocessed(module, seen, settings)
        fitted_image = fitted(processed, width_px, height_px, fit)
        # Enlarged lines stay black and white; in reduced ones, gray stands for their width.
        enlarged = fitted_image.shape[1] > processed.shape[1] or fitted_image.shape[2] > processed.shape[2]
        return fitted_image.round() if enlarged and _is_two_tone(processed) else fitted_image

    def _preprocessed(self, module: Module, seen: Image, settings: PreprocessorSettings) -> Image:
        a = module.a.read(settings.threshold_a) if module.a else 0.0
        b = module.b.read(settings.threshold_b) if module.b else 0.0
        if module.families:
            model = self._depth_model(module)
            return control_depth(model.answer(seen), far_is_large=model.far_is_large)
        if module.name == "openpose":
            self._pose = self._pose or make_pose_finder(self._device)
            return self._pose.skeletons(seen)
        if module.name == "invert":
            return 1 - seen
        if module.name == "tile_resample":
            height, width = (max(1, int(side / a)) for side in seen.shape[1:])
            return resized(seen, width, height)
        if module.name in _FILTERS:
            return from_bytes(_FILTERS[module.name](to_bytes(seen), a, b), seen.device)
        return seen

    def _depth_model(self, module: Module) -> DepthModel:
        family = depth_family(module, available_families())
        if family not in self._depth:
            self._depth[family] = make_model(family, self._device)
        return self._depth[family]


def perfect_side_px(image: Image, width_px: int, height_px: int, fit: Fit) -> int:
    """Return the shorter side at which an image has exactly the frame's pixels after fitting.

    An image of 1920x1080 in a frame of 512x512 is processed with 512 rows, or 288 with "outer".

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


def _is_two_tone(image: Image) -> bool:
    return bool(((image == 0) | (image == 1)).all())
