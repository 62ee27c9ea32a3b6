"""Messages about models other than the diffusion model: missing ones, broken ones, unknown names."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Depth
UNKNOWN_DEPTH_ALGORITHM = Message(
    "unknown_depth_algorithm", "depth_algorithm is {found!r}; expected one of: {allowed}."
)
DEPTH_MODEL_BROKEN = Message(
    "depth_model_broken", "The depth model {family} cannot be loaded from {source}: {reason}"
)

# Flow: clauses for the setting that asks for RAFT
RAFT_NEEDS_TORCHVISION = Message(
    "raft_needs_torchvision",
    "RAFT needs the package 'torchvision', which is not installed; install the version that belongs to this torch "
    "with: {install}, or choose DIS Medium, DIS Fine or Farneback",
)
RAFT_WEIGHTS_MISSING = Message(
    "raft_weights_missing",
    "The weights of RAFT are not on this machine: put {file} into {folder}, or fetch it with: python -c "
    '"from torchvision.models.optical_flow import *; raft_large(Raft_Large_Weights.DEFAULT)"',
)
RAFT_WEIGHTS_BROKEN = Message(
    "raft_weights_broken", "The weights of RAFT in {file} cannot be read; fetch them again."
)

# Frame interpolation
RIFE_MISSING = Message(
    "rife_missing",
    "RIFE v4.6 needs the two files flownet.param and flownet.bin, which are not on this machine; fetch them with: "
    "git clone --depth 1 https://github.com/nihui/rife-ncnn-vulkan {folder}, {instead}",
)
FILM_MISSING = Message(
    "film_missing",
    "FILM needs the file {file}, which is not on this machine; fetch it with: "
    "hf download {hub_id} frame_interpolation/{file}, {instead}",
)
FILM_BROKEN = Message("film_broken", "The file {file} of FILM cannot be read; fetch it again.")
FILM_FOREIGN = Message(
    "film_foreign", "The file {file} does not contain the network FILM ({layer} is missing); fetch it again."
)

# Segmentation
SEGMENTATION_NEEDS_TRANSFORMERS = Message(
    "segmentation_needs_transformers",
    "{feature} needs the package 'transformers'; install it with: pip install transformers",
)
SEGMENTATION_MODEL_MISSING = Message(
    "segmentation_model_missing",
    "{feature} needs the model {hub_id}, which is not on this machine; fetch it with: hf download {hub_id}",
)
SEGMENTATION_MODEL_BROKEN = Message(
    "segmentation_model_broken", "{feature}: the model in {folder} cannot be loaded: {reason}"
)

# Networks in ncnn's format
NCNN_BROKEN = Message(
    "ncnn_network_broken", "The network {file} cannot be read ({reason}); replace its two files."
)
