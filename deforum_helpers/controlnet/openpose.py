"""Skeletons in OpenPose's style: 18 joints and 17 limbs, each in its own hue on black."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError

from deforum_helpers.controlnet import messages
from deforum_helpers.controlnet.units import JOINTS_MODEL, PEOPLE_MODEL, module_fault
from deforum_helpers.core.errors import MissingFeature, ModelError
from deforum_helpers.core.optional import require
from deforum_helpers.image.convert import from_bytes, standardized
from deforum_helpers.image.types import Image
from deforum_helpers.models.weights.files import hub_folder

# OpenPose's joints in the 17 of COCO; the neck is the middle of both shoulders.
NECK = -1
SHOULDERS = (5, 6)
FROM_COCO = (0, NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)),
    *((1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
LIMB_BRIGHTNESS = 0.6
# The width of limbs in an image whose shorter side is `REFERENCE_SIDE_PX`.
LIMB_WIDTH_PX = 4.0
REFERENCE_SIDE_PX = 512


@dataclass(frozen=True)
class Joint:
    """A detected joint, in pixels of the image."""

    x_px: float
    y_px: float


Skeleton = tuple[Joint | None, ...]


def skeleton_of(coco: Sequence[Joint | None]) -> Skeleton:
    """Convert COCO's 17 joints to OpenPose's 18."""
    left, right = (coco[shoulder] for shoulder in SHOULDERS)
    neck = None
    if left is not None and right is not None:
        neck = Joint((left.x_px + right.x_px) / 2, (left.y_px + right.y_px) / 2)
    return tuple(neck if place == NECK else coco[place] for place in FROM_COCO)


def skeleton_pixels(skeletons: Sequence[Skeleton], width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    """Return the skeletons as (H, W, 3) uint8 RGB on black."""
    canvas = np.zeros((height_px, width_px, 3), np.uint8)
    half_px = max(1, round(LIMB_WIDTH_PX * min(width_px, height_px) / REFERENCE_SIDE_PX))
    for skeleton in skeletons:
        for number, (first, second) in enumerate(LIMBS):
            start, end = skeleton[first], skeleton[second]
            if start is not None and end is not None:
                _draw_limb(canvas, start, end, half_px, _hue(number))
    canvas = np.rint(canvas * LIMB_BRIGHTNESS).astype(np.uint8)
    for skeleton in skeletons:
        for number, joint in enumerate(skeleton):
            if joint is not None:
                place = round(joint.x_px), round(joint.y_px)
                cv2.circle(canvas, place, half_px, _hue(number), thickness=-1)
    return canvas


def _draw_limb(
    canvas: npt.NDArray[np.uint8], start: Joint, end: Joint, half_px: int, color: tuple[int, int, int]
) -> None:
    across, down = end.x_px - start.x_px, end.y_px - start.y_px
    middle = round((start.x_px + end.x_px) / 2), round((start.y_px + end.y_px) / 2)
    axes = max(1, round(math.hypot(across, down) / 2)), half_px
    turn_deg = round(math.degrees(math.atan2(down, across)))
    cv2.ellipse(canvas, middle, axes, turn_deg, 0, 360, color, thickness=-1)


def _hue(number: int) -> tuple[int, int, int]:
    """The hues of 18 joints and limbs are 20 degrees apart, from red."""
    red, green, blue = (round(255 * level) for level in colorsys.hsv_to_rgb(number / 18, 1, 1))
    return red, green, blue


DETECTION_SIDE_PX = 512
PERSON = "person"
PERSON_THRESHOLD = 0.7
JOINT_THRESHOLD = 0.3
JOINT_INPUT_PX = (192, 256)  # width, height
BOX_MARGIN = 1.25


@dataclass(frozen=True)
class Box:
    """The bounding box of a person, in pixels: centre and size."""

    x_px: float
    y_px: float
    width_px: float
    height_px: float

    def widened(self) -> Box:
        """Return the box widened by a margin to the aspect ratio of `JOINT_INPUT_PX`."""
        width, height = JOINT_INPUT_PX
        wide = max(self.width_px, self.height_px * width / height) * BOX_MARGIN
        return Box(self.x_px, self.y_px, wide, wide * height / width)


class PoseFinder:
    """Finds the people in an image and renders their skeletons.

    Args:
        people: detector that returns `logits` (1, N, labels + 1) and `pred_boxes` (1, N, 4) for pixel_values.
        label: its label for a person.
        joints: network that returns `heatmaps` (N, 17, h, w) for pixel_values (N, 3, 256, 192).
    """

    def __init__(self, people: Any, label: int, joints: Any) -> None:
        self._people = people
        self._label = label
        self._joints = joints

    @torch.no_grad()
    def skeletons(self, image: Image) -> Image:
        """Return the skeletons on black, of the size of `image`, (3, H, W) float32 RGB."""
        height, width = image.shape[1:]
        boxes = [box.widened() for box in self._boxes(image)]
        skeletons = [self._skeleton(image, box) for box in boxes]
        return from_bytes(skeleton_pixels(skeletons, width, height), image.device)

    def _boxes(self, image: Image) -> list[Box]:
        height, width = image.shape[1:]
        scale = DETECTION_SIDE_PX / min(height, width)
        size = tuple(max(32, round(side * scale / 32) * 32) for side in (height, width))
        answered = self._people(
            pixel_values=standardized(F.interpolate(image[None], size, mode="bilinear", antialias=True))
        )
        sure = answered.logits.float().softmax(-1)[0, :, self._label] >= PERSON_THRESHOLD
        found = answered.pred_boxes[0][sure].float().tolist()
        return [Box(x * width, y * height, w * width, h * height) for x, y, w, h in found]

    def _skeleton(self, image: Image, box: Box) -> Skeleton:
        seen = standardized(_cropped(image, box)[None])
        heat = self._joints(pixel_values=seen).heatmaps[0].float().cpu().numpy()
        return skeleton_of([_joint(plane, box) for plane in heat])


def _cropped(image: Image, box: Box) -> torch.Tensor:
    """Return the part of an image in a box, (3, 256, 192), black outside of the image."""
    height, width = image.shape[1:]
    seen_width, seen_height = JOINT_INPUT_PX
    across = box.x_px + ((torch.arange(seen_width) + 0.5) / seen_width - 0.5) * box.width_px
    down = box.y_px + ((torch.arange(seen_height) + 0.5) / seen_height - 0.5) * box.height_px
    rows, columns = torch.meshgrid(2 * down / height - 1, 2 * across / width - 1, indexing="ij")
    places = torch.stack([columns, rows], dim=-1)[None].to(image.device)
    return F.grid_sample(image[None], places, mode="bilinear", align_corners=False)[0]


def _joint(heat: np.ndarray, box: Box) -> Joint | None:
    """Return the peak of a heatmap, moved a quarter cell towards its higher neighbours; None below the threshold."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    if heat[row, column] < JOINT_THRESHOLD:
        return None
    padded = np.pad(heat, 1, mode="edge")
    lean_x = np.sign(padded[row + 1, column + 2] - padded[row + 1, column]) / 4
    lean_y = np.sign(padded[row + 2, column + 1] - padded[row, column + 1]) / 4
    height, width = heat.shape
    x_share = (column + 0.5 + lean_x) / width - 0.5
    y_share = (row + 0.5 + lean_y) / height - 0.5
    return Joint(float(box.x_px + x_share * box.width_px), float(box.y_px + y_share * box.height_px))


def make_pose_finder(device: torch.device | str) -> PoseFinder:
    """Load the models of openpose from the Hugging Face cache.

    Raises:
        MissingFeature: a model or its package is not on this machine.
        ModelError: a model is broken.
    """
    fault = module_fault("openpose")
    if fault is not None:
        raise MissingFeature(messages.POSE_UNAVAILABLE(reason=fault))
    transformers = require("transformers", "openpose", "pip install transformers")
    options = {"local_files_only": True, "use_safetensors": True}
    try:
        people = transformers.YolosForObjectDetection.from_pretrained(hub_folder(PEOPLE_MODEL), **options)
        joints = transformers.VitPoseForPoseEstimation.from_pretrained(hub_folder(JOINTS_MODEL), **options)
        labels = {str(name).casefold(): int(number) for number, name in people.config.id2label.items()}
        return PoseFinder(people.to(device).eval(), labels[PERSON], joints.to(device).eval())
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(messages.POSE_MODEL_BROKEN(reason=first)) from error
