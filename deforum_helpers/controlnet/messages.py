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

# ControlNet models
CONTROL_NETS_UNSUPPORTED = Message(
    "controlnets_unsupported",
    "ControlNet units work only with checkpoints of Stable Diffusion 1.x, 2.x and XL.",
)
CONTROL_NET_NOT_FOUND = Message(
    "controlnet_not_found",
    "There is no ControlNet {name!r} in the folder {folder!r} beside the checkpoint; there are: {found}{suggestion}.",
)
CONTROL_NET_PICKLE = Message(
    "controlnet_pickle",
    "The ControlNet {name!r} is a pickle. Pickles can run code when they are opened, so they are never loaded; use the "
    ".safetensors version of the model.",
)
CONTROL_NET_CLASS = Message(
    "controlnet_class", "The folder {name!r} contains a {found!r}; expected a {allowed}."
)
CONTROL_NET_WITHOUT_WEIGHTS = Message(
    "controlnet_without_weights",
    "The ControlNet {name!r} has no .safetensors weights; use the version of it that has them.",
)
CONTROL_NET_OTHER_KIND = Message(
    "controlnet_other_kind", "The file {file!r} is {kind}; of these models only plain ControlNets are loaded."
)
NOT_A_CONTROL_NET = Message(
    "not_a_controlnet", "The file {file!r} is not a ControlNet of Stable Diffusion 1.x, 2.x or XL."
)
CONTROL_NET_MISFIT = Message(
    "controlnet_misfit",
    "The ControlNet {name!r} is made for {found}, the checkpoint is {expected}; use one made for the same kind of "
    "checkpoint.",
)
