"""The stages of one key frame: functions of one shape, chosen by the plan, run in its order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from deforum_helpers.cancel import CancelToken
from deforum_helpers.depth.base import DepthEstimator
from deforum_helpers.engines.base import Engine
from deforum_helpers.image import adjust, color, noise
from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.image.warp import warp_depth, warp_flat
from deforum_helpers.render.key_frames import KeyFrame, Stage
from deforum_helpers.render.moves import FlatMove
from deforum_helpers.render.plan import Plan


class Eyes:
    """Looks at each picture once, however often its depth is asked for.

    Where the device's memory does not hold both models, the engine lends its own for the look.
    """

    def __init__(self, estimator: DepthEstimator, engine: Engine) -> None:
        self._estimator = estimator
        self._engine = engine
        self._seen: tuple[Image, Depth] | None = None

    def depth(self, image: Image) -> Depth:
        """Return the depth (H, W) of `image`, larger = farther."""
        if self._seen is None or self._seen[0] is not image:
            self._seen = (image, self._estimate(image))
        return self._seen[1]

    def _estimate(self, image: Image) -> Depth:
        try:
            return self._estimator.estimate(image)
        except torch.OutOfMemoryError:
            with self._engine.resting():
                return self._estimator.estimate(image)


@dataclass(frozen=True)
class Studio:
    """What a film is made with; the same for all its frames.

    Args:
        plan: the film.
        engine: draws.
        eyes: see depth; None where the plan never needs it.
        cancel: the job's wish to stop.
    """

    plan: Plan
    engine: Engine
    eyes: Eyes | None
    cancel: CancelToken

    def moved(self, image: Image, frame: int, seen: Image | None = None) -> Image:
        """Return `image` after the camera's move into `frame`.

        Args:
            image: picture at frame - 1.
            frame: frame number that is moved to.
            seen: the picture whose depth is used; by default `image` itself.
        """
        plan, move = self.plan, self.plan.moves[frame]
        if move.still:
            return image
        if isinstance(move, FlatMove):
            return warp_flat(image, move.dst_from_src, plan.settings.border)
        depth = None
        if self.eyes is not None and plan.settings.use_depth_warping:
            depth = self.eyes.depth(image if seen is None else seen)
        return warp_depth(
            image,
            depth,
            move.next_from_prev,
            fov_deg=move.fov_deg,
            aspect=move.aspect,
            padding_mode=plan.settings.padding_mode,
            sampling_mode=plan.settings.sampling_mode,
            flip_dst_from_src=move.flip_dst_from_src,
        )


@dataclass(frozen=True)
class Draft:
    """A picture in the making and the colours it is matched to."""

    image: Image | None
    reference: color.ColorReference | None


def _move(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    return replace(draft, image=studio.moved(_picture(draft), key.index))


def _take_reference(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    # Rounded because a resumed run reads it back from an 8-bit picture.
    image = on_8_bit_grid(_picture(draft))
    return replace(draft, reference=color.ColorReference(image, studio.plan.settings.color_coherence))


def _match_color(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    if draft.reference is None:
        raise AssertionError("the plan matches colours before there is a reference")
    return replace(draft, image=color.match_color(_picture(draft), draft.reference))


def _grayscale(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    return replace(draft, image=adjust.grayscale(_picture(draft)))


def _contrast(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    return replace(draft, image=adjust.contrast(_picture(draft), key.contrast))


def _sharpen(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    sharp = key.sharpening
    image = adjust.unsharp(
        _picture(draft),
        kernel=sharp.kernel,
        sigma=sharp.sigma,
        amount=sharp.amount,
        threshold=sharp.threshold,
    )
    return replace(draft, image=image)


def _noise(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    image = noise.add_noise(
        _picture(draft),
        kind=key.noise.kind,
        amount=key.noise.amount,
        seed=key.noise.seed,
        octaves=key.noise.octaves,
        persistence=key.noise.persistence,
    )
    return replace(draft, image=image)


def _redo(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    image = draft.image
    for seed in key.redo_seeds:
        image = studio.engine.generate(replace(key.request, seed=seed, init_image=image), studio.cancel)
        studio.cancel.check_cancel()
    if draft.reference is not None and image is not None:
        image = color.match_color(image, draft.reference)
    return replace(draft, image=image)


def _diffuse(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    request = replace(key.request, init_image=draft.image)
    image = studio.engine.generate(request, studio.cancel)
    studio.cancel.check_cancel()
    return replace(draft, image=image)


def _picture(draft: Draft) -> Image:
    if draft.image is None:
        raise AssertionError("the plan works on a picture before there is one")
    return draft.image


Apply = Callable[[Draft, KeyFrame, Studio], Draft]

STAGES: Mapping[Stage, Apply] = {
    "move": _move,
    "take_reference": _take_reference,
    "match_color": _match_color,
    "grayscale": _grayscale,
    "contrast": _contrast,
    "sharpen": _sharpen,
    "noise": _noise,
    "redo": _redo,
    "diffuse": _diffuse,
}
