"""What decides a setting's value in the place of the value that it was given."""

from __future__ import annotations

from collections.abc import Iterator

from deforum_helpers.settings import FIELDS, Settings, flat_settings
from deforum_helpers.settings.modes import is_moved, sets_length
from deforum_helpers.settings.wording import shown


def overruled_warnings(asked: Settings, planned: Settings, video_frames: int | None) -> Iterator[str]:
    """Yield a sentence on the video and one on the Parseq manifest where either overrules a setting.

    Args:
        asked: the settings as they were read; one with its default value was not asked for.
        planned: those of the plan.
        video_frames: how many frames are taken of the video, None = it is not known or there is no video.
    """
    before, after = flat_settings(asked), flat_settings(planned)
    changed = [
        name
        for name, info in FIELDS.items()
        if info.loaded and before[name] not in (after[name], info.default) and name != "seed"
    ]
    if "max_frames" in changed and video_frames and sets_length(planned):
        changed.remove("max_frames")
        more = "take a longer video, or more of it by extract_nth_frame and extract_to_frame."
        less = "take less of it by extract_nth_frame and extract_to_frame."
        yield (
            f"max_frames is {asked.max_frames}, but video_init_path gives {video_frames} frames, so the film has "
            f"{planned.max_frames}; {more if asked.max_frames > video_frames else less}"
        )
    if asked.diffusion_cadence not in (1, FIELDS["diffusion_cadence"].default) and not is_moved(planned):
        yield (
            f"diffusion_cadence is {asked.diffusion_cadence}, but animation_mode {planned.animation_mode} diffuses "
            "every frame, so it changes nothing."
        )
    if changed and planned.parseq_manifest.strip():
        values = ", ".join(
            f"{name} {shown(after[name])} instead of {shown(before[name])}" for name in changed
        )
        yield f"The Parseq manifest decides {values}."
