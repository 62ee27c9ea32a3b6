"""DIS and Farneback: motion between two grey pictures by OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch

from deforum_helpers.image.convert import to_bytes
from deforum_helpers.image.types import Flow, Image

Gray: TypeAlias = npt.NDArray[np.uint8]
Field: TypeAlias = npt.NDArray[np.float32]
Measure = Callable[[Gray, Gray, "Field | None"], Field]

# DIS reads patches of 8 pixels on a pyramid; below this size it has none.
SMALLEST_SIDE_PX = 16


class ClassicalFlow:
    """A method of OpenCV as a `FlowEstimator`; pictures of a GPU pay for two copies.

    Args:
        name: as settings write it.
        measure: (source, target, guess) -> (H, W, 2) float32 pixels; grey pictures of 8 bits.
    """

    def __init__(self, name: str, measure: Measure) -> None:
        self.name = name
        self._measure = measure

    def estimate(self, source: Image, target: Image, guess: Flow | None = None) -> Flow:
        """Return the motion (2, H, W) in pixels, `target_from_source`; none in pictures under 16 pixels a side."""
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
    # A new one for each pair: what it keeps of a pair would find its way into the next.
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
