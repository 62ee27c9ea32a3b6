"""The options of the tools of the tab Output, beside the settings that they share with videos."""

from __future__ import annotations

from deforum_helpers.settings.tables import DEPTH_ALGORITHMS, UPSCALE_FACTORS, UPSCALE_MODELS
from deforum_helpers.tools.names import MODES, THRESHOLDINGS
from deforum_helpers.ui.host_options import OptionRow

# Settings that the frame interpolation tools read, too.
INTERPOLATION_FIELDS = (
    "frame_interpolation_engine",
    "frame_interpolation_x_amount",
    "frame_interpolation_slow_mo_enabled",
    "frame_interpolation_slow_mo_amount",
    "frame_interpolation_keep_imgs",
    "fps",
    "add_soundtrack",
    "soundtrack_path",
)
SOUND_FIELDS = ("fps", "add_soundtrack", "soundtrack_path")


def _choice(name: str, label: str, choices: tuple[str, ...], default: str = "") -> OptionRow:
    return OptionRow(name, label, default or choices[0], choices=choices)


def _number(name: str, label: str, default: float, low: float, high: float) -> OptionRow:
    return OptionRow(name, label, default, low, high)


def _switch(name: str, label: str, *, default: bool) -> OptionRow:
    return OptionRow(name, label, default)


# Named after the arguments of the tools.
UPSCALE_ROWS: tuple[OptionRow, ...] = (
    _choice("model", "Upscale model", UPSCALE_MODELS, "Lanczos"),
    _choice("factor", "Upscale factor", UPSCALE_FACTORS),
    _switch("keep_imgs", "Keep Imgs", default=True),
)
DEPTH_ROWS: tuple[OptionRow, ...] = (
    _choice("mode", "Mode", MODES),
    _choice("algorithm", "Depth Algorithm", DEPTH_ALGORITHMS, "Depth-Anything-V2-Small"),
    _choice("thresholding", "Thresholding Mode", THRESHOLDINGS),
    _number("lower", "Threshold Value Lower", 127, 0, 255),
    _number("upper", "Threshold Value Upper", 255, 0, 255),
    _number("block_size", "Adaptive threshold block size (odd)", 11, 3, 255),
    _number("c", "Adaptive threshold constant C", 2.0, -255.0, 255.0),
    _switch("invert", "Closer is brighter", default=True),
    _number("end_blur", "End blur", 0.0, 0.0, 255.0),
    _switch("keep_imgs", "Keep Imgs", default=True),
)
