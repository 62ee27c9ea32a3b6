"""The boxes that files are dropped into, as the page's script makes them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

SETTINGS = (".txt", ".json", ".png", ".mp4")
FILMS = (
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
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class Box:
    """One box.

    Args:
        endings: of the files that have room in it.
        several: more than one has.
    """

    endings: tuple[str, ...]
    several: bool = False


# Element id of the text that holds the ids of the files -> its box.
BOXES: dict[str, Box] = {
    "deforum_drop": Box(SETTINGS),
    "deforum_batch_files": Box(SETTINGS, several=True),
    "deforum_field_init_image_box": Box(PICTURES),
    "deforum_tool_film": Box(FILMS),
    "deforum_tool_pictures": Box(PICTURES, several=True),
    "deforum_tool_upscale_film": Box(FILMS),
    "deforum_tool_depth_film": Box(FILMS),
}


def boxes_for_script() -> dict[str, dict[str, object]]:
    """Return `BOXES` as the page's script reads them."""
    return {name: asdict(box) for name, box in BOXES.items()}
