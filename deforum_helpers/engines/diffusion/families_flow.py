"""Flow models since Flux.1, each in one class: how its text is read, its noise is shifted and its network is called.

A new family is a class here, a line in `FLOW_FAMILIES`, and its files in `models.weights.checkpoints`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from deforum_helpers.engines.diffusion.clip_text import T5Text
from deforum_helpers.engines.diffusion.conditioning import Conditioning
from deforum_helpers.engines.diffusion.families import (
    Family,
    Scales,
    noise_model_of_flow,
    packed,
    patch_count,
    patch_places,
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
# Qwen-Image was trained with this instruction before each prompt.
_QWEN_IMAGE_INSTRUCTION = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n"
)
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
    keeps_length: bool = False
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

    keeps_length: bool = False
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
            txt_ids=_places(1, 1, words, latents.device),
            img_ids=_places(height // 2, width // 2, 1, latents.device),
            return_dict=False,
        )[0]
        return unpacked(output.float(), latents)


def _places(rows: int, columns: int, words: int, device: torch.device) -> torch.Tensor:
    """Return FLUX.2's places (rows * columns * words, 4): 0, row, column and number of the word."""
    counts = (torch.arange(count, device=device) for count in (1, rows, columns, words))
    axes = torch.meshgrid(*counts, indexing="ij")
    return torch.stack(axes, dim=-1).reshape(-1, 4)


def _flux2_exponent(patches: int, steps: int) -> float:
    """Return the logarithm of FLUX.2's shift, which its makers fitted to the numbers of patches and steps."""
    many_steps = 0.00016927 * patches + 0.45666666  # 200
    if patches > 4300:
        return many_steps
    few_steps = 8.73809524e-05 * patches + 1.89833333  # 10
    return many_steps + (few_steps - many_steps) * (200 - steps) / 190


@dataclass(frozen=True)
class Chroma:
    """Chroma: Flux.1's patches and T5 without padding, no CLIP, and CFG instead of a distilled scale.

    Args:
        transformer: ChromaTransformer2DModel.
        t5: T5, whose text is not padded.
        scheduler_config: of the model.
    """

    transformer: Any
    t5: T5Text
    scheduler_config: Mapping[str, Any]

    kind: Kind = "chroma"
    guides_itself: bool = False
    keeps_length: bool = False
    latent_multiple: int = 2
    automatic_scheduler: str | None = AUTOMATIC_SCHEDULER

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> Chroma:
        # The network was trained with one token of padding after the text.
        t5 = T5Text(parts["tokenizer"], parts["text_encoder"], 512, shown_padding=1)
        return cls(parts["transformer"], t5, parts["scheduler_config"])

    def encode(self, text: str, clip_skip: int) -> Conditioning:
        return Conditioning(self.t5.encode(text))

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        return noise_model_of_flow(shift_of(self.scheduler_config, 1.0, patch_count(latent_size)))

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        count, _, height, width = latents.shape
        output = self.transformer(
            hidden_states=packed(latents).to(self.transformer.dtype),
            timestep=timestep.expand(count).to(self.transformer.dtype) / 1000,
            encoder_hidden_states=conditioning.tokens.to(self.transformer.dtype),
            txt_ids=torch.zeros(conditioning.tokens.shape[1], 3, device=latents.device),
            img_ids=patch_places(height // 2, width // 2, latents.device),
            return_dict=False,
        )[0]
        return unpacked(output.float(), latents)


@dataclass(frozen=True)
class QwenImage:
    """Qwen-Image: a transformer over 2x2 patches, and the last hidden layer of Qwen2.5-VL.

    Args:
        transformer: QwenImageTransformer2DModel.
        text: Qwen2.5-VL, told to describe an image; the network reads what follows that instruction.
        scheduler_config: of the model.
    """

    transformer: Any
    text: LanguageText
    scheduler_config: Mapping[str, Any]

    kind: Kind = "qwen-image"
    guides_itself: bool = False
    keeps_length: bool = True
    latent_multiple: int = 2
    automatic_scheduler: str | None = AUTOMATIC_SCHEDULER

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> QwenImage:
        text = LanguageText(
            parts["tokenizer"],
            parts["text_encoder"],
            _QWEN_IMAGE_INSTRUCTION + _QWEN_TURN,
            1024 + 34,
            layers=(-1,),
            dropped=34,
        )
        return cls(parts["transformer"], text, parts["scheduler_config"])

    def encode(self, text: str, clip_skip: int) -> Conditioning:
        return Conditioning(self.text.encode(text))

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        shift = shift_of(self.scheduler_config, 3.0, patch_count(latent_size))
        last = self.scheduler_config.get("shift_terminal")
        return noise_model_of_flow(shift, last_level=None if not last else (steps, float(last)))

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        count, _, height, width = latents.shape
        guidance = None
        if self.transformer.config.guidance_embeds:
            guidance = torch.full((count,), scales.distilled_cfg, device=latents.device)
        output = self.transformer(
            hidden_states=packed(latents).to(self.transformer.dtype),
            timestep=timestep.expand(count).to(self.transformer.dtype) / 1000,
            guidance=guidance,
            encoder_hidden_states=conditioning.tokens.to(self.transformer.dtype),
            encoder_hidden_states_mask=None,
            img_shapes=[[(1, height // 2, width // 2)]] * count,
            return_dict=False,
        )[0]
        return unpacked(output.float(), latents)


FLOW_FAMILIES: Mapping[Kind, Callable[[Mapping[str, Any]], Family]] = {
    "z-image": ZImage.of_parts,
    "flux2-klein": Flux2.klein,
    "chroma": Chroma.of_parts,
    "qwen-image": QwenImage.of_parts,
}
