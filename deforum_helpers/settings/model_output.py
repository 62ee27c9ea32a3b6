"""Settings of the outputs: video, sound, GIF, upscaling, interpolation. Group DeforumOutputArgs."""

from __future__ import annotations

from dataclasses import dataclass

from deforum_helpers.settings.fields import path, setting
from deforum_helpers.settings.predicates import Situation, above, is_off, is_on, is_set, not_, one_of
from deforum_helpers.settings.situations import READS_VIDEOS, USES_CONTROLNET
from deforum_helpers.settings.tables import (
    INTERPOLATION_ENGINES,
    SOUNDTRACKS,
    UPSCALE_FACTORS,
    UPSCALE_MODELS,
    UPSCALER_SUFFIXES,
)

_INTERPOLATION = "Output > Frame Interpolation"
_SOUND = "Keyframes > Sound"
_VIDEO = is_off("skip_video_creation")
_UPSCALED = is_on("r_upscale_video")
_INTERPOLATED = not_("frame_interpolation_engine", "None")

_HAS_SOUND = Situation(
    is_set("audio_path") | is_set("soundtrack_path") | one_of("add_soundtrack", "Init Video"),
    "when audio_path or add_soundtrack names a sound",
)


@dataclass(frozen=True)
class OutputSettings:
    """Settings of the outputs."""

    skip_video_creation: bool = setting(
        False,
        "Saves only the images: no video, GIF, upscaling or interpolation.",
        tab="Output",
        label="Skip video creation",
        used_in="output/",
    )
    fps: float = setting(
        15,
        "Frames per second of the video; `fps` in schedules. Fractions such as 23.976 are allowed.",
        tab="Output",
        label="FPS",
        kind="float",
        bounds=(1, 240),
        step=1,
        unit="frames/s",
        used_in="output/",
    )
    make_gif: bool = setting(
        False,
        "Also makes a GIF. Most programs play GIFs above 30 frames per second too slowly.",
        tab="Output",
        label="Make GIF",
        used_when=_VIDEO,
        used_in="output/",
    )
    delete_imgs: bool = setting(
        False,
        "Deletes the images once the video contains all of them. The run can then no longer be resumed.",
        tab="Output",
        label="Delete images",
        used_when=_VIDEO,
        used_in="pipeline/postproduction.py",
    )
    delete_input_frames: bool = setting(
        False,
        "Deletes the frames extracted from input videos at the end of the run.",
        tab="Output",
        label="Delete all input frames",
        used_when=READS_VIDEOS | USES_CONTROLNET,
        used_in="pipeline/job.py",
    )
    image_path: str = path(
        "Pattern of numbered images, such as frame_%09d.png, for the tool that makes a video of them. Belongs to "
        "the tab; files cannot set it.",
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
        used_in="pipeline/input_files.py",
    )
    soundtrack_path: str = path(
        "Audio file. The video ends with the shorter of the two.",
        tab="Output",
        label="Soundtrack path",
        used_when=one_of("add_soundtrack", "File"),
        used_in="pipeline/input_files.py",
    )
    audio_path: str = path(
        "Sound or video file whose levels and beats schedules and prompts can name: rms, bass, kick, beat and more. "
        "Empty = the sound of the video.",
        tab=_SOUND,
        label="Sound for schedules",
        since="here",
        used_in="pipeline/sound.py",
    )
    audio_smoothing: float = setting(
        0.1,
        "Length of the window that the levels of the sound are averaged over. 0 = one frame.",
        tab=_SOUND,
        label="Smoothing of levels",
        kind="float",
        bounds=(0, 10),
        step=0.01,
        unit="s",
        used_when=_HAS_SOUND,
        since="here",
        used_in="pipeline/sound.py",
    )
    bpm: float = setting(
        0,
        "Beats per minute. 0 = the beats are found in the sound.",
        tab=_SOUND,
        label="Beats per minute",
        kind="float",
        bounds=(0, 1000),
        step=0.1,
        unit="beats/min",
        since="here",
        used_in="pipeline/sound.py",
    )
    beat_offset: float = setting(
        0,
        "Time of the first beat, where bpm gives the tempo.",
        tab=_SOUND,
        label="First beat",
        kind="float",
        bounds=(-3600, 3600),
        step=0.01,
        unit="s",
        used_when=above("bpm", 0),
        since="here",
        used_in="pipeline/sound.py",
    )
    beats_per_bar: int = setting(
        4,
        "Beats in a bar; `bar` in schedules counts them.",
        tab=_SOUND,
        label="Beats per bar",
        bounds=(1, 64),
        step=1,
        used_when=_HAS_SOUND | above("bpm", 0),
        since="here",
        used_in="pipeline/sound.py",
    )
    r_upscale_video: bool = setting(
        False,
        "Upscales all frames after rendering and makes a second video of them.",
        tab="Output",
        label="Upscale",
        used_when=_VIDEO,
        used_in="settings/modes.py",
    )
    r_upscale_factor: str = setting(
        "x2",
        "Upscaling factor. The models realesrgan-x4plus and -anime support only x4.",
        tab="Output",
        label="Upscale factor",
        choices=UPSCALE_FACTORS,
        used_when=_UPSCALED,
        used_in="pipeline/postproduction.py",
    )
    r_upscale_model: str = setting(
        "realesr-animevideov3",
        "The upscaling model, or the name of a model file in models/Deforum/upscalers or in a WebUI's folders of "
        "upscalers. Lanczos needs no weights, the other names those of Real-ESRGAN, a file the package spandrel.",
        tab="Output",
        label="Upscale model",
        choices=UPSCALE_MODELS,
        file_suffixes=UPSCALER_SUFFIXES,
        used_when=_UPSCALED,
        used_in="pipeline/postproduction.py",
    )
    r_upscale_keep_imgs: bool = setting(
        True,
        "Keeps the upscaled images.",
        tab="Output",
        label="Keep images",
        used_when=_UPSCALED,
        used_in="pipeline/",
    )
    store_frames_in_ram: bool = setting(
        False,
        "Keeps the frames in memory and saves them at the end, when they take 2 GB, or when the job is "
        "stopped. A crash loses them.",
        tab="Output",
        label="Store frames in RAM",
        used_in="output/",
    )
    frame_interpolation_engine: str = setting(
        "None",
        "Adds frames between the rendered ones, for a smoother or slower video. Flow needs no weights; RIFE and "
        "FILM need theirs.",
        tab=_INTERPOLATION,
        label="Engine",
        choices=INTERPOLATION_ENGINES,
        used_when=_VIDEO,
        used_in="pipeline/postproduction.py",
    )
    frame_interpolation_x_amount: int = setting(
        2,
        "How many times as many frames: RIFE 2..10, FILM and Flow 2..300.",
        tab=_INTERPOLATION,
        label="Interpolation factor",
        bounds=(2, 300),
        step=1,
        unit="x",
        used_when=_INTERPOLATED,
        used_in="pipeline/postproduction.py",
    )
    frame_interpolation_slow_mo_enabled: bool = setting(
        False,
        "Plays the interpolated video more slowly, without sound and subtitles.",
        tab=_INTERPOLATION,
        label="Slow-Mo",
        used_when=_INTERPOLATED,
        used_in="settings/modes.py",
    )
    frame_interpolation_slow_mo_amount: int = setting(
        2,
        "How many times slower.",
        tab=_INTERPOLATION,
        label="Slow-Mo factor",
        bounds=(2, 10),
        step=1,
        unit="x",
        used_when=is_on("frame_interpolation_slow_mo_enabled"),
        used_in="settings/modes.py",
    )
    frame_interpolation_keep_imgs: bool = setting(
        False,
        "Keeps the interpolated images.",
        tab=_INTERPOLATION,
        label="Keep images",
        used_when=_INTERPOLATED,
        used_in="pipeline/postproduction.py",
    )
    frame_interpolation_use_upscaled: bool = setting(
        False,
        "Interpolates the upscaled frames, if there are any.",
        tab=_INTERPOLATION,
        label="Use upscaled frames",
        used_when=_INTERPOLATED & _UPSCALED,
        used_in="settings/modes.py",
    )
