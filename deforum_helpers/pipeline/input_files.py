"""The input files of a run: their local paths, and the frames and sound of its videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from deforum_helpers.camera.path import SETTING as CAMERA_PATH
from deforum_helpers.camera.path import Track
from deforum_helpers.core.errors import (
    MissingFeature,
    Problem,
    RenderError,
    SettingsError,
    VideoError,
    exhausted_resource,
)
from deforum_helpers.core.files.regular import pasted_path
from deforum_helpers.core.files.scratch import FETCHED, ScratchFolder
from deforum_helpers.core.messages import Text
from deforum_helpers.core.net.fetch import Fetcher, Kind, is_url
from deforum_helpers.media.camera_files import read_camera
from deforum_helpers.media.camera_files.base import Source
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.media.footage import Selection, VideoInfo, inspect_video, selection_problem
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.controlnet import ControlInput, find_controls
from deforum_helpers.render.moves import Tracks
from deforum_helpers.schedule import Timeline
from deforum_helpers.schedule.camera_path import camera_entries
from deforum_helpers.settings import Settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.modes import follows_path, reads_mask_video, uses_video


class Downloads:
    """Files fetched from http(s) addresses, each once, into a temporary folder that lives as long as this object."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._folder: ScratchFolder | None = None
        self._files: dict[tuple[str, Kind], Path] = {}

    @property
    def fetched(self) -> Mapping[tuple[str, Kind], Path]:
        """The files so far, by address and kind."""
        return MappingProxyType(self._files)

    def local(self, text: str, kind: Kind, *, setting: str) -> str:
        """Return the local path of the file that a setting names: `text` without quotes, or the fetched file.

        Raises:
            SettingsError: the address cannot or must not be fetched.
        """
        path = pasted_path(text)
        if not is_url(path):
            return path
        if (path, kind) not in self._files:
            if self._folder is None:
                self._folder = ScratchFolder(FETCHED)
            target = self._folder.path / str(len(self._files))
            self._fetcher.fetch(path, kind, target, setting=setting)
            self._files[path, kind] = target
        return str(self._files[path, kind])


@dataclass(frozen=True)
class Inputs:
    """The input files that the settings name.

    Args:
        downloads: provides the local path of every file.
        video: the video at video_init_path where its frames are used, else None.
        mask_video: the video at video_mask_path where it is used, else None.
        selection: the frames of both that are used.
        soundtrack: file with the sound of the video, or None.
        sound_of_video: the sound is that of the init video.
        heard: file with the sound that schedules name, or None.
        controls: the media of the ControlNet units.
        tracks: the camera files that camera_path names.
        problems: about files that cannot be used.
        warnings: sentences about files that are used.
    """

    downloads: Downloads
    video: VideoInfo | None = None
    mask_video: VideoInfo | None = None
    selection: Selection = field(default_factory=Selection)
    soundtrack: Path | None = None
    sound_of_video: bool = False
    heard: Path | None = None
    controls: tuple[ControlInput, ...] = ()
    tracks: Tracks = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def video_frames(self) -> int:
        """Number of frames of the init video that are used."""
        return self.selection.count(self.video.frames) if self.video is not None else 0

    @property
    def mask_frames(self) -> int:
        """Number of frames of the mask video that are used."""
        return self.selection.count(self.mask_video.frames) if self.mask_video is not None else 0

    @property
    def sound_starts_s(self) -> float:
        """Position in the soundtrack, in seconds, that plays with frame 0."""
        return self.video.second_of(self.selection) if self.video and self.sound_of_video else 0.0

    @property
    def heard_starts_s(self) -> float:
        """Position in the sound that schedules name, in seconds, that belongs to frame 0."""
        return self.sound_starts_s if self.heard == self.soundtrack else 0.0

    @property
    def extracted_pixels(self) -> int:
        """Number of pixels of all images that are extracted into the folder of a run."""
        videos = ((self.video, self.video_frames), (self.mask_video, self.mask_frames))
        of_videos = sum(
            video.width_px * video.height_px * frames for video, frames in videos if video is not None
        )
        of_controls = sum(
            media.width_px * media.height_px * media.frames
            for control in self.controls
            for media in control.media
        )
        return of_videos + of_controls


def find_inputs(settings: Settings, options: Options, downloads: Downloads) -> Inputs:
    """Find the videos and the sound that the settings name; problems are returned, not raised."""
    search = _InputSearch(settings, options, downloads)
    video = mask_video = soundtrack = None
    if uses_video(settings):
        video = search.footage("video_init_path")
    if reads_mask_video(settings):
        mask_video = search.footage("video_mask_path")
    if settings.add_soundtrack != "None" and not settings.skip_video_creation:
        soundtrack = search.soundtrack()
    heard = search.sound("audio_path", "audio") if settings.audio_path else soundtrack
    return Inputs(
        downloads,
        video,
        mask_video,
        search.selection,
        soundtrack,
        sound_of_video=soundtrack is not None and settings.add_soundtrack == "Init Video",
        heard=heard,
        problems=tuple(search.problems),
        warnings=tuple(search.warnings),
    )


def with_controls(inputs: Inputs, settings: Settings) -> Inputs:
    """Return `inputs` with the media of the ControlNet units; in `settings` the length of the video is resolved."""
    found = find_controls(settings, inputs.downloads)
    return replace(
        inputs,
        controls=found.inputs,
        problems=inputs.problems + found.problems,
        warnings=inputs.warnings + found.warnings,
    )


def with_camera(inputs: Inputs, settings: Settings) -> Inputs:
    """Return `inputs` with the camera files of camera_path; in `settings` length and frame rate are resolved."""
    if not follows_path(settings):
        return inputs
    timeline = Timeline(settings.max_frames, settings.seed, settings.fps, settings.W, settings.H)
    try:
        entries, _ = camera_entries(settings.camera_path, timeline)
    except SettingsError:
        return inputs  # planning reports the problems of the text
    tracks: dict[tuple[str, str, str], Track] = {}
    problems: list[Problem] = []
    for key in dict.fromkeys(move.key for entry in entries for move in entry.moves if move.name == "file"):
        track, found = _track(inputs.downloads, *key, settings)
        problems += found
        if track is not None:
            tracks[key] = track
    return replace(inputs, tracks=tracks, problems=(*inputs.problems, *problems))


def _track(
    downloads: Downloads, named: str, camera: str, animation: str, settings: Settings
) -> tuple[Track | None, tuple[Problem, ...]]:
    try:
        path = downloads.local(named, "camera", setting=CAMERA_PATH)
        source = Source(path, named, CAMERA_PATH, camera, animation)
        return read_camera(source, fps=settings.fps, most_frames=settings.max_frames + 1), ()
    except SettingsError as error:
        return None, error.problems


def speed_warnings(inputs: Inputs, fps: float, frames: int) -> Iterator[str]:
    """Yield a warning if the frames run at another speed than the sound of the same init video.

    Args:
        inputs: the input files.
        fps: frame rate of the rendered video.
        frames: number of frames.
    """
    if inputs.video is None or not inputs.sound_of_video:
        return
    step = inputs.selection.step
    fitting = inputs.video.fps / step
    apart_s = abs(frames / fps - frames / fitting)
    if apart_s <= 1 / fps:
        return
    if 1 <= fitting <= 240:
        advice = f"fps {fitting:.6g} keeps them together"
    else:
        advice = "change extract_nth_frame to keep them together"
    yield messages.SOUND_RUNS_APART(
        used=fitting, fps=fps, speed=fps / fitting, apart_s=apart_s, advice=advice
    )


class _InputSearch:
    """Opens the input files and collects the problems and warnings about them."""

    def __init__(self, settings: Settings, options: Options, downloads: Downloads) -> None:
        self.selection = Selection(
            settings.extract_nth_frame, settings.extract_from_frame, settings.extract_to_frame
        )
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self._settings = settings
        self._options = options
        self._downloads = downloads

    def footage(self, setting: str) -> VideoInfo | None:
        named = getattr(self._settings, setting)
        if not named:
            return None  # the check of the settings reports an empty path
        try:
            path = Path(self._downloads.local(named, "video", setting=setting))
            footage = inspect_video(path, setting=setting, name=pasted_path(named))
        except SettingsError as error:
            self.problems += error.problems
            return None
        except MissingFeature as error:
            self.problems.append(Problem(Text(str(error), error.message_code).at(setting), setting))
            return None
        if note := footage.note(setting):
            self.warnings.append(note)
        self._check_selection(footage, setting)
        return footage

    def _check_selection(self, footage: VideoInfo, setting: str) -> None:
        wanted = self.selection
        if problem := selection_problem(footage, wanted, setting):
            self.problems.append(problem)
        elif wanted.last >= footage.frames:
            self.warnings.append(
                messages.EXTRACT_TO_BEYOND_END(last=wanted.last, setting=setting, count=footage.frames)
            )

    def soundtrack(self) -> Path | None:
        of_video = self._settings.add_soundtrack == "Init Video"
        setting = "video_init_path" if of_video else "soundtrack_path"
        named = getattr(self._settings, setting)
        if not named:
            source = self._settings.add_soundtrack
            self.warnings.append(messages.SOUNDTRACK_UNNAMED(source=source, setting=setting))
            return None
        return self.sound(setting, "video" if of_video else "audio")

    def sound(self, setting: str, kind: Kind) -> Path | None:
        """Return the file that `setting` names, or None if its sound cannot be used."""
        named = getattr(self._settings, setting)
        try:
            path = Path(self._downloads.local(named, kind, setting=setting))
            ffmpeg = find_ffmpeg(self._options.deforum_ffmpeg_location)
            check_soundtrack(path, ffmpeg, setting=setting)
        except SettingsError as error:
            self.problems += error.problems
        except RenderError as error:
            if (
                setting == "video_init_path"
                and isinstance(error, VideoError)
                and not exhausted_resource(error)
            ):
                self.warnings.append(messages.VIDEO_WITHOUT_SOUND())
            else:
                message = Text(str(error), error.message_code)
                message = message if message.startswith(setting) else message.at(setting)
                passing = error.retryable or exhausted_resource(error) is not None
                self.problems.append(Problem(message, setting, found=named[:120], passing=passing))
        else:
            return path
        return None
