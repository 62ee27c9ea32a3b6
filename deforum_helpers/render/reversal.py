"""Reversed runs, which are rendered from the last frame to the first: a zoom in, shown as a zoom out, reveals nothing.

Such a run is planned in rendering order; `Plan.video_index` maps its frames to those of the video.
"""

from __future__ import annotations

from dataclasses import replace

from deforum_helpers.render.masks import MaskPlan
from deforum_helpers.render.schedules import PlanInputs, Schedules
from deforum_helpers.schedule import PromptSeries
from deforum_helpers.settings.modes import is_reversed


def in_render_order(inputs: PlanInputs) -> PlanInputs:
    """Return the inputs with all series in rendering order."""
    if not is_reversed(inputs.settings):
        return inputs
    return replace(
        inputs,
        schedules=_schedules(inputs.schedules),
        prompts=_prompts(inputs.prompts),
        masks=MaskPlan(inputs.masks.repainted[::-1], inputs.masks.noised[::-1]),
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
        own=prompts.own[::-1],
        key_frames=(0, *(frames - end for end in reversed(ends))),
    )
