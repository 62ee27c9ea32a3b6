"""Messages about image files."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Each with the setting that names the file.
TOO_MANY_PIXELS = Message("image_too_many_pixels", "{setting} names {found}; expected {allowed}.")
IMAGE_OVERSIZED = Message("image_oversized", "{setting} names {found}; expected {allowed}.")
IMAGE_UNREADABLE = Message(
    "image_unreadable", "{setting} names {found}, which is not a readable image; expected {allowed}."
)
REMOTE_IMAGE = Message("image_remote", "{setting} names {found}; expected {allowed}.")
NO_IMAGE_FILE = Message("image_not_usable", "{setting} names {found}, which {why}; expected {allowed}.")
BAD_DATA_URL = Message("image_bad_data_url", "{setting} names {found}; expected {allowed}.")
