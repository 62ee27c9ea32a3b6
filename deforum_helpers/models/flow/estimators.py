"""Optical flow estimators: the Protocol, OpenCV's DIS and Farneback, and RAFT."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import is_regular
from deforum_helpers.core.optional import require
from deforum_helpers.core.registry import choose
from deforum_helpers.image.convert import to_bytes
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.models import messages
from deforum_helpers.models.flow import RAFT_INSTALL


class FlowEstimator(Protocol):
    """Measures where each pixel of one image is in another."""

    name: str

    def estimate(self, source: Image, target: Image, guess: Flow | None = None) -> Flow:
        """Return the motion from `source` to `target`.

        Args:
            source, target: (3, H, W) float32 RGB, 0..1, of one size.
            guess: (2, H, W) the motion expected, where the method can begin from one.

        Returns:
            (2, H, W) float32 pixels (x, y) on the same device, `target_from_source`: what is at p in `source` is at
            p + flow(p) in `target`.
        """
        ...


Gray: TypeAlias = npt.NDArray[np.uint8]
Field: TypeAlias = npt.NDArray[np.float32]
Measure = Callable[[Gray, Gray, "Field | None"], Field]

# DIS reads patches of 8 pixels on a pyramid; below this size it has none.
SMALLEST_SIDE_PX = 16


class ClassicalFlow:
    """A method of OpenCV as a `FlowEstimator`; images on a GPU are copied to the CPU.

    Args:
        name: as settings write it.
        measure: (source, target, guess) -> (H, W, 2) float32 pixels; 8-bit gray images.
    """

    def __init__(self, name: str, measure: Measure) -> None:
        self.name = name
        self._measure = measure

    def estimate(self, source: Image, target: Image, guess: Flow | None = None) -> Flow:
        """Return the motion (2, H, W) in pixels, `target_from_source`; 0 in images under 16 pixels a side."""
        if min(source.shape[1:]) < SMALLEST_SIDE_PX:
            return torch.zeros((2, *source.shape[1:]), device=source.device)
        begin = None if guess is None else np.ascontiguousarray(guess.permute(1, 2, 0).cpu().numpy())
        field = self._measure(gray_bytes(source), gray_bytes(target), begin)
        return torch.from_numpy(np.ascontiguousarray(field.transpose(2, 0, 1))).to(source.device)


def gray_bytes(image: Image) -> Gray:
    """Return (H, W) uint8 luma of an image (3, H, W) float32 RGB, 0..1."""
    return cv2.cvtColor(to_bytes(image), cv2.COLOR_RGB2GRAY)


def dis_medium() -> ClassicalFlow:
    """Return DIS with OpenCV's medium preset."""
    return ClassicalFlow(
        "DIS Medium", _dis(lambda: cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM))
    )


def dis_fine() -> ClassicalFlow:
    """Return DIS at full resolution: 192 descents, patches of 8 pixels every 4."""
    return ClassicalFlow("DIS Fine", _dis(_fine))


def farneback() -> ClassicalFlow:
    """Return Farneback's polynomial expansion on 5 levels."""
    return ClassicalFlow("Farneback", _farneback)


def _dis(make: Callable[[], Any]) -> Measure:
    # A new instance for each pair, as its state would leak into the next one.
    def measure(source: Gray, target: Gray, guess: Field | None) -> Field:
        field: Field = make().calc(source, target, None if guess is None else guess.copy())
        return field

    return measure


def _fine() -> Any:
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    method.setGradientDescentIterations(192)
    method.setFinestScale(0)
    method.setPatchSize(8)
    method.setPatchStride(4)
    return method


def _farneback(source: Gray, target: Gray, guess: Field | None) -> Field:
    field: Field = cv2.calcOpticalFlowFarneback(
        source,
        target,
        None if guess is None else guess.copy(),
        pyr_scale=0.5,
        levels=5,
        winsize=21,
        iterations=5,
        poly_n=7,
        poly_sigma=1.2,
        flags=0,
    )
    return field


UPDATES = 50
MULTIPLE_PX = 8
# The network compares patches of an eighth of the size on four levels of halves.
RAFT_SMALLEST_SIDE_PX = 128


def load_raft(device: torch.device | str) -> RaftFlow:
    """Return RAFT (large) with the weights that torch's cache holds.

    Raises:
        MissingFeature: torchvision is not installed.
        ModelError: the weights are not on this machine, or broken.
    """
    models = require("torchvision.models.optical_flow", "RAFT", RAFT_INSTALL)
    weights = models.Raft_Large_Weights.DEFAULT
    path = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(weights.url)
    if not is_regular(path):
        raise ModelError(messages.RAFT_WEIGHTS_MISSING(file=path.name, folder=path.parent))
    network = models.raft_large(weights=None)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(messages.RAFT_WEIGHTS_BROKEN(file=path.name)) from error
    return RaftFlow(network.to(device).eval())


class RaftFlow:
    """RAFT as a `FlowEstimator`.

    Args:
        network: called with two (1, 3, h, w) images in -1..1 whose sides are multiples of 8 and `num_flow_updates`;
            returns a list of (1, 2, h, w) flows, the last one the best.
    """

    name = "RAFT"

    def __init__(self, network: Any) -> None:
        self._network = network

    @torch.no_grad()
    def estimate(self, source: Image, target: Image, guess: Flow | None = None) -> Flow:
        """Return the motion (2, H, W) in pixels, `target_from_source`; RAFT ignores the guess."""
        height_px, width_px = source.shape[1:]
        tall, wide = (
            max(RAFT_SMALLEST_SIDE_PX, -(-side // MULTIPLE_PX) * MULTIPLE_PX)
            for side in (height_px, width_px)
        )
        padding = (0, wide - width_px, 0, tall - height_px)
        pair = [F.pad(image[None] * 2 - 1, padding, mode="replicate") for image in (source, target)]
        flow: Flow = self._network(*pair, num_flow_updates=UPDATES)[-1]
        return flow[0, :, :height_px, :width_px].float().contiguous()


def make_flow_estimator(name: str, device: torch.device | str = "cpu") -> FlowEstimator:
    """Return the method that a setting names.

    Args:
        name: of `settings.tables.FLOW_METHODS`.
        device: of images and flows.

    Raises:
        UnknownName: no such method.
        MissingFeature: RAFT's package is not installed.
        ModelError: RAFT's weights are not on this machine.
    """
    makers: Mapping[str, Callable[[], FlowEstimator]] = {
        "RAFT": lambda: load_raft(device),
        "DIS Medium": dis_medium,
        "DIS Fine": dis_fine,
        "Farneback": farneback,
    }
    return choose(makers, name, "optical flow method")()
