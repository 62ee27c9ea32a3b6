"""What a film is made with: the engine, the models that look at pictures, the masks, and what they do to a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import Engine, GenerateRequest
from deforum_helpers.image.composite import blend_mask, difference_mask, finished_mask
from deforum_helpers.image.inpaint import box_around, repaint
from deforum_helpers.image.look import Look, look_of
from deforum_helpers.image.mask import Mask, inverse, masked
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.image.warp import warp_depth, warp_flat
from deforum_helpers.models.depth.maps import depth_bytes
from deforum_helpers.models.flow.estimators import FlowEstimator, make_flow_estimator
from deforum_helpers.models.flow.matrix import Kind, motion_matrix
from deforum_helpers.models.flow.warp import trust_in
from deforum_helpers.render.cached_depth import Eyes
from deforum_helpers.render.control_units import UnitPictures, controls_at, cut_to
from deforum_helpers.render.endings import all_but_edge, where_seen
from deforum_helpers.render.hybrid import Hybrid, Motion
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.masks import Masks
from deforum_helpers.render.memory import SceneMemory, nothing_seen, remembering
from deforum_helpers.render.moves import FlatMove, Move, composed, taken_back
from deforum_helpers.render.plan import Plan
from deforum_helpers.render.requests import from_noise_alone
from deforum_helpers.render.revealing import Moved, moved_exactly
from deforum_helpers.settings.modes import is_exact, is_hybrid, is_moved, remembers


@dataclass(frozen=True)
class Studio:
    """What a film is made with; the same for all its frames.

    Args:
        plan: the film.
        engine: draws.
        eyes: see depth; None where the plan never needs it.
        cancel: the job's wish to stop.
        masks: what masks are put together of; None where the plan has none.
        backdrop: gives the original picture at a frame, which is put back outside of masks; None = nothing is.
        flow: gives the way to measure motion that a setting names.
        guides: the guided images.
        video: gives the video's picture at a frame, or None where no video is used.
        laid_over: gives the picture that is laid over a frame, or None.
        controls: what the ControlNet units read, by their numbers.
        end_image: the image that the last frame shows, or None.
        looks: those of the images that were generated to hold frames to; the same again in a resumed run.
    """

    plan: Plan
    engine: Engine
    eyes: Eyes | None
    cancel: CancelToken
    masks: Masks | None = None
    backdrop: Callable[[int], Image] | None = None
    flow: Callable[[str], FlowEstimator] = make_flow_estimator
    guides: tuple[Image, ...] = ()
    video: Callable[[int], Image] | None = None
    laid_over: Callable[[int], Image] | None = None
    controls: Mapping[int, UnitPictures] = field(default_factory=dict)
    end_image: Image | None = None
    looks: dict[GenerateRequest, Look] = field(default_factory=dict)

    def video_frame(self, frame: int) -> Image:
        """Return the video's picture at a frame; after its end the last one."""
        if self.video is None:
            raise AssertionError("the plan looks at a video that there is none of")
        return self.video(frame)

    def laid_over_picture(self, frame: int) -> Image:
        """Return the picture that is laid over a frame."""
        if self.laid_over is None:
            raise AssertionError("the plan lays a picture over that there is none of")
        return self.laid_over(frame)

    def video_motion(self, frame: int, before: Image, guess: Flow | None) -> Motion | None:
        """Return how the video moves into `frame`, or None where that is not followed.

        Args:
            frame: number of the frame that is moved to, >= 1.
            before: the film's own picture, from which the motion is measured where the settings say so.
            guess: the flow into the frame before, or None.
        """
        settings = self.plan.settings
        if settings.hybrid_motion == "None" or not is_hybrid(settings):
            return None
        source = before if settings.hybrid_motion_use_prev_img else self.video_frame(frame - 1)
        target = self.video_frame(frame)
        if settings.hybrid_motion != "Optical Flow":
            kind: Kind = "Affine" if settings.hybrid_motion == "Affine" else "Perspective"
            return Motion(matrix=motion_matrix(source, target, kind))
        method = self.flow(settings.hybrid_flow_method)
        flow = method.estimate(source, target, guess)
        if not settings.hybrid_flow_consistency:
            return Motion(flow=flow)
        trust = trust_in(flow, method.estimate(target, source), settings.hybrid_consistency_blur)
        return Motion(flow=flow * trust, trust=trust)

    def composite_mask(self, numbers: Hybrid, frame: Image, video: Image, start: Image | None) -> Mask | None:
        """Return where the video does not show, (H, W), or None where it shows everywhere.

        Args:
            numbers: of the key frame.
            frame, video: the pictures that are laid over each other.
            start: the finished frame before, whose depth counts for the type Depth.
        """
        settings = self.plan.settings
        kind = settings.hybrid_comp_mask_type
        if kind == "None":
            return None
        if kind == "Blend":
            mask = blend_mask(frame, video, numbers.blend_alpha)
        elif kind == "Difference":
            mask = difference_mask(frame, video)
        else:
            seen = video if kind == "Video Depth" or start is None else start
            mask = self.depth_mask(seen)
        return finished_mask(
            mask,
            invert=settings.hybrid_comp_mask_inverse,
            equalize=settings.hybrid_comp_mask_equalize,
            contrast=numbers.mask_contrast,
            cutoffs_percent=numbers.cutoffs_percent if settings.hybrid_comp_mask_auto_contrast else None,
        )

    def depth_mask(self, image: Image) -> Mask:
        """Return the depth of `image` as it is drawn in maps, (H, W) float32 0..1."""
        if self.eyes is None:
            raise AssertionError("the plan looks at depth without eyes")
        drawn = depth_bytes(self.eyes.depth(image), self.plan.settings.depth_algorithm)
        return torch.from_numpy(drawn).to(image.device, torch.float32) / 255

    def moved(self, image: Image, frame: int, seen: Image | None = None) -> Image:
        """Return `image` after the camera's move into `frame`.

        Args:
            image: picture at frame - 1.
            frame: frame number that is moved to.
            seen: the picture whose depth is used; by default `image` itself.
        """
        if self.is_exact:
            return self.revealing(image, frame, None, seen).image
        return self._warped(image, self.plan.moves[frame], seen)

    def moved_through(self, image: Image, frames: range) -> Image | None:
        """Return `image` after the moves into all of `frames`, by one sharp resampling; None where it takes several."""
        move = composed(self.plan.moves[frames.start : frames.stop])
        if move is None or move.still:
            return None if move is None else image
        return warp_flat(image, move.dst_from_src, self.plan.settings.border, "bicubic")

    def seen_from(self, frame: int, end: Image) -> tuple[Image, Mask]:
        """Return the end of the video as the camera sees it from `frame`, and where it does, (H, W) 0..1.

        Args:
            frame: frame number.
            end: the image that the last frame shows, or frame 0, which follows on the last frame of a loop.
        """
        ahead: Sequence[Move] = self.plan.moves[frame + 1 :]
        if self.plan.settings.seamless_loop:
            ahead = (*ahead, self.plan.moves[0])
        move = taken_back(ahead) if ahead else None
        if move is None or move.still:
            return end, torch.ones(end.shape[1:], device=end.device)
        return self._warped(end, move, None), where_seen(self._warped(all_but_edge(end), move, end))

    def _warped(self, image: Image, move: Move, seen: Image | None) -> Image:
        plan = self.plan
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

    @property
    def is_exact(self) -> bool:
        """Whether frames are moved as a real camera sees them."""
        return is_exact(self.plan.settings)

    def revealing(
        self,
        image: Image,
        frame: int,
        unpainted: torch.Tensor | None = None,
        seen: Image | None = None,
        memory: SceneMemory | None = None,
    ) -> Moved:
        """Return `image` after the camera's move into `frame`, with what came into sight; see `moved_exactly`."""
        if not self.is_exact:
            return Moved(self.moved(image, frame, seen))
        return moved_exactly(
            self.plan, self.eyes, image, frame, unpainted=unpainted, seen=seen, memory=memory
        )

    def remembering(self, memory: SceneMemory | None, key: KeyFrame, image: Image) -> SceneMemory | None:
        """Return the memory with the last frame of a group laid into it; None where the run keeps none.

        Args:
            memory: of the frames before, or None.
            key: the group's key frame. While a dissolve lasts, frames show two scenes and are not remembered.
            image: the last frame, finished.
        """
        settings, frame = self.plan.settings, key.stop - 1
        if self.eyes is None or not remembers(settings) or key.dissolve is not None:
            return memory
        camera, bound = self.plan.scene_cameras[frame], settings.scene_memory_mb * 1_000_000
        depth = self.eyes.surface(image)
        return remembering(memory or nothing_seen(), frame, image, depth, camera.pose, camera.optics, bound)

    def painted(self, request: GenerateRequest, image: Image, mask: Mask) -> Image:
        """Return `image` with the masked part as the engine paints it, the rest as it is.

        Args:
            request: as planned.
            image: (3, H, W).
            mask: (H, W), not 0 everywhere.
        """
        self.cancel.check_cancel()
        return repaint(
            image,
            mask,
            lambda picture, where: self.engine.generate(
                replace(request, init_image=picture, mask=where), self.cancel
            ),
            smear=False,
            padding_px=None,
        )

    def controlled(self, request: GenerateRequest, key: KeyFrame, start: Image | None) -> GenerateRequest:
        """Return `request` with what steers it.

        Args:
            request: as planned.
            key: the key frame.
            start: (3, H, W) what is drawn from, or None.
        """
        if not key.controls:
            return request
        controls = controls_at(key.controls, self.plan.settings, self.controls, key.index, start)
        return replace(request, controls=controls)

    def generated(self, request: GenerateRequest, init_image: Image | None, mask: Mask | None) -> Image:
        """Return what the engine makes of `request`.

        Args:
            request: as planned.
            init_image: (3, H, W) what it starts from, or None.
            mask: (H, W) where it is repainted, or None for everywhere.
        """
        self.cancel.check_cancel()
        settings = self.plan.settings
        if mask is None or init_image is None:
            image = self.engine.generate(replace(request, init_image=init_image), self.cancel)
            if init_image is None and self._holds_looks and not request.controls:
                # The first frame often is the very image that later ones are held to.
                self.looks[from_noise_alone(request)] = look_of(image)
        else:
            padding_px = settings.full_res_mask_padding if settings.full_res_mask else None
            if padding_px is not None and request.controls:
                box = box_around(mask, padding_px)
                request = replace(request, controls=cut_to(request.controls, box, settings.W, settings.H))
            image = repaint(
                init_image,
                mask,
                lambda picture, where: self.engine.generate(
                    replace(request, init_image=picture, mask=where), self.cancel
                ),
                smear=settings.fill == "fill",
                padding_px=padding_px,
            )
        self.cancel.check_cancel()
        return image

    def look_of(self, request: GenerateRequest) -> Look:
        """Return the look of what the engine makes of `request` from noise alone, generated once."""
        if request not in self.looks:
            self.looks[request] = look_of(self.generated(request, None, None))
        return self.looks[request]

    @property
    def _holds_looks(self) -> bool:
        return is_moved(self.plan.settings) and bool(
            (self.plan.schedules.values["stability_schedule"] > 0).any()
        )

    def overlaid(self, image: Image, frame: int, mask: Mask | None) -> Image:
        """Return `image` where the mask is white, and the original picture where it is black.

        Args:
            image: the frame.
            frame: its number.
            mask: (H, W) of its key frame, or None for the mask of the settings.
        """
        if self.masks is None or self.backdrop is None:
            return image
        if self.masks.video is not None:
            mask = self.masks.video(frame)
        elif mask is None:
            mask = self.masks.init
        if mask is None:
            return image
        return masked(image, self.backdrop(frame), self.turned(mask))

    def turned(self, mask: Mask) -> Mask:
        """Return a mask as it is used: inverted where the settings say so."""
        return inverse(mask) if self.plan.settings.invert_mask else mask
