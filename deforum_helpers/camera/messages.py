"""Messages about camera settings."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

VALUE_NOT_A_CAMERA = Message(
    "value_not_a_camera", "{setting} is {found} at one or more frames; expected {allowed}."
)
UNKNOWN_SHAKE = Message("unknown_shake", "shake_name is {found!r}; expected one of: {allowed}.")
