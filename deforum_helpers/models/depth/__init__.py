"""The table of depth algorithms, and the models that serve them here; imports without torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.models import messages
from deforum_helpers.models.weights.files import hub_folder


@dataclass(frozen=True)
class DepthName:
    """A value of depth_algorithm.

    Args:
        name: as written in settings files.
        family: the model that it names.
        nearest, farthest: range of its scene depth.
        near_is_bright: whether near things are bright in its depth maps.
        raw: whether its scene depth is the model's own answer, not an equalised one.
    """

    name: str
    family: str
    nearest: float
    farthest: float
    near_is_bright: bool
    raw: bool = False


DEPTH_NAMES: Mapping[str, DepthName] = {
    entry.name: entry
    for entry in (
        DepthName("Midas+AdaBins (old)", "midas", 0.0, 10.0, near_is_bright=False, raw=True),
        DepthName("Zoe+AdaBins (old)", "zoe", 0.0, 10.0, near_is_bright=False, raw=True),
        DepthName("Midas-3-Hybrid", "midas", 1.0, 2.0, near_is_bright=True),
        DepthName("Midas-3.1-BeitLarge", "midas-beit", 1.0, 2.0, near_is_bright=True),
        DepthName("AdaBins", "adabins", 1.0, 2.0, near_is_bright=False),
        DepthName("Zoe", "zoe", 1.0, 2.0, near_is_bright=False),
        DepthName("Leres", "leres", 1.0, 2.0, near_is_bright=False),
        DepthName("Depth-Anything-V2-Small", "depth-anything-small", 1.3, 2.3, near_is_bright=True),
        DepthName("Depth-Anything-V2-Base", "depth-anything-base", 1.3, 2.3, near_is_bright=True),
        DepthName("Depth-Anything-V2-Large", "depth-anything-large", 1.3, 2.3, near_is_bright=True),
        DepthName("Built-in", "demo", 1.0, 2.0, near_is_bright=True),
        DepthName("Plane", "plane", 1.0, 2.0, near_is_bright=True),
    )
}
OTHER_SPELLINGS: Mapping[str, str] = {"demo": "Built-in", "none": "Plane"}

HUB_IDS: Mapping[str, str] = {
    "midas": "Intel/dpt-large",
    "midas-beit": "Intel/dpt-beit-large-512",
    "zoe": "Intel/zoedepth-nyu-kitti",
    "depth-anything-small": "depth-anything/Depth-Anything-V2-Small-hf",
    "depth-anything-base": "depth-anything/Depth-Anything-V2-Base-hf",
    "depth-anything-large": "depth-anything/Depth-Anything-V2-Large-hf",
}
# Included with the program.
OWN_FAMILIES = ("demo", "plane")
FAMILIES = (*HUB_IDS, *OWN_FAMILIES)

_ANY_SIZE = ("depth-anything-small", "depth-anything-base", "depth-anything-large")
NEAREST_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "midas": ("midas-beit", *_ANY_SIZE, "zoe", "demo", "plane"),
    "midas-beit": ("midas", *reversed(_ANY_SIZE), "zoe", "demo", "plane"),
    "adabins": ("zoe", *_ANY_SIZE, "midas", "midas-beit", "demo", "plane"),
    "zoe": (*reversed(_ANY_SIZE), "midas", "midas-beit", "demo", "plane"),
    "leres": ("midas", "midas-beit", *_ANY_SIZE, "zoe", "demo", "plane"),
    "depth-anything-small": ("depth-anything-base", "depth-anything-large", "midas", "zoe", "demo", "plane"),
    "depth-anything-base": ("depth-anything-small", "depth-anything-large", "midas", "zoe", "demo", "plane"),
    "depth-anything-large": ("depth-anything-base", "depth-anything-small", "midas", "zoe", "demo", "plane"),
    "demo": ("plane",),
    "plane": (),
}
DESCRIPTIONS: Mapping[str, str] = {
    "midas": "MiDaS (DPT-Large)",
    "midas-beit": "MiDaS (DPT-BEiT-Large)",
    "zoe": "ZoeDepth",
    "depth-anything-small": "Depth-Anything-V2-Small",
    "depth-anything-base": "Depth-Anything-V2-Base",
    "depth-anything-large": "Depth-Anything-V2-Large",
    "demo": "the built-in depth network",
    "plane": "a flat plane",
}


def depth_name(name: str) -> DepthName:
    """Return the entry of a depth_algorithm, written in any case.

    Raises:
        SettingsError: no such name; lists the names.
    """
    wanted = OTHER_SPELLINGS.get(name.casefold(), name).casefold()
    for entry in DEPTH_NAMES.values():
        if entry.name.casefold() == wanted:
            return entry
    allowed = ", ".join(DEPTH_NAMES)
    message = messages.UNKNOWN_DEPTH_ALGORITHM(found=name, allowed=allowed)
    raise SettingsError([Problem(message, setting="depth_algorithm", found=name, allowed=allowed)])


def serve(name: str, available: Collection[str]) -> tuple[str, str | None]:
    """Return the family that serves a depth_algorithm, and a warning when it is not the one asked for.

    serve("AdaBins", ("demo", "plane")) is ("demo", "depth_algorithm 'AdaBins' is not available ...").

    Args:
        name: value of depth_algorithm.
        available: families that can run here.

    Raises:
        SettingsError: no such name.
    """
    family = depth_name(name).family
    if family in available or family == "plane":
        return family, None
    server = next((other for other in NEAREST_FAMILIES[family] if other in available), "plane")
    cure = f" (to have it, fetch {HUB_IDS[family]} into the Hugging Face cache)" if family in HUB_IDS else ""
    return server, messages.DEPTH_MODEL_SUBSTITUTED(name=name, cure=cure, model=DESCRIPTIONS[server])


def second_family(name: str, available: Collection[str]) -> str | None:
    """Return the family that is mixed into an "(old)" algorithm in the place of AdaBins.

    None where the algorithm mixes nothing, or where the same family would be mixed with itself.

    Raises:
        SettingsError: no such name.
    """
    if not depth_name(name).raw:
        return None
    second = serve("AdaBins", available)[0]
    return second if second != serve(name, available)[0] else None


def available_families(models_folder: Path | None = None, *, allow_download: bool = False) -> tuple[str, ...]:
    """Return the families that can run here: those whose weights and packages are on this machine.

    Args:
        models_folder: a folder with model folders, or None.
        allow_download: whether models of the hub count as available.
    """
    if find_spec("transformers") is None:
        return OWN_FAMILIES
    found = (
        family for family in HUB_IDS if allow_download or local_folder(family, models_folder) is not None
    )
    return (*found, *OWN_FAMILIES)


def local_folder(family: str, models_folder: Path | None = None) -> Path | None:
    """Return the folder with the weights of a family, or None: in `models_folder`, else in the Hugging Face cache.

    Args:
        family: of `HUB_IDS`.
        models_folder: may have a folder named as the last part of the hub id.
    """
    return hub_folder(HUB_IDS[family], models_folder)
