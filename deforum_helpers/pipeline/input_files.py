"""The files that a film is made from: where they are on this machine, and what its videos hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from deforum_helpers.core.errors import (
    MissingFeature,
    Problem,
    RenderError,
    SettingsError,
    VideoError,
    lacking,
)
from deforum_helpers.core.files.scratch import FETCHED, ScratchFolder
from deforum_helpers.core.net.fetch import Fetcher, Kind, is_url
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.media.footage import Selection, VideoInfo, inspect_video, selection_problem
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.pipeline.controlnet_files import ControlInput, find_controls
from deforum_helpers.settings import Settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.modes import reads_mask_video, uses_video


class Downloads:
    """Files fetched from addresses, each once, into a folder of their own that goes when nobody needs it any more."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._folder: ScratchFolder | None = None
        self._files: dict[tuple[str, Kind], Path] = {}

    def local(self, text: str, kind: Kind, *, setting: str) -> str:
        """Return the path of what a setting names: `text` without quotes, or the file fetched from an address.

        Raises:
            SettingsError: it cannot or must not be fetched.
        """
        path = text.strip().strip('"')
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
    """What the settings name, found.

    Args:
        downloads: gives every file's local path.
        video: of video_init_path, where frames of it are used; else None.
        mask_video: of video_mask_path, where it is used; else None.
        selection: which of their frames are taken.
        soundtrack: sound of the film, or None.
        sound_of_video: whether it is that of the video whose frames are used.
        controls: what its ControlNet units read.
        problems: what could not be found.
        warnings: what a person should know, as plain sentences.
    """

    downloads: Downloads
    video: VideoInfo | None = None
    mask_video: VideoInfo | None = None
    selection: Selection = field(default_factory=Selection)
    soundtrack: Path | None = None
    sound_of_video: bool = False
    controls: tuple[ControlInput, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def video_frames(self) -> int:
        """Number of frames that are taken of the video."""
        return self.selection.count(self.video.frames) if self.video is not None else 0

    @property
    def mask_frames(self) -> int:
        """Number of frames that are taken of the mask video."""
        return self.selection.count(self.mask_video.frames) if self.mask_video is not None else 0

    @property
    def sound_starts_s(self) -> float:
        """Second of the soundtrack that is heard with the first frame: where that was taken from the video."""
        return self.video.second_of(self.selection) if self.video and self.sound_of_video else 0.0

    @property
    def extracted_pixels(self) -> int:
        """Number of pixels of all pictures that are extracted into the folder of a run."""
        videos = ((self.video, self.video_frames), (self.mask_video, self.mask_frames))
        of_videos = sum(
            video.width_px * video.height_px * frames for video, frames in videos if video is not None
        )
        materials = (material for control in self.controls for material in control.materials)
        return of_videos + sum(one.width_px * one.height_px * one.frames for one in materials)


def find_inputs(settings: Settings, options: Options, downloads: Downloads) -> Inputs:
    """Find the videos and the sound that the settings name; what is wrong with them is told in the answer."""
    finding = _Finding(settings, options, downloads)
    video = mask_video = soundtrack = None
    if uses_video(settings):
        video = finding.footage("video_init_path")
    if reads_mask_video(settings):
        mask_video = finding.footage("video_mask_path")
    if settings.add_soundtrack != "None" and not settings.skip_video_creation:
        soundtrack = finding.soundtrack()
    return Inputs(
        downloads,
        video,
        mask_video,
        finding.selection,
        soundtrack,
        sound_of_video=soundtrack is not None and settings.add_soundtrack == "Init Video",
        problems=tuple(finding.problems),
        warnings=tuple(finding.warnings),
    )


def with_controls(inputs: Inputs, settings: Settings) -> Inputs:
    """Return `inputs` with what the ControlNet units read; `settings` have the film's length by now."""
    found = find_controls(settings, inputs.downloads)
    return replace(
        inputs,
        controls=found.inputs,
        problems=inputs.problems + found.problems,
        warnings=inputs.warnings + found.warnings,
    )


def speed_warnings(inputs: Inputs, fps: float, frames: int) -> Iterator[str]:
    """Yield a sentence if a film's picture drifts away from the sound that comes from the same video.

    Args:
        inputs: found.
        fps: frames per second of the film.
        frames: their number.
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
        advice = "take more or fewer frames by extract_nth_frame to keep them together"
    yield (
        f"add_soundtrack is Init Video, of which {fitting:.6g} frames a second are taken, but fps is {fps:g}: the "
        f"picture runs at {fps / fitting:.3g} times the speed of the sound, and at the end of the film they are "
        f"{apart_s:.2f} s apart; {advice}."
    )


class _Finding:
    """Looks at files and collects what is wrong with them."""

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
            return None  # an empty path is told where settings are checked
        try:
            path = Path(self._downloads.local(named, "video", setting=setting))
            footage = inspect_video(path, setting=setting, name=named.strip().strip('"'))
        except SettingsError as error:
            self.problems += error.problems
            return None
        except MissingFeature as error:
            self.problems.append(Problem(f"{setting}: {error}", setting))
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
                f"extract_to_frame is {wanted.last}, but {setting} has only {footage.frames} frames; "
                "all that there are are taken."
            )

    def soundtrack(self) -> Path | None:
        of_video = self._settings.add_soundtrack == "Init Video"
        setting = "video_init_path" if of_video else "soundtrack_path"
        named = getattr(self._settings, setting)
        if not named:
            source = self._settings.add_soundtrack
            self.warnings.append(f"add_soundtrack is {source}, but {setting} is empty; the film is silent.")
            return None
        try:
            path = Path(self._downloads.local(named, "video" if of_video else "audio", setting=setting))
            check_soundtrack(path, find_ffmpeg(self._options.deforum_ffmpeg_location))
        except SettingsError as error:
            self.problems += error.problems
        except RenderError as error:
            if of_video and isinstance(error, VideoError) and not lacking(error):
                self.warnings.append(
                    "add_soundtrack is Init Video, but the video has no sound that can be read; the film is silent."
                )
            else:
                message = str(error) if str(error).startswith(setting) else f"{setting}: {error}"
                passing = error.retryable or lacking(error) is not None
                self.problems.append(Problem(message, setting, found=named[:120], passing=passing))
        else:
            return path
        return None
