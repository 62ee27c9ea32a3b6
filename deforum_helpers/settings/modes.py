"""What the modes of animation have in common and what tells them apart."""

from __future__ import annotations

from deforum_helpers.settings.model import Settings


def is_moved(settings: Settings) -> bool:
    """Tell whether each frame starts from the moved one before: 2D and 3D."""
    return settings.animation_mode in ("2D", "3D")


def is_hybrid(settings: Settings) -> bool:
    """Tell whether a video is laid over moved frames, or moves them."""
    active = settings.hybrid_composite != "None" or settings.hybrid_motion != "None"
    return active and is_moved(settings)


def uses_video(settings: Settings) -> bool:
    """Tell whether frames of video_init_path are used for more than their sound."""
    if settings.animation_mode == "Video Input":
        return True
    laid_over = settings.hybrid_composite != "None" and not settings.hybrid_use_init_image
    colors = settings.color_coherence == "Video Input"
    return is_hybrid(settings) and (settings.hybrid_motion != "None" or laid_over or colors)


def sets_length(settings: Settings) -> bool:
    """Tell whether the film is as long as what is taken of the video."""
    return uses_video(settings) and not (is_hybrid(settings) and settings.hybrid_use_init_image)


def starts_from_video(settings: Settings) -> bool:
    """Tell whether the first frame starts from the video's first one."""
    if settings.animation_mode == "Video Input":
        return True
    first = settings.hybrid_use_first_frame_as_init_image
    return is_hybrid(settings) and first and uses_video(settings)


def is_interpolated(settings: Settings) -> bool:
    """Tell whether frames are drawn one by one, and only their prompts pass into each other."""
    return settings.animation_mode == "Interpolation"


def finds_people(settings: Settings) -> bool:
    """Tell whether the people in the video are found and saved as masks."""
    asked = settings.hybrid_generate_human_masks != "None"
    return asked and is_hybrid(settings) and uses_video(settings)


def blends_embeddings(settings: Settings) -> bool:
    """Tell whether prompts pass into each other as embeddings."""
    return settings.prompt_interpolation == "embedding"


def weighs_prompts(settings: Settings) -> bool:
    """Tell whether prompts pass into each other by weights."""
    held = "hold" if not is_interpolated(settings) else "weights"
    return (held if settings.prompt_interpolation == "hold" else settings.prompt_interpolation) == "weights"


def cadence(settings: Settings) -> int:
    """Return every how many frames one is diffused; where nothing moves, all are."""
    return settings.diffusion_cadence if is_moved(settings) else 1


def distribution(settings: Settings) -> str:
    """Return how diffused frames are placed."""
    return settings.keyframe_distribution if is_moved(settings) else "Off"
