"""The table of upscalers, Real-ESRGAN's networks in ncnn's format and Lanczos, and the names of upscaled videos."""

from __future__ import annotations

from collections.abc import Mapping

# Model -> its factors.
FACTORS: Mapping[str, tuple[int, ...]] = {
    "realesr-animevideov3": (2, 3, 4),
    "realesrgan-x4plus": (4,),
    "realesrgan-x4plus-anime": (4,),
    "Lanczos": (2, 3, 4),
}

# What follows the stem in the name of an upscaled video, and the values of its field as a regular expression.
VIDEO_SUFFIX = "_Upscaled_{factor}.mp4"
VIDEO_FIELDS: Mapping[str, str] = {
    "factor": "|".join(
        f"x{times}" for times in sorted({times for model in FACTORS.values() for times in model})
    )
}


def times_larger(factor: str) -> int:
    """Return the number in a value of r_upscale_factor: 2 for "x2"."""
    return int(factor.removeprefix("x"))


def video_name(stem: str, factor: str) -> str:
    """Return the file name of an upscaled video: "20260102030405_Upscaled_x2.mp4"."""
    return stem + VIDEO_SUFFIX.format(factor=factor)


def folder_name(stem: str) -> str:
    """Return the name of the folder of upscaled images."""
    return f"{stem}_upscaled"
