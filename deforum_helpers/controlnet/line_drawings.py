"""Preprocessors that need no weights: edges, lines, strokes, levels. All take and return (H, W, 3) uint8 RGB."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

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
