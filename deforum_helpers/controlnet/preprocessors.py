"""From a picture to the control picture that a ControlNet is shown: preprocessed, and fitted to the frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from deforum_helpers.controlnet import line_drawings, messages
from deforum_helpers.controlnet.names import MODULES, Module, depth_family, module_of
from deforum_helpers.controlnet.nearness import nearness
from deforum_helpers.controlnet.pose import PoseFinder, make_pose_finder
from deforum_helpers.depth.models import DepthModel, make_model
from deforum_helpers.depth.names import available_families
from deforum_helpers.errors import MissingFeature
from deforum_helpers.image.convert import from_bytes, resized, to_bytes
from deforum_helpers.image.fit import Fit, fitted
from deforum_helpers.image.types import Image

# What is looked at never gets longer than this, however oblong the picture.
LONGEST_SIDE_PX = 8192

FITS: Mapping[str, Fit] = {
    "Just Resize": "stretch",
    "Inner Fit (Scale to Fit)": "inner",
    "Outer Fit (Shrink to Fit)": "outer",
}

_Draw = Callable[[line_drawings.Picture, float, float], line_drawings.Picture]
_DRAWINGS: Mapping[str, _Draw] = {
    "canny": line_drawings.canny,
    "lineart_standard": lambda picture, a, b: line_drawings.pencil_lines(picture),
    "softedge": lambda picture, a, b: line_drawings.soft_edges(picture),
    "scribble_xdog": lambda picture, a, b: line_drawings.strokes(picture, a),
    "threshold": lambda picture, a, b: line_drawings.black_and_white(picture, a),
    "blur_gaussian": lambda picture, a, b: line_drawings.gaussian(picture, a),
    "recolor_luminance": lambda picture, a, b: line_drawings.luminance(picture, a),
    "recolor_intensity": lambda picture, a, b: line_drawings.intensity(picture, a),
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
