"""What the tools of the tab Output are told, and how their runs are shown; no component is known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deforum_helpers.errors import DeforumError
from deforum_helpers.media.inputs import Downloads
from deforum_helpers.settings import FIELDS
from deforum_helpers.tools.results import ToolResult, Work
from deforum_helpers.ui.options import OptionRow, number
from deforum_helpers.ui.panels import button_html, version
from deforum_helpers.ui.service import JobService
from deforum_helpers.ui.tool_rows import DEPTH_ROWS, INTERPOLATION_FIELDS, UPSCALE_ROWS
from deforum_helpers.ui.tool_runs import UNFINISHED, Tool, ToolRun, ToolRuns
from deforum_helpers.ui.wording import escape

FileUrl = Callable[[Path], str]
Files = Sequence[Path]
SOUND = ("add_soundtrack", "soundtrack_path")
_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "int": ((int, float), "a number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "yes or no"),
}
NO_ENGINE = "Engine is None; choose above what makes the frames between the others."


class ToolAnswers:
    """The answers to the tools' buttons.

    Args:
        service: tells where to write and how to encode.
        file_url: address of a file in this host's pages.
    """

    def __init__(self, service: JobService, file_url: FileUrl) -> None:
        self._service = service
        self._file_url = file_url
        self.runs = ToolRuns(service)

    def facts(self, files: Files) -> str:
        """Return what is known of a film that was just given."""
        from deforum_helpers.tools.folders import footage

        if not files:
            return ""
        try:
            film = footage(files[0])
        except DeforumError as error:
            return _refusal(str(error))
        return (
            f'<p class="deforum-facts">{film.frames:,} frames, {film.fps:g} fps, '
            f"{film.width_px} x {film.height_px} px, {film.frames / film.fps:.1f} s</p>"
        )

    def interpolate_video(self, files: Files, *values: Any) -> str:
        """Make frames between those of a film; `values` as in `INTERPOLATION_FIELDS`."""
        how = _interpolation(values)

        def tool(work: Work) -> ToolResult:
            from deforum_helpers.tools.interpolate import interpolate_video

            return interpolate_video(files[0], work, **how)

        return self._start("Interpolate Video", files, tool, wrong=_no_engine(values))

    def interpolate_pictures(self, files: Files, *values: Any) -> str:
        """Make frames between pictures, in the order of their names; `values` as in `INTERPOLATION_FIELDS`."""
        named = _named(INTERPOLATION_FIELDS, values)
        how = _interpolation(values)
        ordered = sorted(files, key=lambda path: path.name)

        def tool(work: Work) -> ToolResult:
            from deforum_helpers.tools.interpolate import interpolate_pictures

            downloads = Downloads(self._service.facts.fetcher)
            soundtrack = _soundtrack(named, downloads)
            return interpolate_pictures(ordered, work, fps=named["fps"] or 0, soundtrack=soundtrack, **how)

        return self._start("Interpolate Pics", ordered, tool, wrong=_no_engine(values))

    def upscale(self, files: Files, *values: Any) -> str:
        """Enlarge a film; `values` as in `UPSCALE_ROWS`."""

        def tool(work: Work) -> ToolResult:
            from deforum_helpers.tools.upscale import upscale_video

            return upscale_video(files[0], work, **_of_rows(UPSCALE_ROWS, values))

        return self._start("Upscale uploaded video", files, tool)

    def depth(self, files: Files, *values: Any) -> str:
        """Make a film of the depth of a film; `values` as in `DEPTH_ROWS`."""

        def tool(work: Work) -> ToolResult:
            from deforum_helpers.tools.vid2depth import DepthLook, video_to_depth

            how = _of_rows(DEPTH_ROWS, values)
            keep = how.pop("keep_imgs")
            return video_to_depth(files[0], work, DepthLook(**how), keep_imgs=keep)

        return self._start("Get depth from uploaded video", files, tool)

    def stitch(self, pattern: str, fps: Any, add_soundtrack: str, soundtrack_path: str) -> str:
        """Make a film of numbered pictures in the output folder."""
        named = _named(("fps", *SOUND), (fps, add_soundtrack, soundtrack_path))

        def tool(work: Work) -> ToolResult:
            from deforum_helpers.tools.stitch import stitch_frames

            downloads = Downloads(self._service.facts.fetcher)
            sound = _soundtrack(named, downloads)
            return stitch_frames(
                pattern.strip(), work, fps=named["fps"] or 0, soundtrack=sound, below=work.output_root
            )

        missing = "" if pattern.strip() else "Image path is empty; give the path of one of the pictures."
        return self._start("Stitch frames to video", [Path(pattern.strip())], tool, wrong=missing)

    def _start(self, title: str, files: Files, tool: Tool, *, wrong: str = "") -> str:
        if not files:
            wrong = f"{title}: no file is there yet; drop one into the box above the button."
        if not wrong:
            try:
                self.runs.start(title, files[0].name, tool)
            except DeforumError as error:
                wrong = str(error)
        return (_refusal(wrong) if wrong else "") + self.html()

    @property
    def version(self) -> str:
        """The mark of `html`."""
        return version(tuple(_shown(run) for run in self.runs.listed()))

    def html(self) -> str:
        """Return the runs of tools, newest first, and the newest film."""
        runs = self.runs.listed()
        rows = "".join(self._row(run) for run in runs)
        busy = any(run.state in UNFINISHED for run in runs)
        films = [run.result.video for run in runs if run.result] if not busy else []
        film = _film_html(self._file_url(films[0])) if films else ""
        return f'<div class="deforum-tools" data-version="{self.version}">{rows}{film}</div>'

    def _row(self, run: ToolRun) -> str:
        bar = f'<div class="deforum-bar"><span style="width:{run.share * 100:.0f}%"></span></div>'
        cancel = button_html("tool_cancel", run.id, "Cancel") if run.state in UNFINISHED else ""
        return (
            f'<div class="deforum-tool {run.state}" role="status"><b>{escape(run.title)}</b> '
            f"<span>{escape(run.source)}: {escape(_words(run))}</span>{self._link(run)}{cancel}"
            f"{bar if run.state == 'running' else ''}{_notes(run)}</div>"
        )

    def _link(self, run: ToolRun) -> str:
        if run.result is None:
            return ""
        url, name = escape(self._file_url(run.result.video)), escape(run.result.video.name)
        return f' <a class="deforum-link" href="{url}" download="{name}">Download film</a>'


def _shown(run: ToolRun) -> tuple[object, ...]:
    return run.id, run.state, round(run.share * 100), run.message


def _words(run: ToolRun) -> str:
    if run.state == "running":
        return f"{run.share * 100:.0f} %"
    if run.state == "done" and run.result:
        return f"{run.result.frames:,} frames at {run.result.fps:g} fps"
    return run.message or run.state


def _notes(run: ToolRun) -> str:
    notes = run.result.warnings if run.result else ()
    return "".join(f'<div class="deforum-message">{escape(note)}</div>' for note in notes)


def _film_html(url: str) -> str:
    return (
        f'<video class="deforum-film" controls muted playsinline preload="auto" src="{escape(url)}" '
        'aria-label="The film of the newest run"></video>'
    )


def _refusal(sentence: str) -> str:
    return f'<div class="deforum-verdict bad" role="alert">{escape(sentence)}</div>'


def _no_engine(values: Sequence[Any]) -> str:
    return NO_ENGINE if values[0] == "None" else ""


def _named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """Return what the controls of settings hold, each of the kind that its setting is of.

    Raises:
        DeforumError: one is of another kind.
    """
    for name, value in zip(names, values, strict=True):
        kinds, what = _KINDS.get(FIELDS[name].kind, ((str,), "text"))
        if value is not None and (
            not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        ):
            raise DeforumError(f"{FIELDS[name].label} is {str(value)[:60]!r}, but must be {what}.")
    return dict(zip(names, values, strict=True))


def _of_rows(rows: Sequence[OptionRow], values: Sequence[Any]) -> dict[str, Any]:
    """Return the arguments that the rows' controls hold; an empty one has its default."""
    return {
        row.name: row.default if value is None else number(value)
        for row, value in zip(rows, values, strict=True)
    }


def _interpolation(values: Sequence[Any]) -> dict[str, Any]:
    named = _named(INTERPOLATION_FIELDS, values)
    slower = named["frame_interpolation_slow_mo_enabled"]
    return {
        "engine": named["frame_interpolation_engine"],
        "x_amount": number(named["frame_interpolation_x_amount"]),
        "slow_mo_amount": number(named["frame_interpolation_slow_mo_amount"]) if slower else None,
        "keep_imgs": named["frame_interpolation_keep_imgs"],
    }


def _soundtrack(named: Mapping[str, Any], downloads: Downloads) -> Path | None:
    """Return the sound file that the settings name, fetched if it is an address."""
    if named["add_soundtrack"] != "File" or not (named["soundtrack_path"] or "").strip():
        return None
    return Path(downloads.local(named["soundtrack_path"], "audio", setting="soundtrack_path"))
