"""Parseq manifests in settings: read, and what they decide beside the schedules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import read_regular
from deforum_helpers.core.net.fetch import is_url
from deforum_helpers.pipeline.input_files import Downloads
from deforum_helpers.schedule.parseq import MOST_BYTES, MOTION, PROMPT_FIELD, SETTING, Manifest, read_manifest
from deforum_helpers.settings import FIELDS, Settings, flat_settings
from deforum_helpers.settings.messages import shown
from deforum_helpers.settings.modes import is_moved, sets_length


def with_manifest(
    settings: Settings, downloads: Downloads
) -> tuple[Settings, Manifest | None, tuple[Problem, ...]]:
    """Return the settings as their Parseq manifest changes them, the manifest, and what is wrong with it.

    A manifest decides the length, the cadence and the rate of the film, unless parseq_non_schedule_overrides is off.
    Its seeds turn subseeds on; its perspective flips turn those on.

    Args:
        settings: with the manifest's text or address; empty text is no manifest.
        downloads: fetches it.
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


def manifest_warnings(manifest: Manifest) -> tuple[str, ...]:
    """Return what was read leniently, and which schedules the manifest drives, as plain sentences."""
    schedules = [name for name, info in FIELDS.items() if info.kind in ("schedule", "string schedule")]
    driven = [name for name in schedules if manifest.field_of(name) is not None]
    if PROMPT_FIELD in manifest.fields:
        driven.append("prompts")
    table = (
        f"The Parseq manifest drives {', '.join(driven) or 'nothing'}; "
        f"the other {len(schedules) + 1 - len(driven)} schedules are those of the settings."
    )
    totals = [name for name in schedules if manifest.without_delta(name)]
    if not totals:
        return (*manifest.warnings, table)
    return (
        *manifest.warnings,
        table,
        f"The Parseq manifest has no {', '.join(f'{name}_delta' for name in totals)}, which parseq_use_deltas asks "
        "for; the settings' own schedules are used for these.",
    )


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
