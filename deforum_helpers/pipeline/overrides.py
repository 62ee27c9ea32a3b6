"""The Parseq manifest of a settings file, and the settings that it or a video replaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import read_regular
from deforum_helpers.core.net.fetch import is_url
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.input_files import Downloads
from deforum_helpers.schedule.parseq import MOST_BYTES, MOTION, PROMPT_FIELD, SETTING, Manifest, read_manifest
from deforum_helpers.settings import FIELDS, Settings, flat_settings
from deforum_helpers.settings.messages import shown
from deforum_helpers.settings.modes import is_moved, sets_length


def apply_parseq_manifest(
    settings: Settings, downloads: Downloads
) -> tuple[Settings, Manifest | None, tuple[Problem, ...]]:
    """Return the settings as changed by their Parseq manifest, the manifest, and the problems with it.

    The manifest sets the length, cadence and frame rate unless parseq_non_schedule_overrides is off. Seeds in it enable
    subseed scheduling, and a perspective flip in it enables perspective flips.

    Args:
        settings: their parseq_manifest is JSON, an address, or empty for none.
        downloads: fetches an address.
    """
    text = settings.parseq_manifest.strip()
    if not text:
        return settings, None, ()
    try:
        summary = None
        if is_url(text):
            path = downloads.local(text, "json", setting=SETTING)
            text = read_regular(path, MOST_BYTES).decode("utf-8", "replace")
        manifest = read_manifest(text, uses_deltas=settings.parseq_use_deltas)
        if is_url(settings.parseq_manifest):
            summary = dict(manifest.summary)
    except SettingsError as error:
        return settings, None, error.problems
    changes: dict[str, Any] = {"fetched_parseq_manifest_summary": summary}
    if settings.parseq_non_schedule_overrides:
        if not sets_length(settings):
            changes["max_frames"] = manifest.frames
        if manifest.fps is not None:
            changes["fps"] = manifest.fps
        if manifest.cadence is not None:
            changes["diffusion_cadence"] = manifest.cadence
    if "seed" in manifest.fields:
        changes["enable_subseed_scheduling"] = True
    if any(manifest.field_of(name) for name in MOTION if name.startswith("perspective_flip")):
        changes["enable_perspective_flip"] = True
    return replace(settings, **changes), manifest, ()


def parseq_warnings(manifest: Manifest) -> tuple[str, ...]:
    """Return the warnings of a manifest, and which schedules it drives."""
    schedules = [name for name, info in FIELDS.items() if info.kind in ("schedule", "string schedule")]
    driven = [name for name in schedules if manifest.field_of(name) is not None]
    if PROMPT_FIELD in manifest.fields:
        driven.append("prompts")
    sources = messages.SCHEDULES_FROM_MANIFEST(
        driven=", ".join(driven) or "nothing", count=len(schedules) + 1 - len(driven)
    )
    totals = [name for name in schedules if manifest.without_delta(name)]
    if not totals:
        return (*manifest.warnings, sources)
    names = ", ".join(f"{name}_delta" for name in totals)
    return (*manifest.warnings, sources, messages.MANIFEST_DELTAS_MISSING(names=names))


def replaced_setting_warnings(
    submitted: Settings, planned: Settings, video_frames: int | None
) -> Iterator[str]:
    """Yield a warning about each setting that the init video, the mode or the Parseq manifest replaces.

    Args:
        submitted: settings as loaded; a default value counts as not chosen.
        planned: settings of the plan.
        video_frames: number of frames of the init video that are used; None = unknown, or no video.
    """
    before, after = flat_settings(submitted), flat_settings(planned)
    changed = [
        name
        for name, info in FIELDS.items()
        if info.loaded and before[name] not in (after[name], info.default) and name != "seed"
    ]
    if "max_frames" in changed and video_frames and sets_length(planned):
        changed.remove("max_frames")
        more = "choose a longer video, or use more of its frames with extract_nth_frame and extract_to_frame"
        less = "use fewer of its frames with extract_nth_frame and extract_to_frame"
        yield messages.LENGTH_FROM_VIDEO(
            asked=submitted.max_frames,
            found=video_frames,
            planned=planned.max_frames,
            advice=more if submitted.max_frames > video_frames else less,
        )
    if submitted.diffusion_cadence not in (1, FIELDS["diffusion_cadence"].default) and not is_moved(planned):
        yield messages.CADENCE_UNUSED(cadence=submitted.diffusion_cadence, mode=planned.animation_mode)
    if changed and planned.parseq_manifest.strip():
        values = ", ".join(
            f"{name} {shown(after[name])} instead of {shown(before[name])}" for name in changed
        )
        yield messages.VALUES_FROM_MANIFEST(values=values)
