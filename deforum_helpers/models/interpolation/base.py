"""The interface of frame interpolation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from deforum_helpers.image.types import Image


class Interpolator(Protocol):
    """Makes frames between two frames."""

    name: str

    def between(self, first: Image, second: Image, times: Sequence[float]) -> Iterator[Image]:
        """Yield the frames at `times`, in order.

        Args:
            first, second: (3, H, W) float32 RGB, 0..1, of one size.
            times: 0 is `first`, 1 is `second`; each lies between, rising.
        """
        ...
