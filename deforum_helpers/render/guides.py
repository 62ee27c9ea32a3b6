"""Guide images: images that the run approaches at given frames, and their share in each key frame."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from deforum_helpers.core.bounded_json import JsonTooLarge, parse_json
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import pasted_path
from deforum_helpers.render import messages
from deforum_helpers.schedule import Timeline, key_frame
from deforum_helpers.schedule.keyframes import named_frames
from deforum_helpers.schedule.reading import MAX_WARNINGS, shown
from deforum_helpers.settings import Settings
from deforum_helpers.settings.files import RepeatingObject, json_object
from deforum_helpers.settings.messages import json_fault
from deforum_helpers.settings.modes import is_guided

SETTING = "init_images"
_BAD_ESCAPE = ("Invalid \\escape", "Invalid \\u")
# Control characters that JSON reads from a path such as "C:\new", and their escapes.
_UNESCAPED = str.maketrans({"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_SLASHES = str.maketrans("\\", "/")
_ESCAPED = re.compile("[\b\f\n\r\t]")
# Share of a guide image away from its frame; with a single image, the assumed distance to the next one.
FARAWAY_SHARE = 0.07
LONE_INTERVAL_FRAMES = 25


@dataclass(frozen=True)
class GuideImages:
    """The guide images in the order of their frames.

    Args:
        frames: frame of each image, ascending.
        sources: path or data URL of each image.
        warnings: sentences about keys that were read leniently or have no effect.
    """

    frames: tuple[int, ...]
    sources: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def number_at(self, frame: int) -> int:
        """Return the number of the guide image at `frame`: the last one at or before it, else the first."""
        return max(bisect_right(self.frames, frame) - 1, 0)

    def interval_at(self, frame: int) -> int:
        """Return the number of frames between the guide images around `frame`."""
        if len(self.frames) < 2 or not self.frames[0] <= frame <= self.frames[-1]:
            return LONE_INTERVAL_FRAMES
        after = min(bisect_right(self.frames, frame), len(self.frames) - 1)
        return self.frames[after] - self.frames[after - 1]


@dataclass(frozen=True, slots=True)
class Guide:
    """The share of a guide image in a key frame.

    Args:
        number: number of the guide image.
        share: share of it in the init image, 0..1; None = it is the init image.
        color_share: share of it in the image whose colors are matched afterwards, 0..1.
    """

    number: int
    share: float | None
    color_share: float


def read_guides(settings: Settings, timeline: Timeline) -> GuideImages | None:
    """Return the guide images, or None where they are off.

    Raises:
        SettingsError: no image is named, a key is not a frame, or two images have the same frame.
    """
    if not is_guided(settings):
        return None
    named = _parsed(settings.init_images)
    if not isinstance(named, dict) or not named:
        allowed = '{"0": "a.png", "max_f/2": "b.png"}'
        message = messages.GUIDES_EMPTY(setting=SETTING, allowed=allowed)
        raise SettingsError([Problem(message, SETTING, found="nothing", allowed=allowed)])
    problems: list[Problem] = []
    warnings: list[str] = []
    placed: dict[int, str] = {}
    for key, source in named.items():
        try:
            frame, key_warnings = key_frame(str(key), timeline, SETTING)
        except SettingsError as error:
            problems += error.problems
            continue
        if isinstance(source, str) and not _is_data(source) and _ESCAPED.search(source.strip()):
            problems += _backslashes(source.strip().translate(_UNESCAPED)).problems
        elif not isinstance(source, str) or not source.strip():
            problems += _problem(f"has no image at key {key!r}", "a path or a data: URL").problems
        elif frame in placed:
            problems += _problem(f"has two images at frame {frame}", "one image per frame").problems
        else:
            placed[frame] = pasted_path(source)
            warnings += key_warnings
    if problems:
        raise SettingsError(problems)
    frames = tuple(sorted(placed))
    if before := [frame for frame in frames if frame < 0]:
        warnings.append(messages.GUIDES_BEFORE_ZERO(setting=SETTING, frames=named_frames(before)))
    repeated = named.repeated if isinstance(named, RepeatingObject) else ()
    if repeated:
        warnings.append(
            messages.GUIDES_REPEATED(setting=SETTING, keys=", ".join(map(shown, repeated[:MAX_WARNINGS])))
        )
    return GuideImages(frames, tuple(placed[frame] for frame in frames), tuple(warnings[:MAX_WARNINGS]))


def _parsed(text: str) -> object:
    try:
        return parse_json(text, object_pairs_hook=json_object) if text.strip() else {}
    except json.JSONDecodeError as error:
        if error.msg.startswith(_BAD_ESCAPE):
            begin, end = text.rfind('"', 0, error.pos) + 1, text.find('"', error.pos)
            raise _backslashes(text[begin : end if end >= 0 else None]) from None
        message = messages.GUIDES_NOT_JSON(setting=SETTING, fault=json_fault(error))
        raise SettingsError(
            [Problem(message, SETTING, column=error.pos + 1, found=text[:60], allowed='{"0": "a.png"}')]
        ) from None
    except JsonTooLarge as error:
        allowed = '{"0": "a.png", "max_f/2": "b.png"}'
        too_large = messages.GUIDES_TOO_LARGE(setting=SETTING, reason=error, allowed=allowed)
        raise SettingsError([Problem(too_large, SETTING, allowed=allowed)]) from None


def _is_data(source: str) -> bool:
    return source.lstrip()[:5].casefold() == "data:"


def _backslashes(path: str) -> SettingsError:
    """Return the error about a path whose single backslashes JSON reads as escapes; it shows the correct form."""
    written = f'"{path}"'[:80]
    allowed = f'"{path.translate(_SLASHES)}"'[:80]
    message = messages.GUIDES_BACKSLASHES(setting=SETTING, found=written, allowed=allowed)
    return SettingsError([Problem(message, SETTING, found=written, allowed=allowed)])


def guide_at(images: GuideImages | None, frame: int, starts: bool, at: Mapping[str, float]) -> Guide | None:
    """Return the share of a guide image in the key frame `frame`, or None where guide images are off.

    With m = frame mod interval, and as long as m is at most tweening_frames, the share is
    blendFactorMax - blendFactorSlope · cos((frame mod tweening) / (tweening / 2)).

    Args:
        images: guide images, or None.
        frame: frame number of the key frame.
        starts: whether the guide image is its init image.
        at: value of every numeric schedule at that frame.
    """
    if images is None:
        return None
    number = images.number_at(frame)
    if starts:
        return Guide(0, None, 0.0)
    tweening = at["tweening_frames_schedule"]
    share = FARAWAY_SHARE
    if tweening > 0 and frame % images.interval_at(frame) <= tweening:
        wave = math.cos((frame % tweening) / (tweening / 2))
        share = at["blendFactorMax"] - at["blendFactorSlope"] * wave
    return Guide(number, min(max(share, 0.0), 1.0), min(max(at["color_correction_factor"], 0.0), 1.0))


def _problem(found: str, allowed: str) -> SettingsError:
    message = messages.GUIDES_INVALID(setting=SETTING, found=found, allowed=allowed)
    return SettingsError([Problem(message, SETTING, found=found, allowed=allowed)])
