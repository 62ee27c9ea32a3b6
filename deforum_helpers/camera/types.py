"""Array types of the camera, and the error of its values."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from deforum_helpers.camera import messages
from deforum_helpers.core.errors import Problem, SettingsError

Matrix: TypeAlias = npt.NDArray[np.float64]
Plane: TypeAlias = npt.NDArray[np.float32]


def camera_value_error(setting: str, found: float, allowed: str) -> SettingsError:
    """Return the error about a schedule whose value no camera can have."""
    message = messages.VALUE_NOT_A_CAMERA(setting=setting, found=f"{found:g}", allowed=allowed)
    return SettingsError([Problem(message, setting=setting, found=f"{found:g}", allowed=allowed)])
