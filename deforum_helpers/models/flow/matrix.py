"""Motion between two images as one matrix: an affine transform or a homography through matched features."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from deforum_helpers.camera.types import Matrix
from deforum_helpers.image.convert import from_pixels, pixels
from deforum_helpers.image.types import Image
from deforum_helpers.models.flow.estimators import gray_bytes
from deforum_helpers.models.flow.warp import OUTSIDE, Outside

Kind = Literal["Affine", "Perspective"]

NEAREST_TO_SECOND = 0.75
FEWEST_MATCHES = 8
WORST_PX = 5.0


def motion_matrix(source: Image, target: Image, kind: Kind) -> Matrix:
    """Return the (3, 3) float64 matrix `target_from_source` in pixels.

    SIFT features are matched by Lowe's ratio test, and RANSAC finds the matrix that most matches agree with. With too
    few matches it is the identity.

    Args:
        source, target: (3, H, W) float32 RGB, 0..1, of one size.
        kind: "Affine" rotates, scales and translates; "Perspective" also tilts.
    """
    matches = _matches(source, target)
    if len(matches) <= FEWEST_MATCHES:
        return np.eye(3)
    here, there = (np.ascontiguousarray(places) for places in (matches[:, :2], matches[:, 2:]))
    if kind == "Perspective":
        found, _ = cv2.findHomography(here, there, cv2.RANSAC, WORST_PX)
        return np.eye(3) if found is None else np.asarray(found, np.float64)
    affine, _ = cv2.estimateAffinePartial2D(here, there)
    return np.eye(3) if affine is None else np.vstack([affine, [0.0, 0.0, 1.0]])


def _matches(source: Image, target: Image) -> npt.NDArray[np.float32]:
    """Return (N, 4) float32: x, y in the source and x, y in the target of each matched feature."""
    sift = cv2.SIFT.create()
    (here, theirs), (there, others) = (
        sift.detectAndCompute(gray_bytes(image), None) for image in (source, target)
    )
    if any(features is None or len(features) < 2 for features in (theirs, others)):
        return np.empty((0, 4), np.float32)
    pairs = cv2.BFMatcher().knnMatch(theirs, others, 2)
    clear = [best for best, second in pairs if best.distance < NEAREST_TO_SECOND * second.distance]
    return np.array(
        [[*here[match.queryIdx].pt, *there[match.trainIdx].pt] for match in clear], np.float32
    ).reshape(-1, 4)


def moved_by(image: Image, dst_from_src: Matrix, outside: Outside = "reflection") -> Image:
    """Return `image` moved by a matrix of `motion_matrix`, bilinear.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        dst_from_src: (3, 3) in pixels.
        outside: fills pixels from outside of the image.
    """
    height_px, width_px = image.shape[1:]
    moved = cv2.warpPerspective(
        pixels(image.cpu()),
        dst_from_src,
        (width_px, height_px),
        flags=cv2.INTER_LINEAR,
        borderMode=OUTSIDE[outside],
    )
    return from_pixels(moved).to(image.device)
