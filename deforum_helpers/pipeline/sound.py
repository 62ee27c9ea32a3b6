"""The sound that schedules and prompts name: analyzed when the first of them reads it, and cached by content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from deforum_helpers.core.errors import (
    MissingFeature,
    Problem,
    RenderError,
    SettingsError,
    VideoError,
    exhausted_resource,
)
from deforum_helpers.core.files.regular import UnusableFile, open_regular, pasted_path
from deforum_helpers.core.messages import Text
from deforum_helpers.media import sound_analysis
from deforum_helpers.media.containers import time_limit
from deforum_helpers.media.sound_analysis import (
    BAND_EDGES_HZ,
    FEWEST_BEATS,
    LEVEL_RATE_HZ,
    ONSET_RATE_HZ,
    Measurements,
    SoundTooLong,
    measure_sound,
    track_beats,
)
from deforum_helpers.models.beats import LONGEST_S, network_beats, network_weights
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.input_files import Inputs
from deforum_helpers.schedule.sound import Beats, Curves, Levels, Sound
from deforum_helpers.settings import Settings

# The settings that a problem with the sound names.
SOUND_SETTINGS = frozenset({"audio_path", "soundtrack_path", "video_init_path", "bpm"})
SHORTEST_S = 0.5
_SILENT = 1e-4  # -80 dB
_TIME_LIMIT_S = 200.0
_MOST_FILES = 64
_FOUND = "a sound or video file"
_LENGTHS = f"{SHORTEST_S:g} s to {sound_analysis.LONGEST_S / 3600:g} hours"
_VERSION = "1"  # of the analysis; raise it when results change

Array: TypeAlias = npt.NDArray[Any]
Result = TypeVar("Result")


def find_sound(settings: Settings, inputs: Inputs, folder: Callable[[], Path]) -> Sound | None:
    """Return the sound or the tempo that schedules may name, or None if the settings name neither.

    Nothing is analyzed before it is read.

    Args:
        settings: checked settings.
        inputs: the input files, of which `heard` is read.
        folder: returns the folder of the cache.
    """
    steady = partial(Beats.steady, settings.bpm, settings.beat_offset, settings.beats_per_bar)
    faults = [problem for problem in inputs.problems if problem.setting in SOUND_SETTINGS]
    if inputs.heard is None and faults:
        return Sound(partial(_refuse, faults), partial(_refuse, faults), partial(_refuse, faults))
    if inputs.heard is None:
        return Sound(steady) if settings.bpm > 0 else None
    sound = _SoundFile(inputs.heard, settings, inputs.heard_starts_s, folder)
    return Sound(
        steady if settings.bpm > 0 else sound.beats, sound.levels, sound.duration_s, sound.content_digest
    )


def _refuse(faults: Sequence[Problem]) -> NoReturn:
    raise SettingsError(faults)


class _SoundFile:
    """A sound file, and what is found in it.

    Args:
        path: local file.
        settings: settings of the run.
        starts_s: position in the sound, in seconds, of frame 0.
        folder: returns the folder of the cache.
    """

    def __init__(self, path: Path, settings: Settings, starts_s: float, folder: Callable[[], Path]) -> None:
        self._path, self._settings, self._starts_s, self._folder = path, settings, starts_s, folder
        self.setting = "audio_path"
        if not settings.audio_path:
            self.setting = "video_init_path" if settings.add_soundtrack == "Init Video" else "soundtrack_path"
        named = pasted_path(getattr(settings, self.setting))
        self._name = named.replace("\\", "/").rstrip("/").rpartition("/")[2][:120]
        self._failed: SettingsError | None = None

    def content_digest(self) -> str:
        """Return the digest of the file's content."""
        return self._digest

    def duration_s(self) -> float:
        """Return the length from frame 0 on, in seconds."""
        return max(self._measurements.duration_s - self._starts_s, 0.0)

    def levels(self) -> Levels:
        """Return the levels of the sound."""
        found = self._measurements
        amplitudes = Curves(
            {**found.levels, "bands": found.bands}, LEVEL_RATE_HZ, 0.5 / LEVEL_RATE_HZ - self._starts_s
        )
        onsets = Curves(found.onsets, ONSET_RATE_HZ, -self._starts_s)
        return Levels(amplitudes, onsets, BAND_EDGES_HZ, self._settings.audio_smoothing)

    def beats(self) -> Beats:
        """Return the beats; beat 0 is the first one from frame 0 on that begins a bar."""
        times_s, downbeat = self._found_beats
        if len(times_s) < FEWEST_BEATS:
            message = messages.NO_BEATS(setting=self.setting, name=self._name)
            raise SettingsError([Problem(message, "bpm", found="0", allowed="the beats per minute")])
        per_bar = self._settings.beats_per_bar
        times_s = times_s - self._starts_s
        half_frame_s = 0.5 / self._settings.fps
        begun = np.flatnonzero(times_s[downbeat::per_bar] >= -half_frame_s)
        first = downbeat + per_bar * (int(begun[0]) if begun.size else 0)
        return Beats(times_s, per_bar, -first)

    @cached_property
    def _digest(self) -> str:
        return self._reading(self._hashed)

    def _hashed(self) -> str:
        digest = hashlib.sha256()
        with open_regular(self._path) as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    @cached_property
    def _measurements(self) -> Measurements:
        check = time_limit(_TIME_LIMIT_S, "Reading the sound")
        found = self._cached("levels", _restored)
        if found is None:
            found = self._reading(lambda: measure_sound(self._path, check))
            self._keep("levels", _stored(found))
        if found.duration_s < SHORTEST_S:
            message = messages.HEARD_TOO_SHORT(
                setting=self.setting, name=self._name, seconds=found.duration_s, allowed=_LENGTHS
            )
            raise self._refused(message)
        if found.levels["rms"].max() < _SILENT:
            raise self._refused(messages.HEARD_SILENT(setting=self.setting, name=self._name))
        return found

    @cached_property
    def _found_beats(self) -> tuple[npt.NDArray[np.float64], int]:
        """The times of the beats in seconds from the beginning of the file, and the index of the first downbeat."""
        onsets, duration_s = self._measurements.onsets["onset"], self._measurements.duration_s
        if known := self._cached("network", _restored_beats):
            return known
        weights = network_weights() if duration_s <= LONGEST_S else None
        if weights is not None:
            check = time_limit(_TIME_LIMIT_S, "Finding the beats")
            beats_s, downbeats_s = self._reading(lambda: network_beats(self._path, weights, check))
            found = beats_s, _first_downbeat(beats_s, downbeats_s)
            self._keep("network", {"beats": beats_s, "downbeat": np.array(found[1])})
            return found
        if known := self._cached("beats", _restored_beats):
            return known
        beats_s = self._reading(lambda: track_beats(onsets, ONSET_RATE_HZ))
        self._keep("beats", {"beats": beats_s, "downbeat": np.array(0)})
        return beats_s, 0

    def _refused(self, message: Text, *, passing: bool = False) -> SettingsError:
        return SettingsError(
            [Problem(message, self.setting, found=self._name, allowed=_FOUND, passing=passing)]
        )

    def _reading(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, its errors as those of the setting; a file that failed once is not read again.

        Raises:
            SettingsError: the sound cannot be read, or a package is missing.
        """
        if self._failed is not None:
            raise self._failed
        try:
            return work()
        except SoundTooLong:
            hours = sound_analysis.LONGEST_S / 3600
            message = messages.HEARD_TOO_LONG(
                setting=self.setting, name=self._name, hours=hours, allowed=_LENGTHS
            )
            self._failed = self._refused(message)
        except MissingFeature as error:
            self._failed = self._refused(Text(str(error), error.message_code).at(self.setting))
        except (VideoError, UnusableFile) as error:
            why = str(error).rstrip(".")
            message = messages.HEARD_UNREADABLE(
                setting=self.setting, name=self._name, why=why, allowed=_FOUND
            )
            self._failed = self._refused(message, passing=exhausted_resource(error) is not None)
        except RenderError as error:
            message = Text(str(error), error.message_code).at(self.setting)
            self._failed = self._refused(message, passing=error.retryable)
        raise self._failed

    def _cached(self, part: str, read: Callable[[Mapping[str, Array]], Result]) -> Result | None:
        path = self._folder() / f"{self._digest}-{_VERSION}-{part}.npz"
        with suppress(OSError, ValueError, KeyError), np.load(path, allow_pickle=False) as stored:
            result = read(stored)
            path.touch()
            return result
        return None

    def _keep(self, part: str, arrays: Mapping[str, Array]) -> None:
        """Write a file of the cache; a full disk leaves the cache without it."""
        folder = self._folder()
        path = folder / f"{self._digest}-{_VERSION}-{part}.npz"
        new = path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            with new.open("wb") as file:
                np.savez(file, **dict[str, Any](arrays))
            new.replace(path)
            by_age = sorted(folder.glob("*.npz"), key=lambda one: one.stat().st_mtime)
            for old in by_age[:-_MOST_FILES]:
                old.unlink(missing_ok=True)
        with suppress(OSError):
            new.unlink(missing_ok=True)


def _stored(found: Measurements) -> dict[str, Array]:
    series = {f"level {name}": values for name, values in found.levels.items()}
    series |= {f"onset {name}": values for name, values in found.onsets.items()}
    return {"duration": np.array(found.duration_s), "bands": found.bands, **series}


def _restored(stored: Mapping[str, Array]) -> Measurements:
    levels, onsets = (
        {name.removeprefix(kind): stored[name] for name in stored if name.startswith(kind)}
        for kind in ("level ", "onset ")
    )
    return Measurements(float(stored["duration"]), levels, stored["bands"], onsets)


def _restored_beats(stored: Mapping[str, Array]) -> tuple[npt.NDArray[np.float64], int]:
    return np.asarray(stored["beats"], np.float64), int(stored["downbeat"])


def _first_downbeat(beats_s: npt.NDArray[np.float64], downbeats_s: npt.NDArray[np.float64]) -> int:
    """Return the index of the beat nearest to the first downbeat; 0 without downbeats."""
    if not len(downbeats_s) or not len(beats_s):
        return 0
    return int(np.abs(beats_s - downbeats_s[0]).argmin())
