"""The table of interpolation engines, and whether they can run here; imports without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deforum_helpers.core.files.regular import is_regular
from deforum_helpers.core.registry import choose
from deforum_helpers.models import messages
from deforum_helpers.models.weights.files import hub_file, models_folder, network_files

RIFE_NETWORK = "flownet"
RIFE_FOLDERS = ("rife-v4.6", "rife-ncnn-vulkan/models/rife-v4.6")
FILM_HUB_ID = "Comfy-Org/frame_interpolation"
FILM_FILES = ("film_net_fp16.safetensors", "film_net_fp32.safetensors")
MOST_FRAMES = 1_000_000
INSTEAD = "or choose Flow, which needs nothing"


@dataclass(frozen=True)
class EngineName:
    """A value of frame_interpolation_engine.

    Args:
        name: as written in settings files.
        stem: its name in the file names of videos.
        folder: its name in the names of folders.
        most: the largest frame_interpolation_x_amount.
        image_prefix: prefix of the names of its images.
    """

    name: str
    stem: str
    folder: str
    most: int
    image_prefix: str = ""


ENGINES: Mapping[str, EngineName] = {
    engine.name: engine
    for engine in (
        EngineName("RIFE v4.6", "RIFE", "rife", 10),
        EngineName("FILM", "FILM", "film", 300, "frame_"),
        EngineName("Flow", "FLOW", "flow", 300),
    )
}

# What follows the stem in the name of an interpolated video, and the values of its fields as regular expressions.
VIDEO_SUFFIX = "_{engine}_x{times}{slower}{source}.mp4"
VIDEO_FIELDS: Mapping[str, str] = {
    "engine": "|".join(engine.stem for engine in ENGINES.values()),
    "times": "[0-9]+",
    "slower": "(?:_slomo_x[0-9]+)?",
    "source": "(?:_upscaled)?",
}


def engine_name(name: str) -> EngineName:
    """Return the entry of an engine.

    Raises:
        UnknownName: no such engine.
    """
    return choose(ENGINES, name, "interpolation engine")


def frame_count(frames: int, x_amount: int) -> int:
    """Return how many frames interpolation makes of `frames`: 5 frames become 9 with 2, 13 with 3."""
    return x_amount * (frames - 1) + 1 if frames > 0 else 0


def video_fps(fps: float, x_amount: int, slow_mo_amount: int | None) -> float:
    """Return the frames per second of the interpolated video: 15 fps become 30 with 2, and 10 when 3 times slower."""
    return fps * x_amount / (slow_mo_amount or 1)


def video_name(
    stem: str, engine: EngineName, x_amount: int, slow_mo_amount: int | None, upscaled: bool
) -> str:
    """Return the file name of an interpolated video: "20260102030405_RIFE_x2_slomo_x3_upscaled.mp4"."""
    slower = f"_slomo_x{slow_mo_amount}" if slow_mo_amount else ""
    source = "_upscaled" if upscaled else ""
    return stem + VIDEO_SUFFIX.format(engine=engine.stem, times=x_amount, slower=slower, source=source)


def folder_name(stem: str, engine: EngineName) -> str:
    """Return the name of the folder of interpolated images."""
    return f"interpolated_frames_{engine.folder}_{stem}"


def image_name(engine: EngineName, number: int) -> str:
    """Return the name of an interpolated image."""
    return f"{engine.image_prefix}{number:09d}.png"


def rife_files() -> tuple[Path, Path] | None:
    """Return RIFE's two files, or None where they are not on this machine."""
    return network_files([models_folder() / folder for folder in RIFE_FOLDERS], RIFE_NETWORK)


def film_file() -> Path | None:
    """Return FILM's file, or None where it is not on this machine."""
    for name in FILM_FILES:
        for folder in (models_folder(), models_folder() / "film_interpolation"):
            if is_regular(folder / name):
                return folder / name
        if found := hub_file(FILM_HUB_ID, f"frame_interpolation/{name}"):
            return found
    return None


def missing_feature(name: str) -> str | None:
    """Return why an engine cannot run here, with the command that fetches its files, or None."""
    if name == "RIFE v4.6" and rife_files() is None:
        target = models_folder() / "rife-ncnn-vulkan"
        return messages.RIFE_MISSING(folder=target, instead=INSTEAD)
    if name == "FILM" and film_file() is None:
        return messages.FILM_MISSING(file=FILM_FILES[0], hub_id=FILM_HUB_ID, instead=INSTEAD)
    return None
