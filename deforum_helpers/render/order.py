"""The order of what happens to a key frame's picture."""

from __future__ import annotations

from typing import Literal

from deforum_helpers.render.guides import is_guided
from deforum_helpers.render.masks import overlays
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import (
    is_exact,
    is_hybrid,
    is_interpolated,
    is_moved,
    remembers,
    starts_from_video,
    uses_masks,
    uses_video,
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


class StageOrder:
    """Lists the stages of key frames asked for in order; knows from when on there is a colour reference."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # A preview shows motion alone: what else changes a picture would add up, with no diffusion to take it back.
        self._plain = settings.motion_preview_mode
        coherence = "None" if self._plain else settings.color_coherence
        self._matches = coherence != "None"
        self._video = coherence == "Video Input" and uses_video(settings)
        self._given = coherence == "Image" or self._video
        self._referenced = self._given
        self._moves = is_moved(settings)
        self._reveals = is_exact(settings)
        self._from_picture = settings.use_init or starts_from_video(settings)
        self._composite = settings.hybrid_composite if self._moves else "None"
        self._noise_masked = settings.use_noise_mask or uses_masks(settings)
        # A long video has few different lists: each is made once, by all that it depends on.
        self._known: dict[tuple[bool, ...], tuple[tuple[Stage, ...], bool]] = {}

    def of(
        self,
        index: int,
        strength: float,
        *,
        contrast: bool,
        sharpen: bool,
        noise: bool,
        renewed: bool = False,
        held: bool = False,
        ends: bool = False,
    ) -> tuple[Stage, ...]:
        """Return the stages of the next key frame.

        Args:
            index: its number; key frames have to be asked for in order.
            strength: share of the last picture that it keeps.
            contrast, sharpen, noise: whether these change its picture.
            renewed: whether it shows a new scene, generated from nothing.
            held: whether it is held to a look.
            ends: whether it shows some of the end of the video.
        """
        every = self._settings.color_coherence_video_every_N_frames
        of_video = self._video and index % every == 0
        looks = (index > 0, strength > 0, contrast, sharpen, noise, renewed, held, ends, of_video)
        key = (*looks, self._referenced)
        if key not in self._known:
            self._known[key] = (self._listed(index, strength, *looks[2:]), self._referenced)
        stages, self._referenced = self._known[key]
        return stages

    def _listed(
        self,
        index: int,
        strength: float,
        contrast: bool,
        sharpen: bool,
        noise: bool,
        renewed: bool,
        held: bool,
        ends: bool,
        of_video: bool,
    ) -> tuple[Stage, ...]:
        stages: list[Stage] = ["video_reference"] if of_video else []
        last: tuple[Stage, ...] = ("end",) if ends else ()
        if renewed:
            self._referenced = self._given
            return (*stages, "diffuse", *self._after(index, 0, fresh=True), *last)
        if index and self._moves:
            stages += self._before(*(wanted and not self._plain for wanted in (contrast, sharpen, noise)))
        starts_blank = not (self._from_picture or is_guided(self._settings)) and (
            index == 0 or not self._moves
        )
        if uses_masks(self._settings) and not starts_blank:
            stages.append("mask")
        if index > 0 and strength > 0 and self._moves and not self._plain:
            if self._settings.optical_flow_redo_generation != "None":
                stages.append("flow_redo")
            if self._settings.diffusion_redo > 0:
                stages.append("redo")
        # What a video has moved, or lies over, is no longer where it is remembered.
        keeps = index > 0 and remembers(self._settings) and not is_hybrid(self._settings)
        holding: list[Stage] = ["hold"] if keeps else []
        if held and not self._plain:
            holding.append("stabilize")
        return (*stages, "diffuse", *holding, *self._after(index, strength), *last)

    def _before(self, contrast: bool, sharpen: bool, noise: bool) -> list[Stage]:
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
        if contrast:
            stages.append("contrast")
        if sharpen:
            stages.append("sharpen")
        if noise:
            stages += ["noise_mask", "noise"] if self._noise_masked else ["noise"]
        return stages

    def _after(self, index: int, strength: float, fresh: bool = False) -> tuple[Stage, ...]:
        if is_interpolated(self._settings):
            return ("overlay",) if overlays(self._settings) else ()
        stages: list[Stage] = []
        if index and self._composite == "After Generation":
            stages.append("composite_after")
        legacy = self._settings.legacy_colormatch
        if self._referenced and (not legacy or (index == 0 and self._given)):
            stages.append("match_color")
        if self._settings.color_force_grayscale:
            stages.append("grayscale")
        if overlays(self._settings):
            stages.append("overlay")
        fresh = fresh or strength == 0 if legacy else fresh or (index == 0 and not self._from_picture)
        if self._matches and not self._given and fresh:
            stages.append("take_reference")
            self._referenced = True
        return tuple(stages)
