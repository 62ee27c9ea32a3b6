"""Writes components of tiny diffusers folders as the single files that makers and ComfyUI publish."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

Tensors = dict[str, torch.Tensor]

_FLUX_NAMES = (
    (r"^x_embedder\.", "img_in."),
    (r"^context_embedder\.", "txt_in."),
    (r"^proj_out\.", "final_layer.linear."),
    (r"^norm_out\.linear\.", "final_layer.adaLN_modulation.1."),
    (r"^time_(?:text|guidance)_embed\.timestep_embedder\.linear_1\.", "time_in.in_layer."),
    (r"^time_(?:text|guidance)_embed\.timestep_embedder\.linear_2\.", "time_in.out_layer."),
    (r"^time_text_embed\.text_embedder\.linear_1\.", "vector_in.in_layer."),
    (r"^time_text_embed\.text_embedder\.linear_2\.", "vector_in.out_layer."),
    (r"^time_(?:text|guidance)_embed\.guidance_embedder\.linear_1\.", "guidance_in.in_layer."),
    (r"^time_(?:text|guidance)_embed\.guidance_embedder\.linear_2\.", "guidance_in.out_layer."),
    (r"^(double_stream_modulation_\w+|single_stream_modulation)\.linear\.", r"\1.lin."),
    (r"^single_transformer_blocks\.(\d+)\.norm\.linear\.", r"single_blocks.\1.modulation.lin."),
    (r"^single_transformer_blocks\.(\d+)\.(?:proj_out|attn\.to_out)\.", r"single_blocks.\1.linear2."),
    (r"^single_transformer_blocks\.(\d+)\.attn\.to_qkv_mlp_proj\.", r"single_blocks.\1.linear1."),
    (
        r"^single_transformer_blocks\.(\d+)\.attn\.norm_q\.weight",
        r"single_blocks.\1.norm.query_norm.scale",
    ),
    (r"^single_transformer_blocks\.(\d+)\.attn\.norm_k\.weight", r"single_blocks.\1.norm.key_norm.scale"),
    (r"^transformer_blocks\.(\d+)\.norm1\.linear\.", r"double_blocks.\1.img_mod.lin."),
    (r"^transformer_blocks\.(\d+)\.norm1_context\.linear\.", r"double_blocks.\1.txt_mod.lin."),
    (
        r"^transformer_blocks\.(\d+)\.attn\.norm_q\.weight",
        r"double_blocks.\1.img_attn.norm.query_norm.scale",
    ),
    (r"^transformer_blocks\.(\d+)\.attn\.norm_k\.weight", r"double_blocks.\1.img_attn.norm.key_norm.scale"),
    (
        r"^transformer_blocks\.(\d+)\.attn\.norm_added_q\.weight",
        r"double_blocks.\1.txt_attn.norm.query_norm.scale",
    ),
    (
        r"^transformer_blocks\.(\d+)\.attn\.norm_added_k\.weight",
        r"double_blocks.\1.txt_attn.norm.key_norm.scale",
    ),
    (r"^transformer_blocks\.(\d+)\.attn\.to_out\.0\.", r"double_blocks.\1.img_attn.proj."),
    (r"^transformer_blocks\.(\d+)\.attn\.to_add_out\.", r"double_blocks.\1.txt_attn.proj."),
    (r"^transformer_blocks\.(\d+)\.ff\.(?:net\.0\.proj|linear_in)\.", r"double_blocks.\1.img_mlp.0."),
    (r"^transformer_blocks\.(\d+)\.ff\.(?:net\.2|linear_out)\.", r"double_blocks.\1.img_mlp.2."),
    (r"^transformer_blocks\.(\d+)\.ff_context\.(?:net\.0\.proj|linear_in)\.", r"double_blocks.\1.txt_mlp.0."),
    (r"^transformer_blocks\.(\d+)\.ff_context\.(?:net\.2|linear_out)\.", r"double_blocks.\1.txt_mlp.2."),
    (
        r"^distilled_guidance_layer\.layers\.(\d+)\.linear_1\.",
        r"distilled_guidance_layer.layers.\1.in_layer.",
    ),
    (
        r"^distilled_guidance_layer\.layers\.(\d+)\.linear_2\.",
        r"distilled_guidance_layer.layers.\1.out_layer.",
    ),
    (r"^distilled_guidance_layer\.norms\.(\d+)\.weight", r"distilled_guidance_layer.norms.\1.scale"),
)
# Layers of diffusers that makers write as one.
_JOINED = (
    (
        r"^transformer_blocks\.(\d+)\.attn\.to_q\.",
        ("to_q", "to_k", "to_v"),
        r"double_blocks.\1.img_attn.qkv.",
    ),
    (
        r"^transformer_blocks\.(\d+)\.attn\.add_q_proj\.",
        ("add_q_proj", "add_k_proj", "add_v_proj"),
        r"double_blocks.\1.txt_attn.qkv.",
    ),
    (
        r"^single_transformer_blocks\.(\d+)\.attn\.to_q\.",
        ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
        r"single_blocks.\1.linear1.",
    ),
    (
        r"^(\w+\.\d+)\.attention\.to_q\.",
        ("to_q", "to_k", "to_v"),
        r"\1.attention.qkv.",
    ),
)
_JOINED_LUMINA = ((r"^(\w+\.\d+)\.attn\.to_q\.", ("to_q", "to_k", "to_v"), r"\1.attention.qkv."),)
_JOINED_CROSS = (
    (r"^transformer_blocks\.(\d+)\.attn1\.to_q\.", ("to_q", "to_k", "to_v"), r"blocks.\1.attn.qkv."),
    (r"^transformer_blocks\.(\d+)\.attn2\.to_k\.", ("to_k", "to_v"), r"blocks.\1.cross_attn.kv_linear."),
)
_JOINED_SD3 = (
    (
        r"^transformer_blocks\.(\d+)\.attn(2?)\.to_q\.",
        ("to_q", "to_k", "to_v"),
        r"joint_blocks.\1.x_block.attn\2.qkv.",
    ),
    (
        r"^transformer_blocks\.(\d+)\.attn\.add_q_proj\.",
        ("add_q_proj", "add_k_proj", "add_v_proj"),
        r"joint_blocks.\1.context_block.attn.qkv.",
    ),
)


def _joined(tensors: Tensors, table: tuple[tuple[str, tuple[str, ...], str], ...] = _JOINED) -> Tensors:
    left, made = dict(tensors), {}
    for pattern, parts, name in table:
        for first in [name for name in left if re.match(pattern, name)]:
            names = [first.replace(f".{parts[0]}.", f".{part}.") for part in parts]
            made[re.sub(pattern, name, first)] = torch.cat([left.pop(one) for one in names])
    return {**left, **made}


def _renamed(tensors: Tensors, table: tuple[tuple[str, str], ...]) -> Tensors:
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, replacement in table:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def flux(tensors: Tensors) -> Tensors:
    """Return Flux.1, Chroma or FLUX.2 in Black Forest Labs' layout, with shift before scale in the last layer."""
    made = _renamed(_joined(tensors), _FLUX_NAMES)
    for name in [name for name in made if name.startswith("final_layer.adaLN")]:
        made[name] = torch.cat(made[name].chunk(2)[::-1])
    return made


def z_image(tensors: Tensors) -> Tensors:
    names = (
        (r"^all_x_embedder\.2-1\.", "x_embedder."),
        (r"^all_final_layer\.2-1\.", "final_layer."),
        (r"\.attention\.to_out\.0\.", ".attention.out."),
        (r"\.attention\.norm_([qk])\.", r".attention.\1_norm."),
    )
    return {**_renamed(_joined(tensors), names), "norm_final.weight": torch.ones(32)}


def lumina2(tensors: Tensors) -> Tensors:
    names = (
        (r"^time_caption_embed\.caption_embedder\.", "cap_embedder."),
        (r"^time_caption_embed\.timestep_embedder\.linear_1\.", "t_embedder.mlp.0."),
        (r"^time_caption_embed\.timestep_embedder\.linear_2\.", "t_embedder.mlp.2."),
        (r"^norm_out\.linear_1\.", "final_layer.adaLN_modulation.1."),
        (r"^norm_out\.linear_2\.", "final_layer.linear."),
        (r"\.attn\.to_out\.0\.", ".attention.out."),
        (r"\.attn\.norm_([qk])\.", r".attention.\1_norm."),
        (r"\.norm1\.linear\.", ".adaLN_modulation.1."),
        (r"(\.\d)\.norm1\.(norm\.)?", r"\1.attention_norm1."),
        (r"(\.\d)\.norm2\.", r"\1.attention_norm2."),
        (r"\.feed_forward\.linear_(\d)", r".feed_forward.w\1"),
    )
    return {**_renamed(_joined(tensors, _JOINED_LUMINA), names), "norm_final.weight": torch.ones(24)}


# Tensors of PixArt and Sana that no network of diffusers has.
_CROSS_EXTRAS = {"pos_embed": torch.ones(1, 9, 16), "y_embedder.y_embedding": torch.ones(3, 16)}
_CROSS_NAMES = (
    (r"^caption_projection\.linear_(\d)\.", r"y_embedder.y_proj.fc\1."),
    (r"^(?:\w+\.)+timestep_embedder\.linear_1\.", "t_embedder.mlp.0."),
    (r"^(?:\w+\.)+timestep_embedder\.linear_2\.", "t_embedder.mlp.2."),
    (r"^(?:adaln_single|time_embed)\.linear\.", "t_block.1."),
    (r"^(?:pos|patch)_embed\.proj\.", "x_embedder.proj."),
    (r"^proj_out\.", "final_layer.linear."),
    (r"^scale_shift_table$", "final_layer.scale_shift_table"),
    (r"^transformer_blocks\.", "blocks."),
    (r"\.attn1\.to_out\.0\.", ".attn.proj."),
    (r"\.attn2\.to_out\.0\.", ".cross_attn.proj."),
    (r"\.attn2\.to_q\.", ".cross_attn.q_linear."),
)


def pixart_sigma(tensors: Tensors) -> Tensors:
    names = ((r"\.ff\.net\.0\.proj\.", ".mlp.fc1."), (r"\.ff\.net\.2\.", ".mlp.fc2."))
    return {**_renamed(_joined(tensors, _JOINED_CROSS), (*_CROSS_NAMES, *names)), **_CROSS_EXTRAS}


def sana(tensors: Tensors) -> Tensors:
    names = (
        (r"^caption_norm\.", "attention_y_norm."),
        (r"^time_embed\.guidance_embedder\.linear_1\.", "cfg_embedder.mlp.0."),
        (r"^time_embed\.guidance_embedder\.linear_2\.", "cfg_embedder.mlp.2."),
        (r"\.attn1\.norm_([qk])\.", r".attn.\1_norm."),
        (r"\.attn2\.norm_([qk])\.", r".cross_attn.\1_norm."),
        (r"\.ff\.conv_(\w+)\.", r".mlp.\1_conv.conv."),
    )
    made = _renamed(_joined(tensors, _JOINED_CROSS), (*_CROSS_NAMES, *names))
    distilled = "cfg_embedder.mlp.0.weight" in made
    extras = {"logvar_linear.weight": torch.ones(1, 16), "logvar_linear.bias": torch.ones(1)}
    return {**made, **_CROSS_EXTRAS, **(extras if distilled else {})}


def sd3(tensors: Tensors) -> Tensors:
    """Return Stable Diffusion 3 in Stability's layout, with shift before scale in the last layers."""
    block = r"^transformer_blocks\.(\d+)\."
    names = (
        (r"^pos_embed\.pos_embed$", "pos_embed"),
        (r"^pos_embed\.proj\.", "x_embedder.proj."),
        (r"^time_text_embed\.timestep_embedder\.linear_1\.", "t_embedder.mlp.0."),
        (r"^time_text_embed\.timestep_embedder\.linear_2\.", "t_embedder.mlp.2."),
        (r"^time_text_embed\.text_embedder\.linear_1\.", "y_embedder.mlp.0."),
        (r"^time_text_embed\.text_embedder\.linear_2\.", "y_embedder.mlp.2."),
        (r"^norm_out\.linear\.", "final_layer.adaLN_modulation.1."),
        (r"^proj_out\.", "final_layer.linear."),
        (block + r"norm1\.linear\.", r"joint_blocks.\1.x_block.adaLN_modulation.1."),
        (block + r"norm1_context\.linear\.", r"joint_blocks.\1.context_block.adaLN_modulation.1."),
        (block + r"attn(2?)\.to_out\.0\.", r"joint_blocks.\1.x_block.attn\2.proj."),
        (block + r"attn(2?)\.norm_([qk])\.", r"joint_blocks.\1.x_block.attn\2.ln_\3."),
        (block + r"attn\.to_add_out\.", r"joint_blocks.\1.context_block.attn.proj."),
        (block + r"attn\.norm_added_([qk])\.", r"joint_blocks.\1.context_block.attn.ln_\2."),
        (block + r"ff\.net\.0\.proj\.", r"joint_blocks.\1.x_block.mlp.fc1."),
        (block + r"ff\.net\.2\.", r"joint_blocks.\1.x_block.mlp.fc2."),
        (block + r"ff_context\.net\.0\.proj\.", r"joint_blocks.\1.context_block.mlp.fc1."),
        (block + r"ff_context\.net\.2\.", r"joint_blocks.\1.context_block.mlp.fc2."),
    )
    last = max(name for name in tensors if name.endswith("norm1_context.linear.weight"))
    made = _renamed(_joined(tensors, _JOINED_SD3), names)
    for name in ("norm_out.linear.", last.removesuffix("weight")):
        for end in ("weight", "bias"):
            (theirs,) = _renamed({name + end: tensors[name + end]}, names)
            made[theirs] = torch.cat(tensors[name + end].chunk(2)[::-1])
    return made


def ldm_vae(tensors: Tensors) -> Tensors:
    """Return a VAE of two levels in the layout of latent diffusion, whose attention is made of convolutions."""
    names = (
        ("conv_norm_out", "norm_out"),
        ("conv_shortcut", "nin_shortcut"),
        (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
        (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
        (r"up_blocks\.0\.resnets", "up.1.block"),
        (r"up_blocks\.1\.resnets", "up.0.block"),
        (r"up_blocks\.0\.upsamplers\.0", "up.1.upsample"),
        (r"mid_block\.resnets\.0", "mid.block_1"),
        (r"mid_block\.resnets\.1", "mid.block_2"),
        (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
        (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
        (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    )
    return {
        name: tensor[:, :, None, None] if "attn_1" in name and tensor.ndim == 2 else tensor
        for name, tensor in _renamed(tensors, names).items()
    }


def flux2_vae(tensors: Tensors) -> Tensors:
    names = ((r"^quant_conv", "encoder.quant_conv"), (r"^post_quant_conv", "decoder.post_quant_conv"))
    return _renamed(ldm_vae(tensors), names)


def wan_vae(tensors: Tensors) -> Tensors:
    """Return a VAE with two levels of two resnets each in Wan's layout, which numbers the blocks through."""
    names = (
        (r"^quant_conv", "conv1"),
        (r"^post_quant_conv", "conv2"),
        (r"^(encoder|decoder)\.conv_in", r"\1.conv1"),
        (r"norm_out", "head.0"),
        (r"conv_out", "head.2"),
        (r"mid_block\.resnets\.0", "middle.0"),
        (r"mid_block\.attentions\.0", "middle.1"),
        (r"mid_block\.resnets\.1", "middle.2"),
        (r"down_blocks", "downsamples"),
        (r"up_blocks\.0\.resnets\.(\d)", r"upsamples.\1"),
        (r"up_blocks\.0\.upsamplers\.0", "upsamples.2"),
        (r"up_blocks\.1\.resnets\.0", "upsamples.3"),
        (r"up_blocks\.1\.resnets\.1", "upsamples.4"),
        (r"\.norm1\.", ".residual.0."),
        (r"\.conv1\.(weight|bias)$", r".residual.2.\1"),
        (r"\.norm2\.", ".residual.3."),
        (r"\.conv2\.", ".residual.6."),
        (r"conv_shortcut", "shortcut"),
        (r"^(encoder|decoder)\.residual\.2", r"\1.conv1"),
    )
    return _renamed(tensors, names)


def deep_vae(tensors: Tensors) -> Tensors:
    """Return Sana's autoencoder in the layout of its makers, whose attention is made of convolutions."""
    left, made = dict(tensors), {}
    for first in [name for name in left if name.endswith(".attn.to_q.weight")]:
        parts = [left.pop(first.replace("to_q", f"to_{one}")) for one in "qkv"]
        made[first.replace("attn.to_q", "context_module.main.qkv.conv")] = torch.cat(parts)[:, :, None, None]
    names = (
        (r"^(encoder|decoder)\.conv_in\.", r"\1.project_in.conv."),
        (r"^encoder\.conv_out\.", "encoder.project_out.main.0.conv."),
        (r"^decoder\.norm_out\.", "decoder.project_out.0."),
        (r"^decoder\.conv_out\.", "decoder.project_out.2.conv."),
        (r"\.attn\.to_qkv_multiscale\.(\d)\.proj_in\.", r".context_module.main.aggreg.\1.0."),
        (r"\.attn\.to_qkv_multiscale\.(\d)\.proj_out\.", r".context_module.main.aggreg.\1.1."),
        (r"\.attn\.to_out\.", ".context_module.main.proj.conv."),
        (r"\.attn\.norm_out\.", ".context_module.main.proj.norm."),
        (r"\.conv_out\.conv_(\w+)\.", r".local_module.main.\1_conv.conv."),
        (r"\.conv_out\.norm\.", ".local_module.main.point_conv.norm."),
        (r"(_blocks\.\d\.\d)\.conv(\d?)\.", r"\1.main.conv\2.conv."),
        (r"(_blocks\.\d\.\d)\.norm\.", r"\1.main.conv2.norm."),
        (r"^(encoder|decoder)\.(?:down|up)_blocks\.(\d)\.(\d)\.", r"\1.stages.\2.op_list.\3."),
        (r"^decoder\.project_in\.", "decoder.project_in.main."),
    )
    return {**_renamed(left, names), **_renamed(made, names)}


TRANSFORMERS: Mapping[str, Callable[[Tensors], Tensors]] = {
    "flux": flux,
    "chroma": flux,
    "flux2": flux,
    "flux2-klein": flux,
    "z-image": z_image,
    "qwen-image": dict,
    "lumina2": lumina2,
    "sana": sana,
    "sana-sprint": sana,
    "pixart-sigma": pixart_sigma,
    "sd3": sd3,
    "sd35": sd3,
}
VAES: Mapping[str, Callable[[Tensors], Tensors]] = {
    "flux2": flux2_vae,
    "flux2-klein": flux2_vae,
    "qwen-image": wan_vae,
    "sana": deep_vae,
    "sana-sprint": deep_vae,
}


def transformer_of(folder: Path, kind: str) -> Tensors:
    """Return the transformer of a tiny folder in its maker's layout."""
    return TRANSFORMERS[kind](load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors"))


def vae_of(folder: Path, kind: str) -> Tensors:
    """Return the VAE of a tiny folder in its maker's layout."""
    return VAES.get(kind, ldm_vae)(load_file(folder / "vae" / "diffusion_pytorch_model.safetensors"))


def in_eight_bits(tensors: Tensors, form: str, mark: str) -> Tensors:
    """Return the weights of matrices in 8 bits; with factors that `mark` names, for int8 one a row, otherwise one."""
    dtype = torch.int8 if form == "int8" else getattr(torch, form)
    made: Tensors = {"scaled_fp8": torch.zeros(0, dtype=dtype)} if mark == "scale_weight" else {}
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or not name.endswith(".weight"):
            made[name] = tensor
            continue
        if mark:
            most = 127.0 if form == "int8" else torch.finfo(dtype).max
            largest = tensor.abs().amax(dim=1, keepdim=True) if form == "int8" else tensor.abs().max()
            factor = largest / most
            made[name.removesuffix("weight") + mark] = factor.float()
            tensor = tensor / factor
        made[name] = (tensor.round() if form == "int8" else tensor).to(dtype)
    return made


def saved(tensors: Tensors, path: Path, prefix: str = "") -> Path:
    """Write tensors to a `.safetensors` file, their names after `prefix`."""
    save_file({prefix + name: tensor.contiguous().clone() for name, tensor in tensors.items()}, str(path))
    return path


def saved_as_gguf(
    tensors: Tensors, path: Path, kind: str, architecture: str = "flux", tokenizer: str = ""
) -> Path:
    """Write tensors to a GGUF: matrices as `kind` where their rows are whole blocks, others as float32."""
    import gguf

    chosen, plain = gguf.GGMLQuantizationType[kind], gguf.GGMLQuantizationType.F32
    writer = gguf.GGUFWriter(str(path), architecture)
    if tokenizer:
        writer.add_array("tokenizer.ggml.tokens", ["<unk>", "a"])
        writer.add_tokenizer_pre(tokenizer)
    for name, tensor in tensors.items():
        block = gguf.GGML_QUANT_SIZES[chosen][0]
        is_matrix = tensor.ndim == 2 and name.endswith("weight") and tensor.shape[1] % block == 0
        form = chosen if is_matrix else plain
        writer.add_tensor(name, gguf.quants.quantize(tensor.float().numpy(), form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
