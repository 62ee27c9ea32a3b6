"""The scripts of the host that a request needs, with their arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deforum_helpers.core.errors import MissingFeature
from deforum_helpers.engines.base import FreeU, GenerateRequest, KohyaHRFix
from deforum_helpers.webui.controlnet import controlnet_script_args
from deforum_helpers.webui.features import SCRIPTS, reason_missing
from deforum_helpers.webui.host_scripts import ScriptArgs, find_script
from deforum_helpers.webui.requests import padded_size


def script_args(request: GenerateRequest) -> tuple[ScriptArgs, ...]:
    """Return the scripts of the host that `request` needs, with their arguments.

    Raises:
        MissingFeature: the host does not have one of them.
        RenderError: the host's ControlNet refuses a unit.
    """
    is_img2img = request.init_image is not None
    units = controlnet_script_args(request.controls, padded_size(request), is_img2img=is_img2img)
    return (*units, *_unet_script_args(request, is_img2img))


def _unet_script_args(request: GenerateRequest, is_img2img: bool) -> Iterator[ScriptArgs]:
    wanted = {
        "freeu_enabled": _freeu_arguments(request.freeu) if request.freeu else None,
        "kohya_hrfix_enabled": _hrfix_arguments(request.kohya_hrfix) if request.kohya_hrfix else None,
    }
    for switch, arguments in wanted.items():
        if arguments is None:
            continue
        script = find_script(SCRIPTS[switch][0], is_img2img=is_img2img)
        if script is None:
            raise MissingFeature(reason_missing(switch).at(switch))
        yield ScriptArgs(script, arguments[: script.args_to - script.args_from])


def _freeu_arguments(freeu: FreeU) -> tuple[Any, ...]:
    """Return enabled, the four factors, and start and end of sampling; older versions lack the last two."""
    return (True, freeu.b1, freeu.b2, freeu.s1, freeu.s2, 0.0, 1.0)


def _hrfix_arguments(fix: KohyaHRFix) -> tuple[Any, ...]:
    return (
        True,
        fix.block_number,
        fix.downscale_factor,
        fix.start,
        fix.end,
        fix.downscale_after_skip,
        fix.downscale_method,
        fix.upscale_method,
    )
