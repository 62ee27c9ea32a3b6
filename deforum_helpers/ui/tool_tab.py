"""The tools' part of the tab Output: boxes to drop films and pictures into, and what their buttons call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from deforum_helpers.ui import compat
from deforum_helpers.ui.controls import NAMES
from deforum_helpers.ui.host_options import OptionRow
from deforum_helpers.ui.tool_answers import ToolAnswers
from deforum_helpers.ui.tool_rows import DEPTH_ROWS, INTERPOLATION_FIELDS, SOUND_FIELDS, UPSCALE_ROWS
from deforum_helpers.ui.uploads import Uploads

STITCH_HELP = (
    "One of the numbered pictures, from the output folder: img2img-images/dream/20260102030405_000000000.png"
)


@dataclass(frozen=True)
class ToolPart:
    """The components of one tool.

    Args:
        button: starts it.
        call: name of its answer.
        inputs: components whose values its answer gets first.
        fields: settings whose controls' values it gets behind those.
        box: where a film is dropped whose facts are told, or None.
        facts: where they are told.
    """

    button: Any
    call: str
    inputs: tuple[Any, ...]
    fields: tuple[str, ...] = ()
    box: Any = None
    facts: Any = None


def existing_films(uploads: Uploads) -> tuple[ToolPart, ...]:
    """Make the boxes of Frame Interpolation."""
    with gr.Accordion("Interpolate existing Video/ Images", open=False, elem_id="deforum_existing"):
        film, facts = _film_box("Video to interpolate", "deforum_tool_film", uploads)
        video = _button("*Interpolate Video*", "interpolate_video")
        pictures = compat.files(
            "Pictures to interpolate, in the order of their names",
            "deforum_tool_pictures",
            uploads,
        )
        pics = _button("*Interpolate Pics*", "interpolate_pictures")
    return (
        ToolPart(video, "interpolate_video", (film,), INTERPOLATION_FIELDS, box=film, facts=facts),
        ToolPart(pics, "interpolate_pictures", (pictures,), INTERPOLATION_FIELDS),
    )


def upscaling(uploads: Uploads) -> tuple[ToolPart, ...]:
    """Make the tab Video Upscaling."""
    box, facts = _film_box("Video to upscale", "deforum_tool_upscale_film", uploads)
    held = _rows(UPSCALE_ROWS, "upscale")
    button = _button("*Upscale uploaded video*", "upscale")
    return (ToolPart(button, "upscale", (box, *held), box=box, facts=facts),)


def depth_films(uploads: Uploads) -> tuple[ToolPart, ...]:
    """Make the tab Vid2depth."""
    box, facts = _film_box("Video to get the depth of", "deforum_tool_depth_film", uploads)
    held = _rows(DEPTH_ROWS, "depth")
    button = _button("*Get depth from uploaded video*", "depth")
    return (ToolPart(button, "depth", (box, *held), box=box, facts=facts),)


def stitching(uploads: Uploads) -> tuple[ToolPart, ...]:
    """Make the tab Frames to Video."""
    path = gr.Textbox(value="", label="Image path", info=STITCH_HELP, elem_id="deforum_tool_pattern")
    button = _button("*Stitch frames to video*", "stitch")
    return (ToolPart(button, "stitch", (path,), SOUND_FIELDS),)


# Title of a section -> what makes its tools.
TOOLS: dict[str, Callable[[Uploads], tuple[ToolPart, ...]]] = {
    "Frame Interpolation": existing_films,
    "Video Upscaling": upscaling,
    "Vid2depth": depth_films,
    "Frames to Video": stitching,
}


def connect_tools(tools: Sequence[ToolPart], fields: Sequence[Any], shown: Any, answers: ToolAnswers) -> None:
    """Let the tools' buttons do what they are for.

    Args:
        tools: from `TOOLS`.
        fields: one control per setting, in the order of `controls.NAMES`.
        shown: where the runs are listed.
        answers: what is called.
    """
    for tool in tools:
        inputs = [*tool.inputs, *(fields[NAMES.index(name)] for name in tool.fields)]
        compat.on(tool.button.click, getattr(answers, tool.call), inputs, [shown])
        if tool.box is not None:
            compat.on(tool.box.change, answers.facts, [tool.box], [tool.facts])


def _film_box(label: str, elem_id: str, uploads: Uploads) -> tuple[Any, Any]:
    box = compat.files(label, elem_id, uploads)
    return box, compat.html("", f"{elem_id}_facts")


def _rows(rows: Sequence[OptionRow], tool: str) -> tuple[Any, ...]:
    made = []
    for start in range(0, len(rows), 3):
        with gr.Row(elem_classes=["deforum-row"]):
            made += [
                compat.option(row, row.default, f"deforum_tool_{tool}") for row in rows[start : start + 3]
            ]
    return tuple(made)


def _button(label: str, name: str) -> Any:
    return gr.Button(label, elem_id=f"deforum_tool_run_{name}", size="sm")
