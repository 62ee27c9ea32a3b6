"""The components of the tools of the tab Output, and their events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from deforum_helpers.models.upscaling import available
from deforum_helpers.ui import compat
from deforum_helpers.ui.controls import NAMES, OptionRow
from deforum_helpers.ui.tool_answers import (
    DEPTH_ROWS,
    INTERPOLATION_FIELDS,
    SOUND_FIELDS,
    UPSCALE_ROWS,
    ToolAnswers,
)
from deforum_helpers.ui.uploads import Uploads

STITCH_HELP = (
    "Path of one of the numbered images, relative to the output folder: "
    "img2img-images/dream/20260102030405_000000000.png"
)


@dataclass(frozen=True)
class ToolComponents:
    """The components of one tool.

    Args:
        button: starts it.
        method: name of the method of `ToolAnswers` that the button calls.
        inputs: components whose values the method gets first.
        fields: settings whose controls' values it gets after those.
        box: box for a video whose size and length are shown, or None.
        facts: shows them.
    """

    button: Any
    method: str
    inputs: tuple[Any, ...]
    fields: tuple[str, ...] = ()
    box: Any = None
    facts: Any = None


def interpolation(uploads: Uploads) -> tuple[ToolComponents, ...]:
    """Make the tools of the tab Frame Interpolation."""
    with gr.Accordion("Interpolate existing Video/ Images", open=False, elem_id="deforum_existing"):
        box, facts = _video_box("Video to interpolate", "deforum_tool_film", uploads)
        of_video = _button("*Interpolate Video*", "interpolate_video")
        images = compat.files(
            "Images to interpolate, ordered by name",
            "deforum_tool_pictures",
            uploads,
        )
        of_images = _button("*Interpolate Pics*", "interpolate_pictures")
    return (
        ToolComponents(of_video, "interpolate_video", (box,), INTERPOLATION_FIELDS, box=box, facts=facts),
        ToolComponents(of_images, "interpolate_pictures", (images,), INTERPOLATION_FIELDS),
    )


def upscaling(uploads: Uploads) -> tuple[ToolComponents, ...]:
    """Make the tab Video Upscaling."""
    box, facts = _video_box("Video to upscale", "deforum_tool_upscale_film", uploads)
    present = [
        replace(row, choices=available.names()) if row.name == "model" else row for row in UPSCALE_ROWS
    ]
    options = _rows(present, "upscale")
    button = _button("*Upscale uploaded video*", "upscale")
    return (ToolComponents(button, "upscale", (box, *options), box=box, facts=facts),)


def depth(uploads: Uploads) -> tuple[ToolComponents, ...]:
    """Make the tab Vid2depth."""
    box, facts = _video_box("Video to estimate the depth of", "deforum_tool_depth_film", uploads)
    options = _rows(DEPTH_ROWS, "depth")
    button = _button("*Get depth from uploaded video*", "depth")
    return (ToolComponents(button, "depth", (box, *options), box=box, facts=facts),)


def stitching(uploads: Uploads) -> tuple[ToolComponents, ...]:
    """Make the tab Frames to Video."""
    path = gr.Textbox(value="", label="Image path", info=STITCH_HELP, elem_id="deforum_tool_pattern")
    button = _button("*Stitch frames to video*", "stitch")
    return (ToolComponents(button, "stitch", (path,), SOUND_FIELDS),)


# Title of a section -> the function that makes its tools.
TOOLS: dict[str, Callable[[Uploads], tuple[ToolComponents, ...]]] = {
    "Frame Interpolation": interpolation,
    "Video Upscaling": upscaling,
    "Vid2depth": depth,
    "Frames to Video": stitching,
}


def connect_tools(
    tools: Sequence[ToolComponents], fields: Sequence[Any], shown: Any, answers: ToolAnswers
) -> None:
    """Connect the tools' buttons and boxes to their functions.

    Args:
        tools: made by `TOOLS`.
        fields: one component per setting, in the order of `controls.NAMES`.
        shown: panel of the tools' jobs.
        answers: the functions.
    """
    for tool in tools:
        inputs = [*tool.inputs, *(fields[NAMES.index(name)] for name in tool.fields)]
        compat.on(tool.button.click, getattr(answers, tool.method), inputs, [shown])
        if tool.box is not None:
            compat.on(tool.box.change, answers.facts, [tool.box], [tool.facts])


def _video_box(label: str, elem_id: str, uploads: Uploads) -> tuple[Any, Any]:
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
