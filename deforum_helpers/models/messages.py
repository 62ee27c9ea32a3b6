"""Messages about models other than the diffusion model: missing ones, broken ones, unknown names."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Depth
UNKNOWN_DEPTH_ALGORITHM = Message(
    "unknown_depth_algorithm", "depth_algorithm is {found!r}; expected one of: {allowed}."
)
DEPTH_MODEL_SUBSTITUTED = Message(
    "depth_model_substituted",
    "depth_algorithm {name!r} is not available here{cure}; {model} is used instead.",
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
INTERPOLATION_UNAVAILABLE = Message("interpolation_unavailable", "{reason}.")
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

SEGMENTATION_UNAVAILABLE = Message("segmentation_unavailable", "{reason}.")

# Segmentation of anime figures: clauses for the tool that needs it
ANIME_NEEDS_ONNXRUNTIME = Message(
    "anime_needs_onnxruntime",
    "it needs the package 'onnxruntime', which is not installed; install it with: {install}",
)
ANIME_MODEL_MISSING = Message(
    "anime_model_missing",
    "it needs the file {file}, which is not on this machine; fetch it with: hf download {hub_id} {file}",
)
ANIME_UNAVAILABLE = Message("anime_unavailable", "Anime Remove Background: {reason}.")
ANIME_MODEL_BROKEN = Message("anime_model_broken", "The network {file} cannot be read; fetch it again.")

# Upscaling
UPSCALER_MISSING = Message(
    "upscaler_weights_missing",
    "The weights of {model} are not on this machine; install them with: {install}, {instead}",
)
UPSCALER_FILE_MISSING = Message(
    "upscaler_file_missing",
    "The upscaler {file} is not on this machine; put the file into {folder}, {instead}",
)
UPSCALER_NEEDS_SPANDREL = Message(
    "upscaler_needs_spandrel",
    "The upscaler {file} is {kind}, which needs the package 'spandrel'; install it with: {install}, {instead}",
)
UPSCALER_BROKEN = Message(
    "upscaler_broken", "The upscaler {file} cannot be loaded ({reason}); fetch it again."
)
UPSCALER_UNRECOGNIZED = Message(
    "upscaler_unrecognized",
    "The upscaler {file} is {kind}, which the installed version of spandrel does not recognize; expected a network "
    "for super resolution or restoration.",
)
UPSCALER_PURPOSE = Message(
    "upscaler_purpose",
    "The upscaler {file} is a network for {purpose} with {channels} input channels; expected one that takes an "
    "image alone, in gray, RGB or RGBA.",
)
UPSCALER_UNAVAILABLE = Message("upscaler_unavailable", "{reason}.")

# Checkpoints
CHECKPOINT_PICKLE = Message(
    "checkpoint_pickle",
    "The checkpoint {name!r} is a pickle. Pickles can run code when they are opened, so they are never loaded; use the "
    ".safetensors version of the model, or convert the file with a tool that you trust.",
)
CHECKPOINT_UNUSABLE = Message(
    "checkpoint_unusable",
    "The checkpoint {name!r} {reason}; expected a diffusers folder, or a .safetensors or GGUF file.",
)
CHECKPOINT_NOT_FOUND = Message(
    "checkpoint_not_found",
    "The checkpoint {name!r} was not found; expected a diffusers folder, or a .safetensors or GGUF file.",
)
CHECKPOINT_NOT_LOCAL = Message(
    "checkpoint_not_local",
    "The checkpoint {name!r} is not on this machine, and downloads are off; start with --allow-download to fetch it, "
    "or name a local folder, or .safetensors or GGUF file.",
)
MODEL_INDEX_MISSING = Message(
    "model_index_missing", "The folder {name!r} is not a diffusers model: it has no model_index.json."
)
PIPELINE_UNSUPPORTED = Message(
    "pipeline_unsupported",
    "The model {name!r} is made for the pipeline {found!r}; expected one of: {allowed}.",
)
COMPONENT_UNSUPPORTED = Message(
    "component_unsupported",
    "The model {name!r} names {found!r} as its {component}; expected {allowed} of diffusers or transformers. Foreign "
    "code is never loaded.",
)
COMPONENT_MISSING = Message(
    "model_component_missing",
    "The model {name!r} is {family}, and its {component} is missing; put the folder {component!r} of that model, with "
    "its entry in model_index.json, into the folder {name!r}.",
)
FOREIGN_CODE = Message(
    "model_needs_foreign_code",
    "The model {name!r} asks for foreign code in {file} (auto_map), which is never run; use a model that needs none.",
)
COMPONENT_PICKLED = Message(
    "component_pickled",
    "The {component} of the model {name!r} has {found} and no .safetensors file; only .safetensors weights are loaded. "
    "Use that version of the model.",
)
COMPONENT_WITHOUT_WEIGHTS = Message(
    "component_without_weights",
    "The {component} of the model {name!r} has no weights; put its .safetensors file into the folder {component!r} "
    "of the model{option}.",
)
# The end of COMPONENT_WITHOUT_WEIGHTS
OR_NAME_IT = Message("or_name_it", ", or name a file of it with {option}")
NOT_A_CHECKPOINT = Message(
    "not_a_checkpoint",
    "The file {file!r} is {found}, not a checkpoint or transformer of {allowed}; a LoRA belongs in the prompt as "
    "<lora:name:weight>, a text encoder in --text-encoder, a VAE in --vae or the VAE setting.",
)
FILE_WITHOUT_CONFIGURATION = Message(
    "file_without_configuration",
    "The file {file!r} is {found} and contains weights only; put the model_index.json, configurations and tokenizers "
    "of a {family} model into a folder {folder!r} beside it, or name that folder with --ckpt and the file with "
    "--transformer.",
)
FILE_LACKS_PARTS = Message(
    "file_lacks_parts",
    "The file {file!r} is {found} and lacks the model's {missing}; name files of them with {options}, or put their "
    "weights into the folder {folder!r}.",
)
WHOLE_FILE_PACKED = Message(
    "whole_file_packed",
    "The file {file!r} is {found} whose weights are GGUF blocks, or 8-bit numbers with factors, which files of all "
    "components of this family may not have; use its float16 or plain float8 version.",
)
PART_HAS_NO_PLACE = Message(
    "part_has_no_place",
    "{option} names {file!r}, but a checkpoint of {family} has no further component of that kind; leave it out.",
)
PART_NOT_FOUND = Message(
    "part_not_found",
    "{option} names {file!r}, which was not found; expected a .safetensors or GGUF file, or a folder with config.json "
    "and .safetensors weights.",
)
PART_WITHOUT_CONFIGURATION = Message(
    "part_without_configuration",
    "{option} names the folder {file!r}, which has no config.json; expected a .safetensors or GGUF file, or the folder "
    "of one component with config.json and .safetensors weights, such as {example!r} in a diffusers model.",
)
PART_WRONG = Message(
    "part_wrong",
    "{option} names {file!r}, which is {found}; expected {expected} for a checkpoint of {family}{place}.",
)
# Ends of PART_WRONG
LORA_BELONGS = Message("lora_belongs", "; a LoRA belongs in the prompt as <lora:name:weight>")
CONTROLNET_BELONGS = Message(
    "controlnet_belongs", "; a ControlNet belongs in the folder ControlNet beside the checkpoint"
)
PART_BELONGS = Message("part_belongs", "; name it with {option}")
FILE_OF_SEVERAL = Message(
    "file_of_several",
    "The file {file!r} is one of several files with a model's weights; name the folder that holds them and their "
    "config.json.",
)
PART_WIDTH = Message(
    "part_width",
    "{option} names {file!r}, which is {found}; the configuration in {folder!r} expects {expected}, so use the file "
    "that was published for the same model.",
)
INPAINTING_CHECKPOINT = Message(
    "inpainting_checkpoint",
    "The file {file!r} is an inpainting or edit model with {channels} input channels; use the text-to-image version.",
)

# The hub
HUB_ID_MALFORMED = Message(
    "hub_id_malformed",
    "{found!r} is not the id of a model on the hub; expected OWNER/NAME, as at the top of the model's page.",
)
HUB_MODEL_UNKNOWN = Message(
    "hub_model_unknown",
    "The hub has no model {hub_id!r} that this account may see; check its id, OWNER/NAME, and for a private model set "
    "the environment variable HF_TOKEN.",
)
HUB_REVISION_UNKNOWN = Message(
    "hub_revision_unknown",
    "The model {hub_id!r} has no such revision; expected a branch, a tag or a commit of its repository.",
)
HUB_GATED = Message(
    "hub_model_gated",
    "The owner of the model {hub_id!r} gives it only to accounts that accepted its licence: accept it on {page}, and "
    "set the environment variable HF_TOKEN to a token of that account.",
)
HUB_TOKEN_REFUSED = Message(
    "hub_token_refused",
    "The hub refuses the model {hub_id!r} to this account; check the token in the environment variable HF_TOKEN, and "
    "that it may read this model.",
)
HUB_OFFLINE = Message(
    "hub_offline",
    "The model {hub_id!r} cannot be downloaded, because HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set; unset it, or "
    "name a local folder.",
)
HUB_MODEL_REFUSED = Message(
    "hub_model_refused",
    "The model {hub_id!r} cannot be downloaded; check its name and that it is open to everybody.",
)
HUB_UNREACHABLE = Message(
    "hub_unreachable",
    "The model {hub_id!r} cannot be downloaded now; check the network connection, or name a local folder.",
)
HUB_DISK_FULL = Message(
    "hub_disk_full", "The disk is full: the model {hub_id!r} needs more space; free some and try again."
)
HUB_NEEDS_SPACE = Message(
    "hub_needs_space",
    "The model {hub_id!r} needs {needed} GB more, and the disk of {folder} has {free} GB free; free some, or set the "
    "environment variable DEFORUM_MODELS to a folder on another disk.",
)
HUB_NOTHING_TO_INSTALL = Message(
    "hub_nothing_to_install",
    "Nothing of the model {hub_id!r} can be installed: expected .safetensors or GGUF files, with the patterns given; "
    "weights of other kinds there: {found}.",
)
HUB_FILES_TO_CHOOSE = Message(
    "hub_files_to_choose",
    "The model {hub_id!r} has {count} files of weights and no model_index.json; choose with --include: {files}.",
)
HUB_MODEL_PRESENT = Message(
    "hub_model_present",
    "{place} is there already; rename or remove it to install the model {hub_id!r}.",
)
HUB_FILES_COLLIDE = Message(
    "hub_files_collide",
    "The model {hub_id!r} has several files {file!r}, which would replace each other; choose one with --include.",
)
HUB_FILE_DAMAGED = Message(
    "hub_file_damaged",
    "The file {file!r} arrived damaged: {found} of {expected} bytes, or another hash than the hub's; run the command "
    "again, which fetches this file anew.",
)

# Files of models
MODEL_FOLDER_UNUSABLE = Message(
    "model_folder_unusable", "The folder {name!r} {reason}; expected ordinary files only."
)
MODEL_FILE_UNUSABLE = Message("model_file_unusable", "The file {file!r} {reason}; fetch it again.")
NOT_SAFETENSORS = Message("not_safetensors", "The file {file!r} is not a .safetensors file: {reason}.")
NOT_GGUF = Message("not_gguf", "The file {file!r} is not a GGUF file of version 2 or 3: {reason}.")
# Reasons of these two
FILE_EMPTY = Message("file_empty", "it is empty; fetch it again")
FILE_DAMAGED = Message("file_damaged", "it is damaged or cut off; fetch it again")
FILE_OTHERWISE_NAMED = Message("file_otherwise_named", "its name ends with {found!r}; expected {allowed}")
FILE_NAMED_WRONGLY = Message("file_named_wrongly", "its content is that of a {found} file; rename it so")
FILE_IS_POINTER = Message(
    "file_is_pointer", "it is a pointer of Git LFS; fetch the file itself with git lfs pull"
)
FILE_IS_PAGE = Message("file_is_page", "it is a web page; fetch the file itself")
FILE_IS_PICKLE = Message(
    "file_is_pickle", "it is a pickle, which can run code when it is opened; use the .safetensors version"
)
GGUF_SPLIT = Message(
    "gguf_split",
    "The file {file!r} is part {number} of {count} of a model; join them with llama-gguf-split --merge.",
)
MODEL_JSON_UNREADABLE = Message("model_json_unreadable", "{file} cannot be read ({reason}).")
MODEL_JSON_NO_OBJECT = Message("model_json_no_object", "{file} is not a JSON object.")

# Networks in ncnn's format
NCNN_BROKEN = Message(
    "ncnn_network_broken", "The network {file} cannot be read ({reason}); replace its two files."
)
