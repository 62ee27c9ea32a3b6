"""Which ControlNet units a film uses, and what each is steered by. No torch here."""

from __future__ import annotations

from deforum_helpers.settings import ControlNetUnit, Settings


def acting_units(settings: Settings) -> tuple[tuple[int, ControlNetUnit], ...]:
    """Return the units that are used, each with its number from 1; a motion preview draws nothing to steer."""
    if settings.motion_preview_mode:
        return ()
    return tuple((number, unit) for number, unit in enumerate(settings.controlnet, start=1) if unit.enabled)


def follows_frames(unit: ControlNetUnit) -> bool:
    """Tell whether a unit is steered by the picture that each frame is drawn from, not by one of its own.

    A unit that names no picture is, too: that is what the ControlNet extension of WebUIs does with it.
    """
    return unit.loopback_mode or not unit.vid_path.strip()
