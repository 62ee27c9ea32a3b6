"""Writes a tiny Stable Diffusion 1 folder as the single file of the original layout, as it is shared on the web."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
# For block_out_channels of two levels with one layer each.
_UNET = {
    "conv_in": "input_blocks.0.0",
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "down_blocks.1.attentions.0": "input_blocks.3.1",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "up_blocks.0.resnets.0": "output_blocks.0.0",
    "up_blocks.0.attentions.0": "output_blocks.0.1",
    "up_blocks.0.resnets.1": "output_blocks.1.0",
    "up_blocks.0.attentions.1": "output_blocks.1.1",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.2.conv",
    "up_blocks.1.resnets.0": "output_blocks.2.0",
    "up_blocks.1.resnets.1": "output_blocks.3.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
}
_ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out", "group_norm": "norm"}


def write_single_file(folder: Path, path: Path) -> None:
    """Write the SD 1 model of `folder` to the `.safetensors` file `path`."""
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(folder / "unet" / "diffusion_pytorch_model.safetensors").items():
        tensors["model.diffusion_model." + _unet_name(name)] = tensor
    for name, tensor in load_file(folder / "vae" / "diffusion_pytorch_model.safetensors").items():
        original = _vae_name(name)
        flat = "attn_1" in original and tensor.ndim == 2
        tensors["first_stage_model." + original] = tensor[:, :, None, None] if flat else tensor
    for name, tensor in load_file(folder / "text_encoder" / "model.safetensors").items():
        tensors["cond_stage_model.transformer.text_model." + name.removeprefix("text_model.")] = tensor
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(path))


def write_control_file(folder: Path, path: Path) -> None:
    """Write the ControlNet of `folder`, whose image is halved three times, to the `.safetensors` file `path`."""
    tensors = load_file(folder / "diffusion_pytorch_model.safetensors")
    save_file(
        {"control_model." + _control_name(name): tensors[name].contiguous() for name in tensors}, str(path)
    )


def _control_name(name: str) -> str:
    name = re.sub(r"controlnet_down_blocks\.(\d)", r"zero_convs.\1.0", name)
    name = name.replace("controlnet_mid_block", "middle_block_out.0")
    name = name.replace("controlnet_cond_embedding.conv_in", "input_hint_block.0")
    name = name.replace("controlnet_cond_embedding.conv_out", "input_hint_block.14")
    name = re.sub(
        r"controlnet_cond_embedding\.blocks\.(\d)",
        lambda found: f"input_hint_block.{2 * int(found[1]) + 2}",
        name,
    )
    own = name.startswith(("zero_convs", "middle_block_out", "input_hint_block"))
    return name if own else _unet_name(name)


def _unet_name(name: str) -> str:
    prefix = max((known for known in _UNET if name.startswith(known + ".")), key=len)
    rest = name[len(prefix) :]
    if ".resnets." in name:
        for new, old in _RESNET.items():
            rest = rest.replace(f".{new}.", f".{old}.")
    return _UNET[prefix] + rest


def _vae_name(name: str) -> str:
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda found: f"up.{1 - int(found[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"up.{1 - int(found[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    if "mid_block.attentions.0" in name:
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
        for new, old in _ATTENTION.items():
            name = name.replace(f".{new}.", f".{old}.")
    return name
