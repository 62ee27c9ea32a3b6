"""Videos that are rendered from their last frame to their first, so that a zoom in becomes an easy zoom out.

The plan of such a video is that of the same frames in the order in which they are rendered; `Plan.shown` tells which
frame of the video each of them is.
"""

from __future__ import annotations

from dataclasses import replace

from deforum_helpers.render.masks import MaskPlan
from deforum_helpers.render.schedules import Schedules, Script
from deforum_helpers.schedule import PromptSeries
from deforum_helpers.settings.modes import is_reversed


def in_render_order(script: Script) -> Script:
    """Return the script of a video with its frames in the order in which they are rendered."""
    if not is_reversed(script.settings):
        return script
    return replace(
        script,
        schedules=_schedules(script.schedules),
        prompts=_prompts(script.prompts),
        masks=MaskPlan(script.masks.repainted[::-1], script.masks.noised[::-1]),
    )


def _schedules(schedules: Schedules) -> Schedules:
    return replace(
        schedules,
        values={name: values[::-1] for name, values in schedules.values.items()},
        texts={name: texts[::-1] for name, texts in schedules.texts.items()},
    )


def _prompts(prompts: PromptSeries) -> PromptSeries:
    frames = len(prompts.positive)
    ends = prompts.key_frames[1:] if prompts.key_frames[:1] == (0,) else prompts.key_frames
    return replace(
        prompts,
        texts=prompts.texts[::-1],
        positive=prompts.positive[::-1],
        negative=prompts.negative[::-1],
        key_frames=(0, *(frames - end for end in reversed(ends))),
    )
