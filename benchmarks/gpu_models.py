"""Networks of real sizes with random weights, built in code, as loaded models of the diffusion engine.

Text encoders are replaced by random embeddings of their size: a run encodes each prompt once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from deforum_helpers.engines.demo.engine import MODEL_FOLDER
from deforum_helpers.engines.diffusion.autoencoder import autoencoder_of
from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.engines.diffusion.families import Family, StableDiffusion
from deforum_helpers.engines.diffusion.families_flow import Flux2
from deforum_helpers.engines.diffusion.loading import (
    LoadedModel,
    channels_last,
    prepare_vae,
    scheduler_config,
)
from deforum_helpers.models.depth import depth_name
from deforum_helpers.models.depth.estimators import SceneDepth
from deforum_helpers.models.depth.models import CONVENTIONS, TransformersModel

DEPTH = "Depth-Anything-V2-Small"
TINY_WIDTHS = (32, 64)


@dataclass(frozen=True)
class RandomText:
    """A text encoder that returns random embeddings, the same for each text.

    Args:
        tokens, width: size of the embeddings.
        device, dtype: of the network.
        pooled: width of the pooled embedding; 0 = none.
        alone: return the tokens without the pooled embedding.
    """

    tokens: int
    width: int
    device: torch.device
    dtype: torch.dtype
    pooled: int = 0
    alone: bool = False

    def encode(self, text: str, clip_skip: int = 1) -> Any:
        generator = torch.Generator().manual_seed(len(text))
        rows, pooled = (
            torch.randn(1, *size, generator=generator).to(self.device, self.dtype)
            for size in ((self.tokens, self.width), (max(1, self.pooled),))
        )
        return rows if self.alone else (rows, pooled if self.pooled else None)


@contextmanager
def built_on(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Create networks inside directly on `device` in `dtype`."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


SD15: Mapping[str, Any] = {"cross_attention_dim": 768, "attention_head_dim": 8}
TURBO: Mapping[str, Any] = {
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
SDXL: Mapping[str, Any] = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "use_linear_projection": True,
}
TINY_UNET: Mapping[str, Any] = {
    "block_out_channels": TINY_WIDTHS,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (4, 8),
    "layers_per_block": 1,
}
KLEIN_4B: Mapping[str, Any] = {"num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24}
TINY_KLEIN: Mapping[str, Any] = {
    "num_layers": 1,
    "num_single_layers": 1,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "axes_dims_rope": (4, 4, 4, 4),
    "timestep_guidance_channels": 32,
}


def _vae(small: bool, tiny: bool, scale: float) -> Any:
    import diffusers

    if small:
        return diffusers.AutoencoderTiny()
    widths = TINY_WIDTHS if tiny else (128, 256, 512, 512)
    return diffusers.AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        layers_per_block=1 if tiny else 2,
        latent_channels=4,
        scaling_factor=scale,
        force_upcast=False,
    )


def unet_model(
    config: Mapping[str, Any], device: torch.device, *, tiny: bool, small_vae: bool
) -> LoadedModel:
    """Return a model of the Stable Diffusion family.

    Args:
        config: of its U-Net.
        device: where it runs; in half precision on a GPU.
        tiny: a network of a few million weights in its place.
        small_vae: the tiny autoencoder (TAESD) in place of the full one.
    """
    import diffusers

    is_xl = "addition_embed_type" in config
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    reduced = {key: value for key, value in config.items() if key not in ("transformer_layers_per_block",)}
    chosen = {**reduced, **TINY_UNET} if tiny else dict(config)
    with built_on(device, dtype):
        unet = diffusers.UNet2DConditionModel(sample_size=64, **chosen).eval().requires_grad_(False)
        vae = _vae(small_vae, tiny, 0.13025 if is_xl else 0.18215)
    channels_last(unet)
    prepare_vae(vae)
    width = int(config["cross_attention_dim"])
    texts: tuple[Any, ...] = (RandomText(77, width, device, dtype),)
    if is_xl:
        texts = (RandomText(77, 768, device, dtype), RandomText(77, width - 768, device, dtype, 1280))
    autoencoder = autoencoder_of(vae)
    family: Family = StableDiffusion(unet, texts, scheduler_config(MODEL_FOLDER), autoencoder.factor)
    return LoadedModel(family, autoencoder, {"unet": unet, "vae": vae})


def klein_model(device: torch.device, *, tiny: bool) -> LoadedModel:
    """Return a model of the size of FLUX.2-klein 4B, distilled; a tiny one in its place if asked."""
    import diffusers

    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    config = TINY_KLEIN if tiny else KLEIN_4B
    width = 96 if tiny else 7680
    with built_on(device, dtype):
        network = diffusers.Flux2Transformer2DModel(
            joint_attention_dim=width, guidance_embeds=False, **config
        )
        network.eval().requires_grad_(False)
        vae = diffusers.AutoencoderKLFlux2(
            block_out_channels=(32,) * 4 if tiny else (128, 256, 512, 512), layers_per_block=1 if tiny else 2
        )
    prepare_vae(vae)
    text: Any = RandomText(64 if tiny else 512, width, device, dtype, alone=True)
    family = Flux2(network, text, {"use_dynamic_shifting": True}, True, "flux2-klein")
    return LoadedModel(family, autoencoder_of(vae), {"transformer": network, "vae": vae})


def engine_with(make: Callable[[torch.device], LoadedModel], device: torch.device) -> DiffusionEngine:
    """Return the diffusion engine with a model made in code."""
    engine = DiffusionEngine(str(MODEL_FOLDER), device=str(device))
    engine._loaded = ((engine._describe(None).location, None), make(device))
    return engine


def depth_model(device: torch.device) -> SceneDepth:
    """Return Depth-Anything V2 Small with random weights."""
    import transformers

    backbone = transformers.Dinov2Config(
        image_size=518,
        hidden_size=384,
        num_attention_heads=6,
        out_indices=[3, 6, 9, 12],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(backbone_config=backbone)
    with built_on(device, torch.float32 if device.type == "cpu" else torch.float16):
        network = transformers.DepthAnythingForDepthEstimation(config).eval().requires_grad_(False)
    return SceneDepth(depth_name(DEPTH), TransformersModel(CONVENTIONS["depth-anything-small"], network))
