"""Camera shake: smooth seeded drift and steps, added to the 3D schedules.

A shake is a path around the planned one. Schedules hold moves from frame to frame, so each frame adds the difference
between two points of that path; the camera never leaves the planned path by more than the size of the shake.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from deforum_helpers.camera import messages
from deforum_helpers.camera.types import Matrix
from deforum_helpers.core.bundled import bundled
from deforum_helpers.core.errors import Problem, SettingsError

PRESETS_FILE = bundled("config/shakes.json")
ROUGHNESS = 0.5


@dataclass(frozen=True)
class Shake:
    """A preset of camera shake; triples are (x, y, z).

    Args:
        label: name in the tab.
        drift_hz: direction changes of the drift per second.
        octaves: layers of the drift, each twice as fast and half as wide as the one before.
        translation, rotation_deg: size of the drift, in units of the schedules and degrees.
        step_hz: steps per second, 0 = none.
        step_translation, step_rotation_deg: size of the sway of a step; y bobs twice per stride.
    """

    label: str
    drift_hz: float
    octaves: int
    translation: tuple[float, float, float]
    rotation_deg: tuple[float, float, float]
    step_hz: float
    step_translation: tuple[float, float, float]
    step_rotation_deg: tuple[float, float, float]


@lru_cache(maxsize=1)
def shakes() -> Mapping[str, Shake]:
    """Return the presets by name."""
    presets = json.loads(PRESETS_FILE.read_text(encoding="utf-8"))
    return MappingProxyType({name: _shake(preset) for name, preset in presets.items()})


def _shake(preset: Mapping[str, Any]) -> Shake:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in preset.items()
    }
    return Shake(**values)


def shake_offsets(
    name: str, intensity: float, speed: float, frames: int, fps: float
) -> tuple[Matrix, Matrix]:
    """Return the offsets of the 3D schedules: translations (N, 3) and rotations in degrees (N, 3), float64.

    Frame 0 does not move. The offsets of the first frames do not depend on the number of frames.

    Args:
        name: a preset's name or label in any case, or "None".
        intensity: factor of the size.
        speed: factor of the pace.
        frames: number of frames, N.
        fps: frames per second, > 0.

    Raises:
        SettingsError: unknown name; the error lists the names.
    """
    if name.casefold() in ("none", ""):
        return np.zeros((frames, 3)), np.zeros((frames, 3))
    key = _key(name)
    shake = shakes()[key]
    seconds: Matrix = np.arange(frames, dtype=np.float64) * (speed / fps)
    translations, rotations = (
        np.stack(
            [
                intensity * _path(f"{key}/{kind}/{axis}", shake, seconds, widths[axis], steps[axis], axis)
                for axis in range(3)
            ],
            axis=1,
        )
        for kind, widths, steps in (
            ("translation", shake.translation, shake.step_translation),
            ("rotation", shake.rotation_deg, shake.step_rotation_deg),
        )
    )
    return np.diff(translations, axis=0, prepend=0), np.diff(rotations, axis=0, prepend=0)


def _key(name: str) -> str:
    for key, shake in shakes().items():
        if name.casefold() in (key.casefold(), shake.label.casefold()):
            return key
    allowed = ", ".join(["None", *shakes()])
    message = messages.UNKNOWN_SHAKE(found=name, allowed=allowed)
    raise SettingsError([Problem(message, setting="shake_name", found=name, allowed=allowed)])


def _path(seed_text: str, shake: Shake, seconds: Matrix, width: float, step: float, axis: int) -> Matrix:
    """Return (N,) positions along one axis, 0 at second 0."""
    path = np.zeros_like(seconds)
    for octave in range(shake.octaves):
        pace, share = 2.0**octave, ROUGHNESS**octave
        path += width * share * _smooth_noise(f"{seed_text}/{octave}", seconds * shake.drift_hz * pace)
    bob = 1.0 if axis == 1 else 0.5
    path += step * np.sin(2 * math.pi * shake.step_hz * bob * seconds)
    return path - path[:1]


def _smooth_noise(seed_text: str, place: Matrix) -> Matrix:
    """Return (N,) values in -1..1, random at whole positions and smooth between them; `place` is >= 0."""
    cell = place.astype(np.int64)
    part = place - cell
    corners = np.random.default_rng(zlib.crc32(seed_text.encode())).uniform(
        -1, 1, int(cell.max(initial=0)) + 2
    )
    fade = part**3 * (part * (part * 6 - 15) + 10)
    return np.asarray(corners[cell] * (1 - fade) + corners[cell + 1] * fade)
