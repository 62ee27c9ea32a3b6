"""What is said of values that no camera can have."""

from __future__ import annotations

from deforum_helpers.camera import messages
from deforum_helpers.errors import Problem, SettingsError


def refused(setting: str, found: float, allowed: str) -> SettingsError:
    """Return the error of a schedule's value at a frame."""
    message = messages.VALUE_NOT_A_CAMERA(setting=setting, found=f"{found:g}", allowed=allowed)
    return SettingsError([Problem(message, setting=setting, found=f"{found:g}", allowed=allowed)])
