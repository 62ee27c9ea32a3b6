"""Settings of the animation: frames, camera, schedules, coherence, depth, videos. Group DeforumAnimArgs."""

from __future__ import annotations

from dataclasses import dataclass

from deforum_helpers.settings.fields import path, schedule, setting, string_schedule
from deforum_helpers.settings.predicates import NEVER, ends_with, is_off, is_on, not_, one_of
from deforum_helpers.settings.situations import (
    ANCESTRAL,
    CAMERA,
    COLOR_IMAGE,
    COLOR_VIDEO,
    COMPOSITE,
    DDIM,
    EXACT,
    FLAT,
    FLIPPED,
    GUIDED,
    HAS_ENDING,
    HYBRID,
    HYBRID_VIDEO,
    INBETWEEN,
    INTERPOLATED,
    LENGTH_IS_GIVEN,
    MASKED,
    MATCHES_COLORS,
    MOVED,
    ON_PATH,
    PARSEQ,
    READS_MASK_VIDEO,
    READS_VIDEOS,
    SHOWS_DEPTH,
    SOUND_FROM_VIDEO,
    USES_VIDEO,
    VIDEO_MOTION,
    WARPS_BY_DEPTH,
    nonzero,
)
from deforum_helpers.settings.tables import (
    ANIMATION_MODES,
    BORDER_MODES,
    CADENCE_BLENDS,
    COLOR_COHERENCE,
    DEPTH_ALGORITHMS,
    DEPTH_WARPS,
    FLOW_CHOICES,
    FLOW_METHODS,
    HUMAN_MASKS,
    HYBRID_COMPOSITES,
    HYBRID_EQUALIZE,
    HYBRID_MASK_TYPES,
    HYBRID_MOTIONS,
    KEYFRAME_DISTRIBUTIONS,
    NOISE_SOURCES,
    NOISE_TYPES,
    PADDING_MODES,
    SAMPLING_MODES,
    SHAKE_NAMES,
)

MAX_FRAMES = 100_000
MAX_VIDEO_FRAMES = 10_000_000
PER_FRAME_DEG = "degrees/frame"

_MOTION = "Keyframes > Motion"
_NOISE = "Keyframes > Noise"
_STRENGTH = "Keyframes > Strength"
_CFG = "Keyframes > CFG"
_SUBSEED = "Keyframes > SubSeed"
_COHERENCE = "Keyframes > Coherence"
_ANTI_BLUR = "Keyframes > Anti Blur"
_DEPTH = "Keyframes > Depth Warping & FOV"
_MASKS = "Prompts > Composable Mask scheduling"
_VIDEO = "Init > Video Init"
_HYBRID = "Hybrid Video"
_HYBRID_SCHEDULES = "Hybrid Video > Hybrid Schedules"
_SHARPENED = nonzero("amount_schedule")
_OPTICAL_FLOW = one_of("hybrid_motion", "Optical Flow")
_COMPOSITE_MASKED = not_("hybrid_comp_mask_type", "None")


@dataclass(frozen=True)
class AnimationSettings:
    """Frames, camera, schedules, coherence, depth and videos."""

    animation_mode: str = setting(
        "2D",
        "How each frame follows from the one before. 2D moves the frame as a flat image. 3D moves a camera "
        "through its depth. Video Input repaints a video frame by frame. Interpolation only blends from prompt to "
        "prompt.",
        tab="Keyframes",
        label="Animation mode",
        choices=ANIMATION_MODES,
        used_in="render/moves.py",
    )
    max_frames: int = setting(
        120,
        "Number of frames of the video, counted from 0. `max_f` in schedules is the last frame, one less. 120 "
        "frames at 15 fps last 8 seconds. 0 = as long as the sound of audio_path or of the video.",
        tab="Keyframes",
        label="Max frames",
        bounds=(0, MAX_FRAMES),
        step=1,
        unit="frames",
        used_when=~LENGTH_IS_GIVEN,
        used_in="render/plan.py",
    )
    seamless_loop: bool = setting(
        False,
        "Leads the last frames back to the first, so that the video repeats without a jump.",
        tab="Keyframes",
        label="Seamless loop",
        used_when=MOVED,
        since="here",
        used_in="render/transitions.py",
    )
    end_image_path: str = path(
        "Image that the video ends with. It must have the size of the video. Empty = none.",
        tab="Keyframes",
        label="End image path",
        used_when=MOVED,
        since="here",
        used_in="pipeline/sources.py",
    )
    ending_frames: int = setting(
        24,
        "Number of frames at the end that lead to the first frame of a loop or to the end image.",
        tab="Keyframes",
        label="Ending frames",
        bounds=(1, 1000),
        step=1,
        unit="frames",
        used_when=HAS_ENDING,
        since="here",
        used_in="render/transitions.py",
    )
    reverse_generation: bool = setting(
        False,
        "Renders from the last frame to the first, each from the one that follows it: a zoom in is rendered "
        "as a zoom out, so the details that it approaches are there from the start. Frames are numbered in "
        "playing order.",
        tab="Keyframes",
        label="Reverse generation",
        used_when=MOVED,
        since="here",
        used_in="settings/modes.py",
    )
    border: str = setting(
        "replicate",
        "What fills the edges when the frame moves: stretched edge pixels (replicate), or the opposite side "
        "(wrap).",
        tab="Keyframes",
        label="Border mode",
        choices=BORDER_MODES,
        used_when=FLAT,
        used_in="render/context.py",
    )
    angle: str = schedule(
        "0: (0)",
        "Rotates the frame around its transform center; positive is counterclockwise.",
        tab=_MOTION,
        label="Angle",
        unit=PER_FRAME_DEG,
        used_when=FLAT,
        used_in="render/moves.py",
    )
    zoom: str = schedule(
        "0: (1.0025+0.002*sin(1.25*3.14*t/30))",
        "Scales the frame around its transform center: 1 stands still, above 1 zooms in, below 1 zooms out. 1.02 "
        "doubles the size in 35 frames.",
        tab=_MOTION,
        label="Zoom",
        unit="factor/frame",
        used_when=FLAT,
        used_in="render/moves.py",
    )
    translation_x: str = schedule(
        "0: (0)",
        "2D: moves the frame to the right, in pixels. 3D: moves the camera to the right, so the image moves left; "
        "200 units are the distance to the nearest objects.",
        tab=_MOTION,
        label="Translation X",
        bounds=(-100_000, 100_000),
        unit="px/frame (2D), 1/200 scene unit/frame (3D)",
        used_when=MOVED & ~ON_PATH,
        used_in="render/moves.py",
    )
    translation_y: str = schedule(
        "0: (0)",
        "2D: moves the frame down, in pixels. 3D: moves the camera up, so the image moves down.",
        tab=_MOTION,
        label="Translation Y",
        bounds=(-100_000, 100_000),
        unit="px/frame (2D), 1/200 scene unit/frame (3D)",
        used_when=MOVED & ~ON_PATH,
        used_in="render/moves.py",
    )
    translation_z: str = schedule(
        "0: (1.75)",
        "Moves the camera forward; negative values move it back.",
        tab=_MOTION,
        label="Translation Z",
        bounds=(-100_000, 100_000),
        unit="1/200 scene unit/frame",
        used_when=CAMERA & ~ON_PATH,
        used_in="render/moves.py",
    )
    transform_center_x: str = schedule(
        "0: (0.5)",
        "Center of angle and zoom, as a share of the width: 0 left, 0.5 middle, 1 right.",
        tab=_MOTION,
        label="Transform Center X",
        bounds=(-1000, 1000),
        unit="share of the width",
        used_when=FLAT,
        used_in="render/moves.py",
    )
    transform_center_y: str = schedule(
        "0: (0.5)",
        "Center of angle and zoom, as a share of the height: 0 top, 0.5 middle, 1 bottom.",
        tab=_MOTION,
        label="Transform Center Y",
        bounds=(-1000, 1000),
        unit="share of the height",
        used_when=FLAT,
        used_in="render/moves.py",
    )
    rotation_3d_x: str = schedule(
        "0: (0)",
        "Tilts the camera up, so the image moves down.",
        tab=_MOTION,
        label="Rotation 3D X",
        unit=PER_FRAME_DEG,
        used_when=CAMERA & ~ON_PATH,
        used_in="render/moves.py",
    )
    rotation_3d_y: str = schedule(
        "0: (0)",
        "Pans the camera right, so the image moves left.",
        tab=_MOTION,
        label="Rotation 3D Y",
        unit=PER_FRAME_DEG,
        used_when=CAMERA & ~ON_PATH,
        used_in="render/moves.py",
    )
    rotation_3d_z: str = schedule(
        "0: (0)",
        "Rolls the camera clockwise, so the image turns counterclockwise.",
        tab=_MOTION,
        label="Rotation 3D Z",
        unit=PER_FRAME_DEG,
        used_when=CAMERA & ~ON_PATH,
        used_in="render/moves.py",
    )
    camera_path: str = setting(
        "",
        "A path of the 3D camera in place of its translation and rotation schedules: moves by frame, such as "
        "0: orbit(1.5, 90), 60: truck(0.5), or a camera animation: a GLB, glTF or JSON file or a COLMAP folder, as "
        "path or http(s) address. Empty = off. docs/camera.md describes the moves.",
        kind="text",
        tab=_MOTION,
        label="Camera path",
        used_when=CAMERA,
        used_in="render/moves.py",
        since="here",
    )
    shake_name: str = setting(
        "None",
        "Adds the motion of a handheld camera to the 3D camera. None = off.",
        tab=_MOTION,
        label="Camera shake",
        choices=SHAKE_NAMES,
        used_when=CAMERA,
        since="2025 fork",
        used_in="render/moves.py",
    )
    shake_intensity: float = setting(
        1.0,
        "Strength of the shake; 1 = as recorded, 0 = none.",
        tab=_MOTION,
        label="Shake intensity",
        bounds=(0, 3),
        step=0.1,
        unit="factor",
        used_when=not_("shake_name", "None"),
        since="2025 fork",
        used_in="render/moves.py",
    )
    shake_speed: float = setting(
        1.0,
        "Speed of the shake; 1 = as recorded.",
        tab=_MOTION,
        label="Shake speed",
        bounds=(0, 3),
        step=0.1,
        unit="factor",
        used_when=not_("shake_name", "None"),
        since="2025 fork",
        used_in="render/moves.py",
    )
    enable_perspective_flip: bool = setting(
        False,
        "Tilts the frame in space like a card, in addition to the 2D or 3D move.",
        tab=_MOTION,
        label="Enable perspective flip",
        used_when=MOVED,
        used_in="render/moves.py",
    )
    perspective_flip_theta: str = schedule(
        "0: (0)",
        "Rotates the card in its own plane.",
        tab=_MOTION,
        label="Perspective flip theta",
        unit=PER_FRAME_DEG,
        used_when=FLIPPED,
        used_in="render/moves.py",
    )
    perspective_flip_phi: str = schedule(
        "0: (0)",
        "Tilts the card around its horizontal axis.",
        tab=_MOTION,
        label="Perspective flip phi",
        unit=PER_FRAME_DEG,
        used_when=FLIPPED,
        used_in="render/moves.py",
    )
    perspective_flip_gamma: str = schedule(
        "0: (0)",
        "Swings the card around its vertical axis.",
        tab=_MOTION,
        label="Perspective flip gamma",
        unit=PER_FRAME_DEG,
        used_when=FLIPPED,
        used_in="render/moves.py",
    )
    perspective_flip_fv: str = schedule(
        "0: (53)",
        "Field of view in which the card is seen; useful from about 30 to 160.",
        tab=_MOTION,
        label="Perspective flip fv",
        unit="degrees",
        used_when=FLIPPED,
        used_in="render/moves.py",
    )
    noise_schedule: str = schedule(
        "0: (0.065)",
        "How much noise is added to a frame before sampling, 0..1. It gives the model material for new detail; "
        "too much makes the video flicker.",
        tab=_NOISE,
        label="Noise schedule",
        bounds=(0, 1),
        used_when=MOVED,
        used_in="render/key_frames.py",
    )
    strength_schedule: str = schedule(
        "0: (0.65)",
        "How much of the previous frame is kept, 0..1: 1 keeps everything, 0 generates a new image. The denoising "
        "strength is 1 - strength. Applies from the second key frame on.",
        tab=_STRENGTH,
        label="Strength schedule",
        bounds=(0, 1),
        clamped=True,
        used_when=~INTERPOLATED & ~GUIDED,
        used_in="render/key_frames.py",
    )
    keyframe_strength_schedule: str = schedule(
        "0: (0.50)",
        "The strength at frames where a prompt begins, if keyframe_distribution is not Off.",
        tab=_STRENGTH,
        label="Keyframe strength schedule",
        bounds=(0, 1),
        clamped=True,
        used_when=not_("keyframe_distribution", "Off") & ~GUIDED,
        since="2025 fork",
        used_in="render/key_frames.py",
    )
    contrast_schedule: str = schedule(
        "0: (1.0)",
        "Multiplies the brightness of the warped frame before sampling; 1 = unchanged.",
        tab=_COHERENCE,
        label="Contrast schedule",
        bounds=(0, 100),
        unit="factor",
        used_when=MOVED,
        used_in="render/key_frames.py",
    )
    exposure_schedule: str = schedule(
        "0: (0)",
        "Multiplies the light of the warped frame before sampling by 2 to this power; 0 = unchanged. It acts at every "
        "key frame on the result of the one before.",
        tab=_COHERENCE,
        label="Exposure schedule",
        bounds=(-10, 10),
        unit="stops",
        used_when=MOVED,
        since="here",
        used_in="render/key_frames.py",
    )
    saturation_schedule: str = schedule(
        "0: (1)",
        "Multiplies the saturation of the warped frame before sampling; 1 = unchanged, 0 = gray.",
        tab=_COHERENCE,
        label="Saturation schedule",
        bounds=(0, 100),
        unit="factor",
        used_when=MOVED,
        since="here",
        used_in="render/key_frames.py",
    )
    hue_schedule: str = schedule(
        "0: (0)",
        "Turns the hues of the warped frame before sampling, from red over yellow to green; 0 = unchanged.",
        tab=_COHERENCE,
        label="Hue schedule",
        bounds=(-36_000, 36_000),
        unit="degrees",
        used_when=MOVED,
        since="here",
        used_in="render/key_frames.py",
    )
    cfg_scale_schedule: str = schedule(
        "0: (7)",
        "How closely the model follows the prompt: 7 is usual for SD, 1 to 2 for turbo and LCM models.",
        tab=_CFG,
        label="CFG scale schedule",
        bounds=(0, 1000),
        used_in="render/requests.py",
    )
    distilled_cfg_scale_schedule: str = schedule(
        "0: (3.5)",
        "The guidance that Flux models were trained with. Other models ignore it.",
        tab=_CFG,
        label="Distilled CFG scale schedule",
        bounds=(0, 1000),
        since="2025 fork",
        used_in="render/requests.py",
    )
    enable_steps_scheduling: bool = setting(
        False,
        "Lets steps_schedule set the number of steps.",
        tab="Keyframes > Step",
        label="Enable steps scheduling",
        used_in="render/requests.py",
    )
    steps_schedule: str = schedule(
        "0: (25)",
        "Sampling steps at each frame, 1..200; fractions are cut off.",
        tab="Keyframes > Step",
        label="Steps schedule",
        bounds=(1, 200),
        unit="steps",
        used_when=is_on("enable_steps_scheduling"),
        used_in="render/requests.py",
    )
    fov_schedule: str = schedule(
        "0: (70)",
        "Field of view of the 3D camera: small values make every move look larger. Must not be 0.",
        tab=_DEPTH,
        label="FOV schedule",
        unit="degrees",
        used_when=CAMERA,
        used_in="render/moves.py",
    )
    aspect_ratio_schedule: str = schedule(
        "0: (1)",
        "Divides the horizontal part of 3D moves; 1 is correct for any frame size.",
        tab=_DEPTH,
        label="Aspect Ratio schedule",
        bounds=(0.01, 100),
        unit="ratio",
        used_when=CAMERA & is_off("aspect_ratio_use_old_formula"),
        used_in="render/moves.py",
    )
    aspect_ratio_use_old_formula: bool = setting(
        False,
        "Uses width divided by height as that ratio, as old versions did.",
        tab=_DEPTH,
        label="Use old aspect ratio formula",
        used_when=CAMERA,
        used_in="render/moves.py",
    )
    near_schedule: str = schedule(
        "0: (200)",
        "Near plane of the 3D camera. No effect: it cancels out of the projection. Kept for files that have it.",
        tab=_DEPTH,
        label="Near schedule",
        used_when=NEVER,
    )
    far_schedule: str = schedule(
        "0: (10000)",
        "Far plane of the 3D camera. No effect: it cancels out of the projection. Kept for files that have it.",
        tab=_DEPTH,
        label="Far schedule",
        used_when=NEVER,
    )
    seed_schedule: str = schedule(
        '0:(s), 1:(-1), "max_f-2":(-1), "max_f-1":(s)',
        "The seed of each frame; `s` is the seed of the run, -1 a random seed derived from it. Fractions are cut "
        "off.",
        tab="Keyframes > Seed",
        label="Seed schedule",
        used_when=one_of("seed_behavior", "schedule") | GUIDED,
        used_in="render/key_frames.py",
    )
    pix2pix_img_cfg_scale_schedule: str = schedule(
        "0:(1.5)",
        "Image guidance of instruct-pix2pix models in a WebUI. Other models ignore it.",
        tab="Run > Batch Mode, Resume and more",
        label="Pix2Pix img CFG schedule",
        bounds=(0, 1000),
        used_in="render/requests.py",
    )
    enable_subseed_scheduling: bool = setting(
        False,
        "Mixes in the noise of a second seed.",
        tab=_SUBSEED,
        label="Enable Subseed scheduling",
        used_when=~INTERPOLATED,
        used_in="render/requests.py",
    )
    subseed_schedule: str = schedule(
        "0: (1)",
        "The second seed; fractions are cut off.",
        tab=_SUBSEED,
        label="Subseed schedule",
        used_when=is_on("enable_subseed_scheduling") | INTERPOLATED | PARSEQ,
        used_in="render/requests.py",
    )
    subseed_strength_schedule: str = schedule(
        "0: (0)",
        "Share of the second seed's noise, 0..1.",
        tab=_SUBSEED,
        label="Subseed strength schedule",
        bounds=(0, 1),
        used_when=is_on("enable_subseed_scheduling") | INTERPOLATED | PARSEQ,
        used_in="render/requests.py",
    )
    enable_sampler_scheduling: bool = setting(
        False,
        "Lets sampler_schedule choose the sampler.",
        tab="Keyframes > Sampler",
        label="Enable sampler scheduling",
        used_in="render/requests.py",
    )
    sampler_schedule: str = string_schedule(
        '0: ("Euler a")',
        'Sampler from each frame on: 0: ("Euler a"), 60: ("DPM++ 2M"). Upper or lower case.',
        tab="Keyframes > Sampler",
        label="Sampler schedule",
        used_when=is_on("enable_sampler_scheduling"),
        used_in="render/requests.py",
    )
    enable_scheduler_scheduling: bool = setting(
        False,
        "Lets scheduler_schedule choose the schedule type.",
        tab="Keyframes > Scheduler",
        label="Enable scheduler scheduling",
        since="2025 fork",
        used_in="render/requests.py",
    )
    scheduler_schedule: str = string_schedule(
        '0: ("Simple")',
        'Schedule type from each frame on: 0: ("Karras").',
        tab="Keyframes > Scheduler",
        label="Scheduler schedule",
        used_when=is_on("enable_scheduler_scheduling"),
        since="2025 fork",
        used_in="render/requests.py",
    )
    use_noise_mask: bool = setting(
        False,
        "Limits the added noise by noise_mask_schedule instead of mask_schedule.",
        tab=_MASKS,
        label="Use noise mask",
        used_when=nonzero("noise_schedule"),
        used_in="settings/modes.py",
    )
    mask_schedule: str = string_schedule(
        '0: ("{video_mask}")',
        "Mask of each frame, composed of {video_mask}, {everywhere}, [files] and <words> with ! & | ^ \\ and "
        "brackets.",
        tab=_MASKS,
        label="Mask schedule",
        used_when=MASKED,
        used_in="render/masks.py",
    )
    noise_mask_schedule: str = string_schedule(
        '0: ("{video_mask}")',
        "Mask for the added noise, written like mask_schedule.",
        tab=_MASKS,
        label="Noise mask schedule",
        used_when=is_on("use_noise_mask"),
        used_in="render/masks.py",
    )
    enable_checkpoint_scheduling: bool = setting(
        False,
        "Lets checkpoint_schedule choose the checkpoint.",
        tab="Keyframes > Checkpoint",
        label="Enable checkpoint scheduling",
        used_in="render/requests.py",
    )
    checkpoint_schedule: str = string_schedule(
        '0: ("model1.ckpt"), 100: ("model2.safetensors")',
        'Checkpoint from each frame on: 0: ("landscape.safetensors"), 100: ("ink.safetensors").',
        tab="Keyframes > Checkpoint",
        label="Checkpoint schedule",
        used_when=is_on("enable_checkpoint_scheduling"),
        used_in="render/requests.py",
    )
    enable_clipskip_scheduling: bool = setting(
        False,
        "Lets clipskip_schedule set the CLIP skip.",
        tab=_CFG,
        label="Enable CLIP skip scheduling",
        used_in="render/requests.py",
    )
    clipskip_schedule: str = schedule(
        "0: (2)",
        "Layer of the text encoder that the prompt is read from, counted from the end: 1 = the last. 1..12.",
        tab=_CFG,
        label="CLIP skip schedule",
        bounds=(1, 12),
        unit="layers",
        used_when=is_on("enable_clipskip_scheduling"),
        used_in="render/requests.py",
    )
    enable_noise_multiplier_scheduling: bool = setting(
        True,
        "Lets noise_multiplier_schedule scale the noise that sampling starts from.",
        tab=_NOISE,
        label="Enable noise multiplier scheduling",
        used_in="render/requests.py",
    )
    noise_multiplier_schedule: str = schedule(
        "0: (1.05)",
        "Scales the noise that sampling starts from; slightly above 1 keeps detail from washing out.",
        tab=_NOISE,
        label="Noise multiplier schedule",
        bounds=(0, 10),
        unit="factor",
        used_when=is_on("enable_noise_multiplier_scheduling"),
        used_in="render/requests.py",
    )
    noise_source: str = setting(
        "new",
        "Source of the noise that sampling starts from. new: the seed, so every frame is a new "
        "version of the scene. inverted: from the warped frame itself, by running the model backwards, so that "
        "things keep their shape and move with the camera.",
        tab=_NOISE,
        label="Noise source",
        choices=NOISE_SOURCES,
        since="here",
        used_in="render/requests.py",
    )
    new_noise_schedule: str = schedule(
        "0: (0)",
        "Share of new noise added to the inverted noise, 0..1: 0 keeps the scene steadiest, 1 equals noise source "
        "new. Raise it where the prompt changes.",
        tab=_NOISE,
        label="New noise schedule",
        bounds=(0, 1),
        used_when=one_of("noise_source", "inverted"),
        since="here",
        used_in="render/requests.py",
    )
    autoencoder_correction: bool = setting(
        False,
        "Preserves detail that the autoencoder would lose, in areas of a warped frame that sampling barely "
        "changes. Costs one more decoding per frame.",
        tab=_COHERENCE,
        label="Autoencoder correction",
        since="here",
        used_in="render/requests.py",
    )
    stability_schedule: str = schedule(
        "0: (0)",
        "Holds color, contrast and sharpness of each frame to those of an image generated from the prompt alone, "
        "so that a long video gets neither harsh nor soft: 0 = off, 1 = fully. Costs one more image per prompt.",
        tab=_COHERENCE,
        label="Stability schedule",
        bounds=(0, 1),
        used_when=MOVED,
        since="here",
        used_in="render/requests.py",
    )
    resume_from_timestring: bool = setting(
        False,
        "Continues the run of resume_timestring in the same batch folder at its first missing frame, as if it had "
        "never stopped.",
        tab="Run > Batch Mode, Resume and more",
        label="Resume from timestring",
        used_in="pipeline/prepare.py",
    )
    resume_timestring: str = setting(
        "20230129210106",
        "The 14 digits that the file names of that run begin with: year, month, day, hour, minute, second.",
        tab="Run > Batch Mode, Resume and more",
        label="Resume timestring",
        used_when=is_on("resume_from_timestring"),
        used_in="pipeline/prepare.py",
    )
    enable_ddim_eta_scheduling: bool = setting(
        False,
        "Lets ddim_eta_schedule set how much noise DDIM adds.",
        tab="Run",
        label="Enable DDIM ETA scheduling",
        used_when=DDIM,
        used_in="render/requests.py",
    )
    ddim_eta_schedule: str = schedule(
        "0: (0)",
        "Noise that DDIM adds at each step: 0 = none, 1 = as much as DDPM.",
        tab="Run",
        label="DDIM ETA Schedule",
        bounds=(0, 1),
        unit="eta",
        used_when=is_on("enable_ddim_eta_scheduling"),
        used_in="render/requests.py",
    )
    enable_ancestral_eta_scheduling: bool = setting(
        False,
        "Lets ancestral_eta_schedule set how much noise ancestral samplers add (Euler a, DPM2 a, DPM++ 2S a).",
        tab="Run",
        label="Enable Ancestral ETA scheduling",
        used_when=ANCESTRAL,
        used_in="render/requests.py",
    )
    ancestral_eta_schedule: str = schedule(
        "0: (1)",
        "Noise that an ancestral sampler adds at each step: 0 = none, 1 = the usual amount.",
        tab="Run",
        label="Ancestral ETA Schedule",
        bounds=(0, 10),
        unit="eta",
        used_when=is_on("enable_ancestral_eta_scheduling"),
        used_in="render/requests.py",
    )
    amount_schedule: str = schedule(
        "0: (0.1)",
        "How much the warped frame is sharpened before sampling, to counter the blur of repeated moves; 0 = off.",
        tab=_ANTI_BLUR,
        label="Amount schedule",
        bounds=(0, 100),
        unit="factor",
        used_when=MOVED,
        used_in="render/key_frames.py",
    )
    kernel_schedule: str = schedule(
        "0: (5)",
        "Size of the blur that the sharpening works against, an odd number; fractions are cut off.",
        tab=_ANTI_BLUR,
        label="Kernel schedule",
        bounds=(1, 255),
        unit="px",
        used_when=_SHARPENED,
        used_in="render/key_frames.py",
    )
    sigma_schedule: str = schedule(
        "0: (1)",
        "Sigma of that blur.",
        tab=_ANTI_BLUR,
        label="Sigma schedule",
        bounds=(0, 100),
        unit="px",
        used_when=_SHARPENED,
        used_in="render/key_frames.py",
    )
    threshold_schedule: str = schedule(
        "0: (0)",
        "Differences below this are not sharpened, which protects smooth areas; 0 = sharpen everything.",
        tab=_ANTI_BLUR,
        label="Threshold schedule",
        bounds=(0, 255),
        unit="levels of 0..255",
        used_when=_SHARPENED,
        used_in="render/key_frames.py",
    )
    color_coherence: str = setting(
        "LAB",
        "Prevents color drift by matching every frame to a reference: the first frame, compared in HSV, LAB or "
        "RGB; the input video; or an image. None = off.",
        tab=_COHERENCE,
        label="Color coherence",
        choices=COLOR_COHERENCE,
        used_when=~INTERPOLATED,
        used_in="image/color.py",
    )
    color_coherence_image_path: str = path(
        "The image whose colors the frames are matched to.",
        tab=_COHERENCE,
        label="Color coherence image path",
        used_when=COLOR_IMAGE,
        used_in="pipeline/sources.py",
    )
    color_coherence_video_every_N_frames: int = setting(
        1,
        "Takes new reference colors from every Nth frame of the video.",
        tab=_COHERENCE,
        label="Color coherence video every N frames",
        bounds=(1, MAX_FRAMES),
        step=1,
        unit="frames",
        used_when=COLOR_VIDEO,
        used_in="render/stage_order.py",
    )
    color_force_grayscale: bool = setting(
        False,
        "Converts every frame to grayscale.",
        tab=_COHERENCE,
        label="Force grayscale",
        used_when=~INTERPOLATED,
        used_in="render/stage_order.py",
    )
    legacy_colormatch: bool = setting(
        False,
        "Matches colors only before sampling, as old versions did. A file without this setting is an old one, so "
        "it counts as true there.",
        tab=_COHERENCE,
        label="Legacy colormatch",
        used_when=MATCHES_COLORS,
        used_in="render/stage_order.py",
    )
    keyframe_distribution: str = setting(
        "Off",
        "Which frames are key frames. Off: every diffusion_cadence-th. Keyframes Only: those where a prompt "
        "begins. Additive: both. Redistributed: as many as the cadence gives, moved onto the prompts.",
        tab="Keyframes",
        label="Keyframe distribution",
        choices=KEYFRAME_DISTRIBUTIONS,
        used_when=MOVED,
        since="2025 fork",
        used_in="settings/modes.py",
    )
    diffusion_cadence: int = setting(
        2,
        "Generates every Nth frame; the frames between are warped and blended. 1 = every frame; 2 to 4 is faster "
        "and calmer.",
        tab="Keyframes",
        label="Cadence",
        bounds=(1, 200),
        step=1,
        unit="frames",
        used_when=MOVED,
        used_in="settings/modes.py",
    )
    optical_flow_cadence: str = setting(
        "None",
        "Follows the motion between two key frames when blending the frames between them.",
        tab=_COHERENCE,
        label="Optical flow cadence",
        choices=FLOW_CHOICES,
        used_when=INBETWEEN,
        used_in="render/key_frames.py",
    )
    cadence_blend: str = setting(
        "classic",
        "How the frames between two key frames are blended. classic: averaged, which softens them and doubles "
        "edges. sharp: brightness and color are averaged, detail comes from the newer key frame.",
        tab=_COHERENCE,
        label="Cadence blend",
        choices=CADENCE_BLENDS,
        used_when=INBETWEEN,
        since="here",
        used_in="render/inbetween.py",
    )
    cadence_flow_factor_schedule: str = schedule(
        "0: (1)",
        "How far that motion is followed; 1 = fully.",
        tab=_COHERENCE,
        label="Cadence flow factor schedule",
        unit="factor",
        used_when=not_("optical_flow_cadence", "None"),
        used_in="render/key_frames.py",
    )
    optical_flow_redo_generation: str = setting(
        "None",
        "Generates a frame, warps it back along the motion that this caused, and generates it again, for a calmer "
        "video.",
        tab=_COHERENCE,
        label="Optical flow generation",
        choices=FLOW_CHOICES,
        used_when=MOVED,
        used_in="render/stage_order.py",
    )
    redo_flow_factor_schedule: str = schedule(
        "0: (1)",
        "How far the frame is warped back; 1 = fully.",
        tab=_COHERENCE,
        label="Generation flow factor schedule",
        unit="factor",
        used_when=not_("optical_flow_redo_generation", "None"),
        used_in="render/key_frames.py",
    )
    diffusion_redo: int = setting(
        0,
        "Generates every key frame this many additional times, each time from the previous result.",
        tab=_COHERENCE,
        label="Redo generation",
        bounds=(0, 50),
        step=1,
        unit="passes",
        used_when=MOVED,
        used_in="render/key_frames.py",
    )
    noise_type: str = setting(
        "perlin",
        "uniform: even white noise. perlin: noise in clouds, which looks more natural.",
        tab=_NOISE,
        label="Noise type",
        choices=NOISE_TYPES,
        used_when=nonzero("noise_schedule"),
        used_in="render/key_frames.py",
    )
    perlin_w: float = setting(
        8,
        "Clouds across the height of the frame in the first octave. Fixed at 8; files cannot set it.",
        tab=_NOISE,
        label="Perlin W",
        kind="float",
        bounds=(0.1, 16),
        step=0.1,
        unit="cells",
        loaded=False,
        saved=False,
        used_when=one_of("noise_type", "perlin"),
    )
    perlin_h: float = setting(
        8,
        "Clouds across the width of the frame in the first octave. Fixed at 8; files cannot set it.",
        tab=_NOISE,
        label="Perlin H",
        kind="float",
        bounds=(0.1, 16),
        step=0.1,
        unit="cells",
        loaded=False,
        saved=False,
        used_when=one_of("noise_type", "perlin"),
    )
    perlin_octaves: int = setting(
        4,
        "Layers of clouds, each half the size of the previous one.",
        tab=_NOISE,
        label="Perlin octaves",
        bounds=(1, 7),
        step=1,
        unit="octaves",
        used_when=one_of("noise_type", "perlin"),
        used_in="render/key_frames.py",
    )
    perlin_persistence: float = setting(
        0.5,
        "Strength of each layer relative to the previous one, 0..1.",
        tab=_NOISE,
        label="Perlin persistence",
        bounds=(0, 1),
        step=0.02,
        used_when=one_of("noise_type", "perlin"),
        used_in="render/key_frames.py",
    )
    use_depth_warping: bool = setting(
        True,
        "Estimates depth, so that near objects move more than far ones. Off = the image moves as a flat wall.",
        tab=_DEPTH,
        label="Use depth warping",
        used_when=CAMERA,
        used_in="render/context.py",
    )
    depth_algorithm: str = setting(
        "Midas-3-Hybrid",
        "The model that estimates depth. If it is not installed, the most similar available one is used, with a "
        "warning. Built-in is a small model that comes with the program; Plane is a flat wall.",
        tab=_DEPTH,
        label="Depth Algorithm",
        choices=DEPTH_ALGORITHMS,
        used_when=WARPS_BY_DEPTH | SHOWS_DEPTH,
        used_in="models/depth/__init__.py",
    )
    midas_weight: float = setting(
        0.2,
        "Share of MiDaS or Zoe versus AdaBins in the two old algorithms; 1 = no AdaBins.",
        tab=_DEPTH,
        label="MiDaS/Zoe weight",
        bounds=(0, 1),
        step=0.05,
        used_when=ends_with("depth_algorithm", "(old)"),
        used_in="pipeline/sources.py",
    )
    depth_warp: str = setting(
        "classic",
        "How the 3D camera moves a frame. classic: each pixel is fetched from its estimated origin, which smears "
        "the background behind near objects. exact: the scene is rendered as a surface seen by a real camera; "
        "revealed areas are filled from the background and repainted.",
        tab=_DEPTH,
        label="Depth warp",
        choices=DEPTH_WARPS,
        used_when=CAMERA,
        since="here",
        used_in="render/context.py",
    )
    revealed_strength_schedule: str = schedule(
        "0: (1)",
        "How strongly revealed areas are repainted before the frame is sampled, 0..1: 0 leaves them as filled, 1 "
        "generates them from pure noise.",
        tab=_DEPTH,
        label="Revealed strength schedule",
        bounds=(0, 1),
        used_when=EXACT,
        since="here",
        used_in="render/key_frames.py",
    )
    scene_memory: bool = setting(
        False,
        "Remembers what earlier frames showed, and shows it again where the camera returns or reveals it once "
        "more.",
        tab=_DEPTH,
        label="Scene memory",
        used_when=EXACT & WARPS_BY_DEPTH,
        since="here",
        used_in="settings/modes.py",
    )
    scene_memory_mb: int = setting(
        64,
        "Maximum RAM of the scene memory. What was seen longest ago is dropped first. A frame of 512x512 takes 6 "
        "MB.",
        tab=_DEPTH,
        label="Scene memory limit",
        bounds=(1, 4096),
        step=1,
        unit="MB",
        used_when=is_on("scene_memory"),
        since="here",
        used_in="render/context.py",
    )
    scene_memory_strength_schedule: str = schedule(
        "0: (0.5)",
        "How strongly remembered areas stay as they were, 0..1: 0 lets sampling change them like the rest, 1 "
        "keeps them. Halves with every 240 frames since an area was last seen. Lower it where the prompt changes.",
        tab=_DEPTH,
        label="Scene memory strength schedule",
        bounds=(0, 1),
        used_when=is_on("scene_memory") & ~HYBRID,
        since="here",
        used_in="render/revealing.py",
    )
    padding_mode: str = setting(
        "border",
        "What fills the edges when the 3D camera moves: stretched edge pixels (border), a mirror image "
        "(reflection), or black (zeros).",
        tab=_DEPTH,
        label="Padding mode",
        choices=PADDING_MODES,
        used_when=one_of("depth_warp", "classic") | CAMERA & HAS_ENDING,
        used_in="render/context.py",
    )
    sampling_mode: str = setting(
        "bicubic",
        "How pixels are interpolated: bicubic is the sharpest, nearest the coarsest.",
        tab=_DEPTH,
        label="Sampling mode",
        choices=SAMPLING_MODES,
        used_when=CAMERA,
        used_in="render/context.py",
    )
    save_depth_maps: bool = setting(
        False,
        "Saves the depth of every frame as a grayscale image.",
        tab="Output",
        label="Save 3D depth maps",
        used_in="output/writer.py",
    )
    video_init_path: str = path(
        "The video that Video Input repaints, that hybrid video follows, and that provides the sound for Init "
        "Video. Also a folder of images, a pattern such as shots/*.png, or an animated GIF, WebP or AVIF.",
        tab=_VIDEO,
        label="Video init path/URL",
        used_when=USES_VIDEO | SOUND_FROM_VIDEO,
        used_in="pipeline/input_files.py",
    )
    extract_nth_frame: int = setting(
        1,
        "Uses every Nth frame of the video; 0 counts as 1.",
        tab=_VIDEO,
        label="Extract nth frame",
        bounds=(0, MAX_VIDEO_FRAMES),
        step=1,
        unit="frames",
        used_when=READS_VIDEOS,
        used_in="pipeline/input_files.py",
    )
    extract_from_frame: int = setting(
        0,
        "First frame of the video that is used.",
        tab=_VIDEO,
        label="Extract from frame",
        bounds=(0, MAX_VIDEO_FRAMES),
        step=1,
        unit="frame",
        used_when=READS_VIDEOS,
        used_in="pipeline/input_files.py",
    )
    extract_to_frame: int = setting(
        -1,
        "Last frame of the video that is used; -1 = to the end.",
        tab=_VIDEO,
        label="Extract to frame",
        bounds=(-1, MAX_VIDEO_FRAMES),
        step=1,
        unit="frame",
        used_when=READS_VIDEOS,
        used_in="pipeline/input_files.py",
    )
    overwrite_extracted_frames: bool = setting(
        False,
        "Extracts the frames again for every run.",
        tab=_VIDEO,
        label="Overwrite extracted frames",
        used_when=READS_VIDEOS,
        used_in="pipeline/sources.py",
    )
    use_mask_video: bool = setting(
        False,
        "Takes the masks from a video, one of its frames for each frame.",
        tab=_VIDEO,
        label="Use mask video",
        used_in="settings/situations.py",
    )
    video_mask_path: str = path(
        "The mask video.",
        tab=_VIDEO,
        label="Video mask path",
        used_when=READS_MASK_VIDEO,
        used_in="pipeline/input_files.py",
    )
    hybrid_comp_alpha_schedule: str = schedule(
        "0:(0.5)",
        "Opacity of the input video in the frame, 0..1.",
        tab=_HYBRID_SCHEDULES,
        label="Comp alpha schedule",
        bounds=(0, 1),
        clamped=True,
        used_when=COMPOSITE,
        used_in="render/hybrid.py",
    )
    hybrid_comp_mask_blend_alpha_schedule: str = schedule(
        "0:(0.5)",
        "Share of the input video in a Blend mask, 0..1.",
        tab=_HYBRID_SCHEDULES,
        label="Comp mask blend alpha schedule",
        bounds=(0, 1),
        clamped=True,
        used_when=one_of("hybrid_comp_mask_type", "Blend"),
        used_in="render/hybrid.py",
    )
    hybrid_comp_mask_contrast_schedule: str = schedule(
        "0:(1)",
        "Contrast of the composite mask; 1 = unchanged.",
        tab=_HYBRID_SCHEDULES,
        label="Comp mask contrast schedule",
        unit="factor",
        used_when=_COMPOSITE_MASKED,
        used_in="render/hybrid.py",
    )
    hybrid_comp_mask_auto_contrast_cutoff_high_schedule: str = schedule(
        "0:(100)",
        "Percentile of the mask that becomes white.",
        tab=_HYBRID_SCHEDULES,
        label="Comp mask auto contrast cutoff high schedule",
        bounds=(0, 100),
        clamped=True,
        unit="percentile",
        used_when=is_on("hybrid_comp_mask_auto_contrast"),
        used_in="render/hybrid.py",
    )
    hybrid_comp_mask_auto_contrast_cutoff_low_schedule: str = schedule(
        "0:(0)",
        "Percentile of the mask that becomes black.",
        tab=_HYBRID_SCHEDULES,
        label="Comp mask auto contrast cutoff low schedule",
        bounds=(0, 100),
        clamped=True,
        unit="percentile",
        used_when=is_on("hybrid_comp_mask_auto_contrast"),
        used_in="render/hybrid.py",
    )
    hybrid_flow_factor_schedule: str = schedule(
        "0:(1)",
        "How far the motion of the video is followed; 1 = fully, negative = backwards.",
        tab=_HYBRID_SCHEDULES,
        label="Flow factor schedule",
        unit="factor",
        used_when=_OPTICAL_FLOW,
        used_in="render/hybrid.py",
    )
    hybrid_generate_inputframes: bool = setting(
        False,
        "No effect: the frames of video_init_path are extracted whenever they are needed.",
        tab=_HYBRID,
        label="Generate inputframes",
        used_when=NEVER,
    )
    hybrid_generate_human_masks: str = setting(
        "None",
        "Finds the people in the video and saves their masks as images, as a video, or both.",
        tab="Hybrid Video > Humans Masking",
        label="Generate human masks",
        choices=HUMAN_MASKS,
        used_when=HYBRID_VIDEO,
        used_in="settings/modes.py",
    )
    hybrid_use_first_frame_as_init_image: bool = setting(
        True,
        "Uses the first frame of the video as the init image.",
        tab=_HYBRID,
        label="First frame as init image",
        used_when=HYBRID_VIDEO,
        used_in="settings/situations.py",
    )
    hybrid_motion: str = setting(
        "None",
        "Moves the frames as the input video moves.",
        tab=_HYBRID,
        label="Hybrid motion",
        choices=HYBRID_MOTIONS,
        used_when=MOVED,
        used_in="render/context.py",
    )
    hybrid_motion_use_prev_img: bool = setting(
        False,
        "Measures the motion from the previous rendered frame to the video, not within the video.",
        tab=_HYBRID,
        label="Motion use prev img",
        used_when=VIDEO_MOTION,
        used_in="render/context.py",
    )
    hybrid_flow_consistency: bool = setting(
        False,
        "Follows the motion only where forward and backward flow agree.",
        tab=_HYBRID,
        label="Flow consistency mask",
        used_when=_OPTICAL_FLOW,
        used_in="render/context.py",
    )
    hybrid_consistency_blur: int = setting(
        2,
        "Blurs the edges of the areas where they agree; 0 = off.",
        tab=_HYBRID,
        label="Consistency mask blur",
        bounds=(0, 16),
        step=1,
        unit="px",
        used_when=is_on("hybrid_flow_consistency"),
        used_in="render/context.py",
    )
    hybrid_flow_method: str = setting(
        "RAFT",
        "The method that measures the motion.",
        tab=_HYBRID,
        label="Flow method",
        choices=FLOW_METHODS,
        used_when=_OPTICAL_FLOW,
        used_in="render/context.py",
    )
    hybrid_composite: str = setting(
        "None",
        "Composites the input video over the frames: after the warp (Normal), before it, or after sampling.",
        tab=_HYBRID,
        label="Hybrid composite",
        choices=HYBRID_COMPOSITES,
        used_when=MOVED,
        used_in="render/stage_order.py",
    )
    hybrid_use_init_image: bool = setting(
        False,
        "Composites the init image over the frames instead of a video.",
        tab=_HYBRID,
        label="Use init image as video",
        used_when=HYBRID,
        used_in="settings/situations.py",
    )
    hybrid_comp_mask_type: str = setting(
        "None",
        "What determines where the video shows: depth of the frame, depth of the video, a blend, or the "
        "difference between the two.",
        tab=_HYBRID,
        label="Comp mask type",
        choices=HYBRID_MASK_TYPES,
        used_when=COMPOSITE,
        used_in="render/context.py",
    )
    hybrid_comp_mask_inverse: bool = setting(
        False,
        "Swaps the areas where the video shows and where it does not.",
        tab=_HYBRID,
        label="Comp mask inverse",
        used_when=_COMPOSITE_MASKED,
        used_in="render/context.py",
    )
    hybrid_comp_mask_equalize: str = setting(
        "None",
        "Equalizes the tones of the mask, before or after its contrast, or both.",
        tab=_HYBRID,
        label="Comp mask equalize",
        choices=HYBRID_EQUALIZE,
        used_when=_COMPOSITE_MASKED,
        used_in="render/context.py",
    )
    hybrid_comp_mask_auto_contrast: bool = setting(
        False,
        "Stretches the tones of the mask between the two cutoff percentiles.",
        tab=_HYBRID,
        label="Comp mask auto contrast",
        used_when=_COMPOSITE_MASKED,
        used_in="render/context.py",
    )
    hybrid_comp_save_extra_frames: bool = setting(
        False,
        "Saves masks, composites and images of the motion in hybridframes/.",
        tab=_HYBRID,
        label="Comp save extra frames",
        used_when=COMPOSITE | _OPTICAL_FLOW,
        used_in="render/stages.py",
    )
