"""What was read of a settings file, frame by frame, and what the key frames are planned from."""

from __future__ import annotations

from dataclasses import dataclass

from deforum_helpers.options import Options
from deforum_helpers.render.guides import GuideImages
from deforum_helpers.render.masks import MaskPlan
from deforum_helpers.render.schedules import Schedules
from deforum_helpers.schedule import PromptSeries
from deforum_helpers.settings import Settings


@dataclass(frozen=True)
class Script:
    """A film as it was read.

    Args:
        settings: checked, with the seed resolved.
        options: the host's, with the job's overrides.
        schedules, prompts, masks: one value per frame.
        guides: the guided images, or None.
    """

    settings: Settings
    options: Options
    schedules: Schedules
    prompts: PromptSeries
    masks: MaskPlan
    guides: GuideImages | None
