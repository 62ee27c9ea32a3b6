"""What is made of the frames: video, sound, gif, upscaling, interpolation. Group DeforumOutputArgs."""

from __future__ import annotations

from dataclasses import dataclass

from deforum_helpers.settings.fields import path, setting
from deforum_helpers.settings.predicates import is_off, is_on, not_, one_of
from deforum_helpers.settings.situations import READS_VIDEOS, STEERED
from deforum_helpers.settings.tables import (
    INTERPOLATION_ENGINES,
    SOUNDTRACKS,
    UPSCALE_FACTORS,
    UPSCALE_MODELS,
)

_INTERPOLATION = "Output > Frame Interpolation"
_VIDEO = is_off("skip_video_creation")
_UPSCALED = is_on("r_upscale_video")
_INTERPOLATED = not_("frame_interpolation_engine", "None")


@dataclass(frozen=True)
class OutputSettings:
    """What is made of the frames."""

    skip_video_creation: bool = setting(
        False,
        "Writes the pictures alone: no video, gif, upscaling or interpolation.",
        tab="Output",
        label="Skip video creation",
    )
    fps: float = setting(
        15,
        "Frames per second of the video. `fps` in schedules; 23.976 is fine.",
        tab="Output",
        label="FPS",
        kind="float",
        bounds=(1, 240),
        step=1,
        unit="frames/s",
    )
    make_gif: bool = setting(
        False,
        "Makes a gif beside the video. Gifs above 30 frames a second play slowly in most programs.",
        tab="Output",
        label="Make GIF",
        used_when=_VIDEO,
    )
    delete_imgs: bool = setting(
        False,
        "Deletes the pictures once the video exists and has all of them. The run cannot be resumed "
        "afterwards.",
        tab="Output",
        label="Delete Imgs",
        used_when=_VIDEO,
    )
    delete_input_frames: bool = setting(
        False,
        "Deletes the frames that were extracted from input videos, when the run is over.",
        tab="Output",
        label="Delete All Inputframes",
        used_when=READS_VIDEOS | STEERED,
    )
    image_path: str = path(
        "Pattern of numbered pictures, as in frame_%09d.png, for the tool that makes a video of them. "
        "Belongs to the tab; files cannot set it.",
        tab="Output > Frames to Video",
        label="Image path",
        loaded=False,
        saved=False,
    )
    add_soundtrack: str = setting(
        "None",
        "Sound of the video: none, that of soundtrack_path, or that of the init video.",
        tab="Output",
        label="Add soundtrack",
        choices=SOUNDTRACKS,
        used_when=_VIDEO,
    )
    soundtrack_path: str = path(
        "Audio file. The video ends with the shorter of the two.",
        tab="Output",
        label="Soundtrack path",
        used_when=one_of("add_soundtrack", "File"),
    )
    r_upscale_video: bool = setting(
        False,
        "Enlarges all frames when they are rendered, and makes a second video of them.",
        tab="Output",
        label="Upscale",
        used_when=_VIDEO,
    )
    r_upscale_factor: str = setting(
        "x2",
        "How many times larger. The models realesrgan-x4plus and -anime know only x4.",
        tab="Output",
        label="Upscale factor",
        choices=UPSCALE_FACTORS,
        used_when=_UPSCALED,
    )
    r_upscale_model: str = setting(
        "realesr-animevideov3",
        "The model that enlarges. Lanczos needs nothing; the others need the weights of Real-ESRGAN.",
        tab="Output",
        label="Upscale model",
        choices=UPSCALE_MODELS,
        used_when=_UPSCALED,
    )
    r_upscale_keep_imgs: bool = setting(
        True,
        "Keeps the enlarged pictures.",
        tab="Output",
        label="Keep Imgs",
        used_when=_UPSCALED,
    )
    store_frames_in_ram: bool = setting(
        False,
        "Keeps the frames in memory and writes them after the last one, or when they take 2 GB. A job that is "
        "stopped writes them first; after a crash it begins where they were last written.",
        tab="Output",
        label="Store frames in ram",
    )
    frame_interpolation_engine: str = setting(
        "None",
        "Makes frames between the rendered ones, for a smoother or slower video. Flow needs nothing; RIFE and "
        "FILM need their weights.",
        tab=_INTERPOLATION,
        label="Engine",
        choices=INTERPOLATION_ENGINES,
        used_when=_VIDEO,
    )
    frame_interpolation_x_amount: int = setting(
        2,
        "How many times more frames: RIFE 2..10, FILM and Flow 2..300.",
        tab=_INTERPOLATION,
        label="Interp X",
        bounds=(2, 300),
        step=1,
        unit="x",
        used_when=_INTERPOLATED,
    )
    frame_interpolation_slow_mo_enabled: bool = setting(
        False,
        "Plays the interpolated video slower, without sound and subtitles.",
        tab=_INTERPOLATION,
        label="Slow-Mo",
        used_when=_INTERPOLATED,
    )
    frame_interpolation_slow_mo_amount: int = setting(
        2,
        "How many times slower.",
        tab=_INTERPOLATION,
        label="Slow-Mo X",
        bounds=(2, 10),
        step=1,
        unit="x",
        used_when=is_on("frame_interpolation_slow_mo_enabled"),
    )
    frame_interpolation_keep_imgs: bool = setting(
        False,
        "Keeps the interpolated pictures.",
        tab=_INTERPOLATION,
        label="Keep Imgs",
        used_when=_INTERPOLATED,
    )
    frame_interpolation_use_upscaled: bool = setting(
        False,
        "Interpolates the upscaled frames where there are any.",
        tab=_INTERPOLATION,
        label="Use Upscaled",
        used_when=_INTERPOLATED & _UPSCALED,
    )
