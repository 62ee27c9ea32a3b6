"""Upscaled and interpolated videos: when settings request them, how large they are, and whether they can be made here.

Imported without torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from deforum_helpers.core.errors import Problem
from deforum_helpers.image.files import LARGEST_PIXELS
from deforum_helpers.models import interpolation, upscaling
from deforum_helpers.pipeline import messages
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import asks
from deforum_helpers.settings.predicates import is_on, not_

# A second video of upscaled frames is made.
upscales = asks(is_on("r_upscale_video"))
# A video with interpolated frames is made; the second predicate: from the upscaled frames.
interpolates = asks(not_("frame_interpolation_engine", "None"))
interpolates_upscaled = asks(is_on("frame_interpolation_use_upscaled"))
_slows_down = asks(is_on("frame_interpolation_slow_mo_enabled"))


def slow_mo_amount(settings: Settings) -> int | None:
    """Return the factor by which the interpolated video is slowed down, or None."""
    return settings.frame_interpolation_slow_mo_amount if _slows_down(settings) else None


def extra_pixels(settings: Settings) -> int:
    """Return the number of pixels of all upscaled and interpolated frames."""
    frame, pixels = settings.W * settings.H, 0
    larger = upscaling.times_larger(settings.r_upscale_factor) ** 2
    if upscales(settings):
        pixels += frame * larger * settings.max_frames
    if interpolates(settings):
        count = interpolation.frame_count(settings.max_frames, settings.frame_interpolation_x_amount)
        pixels += frame * count * (larger if interpolates_upscaled(settings) else 1)
    return pixels


def missing_networks() -> dict[str, str]:
    """Return the reason for each engine and model that cannot run here, by setting and value."""
    engines = {
        f"frame_interpolation_engine {name}": interpolation.missing_feature(name)
        for name in interpolation.ENGINES
    }
    models = {
        f"r_upscale_model {model}": upscaling.missing_feature(model, f"x{factors[-1]}")
        for model, factors in upscaling.FACTORS.items()
    }
    return {feature: reason for feature, reason in (engines | models).items() if reason}


def extra_output_problems(settings: Settings) -> list[Problem]:
    """Return a problem for each upscaled or interpolated video that cannot be made on this machine."""
    return [*_upscaling_problems(settings), *_interpolation_problems(settings)]


def _upscaling_problems(settings: Settings) -> Iterator[Problem]:
    if not upscales(settings):
        return
    model, factor = settings.r_upscale_model, settings.r_upscale_factor
    times = upscaling.times_larger(factor)
    if settings.W * settings.H * times**2 > LARGEST_PIXELS:
        size = f"{settings.W * times}x{settings.H * times}"
        allowed = f"frames of at most {LARGEST_PIXELS // 1_000_000} million pixels"
        message = messages.UPSCALED_TOO_LARGE(factor=factor, size=size, allowed=allowed)
        yield Problem(message, "r_upscale_factor", found=factor, allowed=allowed)
    if times in upscaling.FACTORS[model] and (missing := upscaling.missing_feature(model, factor)):
        message = messages.FEATURE_UNAVAILABLE(setting="r_upscale_model", reason=missing)
        yield Problem(message, "r_upscale_model", found=model, allowed="Lanczos")


def _interpolation_problems(settings: Settings) -> Iterator[Problem]:
    if not interpolates(settings):
        return
    name, setting = settings.frame_interpolation_engine, "frame_interpolation_engine"
    times = settings.frame_interpolation_x_amount
    count = interpolation.frame_count(settings.max_frames, times)
    if count > interpolation.MOST_FRAMES:
        allowed = f"at most {interpolation.MOST_FRAMES:,} frames"
        message = messages.INTERPOLATED_TOO_LONG(
            times=times, count=count, frames=settings.max_frames, allowed=allowed
        )
        yield Problem(message, "frame_interpolation_x_amount", found=str(times), allowed=allowed)
    if missing := interpolation.missing_feature(name):
        message = messages.FEATURE_UNAVAILABLE(setting=setting, reason=missing)
        yield Problem(message, setting, found=name, allowed="None, Flow")
