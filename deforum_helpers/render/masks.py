"""Masks: their expressions, planned for every frame, and their evaluation on an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.render import messages
from deforum_helpers.schedule.mask_grammar import Leaf, MaskExpression, parse_mask
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import masks_noise, uses_masks

if TYPE_CHECKING:
    import torch

    from deforum_helpers.image.types import Image
    from deforum_helpers.models.segmentation import Purpose
    from deforum_helpers.models.segmentation.models import Finder


@dataclass(frozen=True)
class MaskPlan:
    """The mask expressions of a run: one per frame, None without a mask.

    Args:
        repainted: where the frame is generated.
        noised: where noise is added to the init image.
    """

    repainted: tuple[MaskExpression | None, ...]
    noised: tuple[MaskExpression | None, ...]

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """All masks that the expressions name, each once."""
        expressions = dict.fromkeys(one for one in (*self.repainted, *self.noised) if one is not None)
        return tuple(dict.fromkeys(leaf for expression in expressions for leaf in expression.leaves))


def plan_masks(settings: Settings, texts: Mapping[str, tuple[str, ...]]) -> MaskPlan:
    """Read the mask expressions of all frames.

    Args:
        settings: checked settings; problems give columns in their schedules.
        texts: one expression per frame, by the name of the schedule.

    Raises:
        SettingsError: expressions cannot be parsed; each is reported once.
    """
    none = (None,) * len(texts["mask_schedule"])
    problems: list[Problem] = []
    repainted = noised = _read("mask_schedule", settings, texts, problems) if uses_masks(settings) else none
    if masks_noise(settings):
        noised = _read("noise_mask_schedule", settings, texts, problems)
    if problems:
        raise SettingsError(problems)
    return MaskPlan(repainted, noised)


def _read(
    setting: str, settings: Settings, texts: Mapping[str, tuple[str, ...]], problems: list[Problem]
) -> tuple[MaskExpression | None, ...]:
    read: dict[str, MaskExpression | None] = {}
    for frame, text in enumerate(texts[setting]):
        if text in read:
            continue
        read[text] = None
        try:
            read[text] = parse_mask(text, setting, whole=getattr(settings, setting), frame=frame)
        except SettingsError as error:
            problems += error.problems
    return tuple(read[text] for text in texts[setting])


def mask_warnings(settings: Settings, plan: MaskPlan) -> tuple[str, ...]:
    """Return a warning if the mask is black everywhere because its inputs are missing."""
    names = {leaf.text for leaf in plan.leaves if leaf.kind == "name"}
    given = (
        settings.use_mask_video or settings.mask_file or (settings.use_alpha_as_mask and settings.use_init)
    )
    if names & {"init_mask", "video_mask"} and not given:
        return (messages.MASK_IS_BLACK(),)
    return ()


@dataclass(frozen=True)
class Masks:
    """The inputs of mask expressions, at the size of the frames.

    Args:
        width_px, height_px: size of the frames.
        init: (H, W) mask from mask_file or the init image's alpha, or None.
        alpha: (H, W) alpha of the init image where it is the mask, else None.
        files: masks of `[file]`, by the text in the brackets.
        video: frame number -> mask of the mask video, (H, W); or None.
        people_in: frame number -> image in which people are searched; None = the frame itself.
        finder: purpose -> model that finds words or people; None where no mask needs one.
    """

    width_px: int
    height_px: int
    init: torch.Tensor | None = None
    alpha: torch.Tensor | None = None
    files: Mapping[str, torch.Tensor] = field(default_factory=dict)
    video: Callable[[int], torch.Tensor] | None = None
    people_in: Callable[[int], Image] | None = None
    finder: Callable[[Purpose], Finder] | None = None

    def evaluate(self, expression: MaskExpression, frame: int, image: Image) -> torch.Tensor | None:
        """Return the mask (H, W) of an expression on `image`, or None where it is black everywhere."""
        from deforum_helpers.image import mask as masks

        def leaf(step: Leaf) -> torch.Tensor:
            return self._leaf(step, frame, image)

        composed = expression.value(leaf, masks.inverse, masks.PAIRS)
        return None if masks.is_blank(composed) else composed

    def _leaf(self, leaf: Leaf, frame: int, image: Image) -> torch.Tensor:
        empty = image.new_zeros((self.height_px, self.width_px))
        if leaf.kind == "file":
            return self.files[leaf.text]
        if leaf.kind == "words":
            return self._found("words", image, leaf.text)
        if leaf.text == "human_mask":
            searched = image if self.people_in is None else self.people_in(frame)
            return self._found("people", searched, "person")
        if leaf.text == "everywhere":
            return empty + 1
        if leaf.text == "video_mask" and self.video is not None:
            return self.video(frame)
        return empty if self.init is None else self.init

    def _found(self, purpose: Purpose, image: Image, words: str) -> torch.Tensor:
        if self.finder is None:
            raise AssertionError("a mask needs a segmentation model, but none is loaded")
        return self.finder(purpose).find(image, words)


def wanted_finders(leaves: Iterable[Leaf]) -> tuple[Purpose, ...]:
    """Return the purposes of the segmentation models that `leaves` need."""
    purposes: dict[Purpose, None] = {}
    for leaf in leaves:
        if leaf.kind == "words":
            purposes["words"] = None
        elif leaf.text == "human_mask" and leaf.kind == "name":
            purposes["people"] = None
    return tuple(purposes)
