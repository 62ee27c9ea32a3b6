"""What the loop knows of a way to measure motion."""

from __future__ import annotations

from typing import Protocol

from deforum_helpers.image.types import Flow, Image


class FlowEstimator(Protocol):
    """Tells where each pixel of one picture is in another."""

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
