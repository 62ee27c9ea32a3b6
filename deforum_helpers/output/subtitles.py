"""Subtitles in SubRip form: entries with a frame's number, seed, schedule values and prompt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from deforum_helpers.core.files.atomic import disk_errors, part_path, settle
from deforum_helpers.output.paths import Run
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.tables import SUBTITLE_PARAMS

PROMPT_LABEL = "Prompt"
_DIGITS = Context(prec=20)


@dataclass(frozen=True)
class Style:
    """The format of entries.

    Args:
        params: labels of `SUBTITLE_PARAMS` to show; "Prompt" shows the prompt.
        simple: whether the frame number, cadence and seed are left out.
        prompt_on_own_line: whether the prompt has a line of its own.
    """

    params: Collection[str] = ()
    simple: bool = False
    prompt_on_own_line: bool = False


@dataclass(frozen=True)
class FrameInfo:
    """The content of one entry.

    Args:
        frame: frame number, from 0.
        cadence_label: "false" without cadence; with it "True" for an in-between frame, "False" for a key frame.
        seed: seed at this frame.
        values: setting name of a schedule -> its value at this frame.
        prompt: prompt at this frame, from the schedule of prompts.
    """

    frame: int
    cadence_label: str
    seed: int
    values: Mapping[str, Any]
    prompt: str


@dataclass(frozen=True)
class Span:
    """The frames that an entry covers, from `first` to before `end`; `number` is the entry's, from 1."""

    number: int
    first: int
    end: int


def spans(frames: int, fps: float, per_second: int = 0, key_frames: Collection[int] = ()) -> tuple[Span, ...]:
    """Return the span of each entry; together they cover the whole video.

    Args:
        frames: number of frames, >= 0.
        fps: frames per second, > 0.
        per_second: maximum number of entries per second; 0 = one per frame.
        key_frames: frames at which an entry always begins.

    >>> [(span.first, span.end) for span in spans(7, 20.0, 8, {4})]
    [(0, 3), (3, 4), (4, 5), (5, 7)]
    """
    slots = [int(_DIGITS.divide(Decimal(frame) * per_second, Decimal(fps))) for frame in range(frames)]
    begun = [
        frame
        for frame in range(frames)
        if not per_second or frame == 0 or slots[frame] != slots[frame - 1] or frame in key_frames
    ]
    ends = [*begun[1:], *([frames] if begun else [])]
    return tuple(Span(number, *edges) for number, edges in enumerate(zip(begun, ends, strict=True), start=1))


def subtitle(info: FrameInfo, span: Span, fps: float, style: Style) -> str:
    """Return the text of one entry, with the empty line that ends it.

    Args:
        info: content.
        span: frames that the entry covers.
        fps: frames per second, > 0.
        style: format.

    Worked example, fps 20, only "Zoom" shown, frame 1:

        2
        00:00:00,050 --> 00:00:00,100
        F#: 1; Cadence: false; Seed: 2; Zoom: 1.003
    """
    shown = [
        f"{param.printed}: {_value_text(info.values[param.setting])}; "
        for param in SUBTITLE_PARAMS
        if param.label in style.params and param.setting in info.values and param.label != PROMPT_LABEL
    ]
    if PROMPT_LABEL in style.params:
        apart = "\n" if style.prompt_on_own_line and (shown or not style.simple) else ""
        shown.append(f"{apart}{PROMPT_LABEL}: {_one_line(info.prompt)}; ")
    text = "".join(shown).rstrip("; ")
    head = f"F#: {info.frame}; Cadence: {info.cadence_label}; Seed: {info.seed}; "
    # Players read an entry without text as the end of the entry before it.
    return f"{span.number}\n{_times(span, fps)}\n{('' if style.simple else head) + text or ' '}\n\n"


def _times(span: Span, fps: float) -> str:
    return f"{timestamp(span.first, fps)} --> {timestamp(span.end, fps)}"


def timestamp(frame: int, fps: float) -> str:
    """Return the time at which `frame` begins as HH:MM:SS,mmm, truncated to milliseconds.

    A frame lasts 1/fps in decimal arithmetic of 20 digits: at fps 3 frame 3 begins at 00:00:00,999.
    """
    seconds = _DIGITS.multiply(Decimal(frame), _DIGITS.divide(Decimal(1), Decimal(fps)))
    milliseconds = int(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"


class SubtitleWriter:
    """Writes an srt file entry by entry; `finish` gives the complete file its name.

    Args:
        path: the srt file; its folder exists.
        fps: frames per second, > 0.
        style: format of the entries.

    Raises:
        DiskFull, RenderError: the file cannot be written.
    """

    def __init__(self, path: Path, fps: float, style: Style) -> None:
        self.path = path
        self._fps = fps
        self._style = style
        self._part = part_path(path)
        with disk_errors(path.name):
            self._file: IO[str] = self._part.open("w", encoding="utf-8", newline="\n")

    def __enter__(self) -> SubtitleWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    def write(self, info: FrameInfo, span: Span) -> None:
        """Add an entry; arguments as in `subtitle`."""
        entry = subtitle(info, span, self._fps, self._style)
        with disk_errors(self.path.name):
            self._file.write(entry)

    def finish(self) -> Path:
        """Complete the file and return its path."""
        with disk_errors(self.path.name):
            self._file.close()
        settle(self._part, self.path)
        return self.path


def _value_text(value: Any) -> str:
    if isinstance(value, str):
        return _one_line(value)
    return str(int(value)) if float(value).is_integer() else f"{float(value):.3f}"


def _one_line(text: str) -> str:
    # An empty line would end the entry and break all later ones.
    return " ".join(text.splitlines()) if "\n" in text or "\r" in text else text


def write_subtitles(plan: Plan, options: Options, run: Run, shown: Sequence[int]) -> Path:
    """Write the subtitles of a run and return the file's path.

    Args:
        plan: provides the entries' content.
        options: options of the format.
        run: the run.
        shown: numbers of the video's frames, in order.
    """
    style = Style(
        params=options.deforum_save_gen_info_as_srt_params,
        simple=options.deforum_simple_subtitles,
        prompt_on_own_line=options.deforum_own_line_for_prompt_srt,
    )
    written_always = options.deforum_always_write_keyframe_subtitle
    keys = {
        plan.video_index(index) - shown[0] for index in plan.key_frames.indices if written_always and shown
    }
    with SubtitleWriter(run.srt_path, plan.fps, style) as writer:
        for span in spans(len(shown), plan.fps, options.deforum_subtitles_per_second, keys):
            frame = shown[span.first]
            label, seed = plan.subtitle_heads[plan.video_index(frame)]
            values, prompt = plan.schedules.at(frame), plan.prompts.texts[frame]
            writer.write(FrameInfo(frame, label, seed, values, prompt), span)
        return writer.finish()
