"""The functions of the tools' buttons, and the panel of their jobs; they know no gradio component."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import DeforumError
from deforum_helpers.settings import FIELDS
from deforum_helpers.settings.tables import DEPTH_ALGORITHMS, UPSCALE_FACTORS, UPSCALE_MODELS
from deforum_helpers.tools.arguments import MODES, THRESHOLDINGS
from deforum_helpers.tools.checks import numbered_images
from deforum_helpers.ui import messages
from deforum_helpers.ui.checking import warnings_html
from deforum_helpers.ui.controls import OptionRow, whole_if_possible
from deforum_helpers.ui.formatting import escape, message_of, refusal_html
from deforum_helpers.ui.panels import LISTED, button_html, file_links, progress_html, version
from deforum_helpers.ui.service import JobService, JobView

# Settings that the frame interpolation tools read, too.
INTERPOLATION_FIELDS = (
    "frame_interpolation_engine",
    "frame_interpolation_x_amount",
    "frame_interpolation_slow_mo_enabled",
    "frame_interpolation_slow_mo_amount",
    "frame_interpolation_keep_imgs",
    "fps",
    "add_soundtrack",
    "soundtrack_path",
)
SOUND_FIELDS = ("fps", "add_soundtrack", "soundtrack_path")


def _choice(name: str, label: str, choices: tuple[str, ...], default: str = "") -> OptionRow:
    return OptionRow(name, label, default or choices[0], choices=choices)


def _number(name: str, label: str, default: float, low: float, high: float) -> OptionRow:
    return OptionRow(name, label, default, low, high)


def _switch(name: str, label: str, *, default: bool) -> OptionRow:
    return OptionRow(name, label, default)


# Named after the arguments of the tools.
UPSCALE_ROWS: tuple[OptionRow, ...] = (
    _choice("model", "Upscale model", UPSCALE_MODELS, "Lanczos"),
    _choice("factor", "Upscale factor", UPSCALE_FACTORS),
    _switch("keep_imgs", "Keep Imgs", default=True),
)
DEPTH_ROWS: tuple[OptionRow, ...] = (
    _choice("mode", "Mode", MODES),
    _choice("algorithm", "Depth Algorithm", DEPTH_ALGORITHMS, "Depth-Anything-V2-Small"),
    _choice("thresholding", "Thresholding Mode", THRESHOLDINGS),
    _number("lower", "Threshold Value Lower", 127, 0, 255),
    _number("upper", "Threshold Value Upper", 255, 0, 255),
    _number("block_size", "Adaptive threshold block size (odd)", 11, 3, 255),
    _number("c", "Adaptive threshold constant C", 2.0, -255.0, 255.0),
    _switch("invert", "Closer is brighter", default=True),
    _number("end_blur", "End blur", 0.0, 0.0, 255.0),
    _switch("keep_imgs", "Keep Imgs", default=True),
)

FileUrl = Callable[[Path], str]
Files = Sequence[Path]
SHOWN = 12
UNFINISHED = ("queued", "paused", "running")
SOUND = ("add_soundtrack", "soundtrack_path")
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "int": ((int, float), "a number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
}
TITLES: Mapping[str, str] = {
    "interpolate": "Interpolate",
    "upscale": "Upscale",
    "vid2depth": "Depth",
    "stitch": "Stitch",
}


class ToolAnswers:
    """One method for each button of the tools.

    Args:
        service: the jobs and the host.
        file_url: returns the address of a file in this host's pages.
    """

    def __init__(self, service: JobService, file_url: FileUrl) -> None:
        self._service = service
        self._file_url = file_url

    def facts(self, files: Files) -> str:
        """Return frames, rate, size and length of a dropped video."""
        from deforum_helpers.tools.work import inspect_input

        if not files:
            return ""
        try:
            video = inspect_input(files[0])
        except DeforumError as error:
            return refusal_html(message_of(error))
        return (
            f'<p class="deforum-facts">{video.frames:,} frames, {video.fps:g} fps, '
            f"{video.width_px} x {video.height_px} px, {video.frames / video.fps:.1f} s</p>"
        )

    def interpolate_video(self, files: Files, *values: Any) -> str:
        """Queue the interpolation of a video; `values` in the order of `INTERPOLATION_FIELDS`."""
        how = _interpolation(_named(INTERPOLATION_FIELDS, values))
        return self._queued("interpolate", how, {"video": files[:1]}, refusal=_no_engine(values))

    def interpolate_pictures(self, files: Files, *values: Any) -> str:
        """Queue a video of images, ordered by name, with interpolated frames; `values` as in `interpolate_video`."""
        named = _named(INTERPOLATION_FIELDS, values)
        how = _interpolation(named) | _rate_and_sound(named)
        ordered = sorted(files, key=lambda path: path.name)
        return self._queued("interpolate", how, {"pictures": ordered}, refusal=_no_engine(values))

    def upscale(self, files: Files, *values: Any) -> str:
        """Queue the upscaling of a video; `values` in the order of `UPSCALE_ROWS`."""
        how = _of_rows(UPSCALE_ROWS, values)
        how["keep_pictures"] = how.pop("keep_imgs")
        return self._queued("upscale", how, {"video": files[:1]})

    def depth(self, files: Files, *values: Any) -> str:
        """Queue a depth video of a video; `values` in the order of `DEPTH_ROWS`."""
        how = _of_rows(DEPTH_ROWS, values)
        how |= {"keep_pictures": how.pop("keep_imgs"), "blur": how.pop("end_blur")}
        how["far_is_bright"] = how.pop("invert") is False
        return self._queued("vid2depth", how, {"video": files[:1]})

    def stitch(self, pattern: str, fps: Any, add_soundtrack: str, soundtrack_path: str) -> str:
        """Queue a video of numbered images in the output folder."""
        how = _rate_and_sound(_named(("fps", *SOUND), (fps, add_soundtrack, soundtrack_path)))
        pattern = pattern.strip()
        refusal = "" if pattern else messages.IMAGE_PATH_EMPTY()
        if pattern:
            try:
                numbered_images(pattern, self._service.facts.output_root)
            except DeforumError as error:
                refusal = message_of(error)
        return self._queued("stitch", how | {"pattern": pattern}, {}, refusal=refusal)

    def _queued(
        self, tool: str, arguments: Mapping[str, Any], dropped: Mapping[str, Files], *, refusal: str = ""
    ) -> str:
        if not all(dropped.values()):
            refusal = messages.TOOL_WITHOUT_FILE(tool=TITLES[tool])
        if not refusal:
            try:
                self._service.submit_tool(tool, arguments, dropped)
            except DeforumError as error:
                refusal = message_of(error)
        return (refusal_html(refusal) if refusal else "") + self.html(self._service.jobs(LISTED))

    def version(self, jobs: Sequence[JobView]) -> str:
        """Return the version of `html`; see `panels.version`."""
        return version(_tools(jobs))

    def html(self, jobs: Sequence[JobView]) -> str:
        """Return the newest jobs of tools, and once all are finished, the newest video."""
        tools = _tools(jobs)
        rows = "".join(self._row(job) for job in tools)
        done = [job for job in tools if job.state == "done"]
        busy = any(job.state in UNFINISHED for job in tools)
        video = self._service.files(done[0].id).get("video") if done and not busy else None
        player = _video_html(self._file_url(video)) if video else ""
        return f'<div class="deforum-tools" data-version="{self.version(jobs)}">{rows}{player}</div>'

    def _row(self, job: JobView) -> str:
        links = file_links(self._service.files(job.id), self._file_url) if job.state == "done" else []
        if job.state in UNFINISHED and not job.cancelling:
            links.append(button_html("cancel", job.id, "Cancel"))
        return (
            f'<div class="deforum-tool {job.state}"><b>{escape(TITLES.get(job.tool, job.tool))}</b> '
            f"<span>{escape(job.title)}</span> {' '.join(links)}{progress_html(job)}{warnings_html(job.warnings)}</div>"
        )


def _tools(jobs: Sequence[JobView]) -> tuple[JobView, ...]:
    """Return the jobs of tools to show, newest first."""
    return tuple(job for job in jobs if job.tool)[:SHOWN]


def _video_html(url: str) -> str:
    return (
        f'<video class="deforum-film" controls muted playsinline preload="auto" src="{escape(url)}" '
        'aria-label="Newest video"></video>'
    )


def _no_engine(values: Sequence[Any]) -> str:
    return messages.NO_INTERPOLATION_ENGINE() if values[0] == "None" else ""


def _named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """Return the values of settings' controls by name.

    Raises:
        DeforumError: a value is not of the setting's kind.
    """
    for name, value in zip(names, values, strict=True):
        kinds, allowed = _KINDS.get(FIELDS[name].kind, ((str,), "text"))
        if value is not None and (
            not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        ):
            raise DeforumError(
                messages.TOOL_VALUE(label=FIELDS[name].label, found=str(value)[:60], allowed=allowed)
            )
    return dict(zip(names, values, strict=True))


def _of_rows(rows: Sequence[OptionRow], values: Sequence[Any]) -> dict[str, Any]:
    """Return the values of the rows' controls by name; an empty one has its default."""
    return {
        row.name: row.default if value is None else whole_if_possible(value)
        for row, value in zip(rows, values, strict=True)
    }


def _interpolation(named: Mapping[str, Any]) -> dict[str, Any]:
    slower = named["frame_interpolation_slow_mo_enabled"]
    return {
        "engine": named["frame_interpolation_engine"],
        "times": whole_if_possible(named["frame_interpolation_x_amount"]),
        "slower": whole_if_possible(named["frame_interpolation_slow_mo_amount"]) if slower else None,
        "keep_pictures": named["frame_interpolation_keep_imgs"],
    }


def _rate_and_sound(named: Mapping[str, Any]) -> dict[str, Any]:
    path = (named["soundtrack_path"] or "").strip()
    return {"fps": named["fps"] or 0, "sound": path if named["add_soundtrack"] == "File" and path else None}
