"""Which scripts of the host take part in the picture of a request, and with what arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deforum_helpers.core.errors import MissingFeature
from deforum_helpers.engines.base import FreeU, GenerateRequest, KohyaHRFix
from deforum_helpers.webui.controlnet import controlnet_takings
from deforum_helpers.webui.features import SCRIPTS, why_not
from deforum_helpers.webui.host_scripts import Taking, find_script
from deforum_helpers.webui.requests import padded_size


def takings(request: GenerateRequest) -> tuple[Taking, ...]:
    """Return which scripts of the host take part in the picture of `request`, and with what.

    Raises:
        MissingFeature: the host does not have one of them.
        RenderError: its ControlNet does not take a unit.
    """
    is_img2img = request.init_image is not None
    units = controlnet_takings(request.controls, padded_size(request), is_img2img=is_img2img)
    return (*units, *_unet_takings(request, is_img2img))


def _unet_takings(request: GenerateRequest, is_img2img: bool) -> Iterator[Taking]:
    wanted = {
        "freeu_enabled": _freeu_arguments(request.freeu) if request.freeu else None,
        "kohya_hrfix_enabled": _hrfix_arguments(request.kohya_hrfix) if request.kohya_hrfix else None,
    }
    for switch, arguments in wanted.items():
        if arguments is None:
            continue
        script = find_script(SCRIPTS[switch][0], is_img2img=is_img2img)
        if script is None:
            raise MissingFeature(f"{switch}: {why_not(switch)}")
        yield Taking(script, arguments[: script.args_to - script.args_from])


def _freeu_arguments(freeu: FreeU) -> tuple[Any, ...]:
    """On, the four factors, and the share of sampling in which they hold; older versions have not the last two."""
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
