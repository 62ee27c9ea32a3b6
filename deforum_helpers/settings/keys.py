"""The keys of all schedules, prompts and guide images, written in one unit of time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, get_args

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import Timeline, key_frame
from deforum_helpers.schedule.edit import Kind, entries_of, with_keys
from deforum_helpers.settings.files import flat_settings, typed_settings
from deforum_helpers.settings.model import FIELDS, Settings

Unit = Literal["frames", "seconds", "beats"]
UNITS_OF_KEYS: tuple[Unit, ...] = get_args(Unit)
_KINDS: Mapping[str, Kind] = {"schedule": "numbers", "string schedule": "words"}
_MOST_DECIMALS = 9


def with_keys_in(settings: Settings, timeline: Timeline, unit: Unit) -> Settings:
    """Return the settings with every key written as its frame, its time or its beat; the rest of each text stays.

    Key 0 stays, and a key before frame 0 becomes `0-3`. Schedules that cannot be read stay as they are.

    Args:
        settings: checked settings.
        timeline: the frames, and the beats of the run.
        unit: "frames", "seconds" as in `2.5s`, or "beats" as in `8b`.

    Raises:
        SettingsError: a key of the prompts cannot be read, or no beats are known.
    """
    flat = flat_settings(settings)
    if unit == "beats":
        key_frame("1b", timeline, "bpm")
    for name, info in FIELDS.items():
        if info.kind in _KINDS:
            with suppress(SettingsError):
                flat[name] = _converted(flat[name], _KINDS[info.kind], timeline, name, unit)
    with suppress(SettingsError):
        flat["init_images"] = _converted(flat["init_images"], "prompts", timeline, "init_images", unit)
    flat["prompts"] = _converted_prompts(flat["prompts"], timeline, unit)
    return typed_settings(flat)


def _converted(text: str, kind: Kind, timeline: Timeline, name: str, unit: Unit) -> str:
    keys = [
        key_written(key_frame(entry.key, timeline, name)[0], timeline, unit) if entry.key else ""
        for entry in entries_of(text, kind)
    ]
    return with_keys(text, kind, keys)


def _converted_prompts(prompts: Mapping[str, str], timeline: Timeline, unit: Unit) -> dict[str, Any]:
    frames = {key: key_frame(key, timeline, "prompts")[0] for key in prompts}
    return {key_written(frames[key], timeline, unit): prompt for key, prompt in prompts.items()}


def key_written(frame: int, timeline: Timeline, unit: Unit) -> str:
    """Return the shortest key in `unit` that is read as `frame`.

    >>> key_written(37, Timeline(100, 0, 15.0, 64, 64), "seconds")
    '2.5s'
    """
    if frame < 0:
        return f"0-{-frame}"
    if frame == 0 or unit == "frames" or (unit == "beats" and timeline.sound is None):
        return str(frame)
    if unit == "seconds":
        number, letter = frame / timeline.fps, "s"
    else:
        assert timeline.sound is not None
        number, letter = float(timeline.sound.beats.count(frame, timeline.fps)), "b"
    for decimals in range(_MOST_DECIMALS + 1):
        key = f"{number:.{decimals}f}{letter}"
        if not key.startswith("-") and key_frame(key, timeline, "key")[0] == frame:
            return key
    return str(frame)
