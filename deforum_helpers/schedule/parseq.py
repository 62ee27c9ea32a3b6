"""Parseq manifests: schedules that Parseq has evaluated frame by frame."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.bounded_json import JsonTooLarge, parse_json
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.prompt_text import NEGATIVE_MARK, split_negative, with_marks
from deforum_helpers.schedule.prompts import PromptSeries
from deforum_helpers.schedule.reading import MAX_WARNINGS, shown

SETTING = "parseq_manifest"
PROMPT_FIELD = "deforum_prompt"
MAX_FRAME = 99_999
MOST_BYTES = 50_000_000
MOST_VALUES = 1_000_000
MAX_FIELDS = 500

MOTION = (
    *("angle", "zoom", "translation_x", "translation_y", "translation_z"),
    *("rotation_3d_x", "rotation_3d_y", "rotation_3d_z"),
    *("perspective_flip_theta", "perspective_flip_phi", "perspective_flip_gamma"),
)
# Schedules whose field name is not their own name without _schedule.
FIELD_OF: Mapping[str, str] = {
    "cfg_scale_schedule": "scale",
    "sampler_schedule": "sampler_schedule",
    "steps_schedule": "steps_schedule",
    "image_strength_schedule": "strength",
    **{f"{name}_schedule": f"antiblur_{name}" for name in ("kernel", "sigma", "amount", "threshold")},
    "blendFactorMax": "guided_blendFactorMax",
    "blendFactorSlope": "guided_blendFactorSlope",
    "tweening_frames_schedule": "guided_tweening_frames",
    "color_correction_factor": "guided_color_correction_factor",
}


@dataclass(frozen=True)
class Manifest:
    """A parsed manifest.

    Args:
        rendered: the fields of each frame by its number, ascending; frames may be missing.
        fps: frames per second of the video, or None.
        cadence: distance between two key frames, or None.
        uses_deltas: whether camera moves are read from the fields that end in _delta.
        summary: the manifest without its frames.
        warnings: sentences about lenient readings.
    """

    rendered: Mapping[int, Mapping[str, Any]]
    fps: float | None
    cadence: int | None
    uses_deltas: bool
    summary: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Length of the video: up to the last frame of the manifest."""
        return max(self.rendered) + 1

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the first frame; fields that occur only later are not read."""
        return frozenset(self.rendered[min(self.rendered)])

    def field_of(self, schedule: str) -> str | None:
        """Return the field that replaces a schedule, or None if the schedule's own text applies."""
        field = field_of(schedule)
        if schedule in MOTION and self.uses_deltas:
            field += "_delta"
        return field if field in self.fields else None

    def without_delta(self, schedule: str) -> bool:
        """Return whether a camera move has only its total here, although changes per frame are read."""
        return (
            schedule in MOTION
            and self.uses_deltas
            and schedule in self.fields
            and not self.field_of(schedule)
        )

    def numbers(self, field: str, frames: int) -> NDArray[np.float64]:
        """Return one number per frame, (frames,) float64: linear across gaps, the last number held to the end.

        Raises:
            SettingsError: a value is not a finite number.
        """
        given = {
            frame: values[field] for frame, values in self.rendered.items() if values.get(field) is not None
        }
        for frame, value in given.items():
            if not _is_number(value):
                raise _problem(f"{field} is {shown(str(value))} at frame {frame}", "a finite number", frame)
        if not given:
            raise _problem(f"{field} has no value", "a finite number", None)
        values = np.interp(np.arange(frames), list(given), [float(value) for value in given.values()])
        values.flags.writeable = False
        return values

    def texts(self, field: str, frames: int) -> tuple[str, ...]:
        """Return one text per frame, each held until the next; frames before the first one get the first."""
        given = {
            frame: values[field] for frame, values in self.rendered.items() if values.get(field) is not None
        }
        for frame, value in given.items():
            if not isinstance(value, str):
                raise _problem(f"{field} is {shown(str(value))} at frame {frame}", "text", frame)
        if not given:
            raise _problem(f"{field} has no value", "text", None)
        held = next(iter(given.values()))
        texts = []
        for frame in range(frames):
            held = given.get(frame, held)
            texts.append(held)
        return tuple(texts)

    def prompts(self, frames: int) -> PromptSeries | None:
        """Return the manifest's prompts, or None if it has none."""
        if PROMPT_FIELD not in self.fields:
            return None
        given = self.texts(PROMPT_FIELD, frames)
        marked = {text: with_marks(text) for text in set(given)}
        texts = tuple(marked[text][0] for text in given)
        slips = sorted({slip for _, found in marked.values() for slip in found})
        warnings = tuple(
            messages.MANIFEST_MARK_CORRECTED(
                setting=SETTING, found=shown(slip), field=PROMPT_FIELD, mark=NEGATIVE_MARK
            )
            for slip in slips[:MAX_WARNINGS]
        )
        sides = [split_negative(text) for text in texts]
        changes = tuple(frame for frame in range(frames) if frame == 0 or texts[frame] != texts[frame - 1])
        positive, negative = (tuple(side[place].strip() for side in sides) for place in (0, 1))
        return PromptSeries(texts, positive, negative, changes, warnings, whole=True)


def field_of(schedule: str) -> str:
    """Return the field name of a schedule: strength_schedule is strength, cfg_scale_schedule is scale."""
    return FIELD_OF.get(schedule) or schedule.removesuffix("_series").removesuffix("_schedule").removesuffix(
        "_series"
    )


def read_manifest(text: str, *, uses_deltas: bool) -> Manifest:
    """Parse a manifest.

    Args:
        text: the manifest as JSON.
        uses_deltas: whether camera moves are read from the fields that end in _delta.

    Raises:
        SettingsError: invalid JSON, with line and column, or no frames.
    """
    content = _parsed(text)
    frames = content.get("rendered_frames")
    if not isinstance(frames, list) or not frames:
        raise _problem("there are no rendered_frames", "a manifest that Parseq has rendered", None)
    rendered: dict[int, Mapping[str, Any]] = {}
    warnings = []
    for number, values in enumerate(frames):
        frame = values.get("frame") if isinstance(values, dict) else None
        if not isinstance(frame, int) or isinstance(frame, bool) or not 0 <= frame <= MAX_FRAME:
            found = f"entry {number} of rendered_frames has no frame number from 0 to {MAX_FRAME}"
            raise _problem(found, '"frame": 0 and the like', None)
        if len(values) > MAX_FIELDS:
            raise _problem(f"frame {frame} has {len(values)} fields", f"at most {MAX_FIELDS}", frame)
        if frame in rendered:
            warnings.append(messages.MANIFEST_FRAME_REPEATED(setting=SETTING, frame=frame))
        rendered[frame] = values
    rendered = {frame: rendered[frame] for frame in sorted(rendered)}
    if len(rendered) != max(rendered) + 1:
        missing = max(rendered) + 1 - len(rendered)
        warnings.append(messages.MANIFEST_FRAMES_MISSING(setting=SETTING, count=missing))
    options = content.get("options")
    options = options if isinstance(options, dict) else {}
    summary = {k: v for k, v in content.items() if k not in ("rendered_frames", "rendered_frames_meta")}
    fps, cadence = _option(options, "output_fps", 240), _option(options, "cadence", 200)
    whole = None if cadence is None else max(1, int(cadence))
    return Manifest(rendered, fps, whole, uses_deltas, summary, tuple(warnings[:20]))


def _parsed(text: str) -> dict[str, Any]:
    try:
        content = parse_json(text, most_bytes=MOST_BYTES, most_values=MOST_VALUES)
    except json.JSONDecodeError as error:
        raise _problem(
            f"the text is broken in line {error.lineno}, column {error.colno}", "JSON text", None
        ) from None
    except JsonTooLarge as error:
        raise _problem(f"the text {error}", "a manifest as Parseq writes it", None) from None
    if not isinstance(content, dict):
        raise _problem("the text is no JSON object", 'a manifest with "rendered_frames"', None)
    return content


def _option(options: Mapping[str, Any], name: str, largest: int) -> float | None:
    """Return a number from the manifest's options, None if it is 0 or missing."""
    value = options.get(name)
    if isinstance(value, str):
        value = float(value) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value.strip()) else value
    if value in (None, 0, ""):
        return None
    if not isinstance(value, (int, float)) or not _is_number(value) or not 0 < value <= largest:
        raise _problem(f"options.{name} is {shown(str(value))}", f"a number above 0, at most {largest}", None)
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= 1e15 and math.isfinite(value)


def _problem(found: str, allowed: str, frame: int | None) -> SettingsError:
    message = messages.MANIFEST_INVALID(setting=SETTING, found=found, allowed=allowed)
    return SettingsError([Problem(message, SETTING, frame, found=found, allowed=allowed)])
