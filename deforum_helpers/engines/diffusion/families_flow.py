"""Flow models since Flux.1, each in one class: how its text is read, its noise is shifted and its network is called.

A new family is a class here, a line in `FLOW_FAMILIES`, and its files in `models.weights.checkpoints`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from deforum_helpers.engines.diffusion.conditioning import Conditioning
from deforum_helpers.engines.diffusion.families import (
    Family,
    Scales,
    noise_model_of_flow,
    packed,
    patch_count,
    shift_of,
    unpacked,
)
from deforum_helpers.engines.diffusion.language_text import LanguageText
from deforum_helpers.engines.diffusion.sampling import NoiseModel
from deforum_helpers.models.weights.checkpoints import Kind

# The levels of the makers' own pipelines.
AUTOMATIC_SCHEDULER = "Simple"

# One turn of a chat in Qwen's format, to which the model is about to answer.
_QWEN_TURN = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
_NO_THOUGHTS = "<think>\n\n</think>\n\n"


@dataclass(frozen=True)
class ZImage:
    """Z-Image and Z-Image-Turbo: one sequence of text and 2x2 patches, which the network makes itself.

    Its time runs from noise (0) to image (1), and it predicts image minus noise. CFG scale 1 is its makers' guidance 0.

    Args:
        transformer: ZImageTransformer2DModel.
        text: Qwen3, whose last hidden layer but one is read.
        scheduler_config: of the model.
    """

    transformer: Any
    text: LanguageText
    scheduler_config: Mapping[str, Any]

    kind: Kind = "z-image"
    guides_itself: bool = False
    latent_multiple: int = 2
    automatic_scheduler: str | None = AUTOMATIC_SCHEDULER

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> ZImage:
        text = LanguageText(parts["tokenizer"], parts["text_encoder"], _QWEN_TURN, 512)
        return cls(parts["transformer"], text, parts["scheduler_config"])

    def encode(self, text: str, clip_skip: int) -> Conditioning:
        return Conditioning(self.text.encode(text))

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        return noise_model_of_flow(shift_of(self.scheduler_config, 3.0, patch_count(latent_size)))

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        images = latents.to(self.transformer.dtype).unsqueeze(2)  # one frame each
        output = self.transformer(
            list(images),
            1 - timestep.expand(len(latents)) / 1000,
            list(conditioning.tokens.to(self.transformer.dtype)),
            return_dict=False,
        )[0]
        return -torch.stack(output).squeeze(2).float()


@dataclass(frozen=True)
class Flux2:
    """FLUX.2, dev and klein: a transformer over 2x2 patches, and several hidden layers of a language model.

    dev takes the distilled CFG scale as an input. klein takes none; of it there is one kind for CFG, and one distilled
    to four steps, for which there is no CFG.

    Args:
        transformer: Flux2Transformer2DModel.
        text: Mistral 3 (dev) or Qwen3 (klein).
        scheduler_config: of the model.
        guides_itself: whether CFG is distilled into the network.
        kind: "flux2" (dev) or "flux2-klein".
    """

    transformer: Any
    text: LanguageText
    scheduler_config: Mapping[str, Any]
    guides_itself: bool
    kind: Kind

    latent_multiple: int = 2
    automatic_scheduler: str | None = AUTOMATIC_SCHEDULER

    @classmethod
    def klein(cls, parts: Mapping[str, Any]) -> Flux2:
        text = LanguageText(
            parts["tokenizer"],
            parts["text_encoder"],
            _QWEN_TURN + _NO_THOUGHTS,
            512,
            layers=(9, 18, 27),
            padded=True,
        )
        distilled = bool(parts["pipeline_config"].get("is_distilled", False))
        return cls(parts["transformer"], text, parts["scheduler_config"], distilled, "flux2-klein")

    def encode(self, text: str, clip_skip: int) -> Conditioning:
        return Conditioning(self.text.encode(text))

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        patches = patch_count(latent_size)
        shift = shift_of(self.scheduler_config, 3.0, patches, _flux2_exponent(patches, steps))
        return noise_model_of_flow(shift)

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        count, _, height, width = latents.shape
        guidance = None
        if self.transformer.config.guidance_embeds:
            guidance = torch.full((count,), scales.distilled_cfg, device=latents.device)
        words = conditioning.tokens.shape[1]
        output = self.transformer(
            hidden_states=packed(latents).to(self.transformer.dtype),
            timestep=timestep.expand(count).to(self.transformer.dtype) / 1000,
            guidance=guidance,
            encoder_hidden_states=conditioning.tokens.to(self.transformer.dtype),
            txt_ids=_places(1, 1, words).to(latents.device),
            img_ids=_places(height // 2, width // 2, 1).to(latents.device),
            return_dict=False,
        )[0]
        return unpacked(output.float(), latents)


def _places(rows: int, columns: int, words: int) -> torch.Tensor:
    """Return FLUX.2's places (rows * columns * words, 4): 0, row, column and number of the word."""
    axes = torch.meshgrid(*(torch.arange(count) for count in (1, rows, columns, words)), indexing="ij")
    return torch.stack(axes, dim=-1).reshape(-1, 4)


def _flux2_exponent(patches: int, steps: int) -> float:
    """Return the logarithm of FLUX.2's shift, which its makers fitted to the numbers of patches and steps."""
    many_steps = 0.00016927 * patches + 0.45666666  # 200
    if patches > 4300:
        return many_steps
    few_steps = 8.73809524e-05 * patches + 1.89833333  # 10
    return many_steps + (few_steps - many_steps) * (200 - steps) / 190


FLOW_FAMILIES: Mapping[Kind, Callable[[Mapping[str, Any]], Family]] = {
    "z-image": ZImage.of_parts,
    "flux2-klein": Flux2.klein,
}
