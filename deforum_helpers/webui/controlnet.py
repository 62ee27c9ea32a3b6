"""The host's ControlNet, built into Forge or the extension sd-webui-controlnet: its models, and units for it."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deforum_helpers.core.errors import MissingFeature, RenderError
from deforum_helpers.core.messages import Text
from deforum_helpers.engines.base import Control
from deforum_helpers.pipeline.host_facts import ControlNetFacts
from deforum_helpers.webui import messages
from deforum_helpers.webui.host_modules import optional_module
from deforum_helpers.webui.host_scripts import ScriptArgs, find_script

if TYPE_CHECKING:
    import torch

TITLE = "ControlNet"
FORGE_CODE = "lib_controlnet.external_code"
EXTENSION_CODES = ("internal_controlnet.external_code", "scripts.external_code")
OWN_SCRIPT = Path("scripts", "controlnet.py")


def controlnet_facts() -> ControlNetFacts:
    """Return the host's preprocessors and models, read anew since users may add models."""
    code, script = external_code(), find_script(TITLE, is_img2img=True)
    if code is None or script is None:
        return ControlNetFacts(missing=_reason_missing(is_loaded=script is not None))
    modules, without_model = module_names(code)
    return ControlNetFacts(modules=modules, models=model_names(code), modules_without_model=without_model)


def _reason_missing(*, is_loaded: bool) -> Text:
    """Return why the host's ControlNet cannot be used."""
    extensions = optional_module("modules.extensions")
    found = [each for each in getattr(extensions, "extensions", ()) if Path(each.path, OWN_SCRIPT).is_file()]
    for each in sorted(found, key=lambda one: not one.enabled):
        if not each.enabled:
            return messages.CONTROLNET_DISABLED(name=each.name)
        if is_loaded:
            return messages.CONTROLNET_TOO_OLD(name=each.name)
        return messages.CONTROLNET_NOT_LOADED(name=each.name, reason=_error_in(each))
    if optional_module("modules_forge") is not None:
        return messages.FORGE_WITHOUT_CONTROLNET()
    return messages.CONTROLNET_NOT_INSTALLED()


def _error_in(extension: Any) -> str:
    """Return ": " and the error that prevented an extension from loading, or an empty text if it is not recorded."""
    for record in getattr(optional_module("modules.errors"), "exception_records", ()):
        places = [str(place) for place, *_ in record.get("traceback", ())]
        if any(place.startswith(str(extension.path)) for place in places):
            reason = re.sub(r"(?:[A-Za-z]:)?[\\/](?:[^\\/\s'\"()]+[\\/])+", "", str(record.get("exception")))
            return f": {' '.join(reason.split())[:300]}"
    return ""


def external_code() -> Any | None:
    """Return the API module of the host's ControlNet if it is loaded."""
    return next((sys.modules[name] for name in (FORGE_CODE, *EXTENSION_CODES) if name in sys.modules), None)


def _is_forge(code: Any) -> bool:
    return bool(code is sys.modules.get(FORGE_CODE))


def model_names(code: Any) -> tuple[str, ...]:
    """Return the names of the models that the host lists."""
    names = _forge_state().get_all_controlnet_names() if _is_forge(code) else code.get_models()
    return tuple(map(str, names)) or ("None",)


def module_names(code: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the preprocessors, and of those that need no model."""
    if _is_forge(code):
        state = _forge_state()
        names = tuple(state.get_all_preprocessor_names())
        return names, tuple(name for name in names if state.get_preprocessor(name).do_not_need_model)
    details: dict[str, Any] = getattr(code, "get_modules_detail", dict)()
    without_model = tuple(name for name, detail in details.items() if detail.get("model_free"))
    return tuple(code.get_modules()), without_model


def _forge_state() -> Any:
    return sys.modules["lib_controlnet.global_state"]


RESIZE_MODES = {
    "Outer Fit (Shrink to Fit)": "Resize and Fill",
    "Inner Fit (Scale to Fit)": "Crop and Resize",
    "Just Resize": "Just Resize",
}
# Preprocessors that read the mask themselves; for others the mask limits where the unit acts.
READ_THE_MASK = ("inpaint", "ip-adapter", "clip")
DARKEST_MASK = 5 / 255


def controlnet_script_args(
    controls: Sequence[Control], size_px: tuple[int, int], *, is_img2img: bool
) -> tuple[ScriptArgs, ...]:
    """Return the arguments of the host's ControlNet script for an image of `size_px`; empty if no unit acts.

    Raises:
        MissingFeature: the host has no ControlNet, or its version cannot do this.
        RenderError: the host's ControlNet refuses a unit.
    """
    active = [control for control in controls if _acts(control)]
    if not active:
        return ()
    code, script = external_code(), find_script(TITLE, is_img2img=is_img2img)
    if code is None or script is None:
        missing = _reason_missing(is_loaded=script is not None)
        raise MissingFeature(missing.at(f"cn_{active[0].unit}_enabled"))
    return (ScriptArgs(script, tuple(_unit(code, control, size_px) for control in active)),)


def _acts(control: Control) -> bool:
    """Return whether a unit has an effect; hosts would ignore an all-black mask instead of the unit."""
    masked_out = control.mask is not None and float(control.mask.max()) <= DARKEST_MASK
    return control.guidance_start <= control.guidance_end and not masked_out


def _unit(code: Any, control: Control, size_px: tuple[int, int]) -> Any:
    kind = code.ControlNetUnit
    known = _fields(kind)
    modules, _ = module_names(code)
    # Only a frame needs them: one imports torch, the other all that plans a video.
    from deforum_helpers.image.convert import to_bytes
    from deforum_helpers.pipeline.checks import host_name_of

    image = np.ascontiguousarray(to_bytes(control.image))
    values = {
        "enabled": True,
        "module": host_name_of(control.module, modules) or control.module,
        "model": host_name_of(control.model, model_names(code)) or control.model,
        "weight": control.weight,
        "guidance_start": control.guidance_start,
        "guidance_end": control.guidance_end,
        "resize_mode": RESIZE_MODES.get(control.resize_mode, control.resize_mode),
        "control_mode": control.control_mode,
        "low_vram": control.low_vram,
        "pixel_perfect": control.pixel_perfect,
        "processor_res": control.processor_res,
        "threshold_a": control.threshold_a,
        "threshold_b": control.threshold_b,
        "save_detected_map": False,
        **_images(control, image, known, size_px),
    }
    try:
        return kind(**{name: value for name, value in values.items() if name in known})
    except (ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise RenderError(messages.UNIT_REFUSED(unit=control.unit, reason=reason)) from error


def _fields(kind: Any) -> set[str]:
    """Return the fields of the host's unit class: a dataclass, a pydantic model or a plain class, by version."""
    if dataclasses.is_dataclass(kind):
        return {field.name for field in dataclasses.fields(kind)}
    declared = getattr(kind, "model_fields", None) or getattr(kind, "__fields__", None)
    return set(declared or inspect.signature(kind).parameters)


def _images(control: Control, image: np.ndarray, known: set[str], size_px: tuple[int, int]) -> dict[str, Any]:
    """Return the unit's image and mask as the fields of this version of ControlNet.

    Raises:
        MissingFeature: the version cannot limit a unit to a mask.
    """
    if "mask_image" in known:  # Forge
        nothing = np.zeros((*image.shape[:2], 4), np.uint8)
        given: dict[str, Any] = {
            "image": image,
            "image_fg": nothing,
        }  # without it a black image fails in Forge
        return given if control.mask is None else {**given, "mask_image": _levels(control.mask)}
    if control.mask is None:
        return {"image": {"image": image, "mask": np.zeros_like(image)}}
    if any(word in control.module.casefold() for word in READ_THE_MASK):
        import cv2

        height, width = image.shape[:2]
        mask = cv2.resize(_levels(control.mask), (width, height), interpolation=cv2.INTER_NEAREST)
        return {"image": {"image": image, "mask": mask}}
    if "effective_region_mask" not in known:
        raise MissingFeature(messages.UNIT_WITHOUT_MASK(unit=control.unit))
    region = fitted(_levels(control.mask), control.resize_mode, size_px)
    return {"image": {"image": image, "mask": np.zeros_like(image)}, "effective_region_mask": region}


def _levels(mask: torch.Tensor) -> np.ndarray:
    """Return a (h, w) mask of 0..1 as (h, w, 3) uint8."""
    levels = (mask.detach().cpu().numpy() * 255).round().astype(np.uint8)
    return np.ascontiguousarray(np.repeat(levels[..., None], 3, axis=2))


def fitted(mask: np.ndarray, resize_mode: str, size_px: tuple[int, int]) -> np.ndarray:
    """Resize a mask as ControlNet resizes the unit's image to the frame; bars are black.

    Args:
        mask: of the unit, (h, w, 3) uint8.
        resize_mode: one of `settings.tables.CN_RESIZE_MODES`.
        size_px: (width, height) of the frame.
    """
    import cv2

    width, height = size_px
    if resize_mode == "Just Resize":
        return np.asarray(cv2.resize(mask, size_px, interpolation=cv2.INTER_AREA))
    ratios = (width / mask.shape[1], height / mask.shape[0])
    ratio = min(ratios) if resize_mode.startswith("Outer") else max(ratios)
    sides = (max(1, round(mask.shape[1] * ratio)), max(1, round(mask.shape[0] * ratio)))
    resized = cv2.resize(mask, sides, interpolation=cv2.INTER_AREA)
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - sides[0]) // 2, (height - sides[1]) // 2
    across = slice(max(left, 0), max(left, 0) + min(sides[0], width))
    down = slice(max(top, 0), max(top, 0) + min(sides[1], height))
    cut = resized[max(-top, 0) :, max(-left, 0) :]
    canvas[down, across] = cut[: down.stop - down.start, : across.stop - across.start]
    return canvas
