"""Settings of the run itself: size, sampler, seed, init image, mask. Group DeforumArgs of a settings file."""

from __future__ import annotations

from dataclasses import dataclass

from deforum_helpers.settings.fields import path, setting
from deforum_helpers.settings.predicates import is_off, is_on, is_set, one_of
from deforum_helpers.settings.situations import (
    GUIDED,
    HAS_ORIGINAL,
    INIT_MASKED,
    INPAINTED,
    MASKED,
    OWN_COLORS,
    READS_INIT_IMAGE,
    READS_MASK_FILE,
    READS_MASKS,
    STARTS_FROM_IMAGE,
    STARTS_FROM_NOTHING,
    STARTS_FROM_VIDEO,
)
from deforum_helpers.settings.tables import MASK_FILLS, REROLL_CHOICES, SAMPLERS, SCHEDULERS, SEED_BEHAVIORS

MAX_SEED = 2**53 - 1  # the largest that schedules, which count in float64, still hold exactly

_SUBSEED = "Keyframes > SubSeed"
_SEED = "Keyframes > Seed"
_IMAGE = "Init > Image Init"
_MASK = "Init > Mask Init"


@dataclass(frozen=True)
class RunSettings:
    """Size, sampler, seed, init image and mask."""

    W: int = setting(
        512,
        "Width of every frame. Models work best near the size they were trained at: 512 for SD 1.x, 1024 for "
        "SDXL. An odd width is padded by one pixel in the video only.",
        tab="Run",
        label="Width",
        bounds=(64, 4096),
        step=8,
        unit="px",
        used_in="render/requests.py",
    )
    H: int = setting(
        512,
        "Height of every frame. An odd height is padded by one pixel in the video only.",
        tab="Run",
        label="Height",
        bounds=(64, 4096),
        step=8,
        unit="px",
        used_in="render/requests.py",
    )
    show_info_on_ui: bool = setting(
        True,
        "Shows help below each control. Does not affect the video.",
        tab="Deforum",
        label="Show more info",
        used_in="ui/tab.py",
    )
    tiling: bool = setting(
        False,
        "Generates images whose opposite edges fit together like tiles.",
        tab="Run",
        label="Tiling",
        used_in="render/requests.py",
    )
    restore_faces: bool = setting(
        False,
        "Lets the WebUI restore the faces in every key frame.",
        tab="Run",
        label="Restore faces",
        used_in="render/requests.py",
    )
    seed_resize_from_w: int = setting(
        0,
        "Takes the noise of an image of this width and centers it in the frame, so that a seed found at another "
        "size keeps its composition. 0 = off; set width and height.",
        tab=_SUBSEED,
        label="Resize seed from width",
        bounds=(-1, 4096),
        step=64,
        unit="px",
        used_in="render/requests.py",
    )
    seed_resize_from_h: int = setting(
        0,
        "Height for seed_resize_from_w. 0 = off.",
        tab=_SUBSEED,
        label="Resize seed from height",
        bounds=(-1, 4096),
        step=64,
        unit="px",
        used_in="render/requests.py",
    )
    seed: int = setting(
        -1,
        "The number that all randomness derives from; `s` in schedules. The same seed and settings give the same "
        "video. -1 = a random seed for each run.",
        tab="Run",
        label="Seed",
        bounds=(-1, MAX_SEED),
        step=1,
        used_in="pipeline/prepare.py",
    )
    sampler: str = setting(
        "Euler a",
        "The algorithm that turns noise into an image, used for all frames unless sampler scheduling is on. Upper "
        "or lower case; ComfyUI names work too: dpmpp_2m is DPM++ 2M.",
        tab="Run",
        label="Sampler",
        choices=SAMPLERS,
        used_when=~is_on("enable_sampler_scheduling"),
        used_in="render/requests.py",
    )
    scheduler: str = setting(
        "Automatic",
        "How the sampling steps are spaced over the noise levels. Automatic picks what suits the sampler.",
        tab="Run",
        label="Schedule type",
        choices=SCHEDULERS,
        used_when=~is_on("enable_scheduler_scheduling"),
        since="2025 fork",
        used_in="render/requests.py",
    )
    steps: int = setting(
        25,
        "Sampling steps for an image generated from scratch. A frame that starts from the previous one runs about "
        "steps times (1 - strength) of them.",
        tab="Run",
        label="Steps",
        bounds=(1, 200),
        step=1,
        unit="steps",
        used_when=~is_on("enable_steps_scheduling"),
        used_in="render/requests.py",
    )
    batch_name: str = setting(
        "Deforum_{timestring}",
        "Name of the folder for the video. {timestring}, {date}, {time} and the name of any setting in braces are "
        "filled in: dream_{seed}_{W}x{H}. At most 300 characters; the folder always lies inside the output "
        "folder.",
        tab="Run",
        label="Batch name",
        used_in="output/paths.py",
    )
    seed_behavior: str = setting(
        "iter",
        "How the seed changes from one key frame to the next. iter: adds 1 every seed_iter_N key frames. fixed: "
        "stays. random: a random seed each time. ladder: +2 -1 +2 -1. alternate: +1 -1 +1 -1. schedule: follows "
        "seed_schedule. Seeds in a Parseq manifest take precedence; the noise follows from them by this behavior.",
        tab=_SEED,
        label="Seed behavior",
        choices=SEED_BEHAVIORS,
        used_when=~GUIDED,
        used_in="render/key_frames.py",
    )
    seed_iter_N: int = setting(
        1,
        "With seed_behavior iter, the number of key frames that share a seed. The first seed is used only once.",
        tab=_SEED,
        label="Seed iter N",
        bounds=(1, 100_000),
        step=1,
        unit="frames",
        used_when=one_of("seed_behavior", "iter"),
        used_in="render/key_frames.py",
    )
    use_init: bool = setting(
        False,
        "Starts the video from your own image instead of one generated from the prompt.",
        tab=_IMAGE,
        label="Use init",
        used_when=~STARTS_FROM_VIDEO | INIT_MASKED,
        used_in="render/key_frames.py",
    )
    strength: float = setting(
        0.8,
        "How much of the init image the first frame keeps, 0..1: 0 ignores it, 1 keeps it unchanged. Later frames "
        "follow strength_schedule.",
        tab=_IMAGE,
        label="Strength",
        bounds=(0, 1),
        clamped=True,
        step=0.01,
        used_when=STARTS_FROM_IMAGE | is_off("strength_0_no_init"),
        used_in="render/key_frames.py",
    )
    strength_0_no_init: bool = setting(
        True,
        "Treats the strength of the first frame as 0 if there is no init image. With legacy_colormatch, all other "
        "frames are then matched to the colors of that frame, not of the warped one.",
        tab=_IMAGE,
        label="Strength 0 no init",
        used_when=STARTS_FROM_NOTHING & OWN_COLORS & is_on("legacy_colormatch"),
        used_in="render/key_frames.py",
    )
    init_image: str = path(
        "The init image: a file, an address, or a data: URL that contains the image. It is scaled to width and "
        "height.",
        tab=_IMAGE,
        label="Init image URL",
        used_when=READS_INIT_IMAGE & ~is_set("init_image_box"),
        used_in="pipeline/sources.py",
    )
    init_image_box: str = path(
        "The image dropped into the tab, as a file or data: URL. It takes precedence over init_image and is not "
        "saved.",
        tab=_IMAGE,
        label="Init image box",
        saved=False,
        used_when=READS_INIT_IMAGE,
        used_in="pipeline/sources.py",
    )
    use_mask: bool = setting(
        False,
        "Repaints only the white part of the mask in each frame (see mask_schedule).",
        tab=_MASK,
        label="Use mask",
        used_when=~is_on("use_mask_video"),
        used_in="render/masks.py",
    )
    use_alpha_as_mask: bool = setting(
        False,
        "Uses the transparency of the init image as the mask.",
        tab=_MASK,
        label="Use alpha as mask",
        used_when=is_on("use_init") & INIT_MASKED,
        used_in="settings/situations.py",
    )
    mask_file: str = path(
        "Mask image: white is repainted, black is kept. It is scaled to width and height and converted to "
        "grayscale.",
        tab=_MASK,
        label="Mask file",
        used_when=READS_MASK_FILE,
        used_in="pipeline/sources.py",
    )
    invert_mask: bool = setting(
        False,
        "Swaps the areas that are kept and repainted.",
        tab=_MASK,
        label="Invert mask",
        used_when=MASKED | is_on("use_noise_mask"),
        used_in="render/context.py",
    )
    mask_contrast_adjust: float = setting(
        1.0,
        "Contrast of the mask; 1 = unchanged.",
        tab=_MASK,
        label="Mask contrast adjust",
        bounds=(0, 100),
        step=0.01,
        unit="factor",
        used_when=READS_MASKS,
        used_in="pipeline/sources.py",
    )
    mask_brightness_adjust: float = setting(
        1.0,
        "Brightness of the mask; 1 = unchanged.",
        tab=_MASK,
        label="Mask brightness adjust",
        bounds=(0, 100),
        step=0.01,
        unit="factor",
        used_when=READS_MASKS,
        used_in="pipeline/sources.py",
    )
    overlay_mask: bool = setting(
        True,
        "Restores the original image where the mask is black, after sampling.",
        tab=_MASK,
        label="Overlay mask",
        used_when=HAS_ORIGINAL,
        used_in="settings/situations.py",
    )
    mask_overlay_blur: int = setting(
        4,
        "Blurs the edge of the mask by this radius.",
        tab=_MASK,
        label="Mask overlay blur",
        bounds=(0, 64),
        step=1,
        unit="px",
        used_when=INPAINTED,
        used_in="render/stages.py",
    )
    fill: str = setting(
        "original",
        "What the masked area contains before it is repainted: its smeared surroundings (fill), the image itself "
        "(original), noise, or nothing. Files may store the position in this list, 0 to 3.",
        tab=_MASK,
        label="Mask fill",
        choices=MASK_FILLS,
        used_when=INPAINTED,
        used_in="render/requests.py",
    )
    full_res_mask: bool = setting(
        True,
        "Enlarges the masked area to the full size, repaints it, and scales it back into place.",
        tab=_MASK,
        label="Full res mask",
        used_when=INPAINTED,
        used_in="render/context.py",
    )
    full_res_mask_padding: int = setting(
        4,
        "How much of the surroundings is enlarged together with the masked area.",
        tab=_MASK,
        label="Full res mask padding",
        bounds=(0, 512),
        step=1,
        unit="px",
        used_when=is_on("full_res_mask"),
        used_in="render/context.py",
    )
    reroll_blank_frames: str = setting(
        "ignore",
        "What to do with a key frame that comes out black: reroll tries the next seed, interrupt ends the run, "
        "ignore keeps the frame.",
        tab="Keyframes > Coherence",
        label="Reroll blank frames",
        choices=REROLL_CHOICES,
        used_in="render/key_frames.py",
    )
    reroll_patience: float = setting(
        10,
        "How often a black frame is tried again before the run ends.",
        tab="Keyframes > Coherence",
        label="Reroll patience",
        kind="float",
        bounds=(0, 1000),
        step=1,
        unit="attempts",
        used_when=one_of("reroll_blank_frames", "reroll"),
        used_in="render/key_frames.py",
    )
    motion_preview_mode: bool = setting(
        False,
        "Shows the camera moves on a test image, without a model.",
        tab="Run",
        label="Motion preview mode (dry run)",
        used_in="pipeline/job.py",
    )
