"""What the renderer asks of settings, answered by the predicates that also say when settings act."""

from __future__ import annotations

from collections.abc import Callable
from weakref import ref

from deforum_helpers.settings import situations
from deforum_helpers.settings.acting import holds
from deforum_helpers.settings.model import Settings
from deforum_helpers.settings.predicates import Predicate, is_on, is_set, is_used, not_, one_of

Asks = Callable[[Settings], bool]


def asks(predicate: Predicate) -> Asks:
    """Return the function that tells whether a predicate holds; it must read no setting of a ControlNet unit.

    It is asked at every key frame of a plan, always of the same frozen settings, so it keeps its last answer.
    """
    last: tuple[ref[Settings], bool] | None = None

    def asked(settings: Settings) -> bool:
        nonlocal last
        known = last
        if known is None or known[0]() is not settings:
            known = last = (ref(settings), holds(predicate, settings))
        return known[1]

    return asked


# Each frame starts from the moved one before: 2D and 3D.
is_moved = asks(situations.MOVED)
# Frames are generated one by one, and only their prompts pass into each other.
is_interpolated = asks(situations.INTERPOLATED)
# Frames are moved as a real camera sees the scene, which uncovers what no frame shows.
is_exact = asks(situations.EXACT)
# What frames have shown is drawn again where the camera comes back to it; a motion preview has nothing to remember.
remembers = asks(is_on("scene_memory") & ~is_on("motion_preview_mode"))
# Frames are moved by their depth; a motion preview looks at none.
warps_by_depth = asks(situations.WARPS_BY_DEPTH & ~is_on("motion_preview_mode"))
# Depth is kept as images, or decides where a video shows.
shows_depth = asks(situations.SHOWS_DEPTH)
# Images guide the frames.
is_guided = asks(situations.GUIDED)
# A video is laid over moved frames, or moves them.
is_hybrid = asks(situations.HYBRID)
# Frames of video_init_path are used for more than their sound.
uses_video = asks(situations.USES_VIDEO)
# The video of the run is as long as what is taken of video_init_path.
sets_length = asks(situations.SETS_LENGTH)
# The first frame starts from the first one of video_init_path.
starts_from_video = asks(situations.STARTS_FROM_VIDEO)
# The people in that video are found and saved as masks.
finds_people = asks(not_("hybrid_generate_human_masks", "None"))
# Frames are repainted in parts; a mask video is always used.
uses_masks = asks(situations.MASKED)
# Noise is added in parts of its own.
masks_noise = asks(is_on("use_noise_mask"))
# Frames of video_mask_path are read.
reads_mask_video = asks(situations.READS_MASK_VIDEO)
# The transparency of the init image is the mask.
reads_alpha = asks(situations.READS_ALPHA)
# The image of mask_file is read: nothing that goes before it is the mask.
reads_mask_file = asks(situations.READS_MASK_FILE)
# An original image is put back where the mask is black.
overlays = asks(situations.OVERLAYS)
# The init image is read: frames start from it, have it laid over, or take its transparency.
reads_init_image = asks(situations.READS_INIT_IMAGE)
# Colours are matched to the image of color_coherence_image_path, or to those of the video.
reads_color_image = asks(situations.COLOR_IMAGE)
takes_video_colors = asks(situations.COLOR_VIDEO)
# Prompts pass into each other as embeddings, or by weights.
blends_embeddings = asks(one_of("prompt_interpolation", "embedding"))
weighs_prompts = asks(
    one_of("prompt_interpolation", "weights")
    | one_of("prompt_interpolation", "hold") & situations.INTERPOLATED
)
# The video ends with the image of end_image_path.
reads_end_image = asks(is_set("end_image_path"))
# The last frames are led somewhere: to the first frame or to an image.
is_led_to_an_end = asks(situations.LED_TO_AN_END)
# Frames are rendered from the last to the first.
is_reversed = asks(is_on("reverse_generation"))

_has_transitions = asks(is_used("prompt_transition"))


def transition(settings: Settings) -> str:
    """Return how one prompt gives way to the next, where each holds until then; `none` where it has no part in it."""
    return settings.prompt_transition if _has_transitions(settings) else "none"


def cadence(settings: Settings) -> int:
    """Return every how many frames one is diffused; where nothing moves, all are."""
    return settings.diffusion_cadence if is_moved(settings) else 1


def distribution(settings: Settings) -> str:
    """Return how diffused frames are placed."""
    return settings.keyframe_distribution if is_moved(settings) else "Off"
