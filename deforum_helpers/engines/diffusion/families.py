"""Families of networks behind one interface: encode a prompt, predict one sampling step.

Stable Diffusion, PixArt-Sigma and Flux.1 are here, and what flow models share; the flow models since are in
`families_flow`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch

from deforum_helpers.engines.diffusion.clip_text import ClipText, T5Text
from deforum_helpers.engines.diffusion.conditioning import Conditioning
from deforum_helpers.engines.diffusion.control_residuals import Steering
from deforum_helpers.engines.diffusion.sampling import NoiseModel
from deforum_helpers.engines.diffusion.sigmas import NoiseTable
from deforum_helpers.image.transfers import constant
from deforum_helpers.models.devices import dtype_of
from deforum_helpers.models.weights.checkpoints import Kind

# What CFG keeps the length of: each 2x2 patch, each row of a channel, or nothing.
KeptLength = Literal["patch", "row"] | None


@dataclass(frozen=True)
class Scales:
    """The guidance numbers that some networks take as an input."""

    cfg: float
    distilled_cfg: float


class Family(Protocol):
    """A diffusion network with its text encoders."""

    @property
    def kind(self) -> Kind: ...

    @property
    def latent_multiple(self) -> int:
        """The latent's sides are multiples of this."""
        ...

    @property
    def guides_itself(self) -> bool:
        """Whether the network takes the CFG scale as an input and needs no second evaluation."""
        ...

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
        """Return the embeddings of one text, without LoRA tags and step syntax.

        Args:
            text: of a prompt.
            clip_skip: see `GenerateRequest`.
            towards: whether the prompt is the positive one; some families instruct their text encoder only then.
        """
        ...

    @property
    def pads_texts(self) -> bool:
        """Whether texts are padded to whole blocks. Of others, with their own lengths, no mean can be taken."""
        ...

    @property
    def keeps_length(self) -> KeptLength:
        """Which lengths of the network's output for the prompt CFG keeps."""
        ...

    @property
    def automatic_scheduler(self) -> str | None:
        """The scheduler that "Automatic" stands for, None = the sampler's own."""
        ...

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        """Return the model's noise for a latent of (height, width) cells and a full denoising in `steps` steps."""
        ...

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        """Return the network's output for latents (N, C, h, w) at `timestep`, float32 of the same shape."""
        ...


@dataclass(frozen=True)
class StableDiffusion:
    """Stable Diffusion 1.x, 2.x (one text encoder) and XL (two), and their turbo and LCM kin.

    Args:
        unet: UNet2DConditionModel.
        texts: one ClipText, or for XL the two whose embeddings are joined.
        scheduler_config: of the model.
        pixels_per_cell: of the autoencoder; XL takes the image's size as an input.
        latent_multiple: the latent's sides are padded to multiples of this. A UNet copes with any size; one
            that was only trained on multiples does better with them.
        steering: what ControlNets add to the U-Net at this step, or None.
    """

    unet: Any
    texts: tuple[ClipText, ...]
    scheduler_config: Mapping[str, Any]
    pixels_per_cell: int
    latent_multiple: int = 1
    steering: Steering | None = None
    pads_texts: bool = True
    keeps_length: KeptLength = None
    automatic_scheduler: str | None = None

    @property
    def kind(self) -> Kind:
        return "sdxl" if len(self.texts) == 2 else "sd"

    @property
    def guides_itself(self) -> bool:
        """LCM networks take the CFG scale as an input."""
        return self.unet.config.time_cond_proj_dim is not None

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
        encoded = [encoder.encode(text, clip_skip) for encoder in self.texts]
        tokens = torch.cat([tokens for tokens, _ in encoded], dim=-1)
        return Conditioning(tokens, encoded[-1][1] if self.kind == "sdxl" else None)

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        return _noise_model_of_betas(self.scheduler_config, "sdxl" if self.kind == "sdxl" else "sd1")

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        added = None
        if self.kind == "sdxl":
            height, width = (side * self.pixels_per_cell for side in latents.shape[2:])
            sizes = constant((height, width, 0, 0, height, width), latents.device)
            added = {"text_embeds": conditioning.pooled, "time_ids": sizes.repeat(len(latents), 1)}
        cfg_embedding = None
        if self.guides_itself:
            cfg_embedding = _sines(scales.cfg - 1, self.unet.config.time_cond_proj_dim).to(
                latents.device, dtype_of(self.unet)
            )
        shown = latents.to(dtype_of(self.unet)).contiguous(memory_format=torch.channels_last)
        steered: dict[str, Any] = {}
        if self.steering is not None:
            residuals = self.steering.residuals(
                shown, timestep, conditioning.tokens, added, conditioning.towards
            )
            steered = {
                "down_block_additional_residuals": residuals.skips,
                "mid_block_additional_residual": residuals.middle,
            }
        output = self.unet(
            shown,
            timestep,
            encoder_hidden_states=conditioning.tokens,
            timestep_cond=None if cfg_embedding is None else cfg_embedding.repeat(len(latents), 1),
            added_cond_kwargs=added,
            return_dict=False,
            **steered,
        )
        return output[0].float()


@dataclass(frozen=True)
class StableDiffusion3:
    """Stable Diffusion 3: a transformer, two CLIP encoders and, where the folder has it, T5.

    Args:
        transformer: SD3Transformer2DModel.
        texts: the two CLIP encoders.
        t5: T5, or None.
        scheduler_config: of the model.
    """

    transformer: Any
    texts: tuple[ClipText, ClipText]
    t5: T5Text | None
    scheduler_config: Mapping[str, Any]

    kind: Kind = "sd3"
    guides_itself: bool = False
    pads_texts: bool = True
    keeps_length: KeptLength = None
    automatic_scheduler: str | None = None

    @property
    def latent_multiple(self) -> int:
        return int(self.transformer.config.patch_size)

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
        encoded = [encoder.encode(text, clip_skip) for encoder in self.texts]
        blocks = max(tokens.shape[1] for tokens, _ in encoded)
        clip = torch.cat([_padded(tokens, blocks, 1) for tokens, _ in encoded], dim=-1)
        clip = _padded(clip, int(self.transformer.config.joint_attention_dim), 2)
        if self.t5 is None:
            far = clip.new_zeros(1, 256, clip.shape[2])
        else:
            far = self.t5.encode(text).to(clip.dtype)
        pooled = torch.cat([pooled for _, pooled in encoded if pooled is not None], dim=-1)
        return Conditioning(torch.cat([clip, far], dim=1), pooled)

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        shift = float(self.scheduler_config.get("shift", 3.0))
        return noise_model_of_flow(shift, int(self.scheduler_config.get("num_train_timesteps", 1000)))

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        output = self.transformer(
            hidden_states=latents.to(dtype_of(self.transformer)),
            timestep=timestep.expand(len(latents)),
            encoder_hidden_states=conditioning.tokens,
            pooled_projections=conditioning.pooled,
            return_dict=False,
        )
        return output[0].float()


@dataclass(frozen=True)
class Flux:
    """Flux: a transformer over 2x2 patches of the latent, CLIP for the pooled text, T5 for the tokens.

    Args:
        transformer: FluxTransformer2DModel.
        clip: the CLIP encoder.
        t5: T5.
        scheduler_config: of the model.
    """

    transformer: Any
    clip: ClipText
    t5: T5Text
    scheduler_config: Mapping[str, Any]

    kind: Kind = "flux"
    guides_itself: bool = False
    pads_texts: bool = True
    keeps_length: KeptLength = None
    latent_multiple: int = 2
    automatic_scheduler: str | None = None

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
        return Conditioning(self.t5.encode(text), self.clip.encode(text, clip_skip)[1])

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        shift = shift_of(self.scheduler_config, 1.0, patch_count(latent_size))
        return noise_model_of_flow(shift, int(self.scheduler_config.get("num_train_timesteps", 1000)))

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        count, _, height, width = latents.shape
        guidance = None
        if self.transformer.config.guidance_embeds:
            guidance = torch.full((count,), scales.distilled_cfg, device=latents.device)
        output = self.transformer(
            hidden_states=packed(latents).to(dtype_of(self.transformer)),
            timestep=timestep.expand(count).to(dtype_of(self.transformer)) / 1000,
            guidance=guidance,
            pooled_projections=conditioning.pooled,
            encoder_hidden_states=conditioning.tokens,
            txt_ids=torch.zeros(conditioning.tokens.shape[1], 3, device=latents.device),
            img_ids=patch_places(height // 2, width // 2, latents.device),
            return_dict=False,
        )[0]
        return unpacked(output.float(), latents)


@dataclass(frozen=True)
class PixArtSigma:
    """PixArt-Sigma: a transformer over 2x2 patches that predicts noise, and T5 without padding.

    Args:
        transformer: PixArtTransformer2DModel.
        t5: T5, whose text is not padded.
        scheduler_config: of the model.
    """

    transformer: Any
    t5: T5Text
    scheduler_config: Mapping[str, Any]

    kind: Kind = "pixart-sigma"
    guides_itself: bool = False
    pads_texts: bool = False
    keeps_length: KeptLength = None
    # The training steps that its makers' pipeline takes, without the rounding to whole ones.
    automatic_scheduler: str | None = "SGM Uniform"

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> PixArtSigma:
        t5 = T5Text(parts["tokenizer"], parts["text_encoder"], 300, shown_padding=0, lowered=True)
        return cls(parts["transformer"], t5, parts["scheduler_config"])

    @property
    def latent_multiple(self) -> int:
        return int(self.transformer.config.patch_size)

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
        return Conditioning(self.t5.encode(text))

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        return _noise_model_of_betas(self.scheduler_config, "sdxl")

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        output = self.transformer(
            latents.to(dtype_of(self.transformer)),
            encoder_hidden_states=conditioning.tokens.to(dtype_of(self.transformer)),
            timestep=timestep.expand(len(latents)),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        # The channels after the first half hold a variance, which no sampler here reads.
        return output[:, : latents.shape[1]].float()


def patch_count(latent_size: tuple[int, int]) -> int:
    """Return the number of 2x2 patches of a latent of (height, width) cells."""
    return latent_size[0] * latent_size[1] // 4


def packed(latents: torch.Tensor) -> torch.Tensor:
    """Return latents (N, C, h, w) as their 2x2 patches, row by row: (N, h * w / 4, C * 4)."""
    count, channels, height, width = latents.shape
    patches = latents.reshape(count, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(count, -1, channels * 4)


def unpacked(patches: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """Return patches as `packed` makes them in the shape of `latents`."""
    count, channels, height, width = latents.shape
    cells = patches.reshape(count, height // 2, width // 2, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return cells.reshape(latents.shape)


def patch_places(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Return 0, row and column of each patch, (height * width, 3)."""
    rows, columns = (torch.arange(side, device=device, dtype=torch.float32) for side in (height, width))
    rows, columns = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).reshape(-1, 3)


def _padded(tokens: torch.Tensor, length: int, dim: int) -> torch.Tensor:
    shape = list(tokens.shape)
    shape[dim] = length - shape[dim]
    return torch.cat([tokens, tokens.new_zeros(shape)], dim=dim)


def _sines(value: float, width: int) -> torch.Tensor:
    """Return the embedding (1, width) of the CFG scale in LCM networks: sines and cosines at falling frequencies."""
    half = width // 2
    angles = 1000 * value * torch.exp(-math.log(10000.0) / (half - 1) * torch.arange(half))
    embedding = torch.cat([angles.sin(), angles.cos()])
    return torch.nn.functional.pad(embedding, (0, width - 2 * half)).unsqueeze(0)


def _betas(config: Mapping[str, Any]) -> np.ndarray:
    if config.get("trained_betas") is not None:
        return np.asarray(config["trained_betas"], np.float64)
    count = int(config.get("num_train_timesteps", 1000))
    start, end = float(config.get("beta_start", 0.00085)), float(config.get("beta_end", 0.012))
    if config.get("beta_schedule", "scaled_linear") == "linear":
        return np.linspace(start, end, count)
    return np.linspace(start**0.5, end**0.5, count) ** 2


def _noise_model_of_betas(config: Mapping[str, Any], kind: str) -> NoiseModel:
    """sigma^2 = (1 - a) / a with a the running product of 1 - beta."""
    alphas = np.cumprod(1 - _betas(config))
    if config.get("rescale_betas_zero_snr", False):
        # Lin et al. 2023, algorithm 1; the last step keeps a trace of signal so that its sigma stays finite.
        roots = alphas**0.5
        roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
        alphas = np.maximum(roots**2, 2.0**-24)
    table = NoiseTable(
        np.sqrt((1 - alphas) / alphas),
        kind=kind,
        spacing=config.get("timestep_spacing", "leading"),
        offset=int(config.get("steps_offset", 1)),
        ends_at_zero=bool(config.get("set_alpha_to_one", False)),
    )
    return NoiseModel(table, str(config.get("prediction_type", "epsilon")))


def shift_of(config: Mapping[str, Any], default: float, patches: int, exponent: float | None = None) -> float:
    """Return the shift of a flow model's noise levels.

    Args:
        config: of the model's scheduler.
        default: the shift of a configuration that names none.
        patches: of the latent: the more there are, the more noise the levels hold, where the configuration says so.
        exponent: logarithm of that shift; None = on Flux.1's line through two points.
    """
    if not config.get("use_dynamic_shifting", False):
        return float(config.get("shift", default))
    if exponent is None:
        few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
        exponent = low + (high - low) * (patches - few) / (many - few)
    return math.exp(exponent)


def noise_model_of_flow(
    shift: float, count: int = 1000, last_level: tuple[int, float] | None = None, highest: float = 1.0
) -> NoiseModel:
    """Return the noise of a flow model: `count` levels shift * s / (1 + (shift - 1) * s), s rising evenly to `highest`.

    Args:
        shift: how far the levels are moved towards noise, 1 = not at all.
        count: training steps.
        last_level: (steps, level): the levels are stretched so that the last of so many even steps has that one.
        highest: share of noise at which denoising begins, before the shift.
    """
    share = np.arange(1, count + 1) / count * highest
    levels = shift * share / (1 + (shift - 1) * share)
    if last_level is not None and last_level[0] > 1:
        last = shift / (last_level[0] + shift - 1)
        stretched = 1 - (1 - levels) * (1 - last_level[1]) / (1 - last)
        levels = np.maximum(stretched, 1e-4 * share)
    return NoiseModel(NoiseTable(levels, flow=True))
