"""Hybrid video: planned values of each key frame, and the init video's motion applied to images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deforum_helpers.render.schedules import Values
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import is_hybrid

if TYPE_CHECKING:
    from deforum_helpers.camera.types import Matrix
    from deforum_helpers.image.mask import Mask
    from deforum_helpers.image.types import Flow, Image


@dataclass(frozen=True, slots=True)
class Hybrid:
    """The values of one key frame. The plan's digest includes the names of this class and its fields.

    Args:
        alpha: share of the composite in the frame, 0..1.
        blend_alpha: share of the video in a mask of type Blend, 0..1.
        mask_contrast: contrast factor of the mask.
        cutoffs_percent: percentiles of the mask that become black and white.
        flow_factor: factor of the video's flow at the key frame.
        between_factor: factor of the video's flow at the in-between frames, the schedule's value at the next key frame.
    """

    alpha: float
    blend_alpha: float
    mask_contrast: float
    cutoffs_percent: tuple[float, float]
    flow_factor: float
    between_factor: float


def plan_hybrid(settings: Settings, values: Values, index: int, stop: int) -> Hybrid | None:
    """Return the values of the key frame `index`, whose step ends before `stop`; None without hybrid video."""
    if not is_hybrid(settings):
        return None

    def at(name: str, frame: int = index) -> float:
        series = values[f"hybrid_{name}_schedule"]
        return float(series[min(frame, len(series) - 1)])

    cutoffs = (at("comp_mask_auto_contrast_cutoff_low"), at("comp_mask_auto_contrast_cutoff_high"))
    return Hybrid(
        alpha=min(max(at("comp_alpha"), 0.0), 1.0),
        blend_alpha=min(max(at("comp_mask_blend_alpha"), 0.0), 1.0),
        mask_contrast=at("comp_mask_contrast"),
        cutoffs_percent=(min(max(cutoffs[0], 0.0), 100.0), min(max(cutoffs[1], 0.0), 100.0)),
        flow_factor=at("flow_factor"),
        between_factor=at("flow_factor", stop),
    )


@dataclass(frozen=True)
class Motion:
    """The init video's motion into a frame: a matrix, or a flow that a factor scales.

    Args:
        matrix: (3, 3) `next_from_prev` in pixels, or None.
        flow: (2, H, W) `next_from_prev` in pixels, or None.
        trust: (H, W) 0..1, agreement with the backward flow, by which the flow is weighted; None = not measured.
    """

    matrix: Matrix | None = None
    flow: Flow | None = None
    trust: Mask | None = None

    def warp(self, image: Image, factor: float) -> Image:
        """Return `image` (3, H, W) warped by the motion; `factor` scales a flow.

        Edge pixels are repeated outside the image: reflection, frame after frame, would leave a comb of thin lines.
        """
        from deforum_helpers.models.flow.matrix import moved_by
        from deforum_helpers.models.flow.warp import moved_along

        if self.matrix is not None:
            return moved_by(image, self.matrix, "border")
        return image if self.flow is None else moved_along(image, self.flow, factor, "border")
