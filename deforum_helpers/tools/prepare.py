"""Prepares a tool for the queue: checks its arguments and inputs without running it.

No file is written, no model loaded, and torch not imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from deforum_helpers.core.errors import (
    DiskFull,
    MissingFeature,
    Problem,
    RenderError,
    SettingsError,
    exhausted_resource,
)
from deforum_helpers.core.files.no_links import resolved
from deforum_helpers.core.messages import Text
from deforum_helpers.core.net.fetch import is_url
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.media.footage import VideoInfo, inspect_video
from deforum_helpers.models.depth import available_families, serve
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.pipeline.input_files import Downloads
from deforum_helpers.settings.host_options import Options, override, override_warnings
from deforum_helpers.tools import messages
from deforum_helpers.tools.arguments import OTHER_SPELLINGS, WITH_DEPTH, typed_arguments
from deforum_helpers.tools.checks import (
    DepthLook,
    check_depth_look,
    check_fps,
    check_frame_count,
    check_interpolation,
    check_upscaling,
    common_size,
    numbered_images,
    upscaled_size,
)
from deforum_helpers.tools.work import ToolResult, Work, notes_on, require_room

Run = Callable[[Work], ToolResult]


@dataclass(frozen=True)
class PreparedTool:
    """A tool with checked arguments and inputs, ready to run.

    Args:
        tool: a name in `arguments.TOOLS`.
        frames: number of frames of the video that it makes.
        name: name for the outputs; empty = the input's.
        run: runs the tool.
        options: the host's options with the job's overrides.
        output_root: the output folder.
        device: torch device for models.
        on_device: whether the tool runs a network on the device.
        warnings: messages for the user.
        downloads: keeps downloaded inputs as long as the job needs them.
    """

    tool: str
    frames: int
    name: str
    run: Run
    options: Options
    output_root: Path
    device: str
    on_device: bool
    warnings: tuple[str, ...]
    downloads: Downloads

    @property
    def summary(self) -> dict[str, int]:
        """The size of the job."""
        return {"frames": self.frames}

    @property
    def work(self) -> float:
        """Number of sampling steps per megapixel; always 0 for a tool."""
        return 0.0


def prepare_tool(
    tool: str,
    submitted: Mapping[str, Any],
    facts: HostFacts,
    overrides: Mapping[str, Any] | None = None,
) -> PreparedTool:
    """Check the arguments of a tool and find its inputs.

    Args:
        tool: a name in `arguments.TOOLS`.
        submitted: the tool's arguments; omitted ones have defaults.
        facts: facts about the host that will run the job.
        overrides: `options_overrides` of the job.

    Raises:
        SettingsError: an argument or an input cannot be used; each problem names its argument.
    """
    given = typed_arguments(tool, submitted)
    options = override(facts.options, dict(overrides or {}))
    inputs = _Inputs(options, facts.output_root, Downloads(facts.fetcher))
    try:
        frames, run = _PREPARE[tool](given, inputs)
    except DiskFull as error:
        raise SettingsError([Problem(Text(str(error), error.message_code), passing=True)]) from None
    return PreparedTool(
        tool,
        frames,
        inputs.name,
        run,
        options,
        facts.output_root,
        facts.device,
        _runs_a_network(tool, given),
        (*override_warnings(facts.options, overrides or {}), *inputs.warnings),
        inputs.downloads,
    )


def _runs_a_network(tool: str, given: Mapping[str, Any]) -> bool:
    if tool == "interpolate":
        return bool(given["engine"] != "Flow")
    if tool == "upscale":
        return bool(given["model"] != "Lanczos")
    return tool == "vid2depth" and given["mode"] in (*WITH_DEPTH, *OTHER_SPELLINGS)


class _Inputs:
    """Finds and checks the inputs of one tool, and collects warnings about them.

    Args:
        options: options of the job.
        output_root: the output folder.
        downloads: downloads inputs given as URLs.
    """

    def __init__(self, options: Options, output_root: Path, downloads: Downloads) -> None:
        self.downloads = downloads
        self.output_root = output_root
        self.name = ""
        self.warnings: list[str] = []
        self._options = options

    def video(self, text: str) -> VideoInfo:
        """Inspect the video at a path or URL; the outputs are named after it."""
        path = Path(self.downloads.local(text, "video", setting="video"))
        self.name = _name_of(text)
        shown = self.name or path.name
        try:
            self._ffmpeg()  # needed to encode the result
            found = inspect_video(path, setting="video", name=shown)
        except MissingFeature as error:
            message = messages.INPUT_FAILED(name="video", why=error)
            raise SettingsError([Problem(message, "video")]) from None
        self.warnings += notes_on(found)
        return found

    def images(self, texts: list[str]) -> tuple[Path, ...]:
        """Return the local paths of images; the outputs are named after the first one."""
        self.name = _name_of(texts[0])
        local = (self.downloads.local(text, "image", setting="pictures") for text in texts)
        return tuple(Path(path).resolve() for path in local)

    def sound(self, text: str | None) -> Path | None:
        """Return the local path of a sound file, None if `text` is None."""
        if text is None:
            return None
        path = Path(self.downloads.local(text, "audio", setting="sound"))
        try:
            check_soundtrack(path, self._ffmpeg(), setting="sound")
        except RenderError as error:
            message = Text(str(error), error.message_code)
            passing = error.retryable or exhausted_resource(error) is not None
            raise SettingsError([Problem(message, "sound", found=text[:120], passing=passing)]) from None
        return path

    def require_room(self, pixels: int) -> None:
        """Raise `DiskFull` if the output folder's disk has no room for images of `pixels` pixels in all."""
        require_room(Work(self.output_root), pixels)

    def _ffmpeg(self) -> str:
        return find_ffmpeg(self._options.deforum_ffmpeg_location)


def _name_of(text: str) -> str:
    """Return the file name in a URL, "" for a local path."""
    return unquote(PurePosixPath(urlsplit(text.strip()).path).name)[:200] if is_url(text) else ""


def _interpolate(given: Mapping[str, Any], inputs: _Inputs) -> tuple[int, Run]:
    engine, times, slower = given["engine"], given["times"], given["slower"]
    check_interpolation(engine, times, slower)
    check_fps(given["fps"])
    if (given["video"] is None) == (given["pictures"] is None):
        found = "neither" if given["video"] is None else "both"
        message = messages.VIDEO_OR_IMAGES(found=found)
        raise SettingsError([Problem(message, "video", allowed="a video, or pictures")])
    more = {
        "engine": engine,
        "x_amount": times,
        "slow_mo_amount": slower,
        "keep_imgs": given["keep_pictures"],
    }
    video = inputs.video(given["video"]) if given["pictures"] is None else None
    # Video files and animated images have a frame rate; other image sequences use the argument fps.
    if video is not None and (not video.stills or video.path.is_file()):
        frames = check_frame_count(video.frames, times)
        inputs.require_room(video.width_px * video.height_px * (frames + video.frames))
        return frames, lambda work: _interpolated_video(video, work, more)
    if video is not None:
        paths = tuple(still.path for still in video.stills)
    else:
        paths = inputs.images(given["pictures"])
    frames, (width_px, height_px) = check_frame_count(len(paths), times), common_size(paths)
    inputs.require_room(width_px * height_px * (frames + len(paths)))
    sound = inputs.sound(given["sound"])

    def run(work: Work) -> ToolResult:
        from deforum_helpers.tools.interpolate import interpolate_image_sequence

        return interpolate_image_sequence(paths, work, fps=given["fps"], soundtrack=sound, **more)

    return frames, run


def _interpolated_video(video: VideoInfo, work: Work, more: Mapping[str, Any]) -> ToolResult:
    from deforum_helpers.tools.interpolate import interpolate_video

    return interpolate_video(video.path, work, **more)


def _upscale(given: Mapping[str, Any], inputs: _Inputs) -> tuple[int, Run]:
    model, factor = given["model"], given["factor"]
    check_upscaling(model, factor)
    video = inputs.video(given["video"])
    width_px, height_px = upscaled_size(video.width_px, video.height_px, factor)
    inputs.require_room(width_px * height_px * video.frames)

    def run(work: Work) -> ToolResult:
        from deforum_helpers.tools.upscale import upscale_video

        keep = given["keep_pictures"]
        return upscale_video(video.path, work, model=model, factor=factor, keep_imgs=keep)

    return video.frames, run


def _vid2depth(given: Mapping[str, Any], inputs: _Inputs) -> tuple[int, Run]:
    names = ("mode", "thresholding", "lower", "upper", "block_size", "c", "algorithm")
    shown = {name: given[name] for name in names}
    look = check_depth_look(DepthLook(**shown, invert=not given["far_is_bright"], end_blur=given["blur"]))
    video = inputs.video(given["video"])
    inputs.require_room(video.width_px * video.height_px * video.frames)
    if look.mode in WITH_DEPTH and (replaced := serve(look.algorithm, available_families())[1]):
        inputs.warnings.append(replaced)

    def run(work: Work) -> ToolResult:
        from deforum_helpers.tools.vid2depth import video_to_depth

        return video_to_depth(video.path, work, look, keep_imgs=given["keep_pictures"])

    return video.frames, run


def _stitch(given: Mapping[str, Any], inputs: _Inputs) -> tuple[int, Run]:
    pattern, root = given["pattern"], inputs.output_root
    check_fps(given["fps"])
    below = root if _begins_in(root, pattern) else None
    images, _ = numbered_images(pattern, below)
    sound = inputs.sound(given["sound"])

    def run(work: Work) -> ToolResult:
        from deforum_helpers.tools.stitch import stitch_frames

        return stitch_frames(pattern, work, fps=given["fps"], soundtrack=sound, below=below)

    return len(images), run


def _begins_in(root: Path, pattern: str) -> bool:
    """Return whether a pattern is inside the output folder, where links are not followed."""
    try:
        resolved(root, root / pattern.strip().strip('"'))
    except (OSError, ValueError):
        return not Path(pattern.strip().strip('"')).is_absolute()
    return True


_PREPARE: Mapping[str, Callable[[Mapping[str, Any], _Inputs], tuple[int, Run]]] = {
    "interpolate": _interpolate,
    "upscale": _upscale,
    "vid2depth": _vid2depth,
    "stitch": _stitch,
}
