"""Subtitles in SubRip form: one entry per frame, with the frame's numbers and its prompt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from deforum_helpers.output.disk import disk_errors, part_path, settle

PROMPT_LABEL = "Prompt"
_DIGITS = Context(prec=20)

Parameter = tuple[str, str, str]


@dataclass(frozen=True)
class Style:
    """How an entry looks.

    Args:
        simple: without the numbers of frame and seed.
        prompt_apart: the prompt on a line of its own.
    """

    simple: bool = False
    prompt_apart: bool = False


@dataclass(frozen=True)
class Span:
    """The frames that an entry is shown for: from `first` up to and without `end`; `number` counts from 1."""

    number: int
    first: int
    end: int


def spans(frames: int, fps: float, per_second: int = 0, key_frames: Collection[int] = ()) -> tuple[Span, ...]:
    """Return when each entry is shown; together they last as long as the film.

    Args:
        frames: number of frames, >= 0.
        fps: frames per second, > 0.
        per_second: most entries in a second; 0 = one for each frame.
        key_frames: frames at which an entry begins in any case.

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


def subtitle(
    frame: int,
    fps: float,
    cadence_label: str,
    seed: int,
    values: Mapping[str, Any],
    prompt: str,
    params: Collection[str],
    table: Sequence[Parameter],
    span: Span | None = None,
    style: Style = Style(),
) -> str:
    """Return the entry of one frame, with the empty line that ends it.

    Args:
        frame: number from 0.
        fps: frames per second, > 0.
        cadence_label: "false" without cadence; with it "True" for an in-between frame, "False" for a key
            frame.
        seed: of the run at that moment.
        values: schedule's setting name -> value at the frame.
        prompt: as the schedule of prompts has it.
        params: labels of the values to show; "Prompt" shows the prompt.
        table: (setting, label, printed name), in the order of printing.
        span: when it is shown, None = while the frame is.
        style: how it looks.

    Worked example, fps 20, only "Zoom" shown, frame 1:

        2
        00:00:00,050 --> 00:00:00,100
        F#: 1; Cadence: false; Seed: 2; Zoom: 1.003
    """
    shown = [
        f"{printed}: {_value_text(values[setting])}; "
        for setting, label, printed in table
        if label in params and setting in values and label != PROMPT_LABEL
    ]
    if PROMPT_LABEL in params:
        apart = "\n" if style.prompt_apart and (shown or not style.simple) else ""
        shown.append(f"{apart}{PROMPT_LABEL}: {_one_line(prompt)}; ")
    text = "".join(shown).rstrip("; ")
    head = "" if style.simple else f"F#: {frame}; Cadence: {cadence_label}; Seed: {seed}; "
    span = span or Span(frame + 1, frame, frame + 1)
    # An entry without a word would be taken for the end of the one before it.
    return f"{span.number}\n{_times(span, fps)}\n{head + text or ' '}\n\n"


def _times(span: Span, fps: float) -> str:
    return f"{timestamp(span.first, fps)} --> {timestamp(span.end, fps)}"


def timestamp(frame: int, fps: float) -> str:
    """Return the time at which `frame` begins, HH:MM:SS,mmm, cut to whole milliseconds.

    A frame lasts 1/fps in decimal arithmetic of 20 digits: at fps 3 frame 3 begins at 00:00:00,999.
    """
    seconds = _DIGITS.multiply(Decimal(frame), _DIGITS.divide(Decimal(1), Decimal(fps)))
    milliseconds = int(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"


class SubtitleWriter:
    """Writes an srt file entry by entry; it appears under its name in `finish`, or not at all.

    Args:
        path: of the srt file; its folder exists.
        fps: frames per second, > 0.

    Raises:
        DiskFull, RenderError: the file cannot be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self._fps = fps
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

    def write(
        self,
        frame: int,
        cadence_label: str,
        seed: int,
        values: Mapping[str, Any],
        prompt: str,
        params: Collection[str],
        table: Sequence[Parameter],
        span: Span | None = None,
        style: Style = Style(),
    ) -> None:
        """Add the entry of `frame`; arguments as of `subtitle`."""
        entry = subtitle(
            frame, self._fps, cadence_label, seed, values, prompt, params, table, span=span, style=style
        )
        with disk_errors(self.path.name):
            self._file.write(entry)

    def finish(self) -> Path:
        """Give the file its name and return it."""
        with disk_errors(self.path.name):
            self._file.close()
        settle(self._part, self.path)
        return self.path


def _value_text(value: Any) -> str:
    if isinstance(value, str):
        return _one_line(value)
    return str(int(value)) if float(value).is_integer() else f"{float(value):.3f}"


def _one_line(text: str) -> str:
    # An empty line would end the entry and spoil every later one.
    return " ".join(text.splitlines()) if "\n" in text or "\r" in text else text
