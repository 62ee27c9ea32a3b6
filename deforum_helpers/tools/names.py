"""Allowed values of the tools' arguments; imported without torch."""

from __future__ import annotations

from collections.abc import Mapping

MODES = ("Depth", "Anime Remove Background", "Mixed", "None (just grayscale)")
THRESHOLDINGS = ("None", "Simple", "Simple (Auto-value)", "Adaptive (Mean)", "Adaptive (Gaussian)")

# Spelling of classic Deforum.
OTHER_SPELLINGS: Mapping[str, str] = {"Depth (Midas/Adabins)": "Depth"}
WITH_DEPTH = ("Depth", "Mixed")
WITH_FIGURES = ("Anime Remove Background", "Mixed")

SLOWEST = 10
LOWEST_FPS, HIGHEST_FPS = 1, 240
# Bounds of the numbers in `DepthLook`.
DEPTH_RANGES: Mapping[str, tuple[int, int]] = {
    "lower": (0, 255),
    "upper": (0, 255),
    "block_size": (3, 255),
    "c": (-255, 255),
    "blur": (0, 255),
}
