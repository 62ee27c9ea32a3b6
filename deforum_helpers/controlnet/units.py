"""The table of preprocessors: names, thresholds, and the models that serve them; imports without torch."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from deforum_helpers.controlnet import messages
from deforum_helpers.models.depth import HUB_IDS, NEAREST_FAMILIES, available_families
from deforum_helpers.models.weights.files import hub_folder
from deforum_helpers.settings import ControlNetUnit, Settings

DEFAULT_RESOLUTION_PX = 512


@dataclass(frozen=True)
class Number:
    """A number that a preprocessor reads: its meaning, its bounds, and the default for values out of bounds."""

    meaning: str
    minimum: float
    maximum: float
    default: float

    def read(self, value: float) -> float:
        """Return `value`, or the default if it is out of bounds."""
        return value if self.minimum <= value <= self.maximum else self.default


@dataclass(frozen=True)
class Module:
    """A preprocessor.

    Args:
        name: as settings files call it.
        what: description of its result, as the end of a sentence.
        sized: whether its input is resized to `processor_res`.
        a, b: meaning of threshold_a and threshold_b, or None.
        families: depth models that can serve it, the best first.
    """

    name: str
    what: str
    sized: bool = True
    a: Number | None = None
    b: Number | None = None
    families: tuple[str, ...] = ()

    def resolution_px(self, processor_res: int) -> int:
        """Return the shorter side of its input, in pixels."""
        return int(Number("size", 64, 4096, DEFAULT_RESOLUTION_PX).read(processor_res))


def _by_depth(family: str) -> tuple[str, ...]:
    return (family, *(other for other in NEAREST_FAMILIES[family] if other != "plane"))


MODULES: Mapping[str, Module] = {
    module.name: module
    for module in (
        Module("none", "the unchanged image", sized=False),
        Module(
            "invert",
            "the inverted image, for dark lines on a bright ground",
            sized=False,
        ),
        Module(
            "canny",
            "thin edges",
            a=Number("lower threshold", 1, 255, 100),
            b=Number("upper threshold", 1, 255, 200),
        ),
        Module("lineart_standard", "things darker than their surroundings, as pencil lines"),
        Module("softedge", "soft edges, stronger where the contrast is"),
        Module("scribble_xdog", "bold strokes", a=Number("threshold", 1, 64, 32)),
        Module("threshold", "black and white", a=Number("level", 0, 255, 127)),
        Module("depth_midas", "near things bright, far things dark", families=_by_depth("midas")),
        Module("depth_zoe", "near things bright, far things dark", families=_by_depth("zoe")),
        Module("depth_leres", "near things bright, far things dark", families=_by_depth("leres")),
        Module(
            "depth_anything_v2",
            "near things bright, far things dark",
            families=_by_depth("depth-anything-small"),
        ),
        Module("openpose", "the skeletons of the people"),
        Module(
            "tile_resample", "the image without its detail", sized=False, a=Number("down sampling", 1, 8, 1)
        ),
        Module("blur_gaussian", "the blurred image", a=Number("sigma", 0.01, 64, 9)),
        Module("recolor_luminance", "the image's luminance", sized=False, a=Number("gamma", 0.1, 2, 1)),
        Module("recolor_intensity", "the image's intensity", sized=False, a=Number("gamma", 0.1, 2, 1)),
    )
}

# Other names of the same thing.
ALIASES: Mapping[str, str] = {
    "invert (from white bg & black line)": "invert",
    "lineart_standard (from white bg & black line)": "lineart_standard",
    "standard_lineart": "lineart_standard",
    "depth": "depth_midas",
    "binary": "threshold",
    "gaussian_blur": "blur_gaussian",
    "depth_anything": "depth_anything_v2",
    "tile_gaussian": "tile_resample",
}

# Preprocessors that are separate networks elsewhere -> the nearest one here.
NEAREST: Mapping[str, str] = {
    **dict.fromkeys(("lineart", "lineart_realistic", "lineart_coarse"), "lineart_standard"),
    **dict.fromkeys(("lineart_anime", "lineart_anime_denoise"), "lineart_standard"),
    **dict.fromkeys(("hed", "hed_safe", "pidinet", "pidinet_safe"), "softedge"),
    **dict.fromkeys(("softedge_hed", "softedge_hedsafe"), "softedge"),
    **dict.fromkeys(
        ("softedge_pidinet", "softedge_pidisafe", "softedge_teed", "softedge_anyline"), "softedge"
    ),
    **dict.fromkeys(
        ("scribble_hed", "scribble_pidinet", "pidinet_scribble", "fake_scribble"), "scribble_xdog"
    ),
    "depth_leres++": "depth_leres",
    "depth_hand_refiner": "depth_midas",
    **dict.fromkeys(("openpose_hand", "openpose_face", "openpose_full", "dw_openpose_full"), "openpose"),
}

# Models of openpose, run by transformers: the detector of people, and that of joints.
PEOPLE_MODEL = "hustvl/yolos-tiny"
JOINTS_MODEL = "usyd-community/vitpose-base-simple"


def module_of(name: str) -> Module | None:
    """Return the preprocessor of a name in any case and notation, or None."""
    wanted = name.strip().casefold()
    wanted = ALIASES.get(wanted, wanted)
    return MODULES.get(NEAREST.get(wanted, wanted))


def module_fault(name: str) -> str | None:
    """Return why a preprocessor is not available, with its remedy, or None."""
    module = module_of(name)
    if module is None:
        return messages.UNKNOWN_PREPROCESSOR(allowed=", ".join(MODULES), suggestion=suggestion(name, MODULES))
    return _pose_fault() if module.name == "openpose" else None


def module_warning(name: str, families: Callable[[], Collection[str]] = available_families) -> str | None:
    """Return a warning about a preprocessor that is substituted by another one, or None.

    Args:
        name: as the settings have it.
        families: gives the depth models that can run here.
    """
    module, wanted = module_of(name), name.strip().casefold()
    if module is None:
        return None
    if module.families:
        family = module.families[0]
        server = depth_family(module, families())
        if server == family:
            return None
        cure = f" (to have it: hf download {HUB_IDS[family]})" if family in HUB_IDS else ""
        return messages.OTHER_DEPTH_MODEL(name=name, cure=cure, model=server)
    if wanted.startswith(("openpose_", "dw_openpose")):
        return messages.BODIES_ONLY(name=name)
    if wanted in NEAREST:
        return messages.OTHER_PREPROCESSOR(name=name, module=module.name)
    return None


def depth_family(module: Module, available: Collection[str]) -> str:
    """Return the depth model that serves a preprocessor; the built-in one is always available."""
    return next((family for family in module.families if family in available), "demo")


def suggestion(name: str, known: Collection[str]) -> str:
    """Return "; did you mean 'x'?" where a known name is near, else nothing."""
    plain = {plain_name(other): other for other in known}
    near = difflib.get_close_matches(plain_name(name), plain, n=1, cutoff=0.6)
    return f"; did you mean {plain[near[0]]!r}?" if near else ""


def plain_name(name: str) -> str:
    """Return a model's name without the hash that WebUIs write behind it, its suffix and its case.

    >>> plain_name("Control_v11p_sd15_canny.safetensors [d14c016b]")
    'control_v11p_sd15_canny'
    """
    bare = name.strip()
    if bare.endswith("]") and " [" in bare:
        bare = bare[: bare.rindex(" [")]
    for suffix in (".safetensors", ".pth", ".ckpt", ".bin"):
        bare = bare[: -len(suffix)] if bare.casefold().endswith(suffix) else bare
    return bare.casefold()


def _pose_fault() -> str | None:
    if find_spec("transformers") is None:
        return messages.POSE_NEEDS_TRANSFORMERS()
    missing = [hub_id for hub_id in (PEOPLE_MODEL, JOINTS_MODEL) if hub_folder(hub_id) is None]
    if missing:
        lines = " && ".join(f"hf download {hub_id}" for hub_id in missing)
        return messages.POSE_MODEL_MISSING(models=" and ".join(missing), lines=lines)
    return None


def acting_units(settings: Settings) -> tuple[tuple[int, ControlNetUnit], ...]:
    """Return the enabled units, each with its number from 1; none in a motion preview, which generates nothing."""
    if settings.motion_preview_mode:
        return ()
    return tuple((number, unit) for number, unit in enumerate(settings.controlnet, start=1) if unit.enabled)


def follows_frames(unit: ControlNetUnit) -> bool:
    """Return whether a unit is steered by the init image of each frame instead of an input of its own.

    This includes units without a vid_path, as in the ControlNet extension of WebUIs.
    """
    return unit.loopback_mode or not unit.vid_path.strip()
