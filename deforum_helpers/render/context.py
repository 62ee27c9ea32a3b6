"""The render context: engine, models and input images of a run, and the operations on a frame that need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import Engine, GenerateRequest
from deforum_helpers.engines.names import steps_run
from deforum_helpers.image.composite import adjusted_mask, blend_mask, difference_mask
from deforum_helpers.image.inpaint import box_around, repaint
from deforum_helpers.image.look import Look, look_of
from deforum_helpers.image.mask import Mask, inverse, masked
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.image.warp import warp_2d, warp_3d
from deforum_helpers.models.depth.scene import depth_bytes
from deforum_helpers.models.flow.estimators import FlowEstimator, make_flow_estimator
from deforum_helpers.models.flow.matrix import Kind, motion_matrix
from deforum_helpers.models.flow.warp import trust_in
from deforum_helpers.render.cached_depth import CachedDepth
from deforum_helpers.render.control_units import UnitImages, controls_at, crop_controls
from deforum_helpers.render.hybrid import Hybrid, Motion
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.masks import Masks
from deforum_helpers.render.memory import SceneMemory, add_frame, empty_memory
from deforum_helpers.render.moves import Move, Move2D, compose_2d, inverse_move
from deforum_helpers.render.noise_ahead import NoiseAhead
from deforum_helpers.render.plan import Plan
from deforum_helpers.render.requests import from_noise_alone
from deforum_helpers.render.revealing import WarpedImage, warp_exact
from deforum_helpers.settings.modes import is_exact, is_hybrid, is_moved, remembers


@dataclass(frozen=True)
class RenderContext:
    """Everything that rendering a frame needs besides the state: the same for all frames of a run.

    Args:
        plan: plan of the run.
        engine: generates images.
        cached_depth: depth of images; None where the plan needs no depth.
        cancel: raises where the job is cancelled, paused or parked.
        init_image: (3, H, W) image that the run starts from, or None.
        masks: inputs of the mask expressions; None where the plan has none.
        backdrop: frame number -> original image, which is restored outside masks; None = nothing is restored.
        flow: name of a flow method -> its estimator.
        guides: guide images in the order of their frames.
        video: frame number -> frame of the init video; None where no video is used.
        composite_source: frame number -> image that hybrid video composites over the frame; None without one.
        controls: inputs of the ControlNet units, by unit number.
        end_image: (3, H, W) image that the last frame shows, or None.
        keys_left: number of key frames to render, with the current one; 0 = unknown.
        noise_ahead: noise fields made before they are needed; None on the CPU.
        looks: looks of generated reference images, a cache; a resumed run fills it again with the same values.
    """

    plan: Plan
    engine: Engine
    cached_depth: CachedDepth | None
    cancel: CancelToken
    init_image: Image | None = None
    masks: Masks | None = None
    backdrop: Callable[[int], Image] | None = None
    flow: Callable[[str], FlowEstimator] = make_flow_estimator
    guides: tuple[Image, ...] = ()
    video: Callable[[int], Image] | None = None
    composite_source: Callable[[int], Image] | None = None
    controls: Mapping[int, UnitImages] = field(default_factory=dict)
    end_image: Image | None = None
    looks: dict[GenerateRequest, Look] = field(default_factory=dict)
    noise_ahead: NoiseAhead | None = None
    keys_left: int = 0

    def video_frame(self, frame: int) -> Image:
        """Return the init video's image at a frame; after its end, its last image."""
        if self.video is None:
            raise AssertionError("the plan reads an init video, but none is open")
        return self.video(frame)

    def composite_image(self, frame: int) -> Image:
        """Return the image that hybrid video composites over a frame."""
        if self.composite_source is None:
            raise AssertionError("the plan composites an image, but none is open")
        return self.composite_source(frame)

    def video_motion(self, frame: int, before: Image, guess: Flow | None) -> Motion | None:
        """Return the init video's motion into `frame`, or None where the settings do not follow it.

        Args:
            frame: number of the destination frame, >= 1.
            before: previous frame of the run; the motion is measured from it with hybrid_motion_use_prev_img.
            guess: (2, H, W) flow into the previous frame, the initial estimate; or None.
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
        """Return the composite mask, (H, W) 0..1, 1 = frame and 0 = video; None = video everywhere.

        Args:
            numbers: hybrid values of the key frame.
            frame, video: (3, H, W) images to composite.
            start: previous frame, whose depth the mask type Depth uses; None = depth of the video.
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
            depth_image = video if kind == "Video Depth" or start is None else start
            mask = self.depth_mask(depth_image)
        return adjusted_mask(
            mask,
            invert=settings.hybrid_comp_mask_inverse,
            equalize=settings.hybrid_comp_mask_equalize,
            contrast=numbers.mask_contrast,
            cutoffs_percent=numbers.cutoffs_percent if settings.hybrid_comp_mask_auto_contrast else None,
        )

    def depth_mask(self, image: Image) -> Mask:
        """Return the depth map of `image` with the levels of a saved one, (H, W) float32 0..1."""
        if self.cached_depth is None:
            raise AssertionError("the plan uses depth, but no depth model is loaded")
        levels = depth_bytes(self.cached_depth.depth(image), self.plan.settings.depth_algorithm)
        return torch.from_numpy(levels).to(image.device, torch.float32) / 255

    def warp(self, image: Image, frame: int, depth_image: Image | None = None) -> Image:
        """Return `image` warped by the camera move into `frame`.

        Args:
            image: (3, H, W) image of frame - 1.
            frame: number of the destination frame.
            depth_image: image whose depth is used; by default `image` itself.
        """
        if self.is_exact:
            return self.warp_revealing(image, frame, None, depth_image).image
        return self._warp(image, self.plan.moves[frame], depth_image)

    def warp_through(self, image: Image, frames: range) -> Image | None:
        """Return `image` warped by the moves into all of `frames` with one resampling; None unless all are 2D."""
        move = compose_2d(self.plan.moves[frames.start : frames.stop])
        if move is None or move.still:
            return None if move is None else image
        return warp_2d(image, move.dst_from_src, self.plan.settings.border, "bicubic")

    def end_view(self, frame: int, end: Image) -> tuple[Image, Mask]:
        """Return the end image as the camera sees it from `frame`, and where it is visible, (H, W) 0..1.

        Args:
            frame: frame number.
            end: (3, H, W) image of the last frame; for a loop frame 0, which follows the last frame.
        """
        ahead: Sequence[Move] = self.plan.moves[frame + 1 :]
        if self.plan.settings.seamless_loop:
            ahead = (*ahead, self.plan.moves[0])
        move = inverse_move(ahead) if ahead else None
        if move is None or move.still:
            return end, torch.ones(end.shape[1:], device=end.device)
        inside = torch.zeros_like(end)
        inside[:, 1:-1, 1:-1] = 1  # its edge of 0 is repeated outside the image
        visible = self._warp(inside, move, end)[0] > 0.999
        return self._warp(end, move, None), visible.float()

    def _warp(self, image: Image, move: Move, depth_image: Image | None) -> Image:
        plan = self.plan
        if move.still:
            return image
        if isinstance(move, Move2D):
            return warp_2d(image, move.dst_from_src, plan.settings.border)
        depth = None
        if self.cached_depth is not None and plan.settings.use_depth_warping:
            depth = self.cached_depth.depth(image if depth_image is None else depth_image)
        return warp_3d(
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
        """Whether camera moves use the exact projection (`depth_warp` exact in 3D)."""
        return is_exact(self.plan.settings)

    def warp_revealing(
        self,
        image: Image,
        frame: int,
        unpainted: torch.Tensor | None = None,
        depth_image: Image | None = None,
        memory: SceneMemory | None = None,
    ) -> WarpedImage:
        """Return `image` warped by the camera move into `frame`, with its revealed areas; see `warp_exact`."""
        if not self.is_exact:
            return WarpedImage(self.warp(image, frame, depth_image))
        return warp_exact(
            self.plan,
            self.cached_depth,
            image,
            frame,
            unpainted=unpainted,
            depth_image=depth_image,
            memory=memory,
        )

    def remember(self, memory: SceneMemory | None, key: KeyFrame, image: Image) -> SceneMemory | None:
        """Return the scene memory with the last frame of a step added; None where the run keeps no memory.

        Args:
            memory: memory of the previous frames, or None.
            key: key frame of the step. The frames of a dissolve show two scenes and are not remembered.
            image: (3, H, W) last frame of the step, finished.
        """
        settings, frame = self.plan.settings, key.stop - 1
        if self.cached_depth is None or not remembers(settings) or key.dissolve is not None:
            return memory
        camera, bound = self.plan.scene_cameras[frame], settings.scene_memory_mb * 1_000_000
        depth = self.cached_depth.surface_depth(image)
        return add_frame(memory or empty_memory(), frame, image, depth, camera.pose, camera.intrinsics, bound)

    def paint(self, request: GenerateRequest, image: Image, mask: Mask) -> Image:
        """Return `image` with the masked part generated anew and the rest unchanged.

        Args:
            request: planned request.
            image: (3, H, W).
            mask: (H, W), 1 = repaint; not 0 everywhere.
        """
        self.cancel.check_cancel()
        return repaint(
            image,
            mask,
            lambda init_image, mask: self._engine_image(request, init_image, mask),
            smear=False,
            padding_px=None,
        )

    def with_controls(self, request: GenerateRequest, key: KeyFrame, start: Image | None) -> GenerateRequest:
        """Return `request` with its ControlNet units and their images.

        Args:
            request: planned request.
            key: the key frame.
            start: (3, H, W) init image of this generation, or None.
        """
        if not key.controls:
            return request
        controls = controls_at(key.controls, self.plan.settings, self.controls, key.index, start)
        return replace(request, controls=controls)

    def generate(self, request: GenerateRequest, init_image: Image | None, mask: Mask | None) -> Image:
        """Generate an image.

        Args:
            request: planned request.
            init_image: (3, H, W), or None to start from noise.
            mask: (H, W), 1 = repaint; None = everywhere.
        """
        self.cancel.check_cancel()
        settings = self.plan.settings
        if mask is None or init_image is None:
            image = self._engine_image(request, init_image)
            if init_image is None and self._holds_looks and not request.controls:
                # The first frame often is the reference image of later ones: one generation less.
                self.looks[from_noise_alone(request)] = look_of(image)
        else:
            padding_px = settings.full_res_mask_padding if settings.full_res_mask else None
            if padding_px is not None and request.controls:
                box = box_around(mask, padding_px)
                request = replace(
                    request, controls=crop_controls(request.controls, box, settings.W, settings.H)
                )
            image = repaint(
                init_image,
                mask,
                lambda init_image, mask: self._engine_image(request, init_image, mask),
                smear=settings.fill == "fill",
                padding_px=padding_px,
            )
        self.cancel.check_cancel()
        return image

    def _engine_image(
        self, request: GenerateRequest, init_image: Image | None, mask: Mask | None = None
    ) -> Image:
        steps = steps_run(request.steps, None if init_image is None else request.denoising_strength)
        ahead = steps * self.keys_left
        return self.engine.generate(
            replace(request, init_image=init_image, mask=mask, steps_ahead=ahead), self.cancel
        )

    def look_of(self, request: GenerateRequest) -> Look:
        """Return the look of the image that `request` generates from noise alone; each is generated once."""
        if request not in self.looks:
            self.looks[request] = look_of(self.generate(request, None, None))
        return self.looks[request]

    @property
    def _holds_looks(self) -> bool:
        return is_moved(self.plan.settings) and bool(
            (self.plan.schedules.values["stability_schedule"] > 0).any()
        )

    def restore_outside_mask(self, image: Image, frame: int, mask: Mask | None) -> Image:
        """Return `image` inside the mask and the original image outside; unchanged where the run has no backdrop.

        Args:
            image: (3, H, W) image of the frame.
            frame: frame number.
            mask: (H, W) mask of its key frame, or None for the mask of the settings.
        """
        if self.masks is None or self.backdrop is None:
            return image
        if self.masks.video is not None:
            mask = self.masks.video(frame)
        elif mask is None:
            mask = self.masks.init
        if mask is None:
            return image
        return masked(image, self.backdrop(frame), self.effective_mask(mask))

    def effective_mask(self, mask: Mask) -> Mask:
        """Return `mask`, inverted where `invert_mask` is on."""
        return inverse(mask) if self.plan.settings.invert_mask else mask
