"""Masks of a film: their expressions, planned; and worked out at each frame."""

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
    from deforum_helpers.models.segmentation.models import Finder
    from deforum_helpers.models.segmentation.names import Purpose


@dataclass(frozen=True)
class MaskPlan:
    """The mask expressions of a film: one per frame, None where there is no such mask.

    Args:
        repainted: where a frame is diffused.
        noised: where noise is added before.
    """

    repainted: tuple[MaskExpression | None, ...]
    noised: tuple[MaskExpression | None, ...]

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """All masks that the expressions are put together of, each once."""
        expressions = dict.fromkeys(one for one in (*self.repainted, *self.noised) if one is not None)
        return tuple(dict.fromkeys(leaf for expression in expressions for leaf in expression.leaves))


def plan_masks(settings: Settings, texts: Mapping[str, tuple[str, ...]]) -> MaskPlan:
    """Read the mask expressions of all frames.

    Args:
        settings: give the switches and the schedules as written, for columns.
        texts: one expression per frame, by the name of the schedule.

    Raises:
        SettingsError: expressions cannot be read; each is told once.
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
    """Return what a person should know of masks that are black everywhere, as plain sentences."""
    names = {leaf.text for leaf in plan.leaves if leaf.kind == "name"}
    given = (
        settings.use_mask_video or settings.mask_file or (settings.use_alpha_as_mask and settings.use_init)
    )
    if names & {"init_mask", "video_mask"} and not given:
        return (messages.MASK_IS_BLACK(),)
    return ()


@dataclass(frozen=True)
class Masks:
    """What masks are put together of, at the size of the film.

    Args:
        width_px, height_px: size of the film.
        init: (H, W) mask of the init settings, or None.
        alpha: (H, W) transparency of the init image, where it is the mask; else None.
        files: masks of `[file]`, by what is written.
        video: gives the mask video's picture at a frame, or None.
        people_in: gives the picture of the video at a frame, in which people are looked for; None = the frame itself.
        finder: gives what finds words or people.
    """

    width_px: int
    height_px: int
    init: torch.Tensor | None = None
    alpha: torch.Tensor | None = None
    files: Mapping[str, torch.Tensor] = field(default_factory=dict)
    video: Callable[[int], torch.Tensor] | None = None
    people_in: Callable[[int], Image] | None = None
    finder: Callable[[Purpose], Finder] | None = None

    def composed(self, expression: MaskExpression, frame: int, picture: Image) -> torch.Tensor | None:
        """Return the mask (H, W) of an expression over `picture`, or None where it is black everywhere."""
        from deforum_helpers.image import mask as masks

        def leaf(step: Leaf) -> torch.Tensor:
            return self._leaf(step, frame, picture)

        composed = expression.value(leaf, masks.inverse, masks.PAIRS)
        return None if masks.is_blank(composed) else composed

    def _leaf(self, leaf: Leaf, frame: int, picture: Image) -> torch.Tensor:
        plain = picture.new_zeros((self.height_px, self.width_px))
        if leaf.kind == "file":
            return self.files[leaf.text]
        if leaf.kind == "words":
            return self._found("words", picture, leaf.text)
        if leaf.text == "human_mask":
            seen = picture if self.people_in is None else self.people_in(frame)
            return self._found("people", seen, "person")
        if leaf.text == "everywhere":
            return plain + 1
        if leaf.text == "video_mask" and self.video is not None:
            return self.video(frame)
        return plain if self.init is None else self.init

    def _found(self, purpose: Purpose, picture: Image, words: str) -> torch.Tensor:
        if self.finder is None:
            raise AssertionError("the plan looks for things without a finder")
        return self.finder(purpose).find(picture, words)


def wanted_finders(leaves: Iterable[Leaf]) -> tuple[Purpose, ...]:
    """Return what has to be found in pictures to work out `leaves`."""
    purposes: dict[Purpose, None] = {}
    for leaf in leaves:
        if leaf.kind == "words":
            purposes["words"] = None
        elif leaf.text == "human_mask" and leaf.kind == "name":
            purposes["people"] = None
    return tuple(purposes)
