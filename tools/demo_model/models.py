"""The networks of the model folder: how they are built, read and written."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

SHIPPED = Path(__file__).resolve().parents[2] / "deforum_helpers" / "engines" / "demo"
LATENT, TEXT_WIDTH, TEXT_LAYERS, TOKENS = 12, 128, 4, 77
NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.02,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}


def build_vae():
    """AutoencoderKL, factor 16, 12 latent channels."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 48, 64, 80),
        down_block_types=("DownEncoderBlock2D",) * 5,
        up_block_types=("UpDecoderBlock2D",) * 5,
        layers_per_block=1,
        latent_channels=LATENT,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=512,
        scaling_factor=1.0,
        force_upcast=False,
    )


def build_unet():
    """UNet2DConditionModel on [B, 12, H/16, W/16] latents."""
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=LATENT,
        out_channels=LATENT,
        block_out_channels=(112, 128, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(4, 4, 4),
        norm_num_groups=16,
    )


def build_text_encoder(vocabulary):
    """CLIPTextModel of 4 layers for `vocabulary` tokens, the last two being start and end."""
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
        projection_dim=TEXT_WIDTH,
    )
    return CLIPTextModel(config)


def build_scheduler():
    """DDIM configuration that the other diffusers samplers read too."""
    return DDIMScheduler(
        **NOISE,
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def load_tokenizer(model=SHIPPED):
    """The CLIPTokenizer of a model folder."""
    return CLIPTokenizer.from_pretrained(str(Path(model) / "tokenizer"))


def tokenize(tokenizer, texts):
    """int16 [B, 77], padded with the end token."""
    ids = tokenizer(list(texts), padding="max_length", max_length=TOKENS, truncation=True).input_ids
    return torch.tensor(ids, dtype=torch.int16)


def alphas_cumprod():
    """float64 [1000] of the scaled-linear schedule."""
    first, last = NOISE["beta_start"] ** 0.5, NOISE["beta_end"] ** 0.5
    betas = torch.linspace(first, last, NOISE["num_train_timesteps"], dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


def start_from(network, path):
    """Load a safetensors file of the model folder into a network, in float32; returns the network."""
    state = {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    network.load_state_dict({_key(k, network): v for k, v in state.items()})
    return network


def _key(key, network):
    """The name a weight has in this version of its library (CLIP lost and regained a prefix)."""
    names = network.state_dict()
    return next(k for k in (key, f"text_model.{key}", key.removeprefix("text_model.")) if k in names)


def half(state):
    """A state dict with its floating-point tensors in float16 on the CPU."""
    return {k: (v.half() if v.is_floating_point() else v).cpu().contiguous() for k, v in state.items()}
