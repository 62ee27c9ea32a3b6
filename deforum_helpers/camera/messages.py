"""Messages about camera settings."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

VALUE_NOT_A_CAMERA = Message(
    "value_not_a_camera", "{setting} is {found} at one or more frames; expected {allowed}."
)
UNKNOWN_SHAKE = Message("unknown_shake", "shake_name is {found!r}; expected one of: {allowed}.")

# Camera paths
PATH_POSE_AFTER_MOVE = Message(
    "camera_path_pose_after_move",
    "{setting}, frame {frame}: a pose follows {found}, so the camera would jump; expected the first entry, or an entry "
    "after another pose.",
)
PATH_POSE_ADDED = Message(
    "camera_path_pose_added",
    "{setting}, frame {frame}: {found} is combined with another move or an easing; expected it alone.",
)
PATH_POINT_LEVEL = Message(
    "camera_path_point_level",
    "{setting}, frame {frame}: the camera reaches the plane at depth {depth:g} that dolly_zoom keeps; expected a "
    "distance shorter than the depth.",
)
PATH_AIM_LOST = Message(
    "camera_path_aim_lost",
    "{setting}, frame {frame}: the point of look_at is at the camera or straight above or below it, so no direction is "
    "defined; expected a point beside the camera's path.",
)
PATH_VALUE = Message(
    "camera_path_value", "{setting}, frame {frame}: {name} of {move} is {found}; expected {allowed}."
)
PATH_TOO_SHORT = Message(
    "camera_path_too_short",
    "{setting}, frame {frame}: the path in {name!r} has {found} frames at {fps:g} fps, the video needs {needed}; lower "
    "max_frames, or add hold=1 to stand still at its end.",
)
