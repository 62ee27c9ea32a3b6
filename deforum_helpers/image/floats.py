"""Pictures whose levels are floating-point numbers, as renderers and depth models write them into TIFF files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deforum_helpers.image.heads import tiff_size


def float_tiff(content: bytes, most_pixels: int) -> npt.NDArray[np.uint8] | None:
    """Return the (H, W) or (H, W, 3) RGB uint8 levels of a float TIFF that Pillow cannot read, in colour or 64 bits.

    None for any other file, and for more than `most_pixels`.
    """
    size = tiff_size(content)
    if size is None or not 0 < size[0] * size[1] <= most_pixels:
        return None
    import cv2  # heavy, and checks meet such files rarely

    try:
        levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if levels is None or levels.dtype.kind != "f" or levels.shape[2:] not in ((), (3,), (4,)):
        return None
    colors = levels if levels.ndim == 2 else levels[..., 2::-1]
    return in_8_bits(colors)


def in_8_bits(levels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return float levels as uint8: 0..1 is black to white, and levels outside of that are scaled to their range.

    What is no number is black; a single level above 1 is white.
    """
    finite = levels[np.isfinite(levels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if (low >= 0 and high <= 1) or low == high:
        low, high = 0.0, 1.0
    shares = (levels.astype(np.float64) - low) / (high - low)
    shares = np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    return np.rint(shares * 255).astype(np.uint8)
