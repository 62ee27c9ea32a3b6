"""Which settings act, and questions of the renderer about settings: both are answered by predicates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from weakref import ref

from deforum_helpers.settings import situations
from deforum_helpers.settings.model import FIELDS, Settings
from deforum_helpers.settings.predicates import Predicate, is_on, is_set, is_used, not_, one_of

Flat = Mapping[str, Any]
Asks = Callable[[Settings], bool]


class Acting:
    """Evaluates which settings act among given values; caches each result.

    Args:
        value: returns the value of a setting by its flat name.
    """

    def __init__(self, value: Callable[[str], Any]) -> None:
        self.value = value
        self._known: dict[str, bool] = {}

    def acts(self, name: str) -> bool:
        """Return whether the setting `name` acts."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = FIELDS[name].used_when.holds(self)
        return known

    def reasons(self, name: str) -> tuple[str, ...]:
        """Return the reasons why `name` does not act, such as `diffusion_cadence is 1`; none if it acts."""
        if self.acts(name):
            return ()
        return tuple(dict.fromkeys(FIELDS[name].used_when.obstacles(self)))


def acts(name: str, flat: Flat) -> bool:
    """Return whether the setting `name` acts; `flat` has every setting by its flat name."""
    return Acting(flat.__getitem__).acts(name)


def acting(names: Iterable[str], flat: Flat) -> frozenset[str]:
    """Return the subset of `names` that acts."""
    values = Acting(flat.__getitem__)
    return frozenset(name for name in names if values.acts(name))


def reasons(name: str, flat: Flat) -> tuple[str, ...]:
    """Return the reasons why the setting `name` does not act; none if it acts."""
    return Acting(flat.__getitem__).reasons(name)


def holds(predicate: Predicate, settings: Settings | Flat) -> bool:
    """Return whether a predicate holds; for typed settings it must not read a ControlNet unit."""
    value = partial(getattr, settings) if isinstance(settings, Settings) else settings.__getitem__
    return predicate.holds(Acting(value))


def asks(predicate: Predicate) -> Asks:
    """Return a function that evaluates a predicate, which must not read a ControlNet unit.

    Plans ask at every key frame, always about the same frozen settings, so the last answer is cached.
    """
    last: tuple[ref[Settings], bool] | None = None

    def asked(settings: Settings) -> bool:
        nonlocal last
        known = last
        if known is None or known[0]() is not settings:
            known = last = (ref(settings), holds(predicate, settings))
        return known[1]

    return asked


# Each frame starts from the warped previous frame: 2D and 3D.
is_moved = asks(situations.MOVED)
# Frames are generated independently; only their prompts are blended.
is_interpolated = asks(situations.INTERPOLATED)
# Frames are warped by the exact camera, which reveals areas.
is_exact = asks(situations.EXACT)
# Earlier frames fill revealed areas; a motion preview has no scene to remember.
remembers = asks(is_on("scene_memory") & ~is_on("motion_preview_mode"))
# Frames are warped by their depth; a motion preview has none.
warps_by_depth = asks(situations.WARPS_BY_DEPTH & ~is_on("motion_preview_mode"))
# Depth is saved as images, or masks a composite.
shows_depth = asks(situations.SHOWS_DEPTH)
# Guide images are blended into the frames.
is_guided = asks(situations.GUIDED)
# A video is composited over warped frames, or moves them.
is_hybrid = asks(situations.HYBRID)
# Frames of video_init_path are used for more than their sound.
uses_video = asks(situations.USES_VIDEO)
# The length of the run is that of the extracted part of video_init_path.
sets_length = asks(situations.SETS_LENGTH)
# The first frame starts from the first frame of video_init_path.
starts_from_video = asks(situations.STARTS_FROM_VIDEO)
# People in that video are detected and saved as masks.
detects_people = asks(not_("hybrid_generate_human_masks", "None"))
# Masks limit sampling.
uses_masks = asks(situations.MASKED)
# The added noise has a mask of its own.
masks_noise = asks(is_on("use_noise_mask"))
# Frames of video_mask_path are read.
reads_mask_video = asks(situations.READS_MASK_VIDEO)
# The transparency of the init image is the mask.
reads_alpha = asks(situations.READS_ALPHA)
# The image of mask_file is read: no other mask takes precedence.
reads_mask_file = asks(situations.READS_MASK_FILE)
# The original image is restored where the mask is black.
overlays = asks(situations.OVERLAYS)
# The init image is read: as a start, as a composite, or for its transparency.
reads_init_image = asks(situations.READS_INIT_IMAGE)
# Colors are matched to color_coherence_image_path, or to the video.
reads_color_image = asks(situations.COLOR_IMAGE)
matches_video_colors = asks(situations.COLOR_VIDEO)
# Prompts are blended as embeddings, or by weights.
blends_embeddings = asks(one_of("prompt_interpolation", "embedding"))
blends_by_weights = asks(
    one_of("prompt_interpolation", "weights")
    | one_of("prompt_interpolation", "hold") & situations.INTERPOLATED
)
# The 3D camera follows a path.
follows_path = asks(situations.ON_PATH)
# The video ends with the image of end_image_path.
reads_end_image = asks(is_set("end_image_path"))
# The last frames lead to the first frame or to an image.
has_ending = asks(situations.HAS_ENDING)
# Frames are rendered from the last to the first.
is_reversed = asks(is_on("reverse_generation"))

_has_transitions = asks(is_used("prompt_transition"))


def transition(settings: Settings) -> str:
    """Return the prompt transition; `none` if the setting does not act."""
    return settings.prompt_transition if _has_transitions(settings) else "none"


def cadence(settings: Settings) -> int:
    """Return the distance between key frames; 1 in modes where every frame is a key frame."""
    return settings.diffusion_cadence if is_moved(settings) else 1


def distribution(settings: Settings) -> str:
    """Return the distribution of key frames."""
    return settings.keyframe_distribution if is_moved(settings) else "Off"
