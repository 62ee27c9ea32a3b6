"""The boxes for dropped files; the page's script builds them from this table."""

from __future__ import annotations

from dataclasses import asdict, dataclass

SETTINGS_EXTENSIONS = (".txt", ".json", ".png", ".mp4")
VIDEO_EXTENSIONS = (
    *(
        ".mp4",
        ".webm",
        ".mov",
        ".mkv",
        ".avi",
        ".m4v",
        ".mpg",
        ".mpeg",
        ".vob",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
    ),
    *(".asf", ".flv", ".ogv", ".3gp", ".mxf", ".dv", ".h264", ".hevc", ".mjpeg", ".ivf", ".y4m", ".nut"),
    *(".gif", ".apng", ".webp", ".avif"),
)
IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class Box:
    """One box.

    Args:
        extensions: of the accepted files.
        multiple: whether it accepts several files.
    """

    extensions: tuple[str, ...]
    multiple: bool = False


# Element id of the text box that holds the ids of the files -> its box.
BOXES: dict[str, Box] = {
    "deforum_drop": Box(SETTINGS_EXTENSIONS),
    "deforum_batch_files": Box(SETTINGS_EXTENSIONS, multiple=True),
    "deforum_field_init_image_box": Box(IMAGE_EXTENSIONS),
    "deforum_tool_film": Box(VIDEO_EXTENSIONS),
    "deforum_tool_pictures": Box(IMAGE_EXTENSIONS, multiple=True),
    "deforum_tool_upscale_film": Box(VIDEO_EXTENSIONS),
    "deforum_tool_depth_film": Box(VIDEO_EXTENSIONS),
}


def boxes_for_script() -> dict[str, dict[str, object]]:
    """Return `BOXES` as JSON values."""
    return {name: asdict(box) for name, box in BOXES.items()}
