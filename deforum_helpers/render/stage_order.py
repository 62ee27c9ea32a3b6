"""The stages of each key frame and their order."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import (
    is_exact,
    is_guided,
    is_hybrid,
    is_interpolated,
    is_moved,
    masks_noise,
    matches_video_colors,
    overlays,
    remembers,
    starts_from_video,
    uses_masks,
)

Stage = Literal[
    "video_reference",
    "move",
    "repaint",
    "composite_before",
    "hybrid_motion",
    "composite",
    "take_reference",
    "match_color",
    "grayscale",
    "remember",
    "contrast",
    "tone",
    "sharpen",
    "noise_mask",
    "noise",
    "mask",
    "flow_redo",
    "redo",
    "diffuse",
    "hold",
    "stabilize",
    "composite_after",
    "overlay",
    "end",
]


Flags = NDArray[np.bool_]


class Traits(NamedTuple):
    """The inputs of the stage order besides the settings: (N,) flags, one per key frame.

    Args:
        first: whether it is the first frame.
        keeps: whether its strength is above 0, so that it keeps part of the previous frame.
        contrast, tone, sharpen, noise: whether these stages change its image.
        renewed: whether it begins a new scene, generated without an init image.
        held: whether stability_schedule holds it to a look.
        ends: whether it shows part of the end image.
    """

    first: Flags
    keeps: Flags
    contrast: Flags
    tone: Flags
    sharpen: Flags
    noise: Flags
    renewed: Flags
    held: Flags
    ends: Flags


class _Frame(NamedTuple):
    """The traits of one key frame, and whether it takes its color reference from the init video."""

    first: bool
    keeps: bool
    contrast: bool
    tone: bool
    sharpen: bool
    noise: bool
    renewed: bool
    held: bool
    ends: bool
    takes_reference: bool


class StageOrder:
    """Lists the stages of key frames in order, and tracks whether a color reference has been taken."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # A motion preview shows the camera move alone: other changes would accumulate, as no generation removes them.
        self._plain = settings.motion_preview_mode
        coherence = "None" if self._plain else settings.color_coherence
        self._matches = coherence != "None"
        self._video = self._matches and matches_video_colors(settings)
        self._given = coherence == "Image" or self._video
        self._referenced = self._given
        self._moves = is_moved(settings)
        self._reveals = is_exact(settings)
        self._has_init_image = settings.use_init or starts_from_video(settings)
        self._composite = settings.hybrid_composite if self._moves else "None"
        self._noise_masked = masks_noise(settings) or uses_masks(settings)

    def of(self, frame_numbers: NDArray[np.int64], traits: Traits) -> tuple[tuple[Stage, ...], ...]:
        """Return the stages of all key frames of a run.

        Args:
            frame_numbers: (N,) numbers of the key frames, ascending.
            traits: traits of each key frame.
        """
        every = self._settings.color_coherence_video_every_N_frames
        columns = (*traits, self._video & (frame_numbers % every == 0))
        codes = sum(column.astype(np.int64) << bit for bit, column in enumerate(columns))
        # A long run has few different lists: each is made once and looked up by its traits.
        known: dict[tuple[int, bool], tuple[tuple[Stage, ...], bool]] = {}
        lists = []
        for code in np.asarray(codes).tolist():
            key = (code, self._referenced)
            if key not in known:
                frame = _Frame(*(bool(code >> bit & 1) for bit in range(len(columns))))
                known[key] = (self._stages_of(frame), self._referenced)
            stages, self._referenced = known[key]
            lists.append(stages)
        return tuple(lists)

    def _stages_of(self, frame: _Frame) -> tuple[Stage, ...]:
        stages: list[Stage] = ["video_reference"] if frame.takes_reference else []
        last: tuple[Stage, ...] = ("end",) if frame.ends else ()
        if frame.renewed:
            self._referenced = self._given
            return (*stages, "diffuse", *self._after(frame), *last)
        if self._moves and not frame.first:
            stages += self._before(frame)
        starts_blank = not (self._has_init_image or is_guided(self._settings)) and (
            frame.first or not self._moves
        )
        if uses_masks(self._settings) and not starts_blank:
            stages.append("mask")
        if frame.keeps and self._moves and not (frame.first or self._plain):
            if self._settings.optical_flow_redo_generation != "None":
                stages.append("flow_redo")
            if self._settings.diffusion_redo > 0:
                stages.append("redo")
        # Hybrid motion and composites move pixels away from their remembered positions.
        recalls = remembers(self._settings) and not is_hybrid(self._settings)
        holding: list[Stage] = ["hold"] if recalls and not frame.first else []
        if frame.held and not self._plain:
            holding.append("stabilize")
        return (*stages, "diffuse", *holding, *self._after(frame), *last)

    def _before(self, frame: _Frame) -> list[Stage]:
        stages: list[Stage] = ["move"]
        if self._reveals and not self._plain:
            stages.append("repaint")
        if self._composite == "Before Motion":
            stages.append("composite_before")
        if self._settings.hybrid_motion != "None":
            stages.append("hybrid_motion")
        if self._composite == "Normal":
            stages.append("composite")
        if self._matches:
            stages.append("match_color" if self._referenced else "take_reference")
            self._referenced = True
        if self._settings.color_force_grayscale:
            stages.append("grayscale")
        if self._settings.optical_flow_redo_generation != "None":
            stages.append("remember")
        if self._plain:
            return stages
        if frame.contrast:
            stages.append("contrast")
        if frame.tone:
            stages.append("tone")
        if frame.sharpen:
            stages.append("sharpen")
        if frame.noise:
            stages += ["noise_mask", "noise"] if self._noise_masked else ["noise"]
        return stages

    def _after(self, frame: _Frame) -> tuple[Stage, ...]:
        if is_interpolated(self._settings):
            return ("overlay",) if overlays(self._settings) else ()
        stages: list[Stage] = []
        if self._composite == "After Generation" and not frame.first:
            stages.append("composite_after")
        legacy = self._settings.legacy_colormatch
        if self._referenced and (not legacy or (frame.first and self._given)):
            stages.append("match_color")
        if self._settings.color_force_grayscale:
            stages.append("grayscale")
        if overlays(self._settings):
            stages.append("overlay")
        fresh = not frame.keeps if legacy else frame.first and not self._has_init_image
        if self._matches and not self._given and (fresh or frame.renewed):
            stages.append("take_reference")
            self._referenced = True
        return tuple(stages)
