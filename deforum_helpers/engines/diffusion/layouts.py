"""Names of tensors in the layouts of makers and of llama.cpp, converted to those of diffusers and transformers.

All conversions rename tensors and move rows, with one exception; so they serve weights of every precision, and the
factors of 8-bit rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from deforum_helpers.models.weights.recognition import Kind, ModelFile, bare_text_name


@dataclass(frozen=True)
class Target:
    """Where a tensor, or some of its rows, belongs.

    Args:
        name: of the tensor in diffusers or transformers.
        rows: ranges of rows that it takes, joined in this order: (first, end), or (first, end, step); none = all.
    """

    name: str
    rows: tuple[tuple[int, ...], ...] = ()


# Given the name of a tensor and the number of its rows, returns where it belongs.
Naming: TypeAlias = Callable[[str, int], "tuple[Target, ...]"]

# One name, or the names among which the rows are divided.
Targets: TypeAlias = "str | tuple[str, ...]"

_QKV = ("attn.to_q", "attn.to_k", "attn.to_v")
_ADDED_QKV = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")


def _blocks(own: str, theirs: str, table: Mapping[str, Targets]) -> dict[str, Targets]:
    """Return rows of a table for numbered blocks: "*" is the number."""
    return {
        f"{theirs}.*.{name}": (
            f"{own}.*.{targets}"
            if isinstance(targets, str)
            else tuple(f"{own}.*.{target}" for target in targets)
        )
        for name, targets in table.items()
    }


_DOUBLE: Mapping[str, Targets] = {
    "img_attn.qkv": _QKV,
    "txt_attn.qkv": _ADDED_QKV,
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
}
_MLPS: Mapping[str, Targets] = {
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
}
_SINGLE: Mapping[str, Targets] = {
    "linear1": (*_QKV, "proj_mlp"),
    "linear2": "proj_out",
    "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
}
_ENDS: Mapping[str, Targets] = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "final_layer.linear": "proj_out",
}


def _embedders(own: str, table: Mapping[str, str]) -> dict[str, Targets]:
    return {
        f"{theirs}.{layer}": f"{own}.{embedder}.linear_{number}"
        for theirs, embedder in table.items()
        for layer, number in (("in_layer", 1), ("out_layer", 2))
    }


_FLUX: Mapping[str, Targets] = {
    **_ENDS,
    **_embedders(
        "time_text_embed",
        {
            "time_in": "timestep_embedder",
            "vector_in": "text_embedder",
            "guidance_in": "guidance_embedder",
        },
    ),
    **_blocks("transformer_blocks", "double_blocks", {**_DOUBLE, **_MLPS}),
    **_blocks(
        "transformer_blocks",
        "double_blocks",
        {"img_mod.lin": "norm1.linear", "txt_mod.lin": "norm1_context.linear"},
    ),
    **_blocks("single_transformer_blocks", "single_blocks", {**_SINGLE, "modulation.lin": "norm.linear"}),
    "final_layer.adaLN_modulation.1": "norm_out.linear",
}
_CHROMA: Mapping[str, Targets] = {
    **_ENDS,
    **_blocks("transformer_blocks", "double_blocks", {**_DOUBLE, **_MLPS}),
    **_blocks("single_transformer_blocks", "single_blocks", _SINGLE),
    "distilled_guidance_layer.layers.*.in_layer": "distilled_guidance_layer.layers.*.linear_1",
    "distilled_guidance_layer.layers.*.out_layer": "distilled_guidance_layer.layers.*.linear_2",
}
_FLUX2: Mapping[str, Targets] = {
    **_ENDS,
    **_embedders("time_guidance_embed", {"time_in": "timestep_embedder", "guidance_in": "guidance_embedder"}),
    **{
        f"{name}.lin": f"{name}.linear"
        for name in ("double_stream_modulation_img", "double_stream_modulation_txt")
    },
    "single_stream_modulation.lin": "single_stream_modulation.linear",
    **_blocks("transformer_blocks", "double_blocks", _DOUBLE),
    **_blocks(
        "transformer_blocks",
        "double_blocks",
        {
            "img_mlp.0": "ff.linear_in",
            "img_mlp.2": "ff.linear_out",
            "txt_mlp.0": "ff_context.linear_in",
            "txt_mlp.2": "ff_context.linear_out",
        },
    ),
    **_blocks(
        "single_transformer_blocks",
        "single_blocks",
        {**_SINGLE, "linear1": "attn.to_qkv_mlp_proj", "linear2": "attn.to_out"},
    ),
    "final_layer.adaLN_modulation.1": "norm_out.linear",
}
_Z_IMAGE: Mapping[str, Targets] = {
    "x_embedder": "all_x_embedder.2-1",
    "final_layer.linear": "all_final_layer.2-1.linear",
    "final_layer.adaLN_modulation.1": "all_final_layer.2-1.adaLN_modulation.1",
    **{
        f"{blocks}.*.attention.{theirs}": (
            f"{blocks}.*.attention.{own}"
            if isinstance(own, str)
            else tuple(f"{blocks}.*.attention.{one}" for one in own)
        )
        for blocks in ("layers", "noise_refiner", "context_refiner")
        for theirs, own in {
            "qkv": ("to_q", "to_k", "to_v"),
            "out": "to_out.0",
            "q_norm": "norm_q",
            "k_norm": "norm_k",
        }.items()
    },
}

_LUMINA2: Mapping[str, Targets] = {
    "cap_embedder.*": "time_caption_embed.caption_embedder.*",
    "t_embedder.mlp.0": "time_caption_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_caption_embed.timestep_embedder.linear_2",
    **{
        name: target
        for blocks in ("layers", "noise_refiner", "context_refiner")
        for name, target in _blocks(
            blocks,
            blocks,
            {
                "attention.qkv": _QKV,
                "attention.out": "attn.to_out.0",
                "attention.q_norm": "attn.norm_q",
                "attention.k_norm": "attn.norm_k",
                # The context refiner is not modulated, so its first norm has no layer of its own.
                "attention_norm1": "norm1" if blocks == "context_refiner" else "norm1.norm",
                "attention_norm2": "norm2",
                "adaLN_modulation.1": "norm1.linear",
                "feed_forward.w1": "feed_forward.linear_1",
                "feed_forward.w2": "feed_forward.linear_2",
                "feed_forward.w3": "feed_forward.linear_3",
            },
        ).items()
    },
    "final_layer.adaLN_modulation.1": "norm_out.linear_1",
    "final_layer.linear": "norm_out.linear_2",
}
_CAPTION: Mapping[str, Targets] = {
    "y_embedder.y_proj.fc1": "caption_projection.linear_1",
    "y_embedder.y_proj.fc2": "caption_projection.linear_2",
}
# PixArt's block, which Sana keeps but for its MLP.
_CROSS_BLOCK: Mapping[str, Targets] = {
    "attn.qkv": ("attn1.to_q", "attn1.to_k", "attn1.to_v"),
    "attn.proj": "attn1.to_out.0",
    "cross_attn.q_linear": "attn2.to_q",
    "cross_attn.kv_linear": ("attn2.to_k", "attn2.to_v"),
    "cross_attn.proj": "attn2.to_out.0",
}
_CROSS_ENDS: Mapping[str, Targets] = {
    **_CAPTION,
    "blocks.*": "transformer_blocks.*",  # their scale_shift_table
    "final_layer": "",  # its scale_shift_table
    "final_layer.linear": "proj_out",
}
_PIXART: Mapping[str, Targets] = {
    **_CROSS_ENDS,
    "x_embedder.proj": "pos_embed.proj",
    "t_embedder.mlp.0": "adaln_single.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "adaln_single.emb.timestep_embedder.linear_2",
    "t_block.1": "adaln_single.linear",
    **_blocks(
        "transformer_blocks",
        "blocks",
        {**_CROSS_BLOCK, "mlp.fc1": "ff.net.0.proj", "mlp.fc2": "ff.net.2"},
    ),
}


def _sana(time_embedder: str) -> dict[str, Targets]:
    return {
        **_CROSS_ENDS,
        "x_embedder.proj": "patch_embed.proj",
        "t_embedder.mlp.0": f"{time_embedder}.linear_1",
        "t_embedder.mlp.2": f"{time_embedder}.linear_2",
        "cfg_embedder.mlp.0": "time_embed.guidance_embedder.linear_1",
        "cfg_embedder.mlp.2": "time_embed.guidance_embedder.linear_2",
        "t_block.1": "time_embed.linear",
        "attention_y_norm": "caption_norm",
        **_blocks(
            "transformer_blocks",
            "blocks",
            {
                **_CROSS_BLOCK,
                "attn.q_norm": "attn1.norm_q",
                "attn.k_norm": "attn1.norm_k",
                "cross_attn.q_norm": "attn2.norm_q",
                "cross_attn.k_norm": "attn2.norm_k",
                "mlp.inverted_conv.conv": "ff.conv_inverted",
                "mlp.depth_conv.conv": "ff.conv_depth",
                "mlp.point_conv.conv": "ff.conv_point",
            },
        ),
    }


_SD3: Mapping[str, Targets] = {
    "": "pos_embed",  # pos_embed, the one tensor whose name has one part
    "x_embedder.proj": "pos_embed.proj",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    **_blocks(
        "transformer_blocks",
        "joint_blocks",
        {
            "x_block.adaLN_modulation.1": "norm1.linear",
            "x_block.attn.qkv": _QKV,
            "x_block.attn.ln_q": "attn.norm_q",
            "x_block.attn.ln_k": "attn.norm_k",
            "x_block.attn.proj": "attn.to_out.0",
            "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
            "x_block.attn2.ln_q": "attn2.norm_q",
            "x_block.attn2.ln_k": "attn2.norm_k",
            "x_block.attn2.proj": "attn2.to_out.0",
            "x_block.mlp.fc1": "ff.net.0.proj",
            "x_block.mlp.fc2": "ff.net.2",
            "context_block.adaLN_modulation.1": "norm1_context.linear",
            "context_block.attn.qkv": _ADDED_QKV,
            "context_block.attn.ln_q": "attn.norm_added_q",
            "context_block.attn.ln_k": "attn.norm_added_k",
            "context_block.attn.proj": "attn.to_add_out",
            "context_block.mlp.fc1": "ff_context.net.0.proj",
            "context_block.mlp.fc2": "ff_context.net.2",
        },
    ),
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
}

# Names that are not in a table are the same in both layouts.
_TRANSFORMERS: Mapping[Kind, Mapping[str, Targets]] = {
    "flux": _FLUX,
    "chroma": _CHROMA,
    "flux2": _FLUX2,
    "flux2-klein": _FLUX2,
    "z-image": _Z_IMAGE,
    "lumina2": _LUMINA2,
    "sana": _sana("time_embed.emb.timestep_embedder"),
    "sana-sprint": _sana("time_embed.timestep_embedder"),
    "pixart-sigma": _PIXART,
    "sd3": _SD3,
}
# Layers whose makers write shift before scale; diffusers reads scale before shift. The second one does so in the last
# block only, where it has no more than these two.
_SWAPPED, _LAST_SWAPPED = "norm_out.linear", "norm1_context.linear"
# Tensors that makers leave in their files although no network has them: the network computes its table of places, and
# empty prompts are encoded.
_COMPUTED = ("pos_embed", "y_embedder.y_embedding")
_LEFT_OVER: Mapping[Kind, tuple[str, ...]] = {
    "z-image": ("norm_final.weight",),
    "lumina2": ("norm_final.weight",),
    "sana": _COMPUTED,
    "sana-sprint": (*_COMPUTED, "logvar_linear.weight", "logvar_linear.bias"),
    "pixart-sigma": _COMPUTED,
}

_NUMBER = re.compile(r"(?<=\.)\d{1,6}(?=\.)")

# LDM's names of the parts of a VAE, in the order that they are replaced.
_LDM_VAE: Mapping[re.Pattern[str], str] = {
    re.compile(r"^(encoder|decoder)\.((?:post_)?quant_conv)\."): r"\2.",
    re.compile(r"\.norm_out\."): ".conv_norm_out.",
    re.compile(r"\.nin_shortcut\."): ".conv_shortcut.",
    re.compile(r"\.down\.(\d+)\.block\."): r".down_blocks.\1.resnets.",
    re.compile(r"\.down\.(\d+)\.downsample\."): r".down_blocks.\1.downsamplers.0.",
    re.compile(r"\.mid\.block_1\."): ".mid_block.resnets.0.",
    re.compile(r"\.mid\.block_2\."): ".mid_block.resnets.1.",
    re.compile(r"\.mid\.attn_1\.norm\."): ".mid_block.attentions.0.group_norm.",
    re.compile(r"\.mid\.attn_1\.proj_out\."): ".mid_block.attentions.0.to_out.0.",
    re.compile(r"\.mid\.attn_1\.([qkv])\."): r".mid_block.attentions.0.to_\1.",
}
_LDM_UP = re.compile(r"^decoder\.up\.(\d+)\.(block|upsample)\.")

# Names of the parts of Wan's VAE, which is Qwen-Image's.
_WAN_VAE: Mapping[re.Pattern[str], str] = {
    re.compile(r"^conv1\."): "quant_conv.",
    re.compile(r"^conv2\."): "post_quant_conv.",
    re.compile(r"^(encoder|decoder)\.conv1\."): r"\1.conv_in.",
    re.compile(r"\.head\.0\."): ".norm_out.",
    re.compile(r"\.head\.2\."): ".conv_out.",
    re.compile(r"\.middle\.0\."): ".mid_block.resnets.0.",
    re.compile(r"\.middle\.1\."): ".mid_block.attentions.0.",
    re.compile(r"\.middle\.2\."): ".mid_block.resnets.1.",
    re.compile(r"\.downsamples\."): ".down_blocks.",
    re.compile(r"\.residual\.0\."): ".norm1.",
    re.compile(r"\.residual\.2\."): ".conv1.",
    re.compile(r"\.residual\.3\."): ".norm2.",
    re.compile(r"\.residual\.6\."): ".conv2.",
    re.compile(r"\.shortcut\."): ".conv_shortcut.",
}
_WAN_UP = re.compile(r"^decoder\.upsamples\.(\d+)\.")

# Names of the parts of the deep compression autoencoder, which is Sana's.
_DEEP_VAE: Mapping[re.Pattern[str], str] = {
    re.compile(r"\.main\."): ".",
    re.compile(r"\.op_list\."): ".",
    re.compile(r"^encoder\.stages\."): "encoder.down_blocks.",
    re.compile(r"^decoder\.stages\."): "decoder.up_blocks.",
    re.compile(r"^(encoder|decoder)\.project_in\.conv\."): r"\1.conv_in.",
    re.compile(r"^encoder\.project_out\.0\.conv\."): "encoder.conv_out.",
    re.compile(r"^decoder\.project_out\.0\."): "decoder.norm_out.",
    re.compile(r"^decoder\.project_out\.2\.conv\."): "decoder.conv_out.",
    re.compile(r"\.context_module\.aggreg\.(\d+)\.0\."): r".attn.to_qkv_multiscale.\1.proj_in.",
    re.compile(r"\.context_module\.aggreg\.(\d+)\.1\."): r".attn.to_qkv_multiscale.\1.proj_out.",
    re.compile(r"\.context_module\.proj\.conv\."): ".attn.to_out.",
    re.compile(r"\.context_module\.proj\.norm\."): ".attn.norm_out.",
    re.compile(r"\.context_module\.qkv\.conv\."): ".attn.qkv.",
    re.compile(r"\.local_module\.(inverted|depth|point)_conv\.conv\."): r".conv_out.conv_\1.",
    re.compile(r"\.local_module\.point_conv\.norm\."): ".conv_out.norm.",
    re.compile(r"\.conv([12]?)\.conv\."): r".conv\1.",
    re.compile(r"\.conv2\.norm\."): ".norm.",
}
_DEEP_QKV = ".attn.qkv."

_LLAMA: Mapping[str, Targets] = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "blk.*.attn_norm": "layers.*.input_layernorm",
    "blk.*.attn_q": "layers.*.self_attn.q_proj",
    "blk.*.attn_k": "layers.*.self_attn.k_proj",
    "blk.*.attn_v": "layers.*.self_attn.v_proj",
    "blk.*.attn_output": "layers.*.self_attn.o_proj",
    "blk.*.ffn_norm": "layers.*.post_attention_layernorm",
    "blk.*.ffn_gate": "layers.*.mlp.gate_proj",
    "blk.*.ffn_up": "layers.*.mlp.up_proj",
    "blk.*.ffn_down": "layers.*.mlp.down_proj",
}
# llama.cpp's names of the layers of text encoders; "*" is the number of the block.
_LLAMA_CPP: Mapping[str, Mapping[str, Targets]] = {
    "T5": {
        "token_embd": "shared",
        "enc.output_norm": "encoder.final_layer_norm",
        "enc.blk.*.attn_norm": "encoder.block.*.layer.0.layer_norm",
        "enc.blk.*.attn_q": "encoder.block.*.layer.0.SelfAttention.q",
        "enc.blk.*.attn_k": "encoder.block.*.layer.0.SelfAttention.k",
        "enc.blk.*.attn_v": "encoder.block.*.layer.0.SelfAttention.v",
        "enc.blk.*.attn_o": "encoder.block.*.layer.0.SelfAttention.o",
        "enc.blk.*.attn_rel_b": "encoder.block.*.layer.0.SelfAttention.relative_attention_bias",
        "enc.blk.*.ffn_norm": "encoder.block.*.layer.1.layer_norm",
        "enc.blk.*.ffn_gate": "encoder.block.*.layer.1.DenseReluDense.wi_0",
        "enc.blk.*.ffn_up": "encoder.block.*.layer.1.DenseReluDense.wi_1",
        "enc.blk.*.ffn_down": "encoder.block.*.layer.1.DenseReluDense.wo",
    },
    "Qwen3": {
        **_LLAMA,
        "output": "lm_head",
        "blk.*.attn_q_norm": "layers.*.self_attn.q_norm",
        "blk.*.attn_k_norm": "layers.*.self_attn.k_norm",
    },
    "Qwen2.5-VL": _LLAMA,
    "Mistral3": _LLAMA,
    "Gemma2": {
        **_LLAMA,
        "blk.*.post_attention_norm": "layers.*.post_attention_layernorm",
        "blk.*.ffn_norm": "layers.*.pre_feedforward_layernorm",
        "blk.*.post_ffw_norm": "layers.*.post_feedforward_layernorm",
    },
}
# Text encoders of which llama.cpp writes the two halves of each head's queries and keys alternately, because it turns
# neighbouring numbers where transformers turns the halves.
_INTERLEAVED = ("Mistral3",)
_TURNED = (".attn_q.weight", ".attn_k.weight")


def added_to(file: ModelFile, name: str) -> float:
    """Return what a file's layout adds to the weights of a tensor: llama.cpp stores 1 + w of Gemma's norms."""
    norms = file.network == "Gemma2" and file.layout == "llama.cpp" and name.endswith("_norm.weight")
    return 1.0 if norms else 0.0


def naming_of(file: ModelFile, hidden: int = 0, head: int = 0) -> Naming:
    """Return how the tensors of a model file are called by diffusers or transformers.

    Args:
        file: what it contains; names are given without its prefix.
        hidden: the width of a transformer, by which joined layers are divided.
        head: the width of a text encoder's attention heads.
    """
    if file.component == "text_encoder":
        return _text_naming(file, head)
    if file.layout == "diffusers":
        return lambda name, rows: (Target(name),)
    if file.component == "vae":
        return _vae_naming(file.network, file.names)
    left_over = _LEFT_OVER.get(file.family, ()) if file.family else ()
    table = _TRANSFORMERS.get(file.family, {}) if file.family else {}
    return lambda name, rows: () if name in left_over else _placed(table, name, rows, hidden)


def _text_naming(file: ModelFile, head: int) -> Naming:
    if file.layout != "llama.cpp":
        return lambda name, rows: _placed({}, bare_text_name(name), rows, 0)
    layers = _LLAMA_CPP[file.network]

    def named(name: str, rows: int) -> tuple[Target, ...]:
        targets = _placed(layers, name, rows, 0)
        if file.network not in _INTERLEAVED or not name.endswith(_TURNED):
            return targets
        halves = ((start + half, start + head, 2) for start in range(0, rows, head) for half in (0, 1))
        return (Target(targets[0].name, tuple(halves)),)

    return named


def _placed(table: Mapping[str, Targets], name: str, rows: int, hidden: int) -> tuple[Target, ...]:
    stem, _, end = name.rpartition(".")
    number = _NUMBER.search(stem + ".")
    pattern = stem if stem in table or number is None else _NUMBER.sub("*", stem + ".", count=1)[:-1]
    end = "weight" if end == "scale" else end  # of a norm
    found = table.get(pattern, pattern)
    targets = [
        f"{one.replace('*', number[0] if number else '')}.{end}".removeprefix(".")
        for one in ((found,) if isinstance(found, str) else found)
    ]
    own = targets[0].rpartition(".")[0]
    if own == _SWAPPED or (own.endswith(_LAST_SWAPPED) and rows == 2 * hidden):
        return (Target(targets[0], ((rows // 2, rows), (0, rows // 2))),)
    return _divided(targets, rows, hidden)


def _divided(targets: Sequence[str], rows: int, hidden: int = 0) -> tuple[Target, ...]:
    """Divide rows among tensors: in equal parts, but where queries are wider than the rest, `hidden` rows for them."""
    if len(targets) == 1:
        return (Target(targets[0]),)
    size = rows // len(targets)
    if len(targets) == 4:  # queries, keys, values, and the MLP
        ends = [hidden, 2 * hidden, 3 * hidden]
    elif len(targets) == 3 and hidden < rows < 3 * hidden:  # several queries share a key
        ends = [hidden, (hidden + rows) // 2]
    else:
        ends = [size * place for place in range(1, len(targets))]
    return tuple(
        Target(target, ((first, last),))
        for target, first, last in zip(targets, [0, *ends], [*ends, rows], strict=True)
    )


def _vae_naming(network: str, names: tuple[str, ...]) -> Naming:
    if network == "AutoencoderKLQwenImage":
        ends = {int(found[1]) for name in names if (found := _WAN_UP.match(name)) and ".resample." in name}
        # Blocks are numbered through; one with an upsampler is the last of its level.
        level = min(ends, default=-1) + 1

        def renamed(name: str) -> str:
            if (found := _WAN_UP.match(name)) is not None:
                number = int(found[1])
                place = "upsamplers.0" if number in ends else f"resnets.{number % level if level else number}"
                block = number // level if level else 0
                name = f"decoder.up_blocks.{block}.{place}.{name[found.end() :]}"
            return _replaced(_WAN_VAE, name)

    elif network == "AutoencoderDC":
        return _deep_vae_naming

    else:
        levels = 1 + max((int(found[1]) for name in names if (found := _LDM_UP.match(name))), default=0)

        def renamed(name: str) -> str:
            if (found := _LDM_UP.match(name)) is not None:
                place = "resnets" if found[2] == "block" else "upsamplers.0"
                block = levels - 1 - int(found[1])  # LDM counts from the largest image
                name = f"decoder.up_blocks.{block}.{place}.{name[found.end() :]}"
            return _replaced(_LDM_VAE, name)

    return lambda name, rows: (Target(renamed(name)),)


def _deep_vae_naming(name: str, rows: int) -> tuple[Target, ...]:
    own = _replaced(_DEEP_VAE, name)
    if _DEEP_QKV not in own:
        return (Target(own),)
    return _divided([own.replace(_DEEP_QKV, f".attn.to_{one}.") for one in "qkv"], rows)


def _replaced(table: Mapping[re.Pattern[str], str], name: str) -> str:
    for pattern, replacement in table.items():
        name = pattern.sub(replacement, name)
    return name
