"""Messages about the WebUI that Deforum runs in: missing features, refusals, deviations."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Missing in the WebUI
NO_CHECKPOINT = Message(
    "webui_no_checkpoint",
    "The WebUI has no checkpoint: put a .safetensors file into its folder models/Stable-diffusion and press the "
    "refresh button beside its list of checkpoints.",
)
UNKNOWN_CHECKPOINT = Message(
    "webui_unknown_checkpoint", "The WebUI has no checkpoint {name!r}; expected one of: {known}."
)
UNKNOWN_VAE = Message("webui_unknown_vae", "The WebUI has no VAE {name!r}; expected one of: {known}.")
UNKNOWN_SAMPLER = Message(
    "webui_unknown_sampler", "The WebUI has no sampler {name!r}; expected one of: {known}."
)
UNKNOWN_SCHEDULER = Message(
    "webui_unknown_scheduler", "The WebUI has no scheduler {scheduler!r} for {sampler!r}."
)
NO_FACE_RESTORATION = Message(
    "webui_no_face_restoration",
    "This WebUI cannot restore faces; choose a model under Settings, Face restoration.",
)
FACE_MODEL_NOT_LOADED = Message(
    "webui_face_model_not_loaded",
    "restore_faces: the WebUI could not load its model {name!r}; its console says why. Switch restore_faces off, or "
    "choose another model under Settings, Face restoration.",
)
NO_EXTENSION = Message(
    "webui_no_extension",
    "This WebUI has no {name}; if {extension} is listed under Extensions, enable it and restart.",
)
CONTROLNET_DISABLED = Message(
    "webui_controlnet_disabled",
    "The WebUI's ControlNet is disabled; enable {name} under Extensions and restart.",
)
CONTROLNET_NOT_LOADED = Message(
    "webui_controlnet_not_loaded",
    "The WebUI's ControlNet is installed in {name} but could not be loaded{reason}. The console has the details.",
)
CONTROLNET_TOO_OLD = Message(
    "webui_controlnet_unsupported",
    "Deforum does not support this version of the WebUI's ControlNet; update {name} and restart.",
)
FORGE_WITHOUT_CONTROLNET = Message(
    "webui_forge_without_controlnet",
    "This Forge has no ControlNet: the folder sd_forge_controlnet is missing in extensions-builtin.",
)
CONTROLNET_NOT_INSTALLED = Message(
    "webui_controlnet_not_installed",
    "This WebUI has no ControlNet; install the extension sd-webui-controlnet under Extensions and restart.",
)
ONLY_IN_FORGE = Message("webui_only_in_forge", "This WebUI has no {name}; Forge has it.")

# Deviations
LORA_MISSING = Message(
    "webui_lora_missing", "The WebUI has no LoRA {name!r}; images are generated without it."
)
NO_TILING = Message(
    "webui_no_tiling",
    "tiling: this WebUI cannot make seamless borders at present; the frames will have seams.",
)
BLENDS_ARE_WEIGHTED = Message(
    "webui_blends_are_weighted", "In a WebUI, prompts that blend are weighted parts of one prompt."
)

# While frames are generated
UNIT_REFUSED = Message(
    "webui_unit_refused", "cn_{unit}_enabled: the WebUI's ControlNet refuses this unit: {reason}"
)
UNIT_WITHOUT_MASK = Message(
    "webui_unit_without_mask",
    "cn_{unit}_mask_vid_path: this version of sd-webui-controlnet cannot limit a unit to a mask; update the extension, "
    "or remove the mask.",
)
GENERATION_FAILED = Message("webui_generation_failed", "The WebUI failed to generate: {kind}: {reason}")
PART_FAILED = Message("webui_part_failed", "The WebUI's {part} failed: {kind}: {reason}")
OUT_OF_MEMORY = Message("webui_out_of_memory", "The WebUI ran out of memory; choose a smaller W and H.")
CHECKPOINT_REPLACED = Message(
    "webui_checkpoint_replaced",
    "The WebUI loaded another checkpoint while it generated this frame; the job can be resumed.",
)
INTERRUPTED = Message("webui_interrupted", "The job was interrupted in the WebUI.")
NO_IMAGE = Message("webui_no_image", "The WebUI returned no image; its console says why.")
