"""From the submitted arguments of a tool to a job that a queue can run: every check that can be made before.

Nothing is written, no model is loaded, torch is not imported.
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
from deforum_helpers.core.net.fetch import is_url
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.media.footage import Footage, footage_of
from deforum_helpers.models.depth.names import available_families, serve
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.pipeline.input_files import Downloads
from deforum_helpers.settings.host_options import Options, override, override_warnings
from deforum_helpers.tools.arguments import typed_arguments
from deforum_helpers.tools.checks import (
    DepthLook,
    check_fps,
    check_frame_count,
    check_interpolation,
    check_upscaling,
    checked_look,
    enlarged_size,
    numbered_pictures,
    size_of,
)
from deforum_helpers.tools.folders import ToolResult, Work, notes_on, require_room
from deforum_helpers.tools.names import OTHER_SPELLINGS, WITH_DEPTH

Run = Callable[[Work], ToolResult]


@dataclass(frozen=True)
class PreparedTool:
    """A tool with checked arguments, found inputs and known length.

    Args:
        tool: of `arguments.TOOLS`.
        frames: of the video that it makes.
        name: what its outputs are named by; empty = after its input.
        run: does the work.
        options: the host's options with the job's overrides.
        output_root: where its files go.
        device: where models run.
        on_device: whether it runs a network there.
        warnings: what a person should know, as plain sentences.
        downloads: holds the fetched inputs as long as the job needs them.
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
        """Size of the job."""
        return {"frames": self.frames}

    @property
    def work(self) -> float:
        """Sampling steps of a megapixel: a tool has none."""
        return 0.0


def prepare_tool(
    tool: str,
    submitted: Mapping[str, Any],
    facts: HostFacts,
    overrides: Mapping[str, Any] | None = None,
) -> PreparedTool:
    """Check the arguments of a tool and find its inputs.

    Args:
        tool: of `arguments.TOOLS`.
        submitted: its arguments; those left out have their defaults.
        facts: of the host that will run it.
        overrides: `options_overrides` of the job.

    Raises:
        SettingsError: an argument or an input cannot be used; each problem names its argument.
    """
    given = typed_arguments(tool, submitted)
    options = override(facts.options, dict(overrides or {}))
    finding = _Finding(options, facts.output_root, Downloads(facts.fetcher))
    try:
        frames, run = _PREPARE[tool](given, finding)
    except DiskFull as error:
        raise SettingsError([Problem(str(error), passing=True)]) from None
    return PreparedTool(
        tool,
        frames,
        finding.name,
        run,
        options,
        facts.output_root,
        facts.device,
        _runs_a_network(tool, given),
        (*override_warnings(facts.options, overrides or {}), *finding.warnings),
        finding.downloads,
    )


def _runs_a_network(tool: str, given: Mapping[str, Any]) -> bool:
    if tool == "interpolate":
        return bool(given["engine"] != "Flow")
    if tool == "upscale":
        return bool(given["model"] != "Lanczos")
    return tool == "vid2depth" and given["mode"] in (*WITH_DEPTH, *OTHER_SPELLINGS)


class _Finding:
    """Finds the inputs of one tool, with what is to be said of them.

    Args:
        options: of the job.
        output_root: where its files will go.
        downloads: fetch inputs from addresses.
    """

    def __init__(self, options: Options, output_root: Path, downloads: Downloads) -> None:
        self.downloads = downloads
        self.output_root = output_root
        self.name = ""
        self.warnings: list[str] = []
        self._options = options

    def video(self, text: str) -> Footage:
        """Return what the video `text` holds; it gives the outputs their name."""
        path = Path(self.downloads.local(text, "video", setting="video"))
        self.name = _name_of(text)
        shown = self.name or path.name
        try:
            self._ffmpeg()  # the result is encoded with it
            found = footage_of(path, setting="video", name=shown)
        except MissingFeature as error:
            raise SettingsError([Problem(f"video: {error}", "video")]) from None
        self.warnings += notes_on(found)
        return found

    def pictures(self, texts: list[str]) -> tuple[Path, ...]:
        """Return the local paths of pictures; the first one gives the outputs their name."""
        self.name = _name_of(texts[0])
        local = (self.downloads.local(text, "image", setting="pictures") for text in texts)
        return tuple(Path(path).resolve() for path in local)

    def sound(self, text: str | None) -> Path | None:
        """Return the local path of a sound file, or None where none is named."""
        if text is None:
            return None
        path = Path(self.downloads.local(text, "audio", setting="sound"))
        try:
            check_soundtrack(path, self._ffmpeg())
        except RenderError as error:
            message = str(error).replace("soundtrack_path", "sound", 1)
            passing = error.retryable or exhausted_resource(error) is not None
            raise SettingsError([Problem(message, "sound", found=text[:120], passing=passing)]) from None
        return path

    def require_room(self, pixels: int) -> None:
        """Raise `DiskFull` if the output folder's disk has no room for images of so many pixels."""
        require_room(Work(self.output_root), pixels)

    def _ffmpeg(self) -> str:
        return find_ffmpeg(self._options.deforum_ffmpeg_location)


def _name_of(text: str) -> str:
    """Return the name of the file at an address; of a local file its path tells."""
    return unquote(PurePosixPath(urlsplit(text.strip()).path).name)[:200] if is_url(text) else ""


def _interpolate(given: Mapping[str, Any], finding: _Finding) -> tuple[int, Run]:
    engine, times, slower = given["engine"], given["times"], given["slower"]
    check_interpolation(engine, times, slower)
    check_fps(given["fps"])
    if (given["video"] is None) == (given["pictures"] is None):
        message = "interpolate takes either a video or pictures; give one of the two."
        raise SettingsError([Problem(message, "video", allowed="a video, or pictures")])
    more = {
        "engine": engine,
        "x_amount": times,
        "slow_mo_amount": slower,
        "keep_imgs": given["keep_pictures"],
    }
    video = finding.video(given["video"]) if given["pictures"] is None else None
    # The frames of a video file, animated images included, have a rate of their own.
    if video is not None and (not video.stills or video.path.is_file()):
        frames = check_frame_count(video.frames, times)
        finding.require_room(video.width_px * video.height_px * (frames + video.frames))
        return frames, lambda work: _interpolated_video(video, work, more)
    if video is not None:
        paths = tuple(still.path for still in video.stills)
    else:
        paths = finding.pictures(given["pictures"])
    frames, (width_px, height_px) = check_frame_count(len(paths), times), size_of(paths)
    finding.require_room(width_px * height_px * (frames + len(paths)))
    sound = finding.sound(given["sound"])

    def run(work: Work) -> ToolResult:
        from deforum_helpers.tools.interpolate import interpolate_pictures

        return interpolate_pictures(paths, work, fps=given["fps"], soundtrack=sound, **more)

    return frames, run


def _interpolated_video(video: Footage, work: Work, more: Mapping[str, Any]) -> ToolResult:
    from deforum_helpers.tools.interpolate import interpolate_video

    return interpolate_video(video.path, work, **more)


def _upscale(given: Mapping[str, Any], finding: _Finding) -> tuple[int, Run]:
    model, factor = given["model"], given["factor"]
    check_upscaling(model, factor)
    video = finding.video(given["video"])
    width_px, height_px = enlarged_size(video.width_px, video.height_px, factor)
    finding.require_room(width_px * height_px * video.frames)

    def run(work: Work) -> ToolResult:
        from deforum_helpers.tools.upscale import upscale_video

        keep = given["keep_pictures"]
        return upscale_video(video.path, work, model=model, factor=factor, keep_imgs=keep)

    return video.frames, run


def _vid2depth(given: Mapping[str, Any], finding: _Finding) -> tuple[int, Run]:
    names = ("mode", "thresholding", "lower", "upper", "block_size", "c", "algorithm")
    shown = {name: given[name] for name in names}
    look = checked_look(DepthLook(**shown, invert=not given["far_is_bright"], end_blur=given["blur"]))
    video = finding.video(given["video"])
    finding.require_room(video.width_px * video.height_px * video.frames)
    if look.mode in WITH_DEPTH and (replaced := serve(look.algorithm, available_families())[1]):
        finding.warnings.append(replaced)

    def run(work: Work) -> ToolResult:
        from deforum_helpers.tools.vid2depth import video_to_depth

        return video_to_depth(video.path, work, look, keep_imgs=given["keep_pictures"])

    return video.frames, run


def _stitch(given: Mapping[str, Any], finding: _Finding) -> tuple[int, Run]:
    pattern, root = given["pattern"], finding.output_root
    check_fps(given["fps"])
    below = root if _begins_in(root, pattern) else None
    pictures, _ = numbered_pictures(pattern, below)
    sound = finding.sound(given["sound"])

    def run(work: Work) -> ToolResult:
        from deforum_helpers.tools.stitch import stitch_frames

        return stitch_frames(pattern, work, fps=given["fps"], soundtrack=sound, below=below)

    return len(pictures), run


def _begins_in(root: Path, pattern: str) -> bool:
    """Tell whether a pattern names pictures of the output folder, none of whose links is followed."""
    try:
        resolved(root, root / pattern.strip().strip('"'))
    except (OSError, ValueError):
        return not Path(pattern.strip().strip('"')).is_absolute()
    return True


_PREPARE: Mapping[str, Callable[[Mapping[str, Any], _Finding], tuple[int, Run]]] = {
    "interpolate": _interpolate,
    "upscale": _upscale,
    "vid2depth": _vid2depth,
    "stitch": _stitch,
}
