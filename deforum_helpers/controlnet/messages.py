"""Messages about ControlNet units and their preprocessors."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Clauses for a unit's setting
UNKNOWN_PREPROCESSOR = Message(
    "unknown_preprocessor", "there is no such preprocessor; expected one of: {allowed}{suggestion}"
)
OTHER_DEPTH_MODEL = Message(
    "preprocessor_other_depth_model",
    "the depth model of {name!r} is not on this machine{cure}; {model} is used instead",
)
BODIES_ONLY = Message(
    "preprocessor_bodies_only", "{name!r} works like openpose: bodies, without hands and faces"
)
OTHER_PREPROCESSOR = Message(
    "preprocessor_not_included", "{name!r} is a network that is not included; {module} is used instead"
)
POSE_NEEDS_TRANSFORMERS = Message(
    "openpose_needs_transformers",
    "openpose needs the package 'transformers'; install it with: pip install transformers",
)
POSE_MODEL_MISSING = Message(
    "openpose_model_missing",
    "openpose needs the model {models}, which is not on this machine; fetch it with: {lines}",
)

# Errors while frames are rendered
POSE_UNAVAILABLE = Message("openpose_unavailable", "{reason}.")
POSE_MODEL_BROKEN = Message("openpose_model_broken", "The models of openpose cannot be loaded: {reason}")
PREPROCESSOR_MISSING = Message(
    "preprocessor_missing", "There is no ControlNet preprocessor {name!r}; expected one of: {allowed}."
)
