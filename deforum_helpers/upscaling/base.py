"""What the making of films knows of a way to make pictures larger."""

from __future__ import annotations

from typing import Protocol

from deforum_helpers.image.types import Image


class Upscaler(Protocol):
    """Makes pictures larger."""

    name: str

    def enlarged(self, image: Image) -> Image:
        """Return `image`, (3, H, W) float32 RGB in 0..1, with sides that are the upscaler's factor times as long."""
        ...
