"""Figures in anime images, by ISNet of SkyTNT's anime-seg; imports without onnxruntime."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.files.regular import is_regular
from deforum_helpers.core.optional import require
from deforum_helpers.models import messages
from deforum_helpers.models.weights.files import hub_file, models_folder

Grey: TypeAlias = npt.NDArray[np.uint8]

HUB_ID = "skytnt/anime-seg"
FILE = "isnetis.onnx"
INSTALL = "pip install onnxruntime"
SIDE_PX = 1024


def network_file() -> Path | None:
    """Return the network's file, or None where it is not on this machine."""
    own = models_folder() / FILE
    return own if is_regular(own) else hub_file(HUB_ID, FILE)


def missing_feature() -> str | None:
    """Return why figures cannot be found here, with the command that installs what is missing, or None."""
    if find_spec("onnxruntime") is None:
        return messages.ANIME_NEEDS_ONNXRUNTIME(install=INSTALL)
    if network_file() is None:
        return messages.ANIME_MODEL_MISSING(file=FILE, hub_id=HUB_ID)
    return None


class FigureFinder:
    """Finds figures.

    Args:
        session: of onnxruntime; maps (1, 3, 1024, 1024) RGB in 0..1 to (1, 1, 1024, 1024) in 0..1.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    def find(self, rgb_u8: Grey) -> Grey:
        """Return (H, W) uint8, 255 inside figures of the image (H, W, 3)."""
        import cv2  # checks of a tool do without it

        height_px, width_px = rgb_u8.shape[:2]
        scale = SIDE_PX / max(height_px, width_px)
        tall, wide = max(1, round(height_px * scale)), max(1, round(width_px * scale))
        top, left = (SIDE_PX - tall) // 2, (SIDE_PX - wide) // 2
        box = np.zeros((SIDE_PX, SIDE_PX, 3), np.float32)
        box[top : top + tall, left : left + wide] = cv2.resize(rgb_u8, (wide, tall)).astype(np.float32) / 255
        answer = self._session.run(None, {self._input: box.transpose(2, 0, 1)[None]})[0][0, 0]
        found = cv2.resize(answer[top : top + tall, left : left + wide], (width_px, height_px))
        return np.asarray((found.clip(0, 1) * 255).round(), np.uint8)


def load_finder() -> FigureFinder:
    """Return the finder with the network of this machine.

    Raises:
        MissingFeature: onnxruntime is not installed.
        ModelError: the network is not here, or broken.
    """
    onnxruntime = require("onnxruntime", "Anime Remove Background", INSTALL)
    path = network_file()
    if path is None:
        raise ModelError(messages.ANIME_UNAVAILABLE(reason=missing_feature()))
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise ModelError(messages.ANIME_MODEL_BROKEN(file=path.name)) from error
    return FigureFinder(session)
