"""What the tools can be asked for, by name; imported without torch."""

from __future__ import annotations

MODES = ("Depth", "Anime Remove Background", "Mixed", "None (just grayscale)")
THRESHOLDINGS = ("None", "Simple", "Simple (Auto-value)", "Adaptive (Mean)", "Adaptive (Gaussian)")
