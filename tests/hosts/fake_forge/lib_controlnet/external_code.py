"""The unit of Forge's ControlNet: a dataclass that checks nothing."""

from dataclasses import dataclass
from typing import Any

from lib_controlnet import global_state  # noqa: F401


@dataclass
class ControlNetUnit:
    mask_image: Any = None
    hr_option: str = "Both"
    enabled: bool = True
    module: str = "None"
    model: str = "None"
    weight: float = 1.0
    image: Any = None
    image_fg: Any = None
    resize_mode: str = "Crop and Resize"
    processor_res: int = -1
    threshold_a: float = -1
    threshold_b: float = -1
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    pixel_perfect: bool = False
    control_mode: str = "Balanced"
    save_detected_map: bool = True
