"""The extension's unit, which checks what it is given, and its lists of names."""

from typing import Any

from pydantic import BaseModel, Field


class ControlNetUnit(BaseModel):
    enabled: bool = False
    module: str = "none"
    model: str = "None"
    weight: float = Field(1.0, ge=0.0, le=2.0)
    image: Any | None = None
    mask: Any | None = None
    resize_mode: str = "Crop and Resize"
    low_vram: bool = False
    processor_res: int = -1
    threshold_a: float = -1
    threshold_b: float = -1
    guidance_start: float = Field(0.0, ge=0.0, le=1.0)
    guidance_end: float = Field(1.0, ge=0.0, le=1.0)
    pixel_perfect: bool = False
    control_mode: str = "Balanced"
    save_detected_map: bool = True
    effective_region_mask: Any | None = None


def get_models(update=False):
    return ["None", "control_v11p_sd15_canny [d14c016b]"]


def get_modules(alias_names=False):
    return ["none", "canny", "inpaint_global_harmonious", "reference_only"]


def get_modules_detail(alias_names=False):
    return {name: {"model_free": name == "reference_only"} for name in get_modules()}
