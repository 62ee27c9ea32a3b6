"""Measures of a video's defects, over consecutive frames and the planned motion between them.

Frames are (H, W, 3) uint8 RGB. A planned flow is (2, H, W) float32 in pixels, columns first: the displacement of
each pixel of the previous frame in the next one. Differences are in 8-bit levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Detail is the part of a frame that a Gaussian blur of this standard deviation removes.
DETAIL_SIGMA_PX = 4.0
# Optical flow is reliable only in textured areas: the strongest fifth of the gradients.
TEXTURED_SHARE = 0.2


@dataclass(frozen=True)
class Pair:
    """Two consecutive frames and the planned motion between them.

    Args:
        before, after: the frames.
        expected: (H, W, 3) float32, `before` warped by the planned motion.
        seen: (H, W) where both frames show the same surface.
        flow: (2, H, W) the planned flow.
    """

    before: Frame
    after: Frame
    expected: Floats
    seen: Mask
    flow: Floats


@dataclass(frozen=True)
class Coherence:
    """Coherence of consecutive frames, as means over a clip.

    Args:
        error: mean absolute difference between a frame and the warped previous frame, in levels.
        flicker: error divided by the frames' own detail; unrelated frames of a detailed scene give 2 or more.
        motion: regression of the measured on the planned flow; 1 = as planned, 0 = none, NaN if none is planned.
        miss_px: root mean square of measured minus planned flow.
    """

    error: float
    flicker: float
    motion: float
    miss_px: float


@dataclass(frozen=True)
class Burn:
    """Growth from the first to the last quarter of a clip, relative to the values of text-to-image frames.

    Args:
        clipped: share of pixels of 0 or 255, in percentage points.
        contrast: standard deviation of the brightness.
        saturation: mean distance of the largest from the smallest channel.
        sharp: variance of the Laplacian.
    """

    clipped: float
    contrast: float
    saturation: float
    sharp: float

    @property
    def worst(self) -> float:
        return max(self.clipped, self.contrast, self.saturation, self.sharp)


def coherence(pairs: Sequence[Pair]) -> Coherence:
    """Return the measures of a clip's pairs of frames."""
    errors, details = [], []
    measured_on_planned = planned_squared = missed_squared = 0.0
    pixels = 0
    for pair in pairs:
        errors.append(float(np.abs(pair.after - pair.expected)[pair.seen].mean()))
        details.append(detail(pair.after))
        where = pair.seen & _textured(pair.before)
        difference = measured_flow(pair.before, pair.after) - pair.flow
        planned, missed = pair.flow[:, where].astype(np.float64), difference[:, where].astype(np.float64)
        measured_on_planned += float(((planned + missed) * planned).sum())
        planned_squared += float((planned**2).sum())
        missed_squared += float((missed**2).sum())
        pixels += int(where.sum())
    error = float(np.mean(errors))
    return Coherence(
        error=error,
        flicker=error / max(float(np.mean(details)), 1e-6),
        motion=measured_on_planned / planned_squared if planned_squared else float("nan"),
        miss_px=float(np.sqrt(missed_squared / max(pixels, 1))),
    )


def measured_flow(before: Frame, after: Frame) -> Floats:
    """Return the optical flow by dense inverse search (DIS), (2, H, W) pixels."""
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = estimator.calc(_gray(before), _gray(after), np.zeros((*before.shape[:2], 2), np.float32))
    return np.ascontiguousarray(flow.transpose(2, 0, 1))


def detail(frame: Frame) -> float:
    """Return the mean absolute difference between a frame and its blur."""
    smooth = cv2.GaussianBlur(frame, (0, 0), DETAIL_SIGMA_PX)
    return float(np.abs(frame.astype(np.float32) - smooth).mean())


def sharpness(frame: Frame) -> float:
    """Return the variance of the brightness' Laplacian, in squared levels."""
    return float(cv2.Laplacian(_gray(frame), cv2.CV_32F).var())


def pulse(frames: Sequence[Frame]) -> float:
    """Return the mean absolute change of sharpness from frame to frame, divided by its mean; 0 = constant."""
    values = np.array([sharpness(frame) for frame in frames])
    return float(np.abs(np.diff(values)).mean() / values.mean()) if len(values) > 1 and values.mean() else 0.0


def burn(frames: Sequence[Frame], text_to_image: Sequence[Frame]) -> Burn:
    """Return the growth of harshness from the first to the last quarter of `frames`.

    Args:
        frames: a clip, at least four frames.
        text_to_image: frames generated from the same prompt and noise alone.
    """
    quarter = max(1, len(frames) // 4)
    first, last, fresh = (_looks(part) for part in (frames[:quarter], frames[-quarter:], text_to_image))
    growth = last - first
    contrast, saturation, sharp = (float(growth[i] / max(fresh[i], 1e-6)) for i in (1, 2, 3))
    return Burn(clipped=float(growth[0]), contrast=contrast, saturation=saturation, sharp=sharp)


def psnr(first: Frame, second: Frame) -> float:
    """Return the peak signal-to-noise ratio in dB; infinite for equal frames."""
    error = float(((first.astype(np.float64) - second) ** 2).mean())
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def smear(frame: Frame, true_view: Frame, flow: Floats, revealed: Mask) -> float:
    """Return the smear of a revealed area relative to the true view; below 1 it is smeared along the motion.

    The energy of gradients along the motion over the energy across it, relative to the true view's.

    Args:
        frame, true_view: the frame, and the true view of the camera.
        flow: (2, H, W) the planned flow, which gives the direction.
        revealed: (H, W) area that the previous frame did not show.
    """
    rendered, true = (_along_over_across(seen, flow, revealed) for seen in (frame, true_view))
    return rendered / true


def _along_over_across(frame: Frame, flow: Floats, where: Mask) -> float:
    gray = _gray(frame).astype(np.float32)
    dx, dy = (cv2.Sobel(gray, cv2.CV_32F, *order)[where] for order in ((1, 0), (0, 1)))
    columns, rows = (plane[where] for plane in flow / np.maximum(np.hypot(*flow), 1e-6))
    along, across = dx * columns + dy * rows, dy * columns - dx * rows
    return float((along**2).sum() / max(float((across**2).sum()), 1e-6))


def _looks(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """Clipped share, contrast, saturation and sharpness, the means over frames."""
    rows = []
    for frame in frames:
        gray = _gray(frame)
        clipped = ((frame == 0) | (frame == 255)).any(2).mean()
        saturation = (frame.max(2).astype(np.float32) - frame.min(2)).mean()
        rows.append([clipped, gray.std(), saturation, sharpness(frame)])
    return np.array(rows, np.float64).mean(0)


def _textured(frame: Frame) -> Mask:
    gray = cv2.GaussianBlur(_gray(frame), (0, 0), 1.5)
    strength = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    return np.asarray(strength >= np.quantile(strength, 1 - TEXTURED_SHARE))


def _gray(frame: Frame) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)
