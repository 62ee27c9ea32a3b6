"""What the modes of animation have in common and what tells them apart."""

from __future__ import annotations

from deforum_helpers.settings.model import Settings


def is_moved(settings: Settings) -> bool:
    """Tell whether each frame starts from the moved one before: 2D and 3D."""
    return settings.animation_mode in ("2D", "3D")


def is_exact(settings: Settings) -> bool:
    """Tell whether frames are moved as a real camera sees the scene, which uncovers what no frame shows."""
    return settings.animation_mode == "3D" and settings.depth_warp == "exact"


def remembers(settings: Settings) -> bool:
    """Tell whether what frames have shown is drawn again where the camera comes back to it."""
    depth = settings.use_depth_warping and not settings.motion_preview_mode
    return is_exact(settings) and settings.scene_memory and depth


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


def uses_masks(settings: Settings) -> bool:
    """Tell whether frames are repainted in parts; a mask video is always used."""
    return settings.use_mask or settings.use_mask_video


def _names_mask(settings: Settings, name: str) -> bool:
    """Tell whether a mask expression of the film has the mask `name`; a Parseq manifest may name any."""
    repainted = settings.mask_schedule if uses_masks(settings) else ""
    noised = settings.noise_mask_schedule if settings.use_noise_mask else ""
    any_name = bool(repainted or noised) and bool(settings.parseq_manifest.strip())
    return any_name or name in repainted or name in noised


def reads_mask_video(settings: Settings) -> bool:
    """Tell whether frames of video_mask_path are read."""
    return settings.use_mask_video and _names_mask(settings, "video_mask")


def reads_alpha(settings: Settings) -> bool:
    """Tell whether the transparency of the init image is the film's mask."""
    return (
        settings.use_init
        and settings.use_alpha_as_mask
        and uses_masks(settings)
        and _names_init_mask(settings)
    )


def reads_mask_file(settings: Settings) -> bool:
    """Tell whether the picture of mask_file is read: nothing that goes before it is the film's mask."""
    return _names_init_mask(settings) and not reads_alpha(settings)


def _names_init_mask(settings: Settings) -> bool:
    """Tell whether an expression has the mask of the init settings, which also serves where there is no mask video."""
    stands_in = not settings.use_mask_video and _names_mask(settings, "video_mask")
    return stands_in or _names_mask(settings, "init_mask")


def reads_init_image(settings: Settings) -> bool:
    """Tell whether the init image is read: the film starts from it, lays it over frames, or takes its transparency."""
    starts = settings.use_init and not starts_from_video(settings)
    laid_over = is_hybrid(settings) and settings.hybrid_use_init_image
    return starts or laid_over or reads_alpha(settings)


def reads_color_image(settings: Settings) -> bool:
    """Tell whether colours are matched to the picture of color_coherence_image_path."""
    return settings.color_coherence == "Image" and not is_interpolated(settings)


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


def transition(settings: Settings) -> str:
    """Return how one prompt gives way to the next, where each holds until then; `none` where it has no part in it."""
    return (
        settings.prompt_transition
        if is_moved(settings) and settings.prompt_interpolation == "hold"
        else "none"
    )


def reads_end_image(settings: Settings) -> bool:
    """Tell whether the video ends with the image of end_image_path."""
    return bool(settings.end_image_path.strip()) and is_moved(settings)


def is_led_to_an_end(settings: Settings) -> bool:
    """Tell whether the last frames are led somewhere: to the first frame or to an image."""
    return is_moved(settings) and (settings.seamless_loop or reads_end_image(settings))


def is_reversed(settings: Settings) -> bool:
    """Tell whether frames are rendered from the last to the first."""
    return settings.reverse_generation and is_moved(settings)


def cadence(settings: Settings) -> int:
    """Return every how many frames one is diffused; where nothing moves, all are."""
    return settings.diffusion_cadence if is_moved(settings) else 1


def distribution(settings: Settings) -> str:
    """Return how diffused frames are placed."""
    return settings.keyframe_distribution if is_moved(settings) else "Off"
