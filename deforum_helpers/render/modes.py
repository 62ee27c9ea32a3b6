"""What the modes of animation have in common and what tells them apart."""

from __future__ import annotations

from deforum_helpers.settings import Settings


def is_moved(settings: Settings) -> bool:
    """Tell whether each frame starts from the moved one before: 2D and 3D."""
    return settings.animation_mode in ("2D", "3D")


def has_video(settings: Settings) -> bool:
    """Tell whether frames of video_init_path are used for more than their sound."""
    return settings.animation_mode == "Video Input"


def cadence(settings: Settings) -> int:
    """Return every how many frames one is diffused; where nothing moves, all are."""
    return settings.diffusion_cadence if is_moved(settings) else 1


def distribution(settings: Settings) -> str:
    """Return how diffused frames are placed."""
    return settings.keyframe_distribution if is_moved(settings) else "Off"
