"""What is said of values that no camera can have."""

from __future__ import annotations

from deforum_helpers.errors import Problem, SettingsError


def refused(setting: str, found: float, allowed: str) -> SettingsError:
    """Return the error of a schedule's value at a frame."""
    message = f"{setting} is {found:g} at a frame; allowed is {allowed}."
    return SettingsError([Problem(message, setting=setting, found=f"{found:g}", allowed=allowed)])
