"""Recognition of single model files by the names of their tensors; imports without torch.

A new family of models is a row of `_MARKS` for each layout of its transformer.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from deforum_helpers.models.weights.headers import TensorHeader, gguf_header, safetensors_header

Kind = Literal[
    "sd",
    "sdxl",
    "sd3",
    "flux",
    "z-image",
    "flux2",
    "flux2-klein",
    "chroma",
    "qwen-image",
    "sana",
    "sana-sprint",
    "pixart-sigma",
    "lumina2",
]

Component = Literal[
    "checkpoint",
    "transformer",
    "unet",
    "text_encoder",
    "vae",
    "lora",
    "controlnet",
    "language_model",
    "vision_tower",
    "unknown",
]
Layout = Literal["diffusers", "original", "llama.cpp"]

SAFETENSORS, GGUF = ".safetensors", ".gguf"
# Parts of tensor names by which 8-bit files store the factors of a layer's weights, in the order they are looked for.
SCALES = (".scale_weight", ".weight_scale")
# Tensors beside the weights that no network has: scales of activations, marks, and a tokenizer.
UNREAD = (
    ".scale_input",
    ".input_scale",
    ".comfy_quant",
    "scaled_fp8",
    "spiece_model",
    "tekken_model",
    ".weight_scale_2",
)

_PRECISIONS: Mapping[str, str] = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I8": "int8",
    "U8": "uint8",
}


@dataclass(frozen=True)
class ModelFile:
    """What a file contains.

    Args:
        path: the file.
        component: the part of a model; "checkpoint" = all of them.
        family: the family of a checkpoint, transformer or U-Net; None = it belongs to several, or is not supported.
        network: the class of networks, such as "T5" or "AutoencoderKL"; of another language model what its GGUF file
            calls it; "" = unknown, or it says no more than the family.
        layout: whose names its tensors have: of diffusers and transformers, of the maker, or of llama.cpp.
        precision: of most of its weights: "bfloat16", "float8_e4m3fn", "int8", "Q4_K", ...
        is_scaled: whether 8-bit weights come with factors.
        prefix: what precedes the names of the component's tensors.
        width: hidden size of a text encoder, latent channels of a VAE; 0 = unknown.
        size_bytes: size of its tensors.
        names: of the component's tensors, without the prefix.
    """

    path: Path
    component: Component
    family: Kind | None = None
    network: str = ""
    layout: Layout = "original"
    precision: str = ""
    is_scaled: bool = False
    prefix: str = ""
    width: int = 0
    size_bytes: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Mark:
    """Tensors by which a component is recognized.

    Args:
        component, layout: as in `ModelFile`.
        name: family, or network where the component belongs to several.
        having: beginnings of names; each must occur.
        lacking: beginnings of names that must not occur.
        metadata: keys of a GGUF file's metadata -> the values that it may have; others do not match.
    """

    component: Component
    layout: Layout
    name: str
    having: tuple[str, ...]
    lacking: tuple[str, ...] = ()
    metadata: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_ARCHITECTURE, _WORDS = "general.architecture", "tokenizer.ggml.pre"

_SANA = ("blocks.0.cross_attn.q_linear.", "blocks.0.mlp.inverted_conv.")
_SANA_OF_DIFFUSERS = ("caption_norm.", "transformer_blocks.0.ff.conv_inverted.")
_PIXART = ("blocks.0.cross_attn.q_linear.", "blocks.0.mlp.fc1.", "t_block.")
_PIXART_OF_DIFFUSERS = ("adaln_single.linear.", "caption_projection.", "pos_embed.proj.")

# The first match decides. Names are compared without the prefix of the component.
_MARKS: tuple[_Mark, ...] = (
    _Mark("transformer", "original", "chroma", ("distilled_guidance_layer.in_proj.", "double_blocks.")),
    _Mark("transformer", "diffusers", "chroma", ("distilled_guidance_layer.in_proj.", "transformer_blocks.")),
    _Mark("transformer", "original", "flux2", ("single_stream_modulation.lin.", "guidance_in.")),
    _Mark("transformer", "original", "flux2-klein", ("single_stream_modulation.lin.",)),
    _Mark(
        "transformer",
        "diffusers",
        "flux2",
        ("single_stream_modulation.linear.", "time_guidance_embed.guidance_embedder."),
    ),
    _Mark("transformer", "diffusers", "flux2-klein", ("single_stream_modulation.linear.",)),
    _Mark("transformer", "original", "flux", ("double_blocks.",)),
    _Mark(
        "transformer", "diffusers", "flux", ("single_transformer_blocks.", "time_text_embed.text_embedder.")
    ),
    _Mark(
        "transformer", "original", "z-image", ("cap_embedder.", "layers.0.adaLN_modulation.0.", "x_embedder.")
    ),
    _Mark("transformer", "diffusers", "z-image", ("cap_embedder.", "all_x_embedder.")),
    _Mark("transformer", "original", "lumina2", ("cap_embedder.", "layers.0.adaLN_modulation.1.")),
    _Mark("transformer", "diffusers", "lumina2", ("time_caption_embed.", "layers.0.norm1.linear.")),
    _Mark("transformer", "diffusers", "qwen-image", ("txt_norm.", "transformer_blocks.0.attn.add_q_proj.")),
    _Mark("transformer", "original", "sd3", ("joint_blocks.",)),
    _Mark("transformer", "diffusers", "sd3", ("pos_embed.proj.", "transformer_blocks.0.attn.add_q_proj.")),
    _Mark("transformer", "original", "SANA-Video", ("blocks.0.cross_attn.q_linear.", "blocks.0.mlp.t_conv.")),
    _Mark("transformer", "diffusers", "SANA-Video", ("caption_norm.", "transformer_blocks.0.ff.conv_temp.")),
    _Mark("transformer", "original", "sana-sprint", (*_SANA, "cfg_embedder.")),
    _Mark("transformer", "original", "sana", _SANA),
    _Mark("transformer", "diffusers", "sana-sprint", (*_SANA_OF_DIFFUSERS, "time_embed.guidance_embedder.")),
    _Mark("transformer", "diffusers", "sana", _SANA_OF_DIFFUSERS),
    _Mark("transformer", "original", "PixArt-Alpha", (*_PIXART, "csize_embedder.")),
    _Mark("transformer", "original", "pixart-sigma", _PIXART),
    _Mark(
        "transformer",
        "diffusers",
        "PixArt-Alpha",
        (*_PIXART_OF_DIFFUSERS, "adaln_single.emb.resolution_embedder."),
    ),
    _Mark("transformer", "diffusers", "pixart-sigma", _PIXART_OF_DIFFUSERS),
    _Mark("unet", "original", "U-Net", ("input_blocks.", "output_blocks.")),
    _Mark("unet", "diffusers", "U-Net", ("down_blocks.", "up_blocks.", "time_embedding.")),
    _Mark("vae", "original", "AutoencoderKLQwenImage", ("encoder.downsamples.", "decoder.upsamples.")),
    _Mark("vae", "diffusers", "AutoencoderKLQwenImage", ("decoder.mid_block.resnets.0.norm1.gamma",)),
    _Mark("vae", "original", "AutoencoderKLFlux2", ("encoder.down.", "bn.running_mean")),
    _Mark("vae", "diffusers", "AutoencoderKLFlux2", ("encoder.down_blocks.", "bn.running_mean")),
    _Mark("vae", "original", "AutoencoderDC", ("encoder.stages.", "decoder.stages.")),
    _Mark("vae", "diffusers", "AutoencoderDC", ("encoder.down_blocks.0.0.", "decoder.up_blocks.0.0.")),
    _Mark("vae", "original", "AutoencoderKL", ("encoder.down.", "decoder.up.")),
    _Mark("vae", "diffusers", "AutoencoderKL", ("encoder.down_blocks.", "decoder.up_blocks.")),
    _Mark("vae", "diffusers", "AutoencoderTiny", ("encoder.layers.", "decoder.layers."), ("encoder.embed",)),
    _Mark("text_encoder", "diffusers", "T5", ("encoder.block.0.layer.0.SelfAttention.",)),
    _Mark("text_encoder", "llama.cpp", "T5", ("enc.blk.0.attn_q.",)),
    _Mark(
        "text_encoder", "diffusers", "CLIP", ("embeddings.position_embedding.", "encoder.layers.0.self_attn.")
    ),
    _Mark(
        "text_encoder", "diffusers", "Qwen2.5-VL", ("visual.patch_embed.", "layers.0.self_attn.q_proj.bias")
    ),
    _Mark(
        "text_encoder", "diffusers", "Qwen3", ("layers.0.self_attn.q_norm.", "embed_tokens."), ("visual.",)
    ),
    _Mark(
        "text_encoder",
        "diffusers",
        "Gemma2",
        ("layers.0.pre_feedforward_layernorm.", "embed_tokens."),
        ("layers.0.self_attn.q_norm.",),
    ),
    _Mark("text_encoder", "diffusers", "Mistral3", ("multi_modal_projector.", "layers.0.self_attn.q_proj.")),
    # ComfyUI leaves the vision tower out, and puts the tokenizer in.
    _Mark("text_encoder", "diffusers", "Mistral3", ("tekken_model", "layers.0.self_attn.q_proj.")),
    # Their tensors are called as Qwen3's.
    _Mark(
        "language_model",
        "llama.cpp",
        "",
        ("blk.0.attn_q_norm.",),
        metadata={_ARCHITECTURE: ("qwen3vl", "qwen3vlmoe", "qwen3moe", "gemma3", "gemma3n", "gemma4")},
    ),
    _Mark("text_encoder", "llama.cpp", "Qwen3", ("blk.0.attn_q_norm.", "token_embd.")),
    _Mark(
        "text_encoder",
        "llama.cpp",
        "Gemma2",
        ("blk.0.post_ffw_norm.", "token_embd."),
        ("blk.0.attn_q_norm.",),
    ),
    # Llama's tensors are called as Mistral's; only their tokenizers differ.
    _Mark(
        "text_encoder",
        "llama.cpp",
        "Mistral3",
        ("blk.0.attn_q.", "token_embd."),
        metadata={_ARCHITECTURE: ("llama", "mistral3"), _WORDS: ("tekken",)},
    ),
    _Mark(
        "text_encoder",
        "llama.cpp",
        "Qwen2.5-VL",
        ("blk.0.attn_q.bias", "token_embd."),
        metadata={_ARCHITECTURE: ("qwen2vl",)},
    ),
    _Mark("vision_tower", "llama.cpp", "", ("v.blk.0.",)),
    _Mark("language_model", "diffusers", "", ("layers.0.self_attn.",)),
    _Mark("language_model", "llama.cpp", "", ("token_embd.",)),
    _Mark("language_model", "llama.cpp", "", ("blk.0.",)),
)
# What precedes the names in files of several components, or of one that was cut out of them.
_PREFIXES: Mapping[Component, tuple[str, ...]] = {
    "transformer": ("", "model.diffusion_model.", "diffusion_model."),
    "unet": ("", "model.diffusion_model."),
    "vae": ("", "first_stage_model.", "vae."),
}
# What may precede each name of a text encoder; versions of transformers differ in it.
_TEXT_PREFIXES = (
    "text_model.",
    "model.language_model.",
    "language_model.model.",
    "language_model.",
    "model.",
)
# Parts of names that only files of small changes to a model have.
_LORA = (".lora_", "lora_unet_", "lora_te", "lora.", ".hada_", ".lokr_", ".dora_scale", ".diff_b", ".oft_")
_CONTROLNET = ("control_model.", "controlnet_", "input_hint_block.", "zero_convs.", "control_all_x_embedder.")

# Beginnings of names that only a file of all components has, beside those of its network.
_WHOLE: tuple[tuple[str, Kind | None], ...] = (
    ("conditioner.embedders.1.", "sdxl"),
    ("cond_stage_model.", "sd"),
    ("text_encoders.", None),
    ("first_stage_model.", None),
    ("vae.", None),
)

# What precedes the names of a component in a file of all of them.
_PART = re.compile(r"model\.diffusion_model\.|first_stage_model\.|vae\.|text_encoders\.\w+\.transformer\.")

# Tensor whose rows or columns tell the hidden size of a text encoder, or the latent channels of a VAE.
_WIDTHS: tuple[tuple[str, int], ...] = (
    ("shared.weight", 1),
    ("embeddings.token_embedding.weight", 1),
    ("embed_tokens.weight", 1),
    ("token_embd.weight", 1),
    ("decoder.conv_in.weight", 1),
    ("decoder.conv1.weight", 1),
    ("decoder.project_in.main.conv.weight", 1),
)


def recognize(path: Path) -> ModelFile:
    """Return what a `.safetensors` or GGUF file contains, from its header alone.

    Raises:
        ModelError: the file is missing, broken, cut off or of another format.
    """
    return _described(path, *_header(path))


def recognize_parts(path: Path) -> tuple[ModelFile, ...]:
    """Return the components of a file that holds several; raises as `recognize`."""
    tensors, metadata = _header(path)
    starts: dict[str, None] = {}
    for name in tensors:
        found = _PART.match(name)
        if found is not None:
            starts[found[0]] = None
    parts = []
    for start in starts:
        inside = {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}
        part = _described(path, inside, metadata)
        parts.append(replace(part, prefix=start + part.prefix))
    return tuple(parts)


def _header(path: Path) -> tuple[dict[str, TensorHeader], dict[str, Any]]:
    """Return (tensors, metadata); that of a `.safetensors` file tells nothing about its tensors."""
    if path.suffix.casefold() != GGUF:
        return safetensors_header(path), {}
    metadata, tensors = gguf_header(path)
    return tensors, metadata


def _described(path: Path, tensors: Mapping[str, TensorHeader], metadata: Mapping[str, Any]) -> ModelFile:
    component, name, layout, prefix = _identified(tensors, metadata)
    if component == "language_model":
        name = str(metadata.get(_ARCHITECTURE, ""))
    return ModelFile(
        path=path,
        component=component,
        family=_family(name),
        network="" if _family(name) else name,
        layout=layout,
        precision=_precision(tensors),
        is_scaled=any(name.endswith(SCALES) for name in tensors),
        prefix=prefix,
        width=_width(tensors),
        size_bytes=sum(tensor.size_bytes for tensor in tensors.values()),
        names=tuple(name[len(prefix) :] for name in tensors if name.startswith(prefix)),
    )


def _identified(tensors: Iterable[str], metadata: Mapping[str, Any]) -> tuple[Component, str, Layout, str]:
    """Return (component, family or network, layout, prefix)."""
    names = sorted(tensors)
    if any(part in name for name in names for part in _LORA):
        return "lora", "", "original", ""
    if any(name.startswith(_CONTROLNET) for name in names):
        return "controlnet", "", "original", ""
    whole = [kind for start, kind in _WHOLE if _occurs(start, names)]
    kind = next((kind for kind in whole if kind), "")
    bare = sorted(bare_text_name(name) for name in names)
    for mark in _MARKS:
        if any(metadata.get(key) not in values for key, values in mark.metadata.items()):
            continue
        for prefix in _PREFIXES.get(mark.component, ("",)):
            if not _matches(mark, prefix, bare if mark.component not in _PREFIXES else names):
                continue
            if not whole or mark.component not in ("transformer", "unet"):
                return mark.component, mark.name, mark.layout, prefix
            return "checkpoint", kind if mark.component == "unet" else mark.name, mark.layout, prefix
    return ("checkpoint" if kind else "unknown"), kind, "original", ""


def bare_text_name(name: str) -> str:
    """Return the name of a text encoder's tensor without what precedes it in some versions."""
    start = next((prefix for prefix in _TEXT_PREFIXES if name.startswith(prefix)), "")
    return name[len(start) :]


def _matches(mark: _Mark, prefix: str, names: Sequence[str]) -> bool:
    return all(_occurs(prefix + start, names) for start in mark.having) and not any(
        _occurs(prefix + start, names) for start in mark.lacking
    )


def _occurs(start: str, names: Sequence[str]) -> bool:
    """Tell whether one of the sorted `names` begins with `start`."""
    place = bisect_left(names, start)
    return place < len(names) and names[place].startswith(start)


def _family(name: str) -> Kind | None:
    kinds: tuple[Kind, ...] = get_args(Kind)
    return next((kind for kind in kinds if kind == name), None)


def _precision(tensors: Mapping[str, TensorHeader]) -> str:
    sizes: Counter[str] = Counter()
    for tensor in tensors.values():
        sizes[tensor.dtype] += tensor.size_bytes
    most = max(sizes, key=lambda dtype: sizes[dtype], default="")
    return _PRECISIONS.get(most, most)


def _width(tensors: Mapping[str, TensorHeader]) -> int:
    for end, axis in _WIDTHS:
        for name, tensor in tensors.items():
            if name.endswith(end) and len(tensor.shape) > axis:
                return tensor.shape[axis]
    return 0
