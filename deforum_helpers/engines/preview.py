"""An engine that shows where the camera goes: a test picture, and a white frame instead of diffusion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.null import draw_chart

if TYPE_CHECKING:
    from deforum_helpers.cancel import CancelToken
    from deforum_helpers.image.types import Image

FRAME_PX = 2


class PreviewEngine:
    """Draws a test chart for text to image, and a white frame over the init image of image to image.

    The frame encloses the middle third of the picture; it gets the share of the denoising strength, so frames of
    earlier pictures stay behind it and show the way.

    Args:
        device: where pictures live.
    """

    name = "preview"

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        """Return the chart, or init image · (1 - strength) + frame · strength.

        Raises:
            Cancelled: the token said so.
        """
        cancel.check_cancel()
        if request.init_image is None:
            chart = draw_chart(0, request.width_px, request.height_px)
            return torch.from_numpy(chart).permute(2, 0, 1).to(self.device)
        frame = _frame(request.width_px, request.height_px).to(self.device)
        return torch.lerp(request.init_image, frame, request.denoising_strength)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Nothing is held, so nothing is lent."""
        yield

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return that nothing is diffused."""
        return ("motion_preview_mode is on: the camera moves a test picture, and nothing is diffused.",)


@lru_cache(maxsize=2)
def _frame(width_px: int, height_px: int) -> Image:
    picture = np.zeros((height_px, width_px, 3), np.float32)
    corners = (width_px // 3, height_px // 3), (width_px - width_px // 3, height_px - height_px // 3)
    cv2.rectangle(picture, *corners, (1.0, 1.0, 1.0), FRAME_PX)
    return torch.from_numpy(picture).permute(2, 0, 1)
