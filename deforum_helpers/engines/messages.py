"""Messages about engines: their abilities, requests, and loading what they generate with."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Abilities: what an engine lacks, ignores or can generate
NO_FACE_RESTORATION = Message(
    "no_face_restoration", "Only WebUIs restore faces; Deforum's own engines do not."
)
WEBUI_CANNOT_INVERT = Message(
    "webui_cannot_invert",
    "noise_source is 'inverted', but inversion is not available with a WebUI's model; frames get new noise.",
)
WEBUI_CANNOT_CORRECT = Message(
    "webui_cannot_correct",
    "autoencoder_correction has no effect in a WebUI, which runs its own autoencoder.",
)
NULL_IGNORES = Message(
    "null_engine_ignores",
    "{setting} has no effect: the engine without a model returns init images unchanged.",
)
DEMO_CONTROLNET = Message("demo_has_no_controlnets", "the built-in model has no ControlNets")
DEMO_GENERATES = Message(
    "demo_generates",
    "The built-in model generates landscapes only: mountains, hills, forests, lakes, rivers, waterfalls, coasts, "
    "oceans, islands, deserts, canyons, volcanoes, fields, snow, villages, cities, reefs and alien worlds, at any time "
    "of day, in any season and weather, as a photo or in a dozen styles of painting.",
)

# Warnings before a run
DEMO_UNKNOWN_WORDS = Message(
    "demo_unknown_words",
    "The built-in model generates landscapes only and does not know these words of the prompts: {words}{more}.",
)
DEMO_UNKNOWN_SUBJECT = Message(
    "demo_unknown_subject",
    "The prompt of frame {frames} names nothing that the built-in model can generate; name a scene such as mountains, "
    "forest, lake, ocean, desert or city, or render with another model (--ckpt).",
)
ETA_UNUSED = Message("eta_unused", "The sampler {sampler!r} has no adjustable eta; {eta:g} is not used.")
INVERSION_OVERWRITTEN = Message(
    "inversion_overwritten",
    "The sampler {sampler!r} adds new noise at each step, which replaces the inverted noise; noise_source 'inverted' "
    "works with all other samplers.",
)
TILING_UNUSED = Message(
    "tiling_unused", "Tiling has no effect on models without a U-Net, such as SD3 and Flux."
)
FREEU_UNUSED = Message("freeu_unused", "FreeU has no effect on models without a U-Net, such as SD3 and Flux.")
HRFIX_UNUSED = Message(
    "kohya_hrfix_unused", "Kohya HRFix has no effect on models without a U-Net, such as SD3 and Flux."
)
ATTENTION_UNUSED = Message(
    "attention_weights_unused",
    "The text encoder of {family} does not support word weights; (word:1.2) in a prompt is read as the word alone.",
)
GUIDANCE_DISTILLED = Message(
    "guidance_distilled",
    "The model {name!r} ({kind}) has its guidance built in; cfg_scale and the negative prompt have no effect.",
)
FEW_STEPS_CFG = Message(
    "few_steps_cfg",
    "The model {name!r} is distilled to a few steps ({kind}); at a CFG scale of {found:g} colours oversaturate, more "
    "so with each frame; expected a CFG scale of 1 to 2.",
)
FEW_STEPS_COUNT = Message(
    "few_steps_count",
    "The model {name!r} is distilled to a few steps ({kind}); {found} steps take longer and look no better than "
    "{most}.",
)
FEW_STEPS_SAMPLER = Message(
    "few_steps_sampler",
    "The model {name!r} ({kind}) was distilled for the sampler {expected!r}; {found!r} takes its steps in another way.",
)
LORAS_UNUSED = Message(
    "loras_unused", "{family} has no LoRAs here; those that the prompts call have no effect."
)
GUIDANCE_TWICE = Message(
    "guidance_twice",
    "{family} takes its guidance from distilled_cfg_scale_schedule; a CFG scale of {found:g} guides a second time, "
    "which takes twice as long and oversaturates colours, more so with each frame; expected a CFG scale of 1.",
)
MOTION_PREVIEW = Message(
    "motion_preview", "motion_preview_mode is on: the camera moves a test image, and nothing is generated."
)

# Errors while an engine is made or a checkpoint is loaded
CHECKPOINT_REQUIRED = Message(
    "checkpoint_required",
    "The engine {engine!r} needs a checkpoint; expected a diffusers folder or a .safetensors file.",
)
MODEL_DAMAGED = Message(
    "model_damaged",
    "The {model} cannot be loaded: the file is damaged, or its weights do not fit its configuration; fetch it again.",
)
PICKLE_UNREAD = Message(
    "model_is_pickle",
    "The file {name!r} is a pickle, which may contain code; use a .safetensors file instead.",
)
COMPONENT_MISFIT = Message(
    "component_misfit",
    "The file {file!r} ({found}) does not fit the configuration of {config}: {reason}; use the configuration that "
    "was published with the same model.",
)
TENSOR_UNKNOWN = Message("tensor_unknown", "the network has no tensor {tensor!r}")
TENSOR_SHAPE = Message("tensor_shape", "the tensor {tensor!r} has the shape {found}, expected {expected}")
TENSORS_MISSING = Message("tensors_missing", "{count} tensors are missing, such as {tensor!r}")
PRECISION_UNSUPPORTED = Message(
    "precision_unsupported",
    "The weights of the file {file!r} are stored in a form that is not supported ({tensor!r}: {found}); expected "
    "float32, float16, bfloat16, float8 or int8 with factors, or a GGUF of the types Q2_K to Q8_0, IQ4_NL or IQ4_XS.",
)
CONFIGURATION_MISSING = Message(
    "checkpoint_configuration_missing",
    "The file {file!r} contains weights only, and the configuration of its family ({hub_id}) is not on this machine; "
    "start once with --allow-download, or put the model_index.json, configurations and tokenizers of that model into a "
    "folder {folder!r} beside the file.",
)
VAE_NOT_FOUND = Message(
    "vae_not_found", "The VAE {name!r} was not found; expected a diffusers folder or a .safetensors file."
)
NOT_A_VAE = Message("not_a_vae", "The VAE {name!r} is {found}; expected the file of a VAE.")
VAE_MISFIT = Message(
    "vae_misfit", "The VAE {name!r} has {found} latent channels; the checkpoint needs one with {expected}."
)
LORA_UNUSABLE = Message("lora_unusable", "The LoRA {name!r} {reason}; put its .safetensors file there.")
LORA_MISFIT = Message(
    "lora_misfit", "The LoRA {name!r} does not fit this model; use one made for the same kind of checkpoint."
)
CONTROL_NET_LAYERS = Message(
    "controlnet_layers_differ",
    "The layers of the ControlNet {name!r} differ from the checkpoint's; use one made for the same kind of checkpoint.",
)

# Errors while an image is generated
NOT_ACCELERATED = Message(
    "network_not_accelerated",
    "The network cannot be prepared for faster evaluations ({way}) on this machine; it runs without them.",
)
HRFIX_BLOCK = Message(
    "kohya_hrfix_block",
    "kohya_hrfix_block_number is {found}, but the model's U-Net has {blocks} blocks; expected 1 to {blocks}.",
)
OUT_OF_MEMORY = Message(
    "engine_out_of_memory",
    "Memory ran out while an image of {width_px}x{height_px} was generated; reduce width and height, or close other "
    "programs.",
)
MEMORY_STEPPED_DOWN = Message(
    "memory_stepped_down",
    "The memory of {device} ran out; the image is generated again with the offload mode {mode!r}, which is slower and "
    "gives the same image.",
)
MEMORY_TILED = Message(
    "memory_tiled",
    "The memory of {device} ran out in the VAE; the image is generated again with a VAE that works on tiles, which "
    "changes images by less than the eye sees. Offload mode: {mode!r}.",
)
MEMORY_IN_8_BITS = Message(
    "memory_in_8_bits",
    "{device} has too little memory for the model as it is, so the weights of its blocks are kept in 8 bits "
    "({precision}), which changes images a little; the option precision with the value native keeps them as they are.",
)
MEMORY_SCARCE = Message(
    "memory_scarce",
    "The model may not fit: the offload mode {mode!r} needs about {peak:.1f} GB, and {free:.1f} GB of {device} are "
    "free; reduce width and height, or close other programs.",
)
NOT_FINITE = Message(
    "image_not_finite",
    "The image came out as NaN: the latents or the VAE overflowed in half precision; choose a VAE made for half "
    "precision, lower the CFG scale, or run the model in float32.",
)
INIT_IMAGE_SIZE = Message(
    "init_image_size", "The init image has the shape {found}; expected (3, {height_px}, {width_px})."
)
