"""The end of a video that is led somewhere: back to its first frame, or to an image."""

from __future__ import annotations

from dataclasses import dataclass

from deforum_helpers.render.transitions import ending_share
from deforum_helpers.settings import Settings


@dataclass(frozen=True)
class Ending:
    """How far a key frame is led to the end.

    Args:
        share: 0..1, of the end in the frame, 1 = the frame is the end.
        step: 0..1, what of that is new since the key frame before.
    """

    share: float
    step: float


def ending_at(settings: Settings, index: int, before: int) -> Ending | None:
    """Return how far the key frame `index` is led to the end, where `before` is the key frame before it."""
    share = ending_share(settings, index)
    if share == 0:
        return None
    had = ending_share(settings, before)
    return Ending(share, (share - had) / (1 - had) if had < 1 else 1.0)
