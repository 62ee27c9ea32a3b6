"""Flow models since Flux.1, each in one class: how its text is read, its noise is shifted and its network is called.

A new family is a `FlowFamily` here, a line in `FLOW_FAMILIES`, and its files in `models.weights.checkpoints`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from deforum_helpers.engines.diffusion.clip_text import T5Text
from deforum_helpers.engines.diffusion.conditioning import Conditioning
from deforum_helpers.engines.diffusion.families import (
    Family,
    KeptLength,
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
from deforum_helpers.engines.diffusion.sigmas import NoiseTable
from deforum_helpers.models.devices import dtype_of
from deforum_helpers.models.weights.checkpoints import Kind

# The levels of the makers' own pipelines.
AUTOMATIC_SCHEDULER = "Simple"
_SANA_LENGTH = 300

# One turn of a chat in Qwen's format, to which the model is about to answer.
_QWEN_TURN = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
# Qwen-Image was trained with this instruction before each prompt.
_QWEN_IMAGE_INSTRUCTION = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n"
)
_NO_THOUGHTS = "<think>\n\n</think>\n\n"
_MISTRAL_TURN = "[INST]{}[/INST]"
# The hidden layers of Mistral 3 that FLUX.2 dev reads.
FLUX2_LAYERS = (10, 20, 30)
# FLUX.2 dev was trained with this instruction before each prompt.
_FLUX2_INSTRUCTION = (
    "[SYSTEM_PROMPT]You are an AI that reasons about image descriptions. You give structured responses focusing on "
    "object relationships, object\nattribution and actions without speculation.[/SYSTEM_PROMPT]"
)
# Sana and Lumina 2 were trained with these before each positive prompt.
_SANA_INSTRUCTION = "\n".join(
    (
        "Given a user prompt, generate an 'Enhanced prompt' that provides detailed visual descriptions suitable for "
        "image generation. Evaluate the level of detail in the user prompt:",
        "- If the prompt is simple, focus on adding specifics about colors, shapes, sizes, textures, and spatial "
        "relationships to create vivid and concrete scenes.",
        "- If the prompt is already detailed, refine and enhance the existing details slightly without "
        "overcomplicating.",
        "Here are examples of how to transform or refine prompts:",
        "- User Prompt: A cat sleeping -> Enhanced: A small, fluffy white cat curled up in a round shape, sleeping "
        "peacefully on a warm sunny windowsill, surrounded by pots of blooming red flowers.",
        "- User Prompt: A busy city street -> Enhanced: A bustling city street scene at dusk, featuring glowing "
        "street lamps, a diverse crowd of people in colorful clothing, and a double-decker bus passing by towering "
        "glass skyscrapers.",
        "Please generate only the enhanced description for the prompt below and avoid including any additional "
        "commentary or evaluations:",
        "User Prompt: ",
    )
)
_LUMINA_INSTRUCTION = (
    "You are an assistant designed to generate superior images with the superior degree of image-text alignment based "
    "on textual prompts or user prompts. <Prompt Start> "
)


class FlowFamily:
    """What these families have in common; a family names only what is different with it.

    The network takes no guidance, its texts are not padded, CFG keeps no lengths, and its tokens are patches of 2x2
    cells.
    """

    kind: Kind
    guides_itself: bool = False
    pads_texts: bool = False
    keeps_length: KeptLength = None
    automatic_scheduler: str | None = AUTOMATIC_SCHEDULER

    @property
    def latent_multiple(self) -> int:
        return 2


class PatchingFamily(FlowFamily):
    """A family whose networks have patches of different sizes.

    Args:
        transformer: its configuration has the size.
    """

    transformer: Any

    @property
    def latent_multiple(self) -> int:
        return int(self.transformer.config.patch_size)


@dataclass(frozen=True)
class ZImage(FlowFamily):
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

    kind = "z-image"

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> ZImage:
        text = LanguageText(parts["tokenizer"], parts["text_encoder"], _QWEN_TURN, 512)
        return cls(parts["transformer"], text, parts["scheduler_config"])

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
        return Conditioning(self.text.encode(text))

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        return noise_model_of_flow(shift_of(self.scheduler_config, 3.0, patch_count(latent_size)))

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        images = latents.to(dtype_of(self.transformer)).unsqueeze(2)  # one frame each
        output = self.transformer(
            list(images),
            1 - timestep.expand(len(latents)) / 1000,
            list(conditioning.tokens.to(dtype_of(self.transformer))),
            return_dict=False,
        )[0]
        return -torch.stack(output).squeeze(2).float()


@dataclass(frozen=True)
class Flux2(FlowFamily):
    """FLUX.2, dev and klein: a transformer over 2x2 patches, and several hidden layers of a language model.

    dev takes the distilled CFG scale as an input. klein takes none; of it there is one kind for CFG, and one distilled
    to four steps, for which there is no CFG.

    Args:
        transformer: Flux2Transformer2DModel.
        text: Mistral 3 (dev) or Qwen3 (klein).
        scheduler_config: of the model.
        kind: "flux2" (dev) or "flux2-klein".
        guides_itself: whether CFG is distilled into the network.
    """

    transformer: Any
    text: LanguageText
    scheduler_config: Mapping[str, Any]
    kind: Kind
    guides_itself: bool = False

    pads_texts = True

    @classmethod
    def dev(cls, parts: Mapping[str, Any]) -> Flux2:
        tokenizer = parts["tokenizer"]
        text = LanguageText(
            tokenizer,
            parts["text_encoder"],
            tokenizer.bos_token + _FLUX2_INSTRUCTION + _MISTRAL_TURN,
            512,
            layers=FLUX2_LAYERS,
            padded="left",
            marked=False,
        )
        return cls(parts["transformer"], text, parts["scheduler_config"], "flux2")

    @classmethod
    def klein(cls, parts: Mapping[str, Any]) -> Flux2:
        text = LanguageText(
            parts["tokenizer"],
            parts["text_encoder"],
            _QWEN_TURN + _NO_THOUGHTS,
            512,
            layers=(9, 18, 27),
            padded="right",
        )
        distilled = bool(parts["pipeline_config"].get("is_distilled", False))
        return cls(parts["transformer"], text, parts["scheduler_config"], "flux2-klein", distilled)

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
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
            hidden_states=packed(latents).to(dtype_of(self.transformer)),
            timestep=timestep.expand(count).to(dtype_of(self.transformer)) / 1000,
            guidance=guidance,
            encoder_hidden_states=conditioning.tokens.to(dtype_of(self.transformer)),
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
class Chroma(FlowFamily):
    """Chroma: Flux.1's patches and T5 without padding, no CLIP, and CFG instead of a distilled scale.

    Args:
        transformer: ChromaTransformer2DModel.
        t5: T5, whose text is not padded.
        scheduler_config: of the model.
    """

    transformer: Any
    t5: T5Text
    scheduler_config: Mapping[str, Any]

    kind = "chroma"

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> Chroma:
        # The network was trained with one token of padding after the text.
        t5 = T5Text(parts["tokenizer"], parts["text_encoder"], 512, shown_padding=1)
        return cls(parts["transformer"], t5, parts["scheduler_config"])

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
        return Conditioning(self.t5.encode(text))

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        return noise_model_of_flow(shift_of(self.scheduler_config, 1.0, patch_count(latent_size)))

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        count, _, height, width = latents.shape
        output = self.transformer(
            hidden_states=packed(latents).to(dtype_of(self.transformer)),
            timestep=timestep.expand(count).to(dtype_of(self.transformer)) / 1000,
            encoder_hidden_states=conditioning.tokens.to(dtype_of(self.transformer)),
            txt_ids=torch.zeros(conditioning.tokens.shape[1], 3, device=latents.device),
            img_ids=patch_places(height // 2, width // 2, latents.device),
            return_dict=False,
        )[0]
        return unpacked(output.float(), latents)


@dataclass(frozen=True)
class QwenImage(FlowFamily):
    """Qwen-Image: a transformer over 2x2 patches, and the last hidden layer of Qwen2.5-VL.

    Args:
        transformer: QwenImageTransformer2DModel.
        text: Qwen2.5-VL, told to describe an image; the network reads what follows that instruction.
        scheduler_config: of the model.
    """

    transformer: Any
    text: LanguageText
    scheduler_config: Mapping[str, Any]

    kind = "qwen-image"
    keeps_length = "patch"

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

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
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
            hidden_states=packed(latents).to(dtype_of(self.transformer)),
            timestep=timestep.expand(count).to(dtype_of(self.transformer)) / 1000,
            guidance=guidance,
            encoder_hidden_states=conditioning.tokens.to(dtype_of(self.transformer)),
            encoder_hidden_states_mask=None,
            img_shapes=[[(1, height // 2, width // 2)]] * count,
            return_dict=False,
        )[0]
        return unpacked(output.float(), latents)


@dataclass(frozen=True)
class SanaText:
    """Gemma 2 as Sana reads it: positive prompts after an instruction of which little is read, negative ones alone.

    Args:
        towards, away: the encoder of positive and of negative prompts.
    """

    towards: LanguageText
    away: LanguageText

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> SanaText:
        tokenizer, model = parts["tokenizer"], parts["text_encoder"]
        instruction = len(tokenizer(_SANA_INSTRUCTION).input_ids)
        plain = LanguageText(tokenizer, model, "{}", _SANA_LENGTH, layers=(-1,), lowered=True)
        # Of the instruction the network reads the first and the last token.
        instructed = replace(
            plain,
            form=_SANA_INSTRUCTION + "{}",
            length=instruction + _SANA_LENGTH - 2,
            dropped=instruction - 1,
            keeps_first=True,
        )
        return cls(instructed, plain)

    def encode(self, text: str, towards: bool) -> torch.Tensor:
        """Return the token embeddings (1, T, width)."""
        return (self.towards if towards else self.away).encode(text)


@dataclass(frozen=True)
class Sana(PatchingFamily):
    """Sana: a transformer over single cells, of which each is 32 pixels wide, and Gemma 2.

    Args:
        transformer: SanaTransformer2DModel.
        text: Gemma 2.
        scheduler_config: of the model.
    """

    transformer: Any
    text: SanaText
    scheduler_config: Mapping[str, Any]

    kind = "sana"

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> Sana:
        return cls(parts["transformer"], SanaText.of_parts(parts), parts["scheduler_config"])

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
        return Conditioning(self.text.encode(text, towards))

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        return noise_model_of_flow(float(self.scheduler_config.get("flow_shift", 3.0)), highest=0.999)

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        # It was trained at whole steps; the margin keeps a rounding error from being taken for the step below.
        whole = torch.floor(timestep + 1e-3) * self.transformer.config.timestep_scale
        output = self.transformer(
            latents.to(dtype_of(self.transformer)),
            encoder_hidden_states=conditioning.tokens.to(dtype_of(self.transformer)),
            timestep=whole.expand(len(latents)),
            return_dict=False,
        )[0]
        return output[:, : latents.shape[1]].float()


@dataclass(frozen=True)
class SanaSprint(PatchingFamily):
    """Sana-Sprint: Sana as a consistency model of one to four steps, which takes the CFG scale as an input.

    It was trained at angles between image (0) and noise (pi / 2), which are the levels of a flow model:
    s = sin / (sin + cos). There its estimate of the clean image is x - s * output, as a flow model's.

    Args:
        transformer: SanaTransformer2DModel.
        text: Gemma 2.
    """

    transformer: Any
    text: SanaText

    kind = "sana-sprint"
    guides_itself = True

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> SanaSprint:
        return cls(parts["transformer"], SanaText.of_parts(parts))

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
        return Conditioning(self.text.encode(text, towards))

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        # Evenly spaced angles, but the second of two steps begins at the one that its makers found best.
        middle = 1.3 if steps == 2 else math.pi / 4
        angles = np.interp(np.arange(1, 1001) / 1000, (0, 0.5, 1), (0, middle, math.pi / 2))
        return NoiseModel(NoiseTable(np.sin(angles) / (np.sin(angles) + np.cos(angles)), flow=True))

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        guidance = None
        config = self.transformer.config
        if config.guidance_embeds:
            scale = scales.cfg * config.guidance_embeds_scale
            guidance = torch.full((len(latents),), scale, device=latents.device)
        output = self.transformer(
            latents.to(dtype_of(self.transformer)),
            encoder_hidden_states=conditioning.tokens.to(dtype_of(self.transformer)),
            timestep=timestep.expand(len(latents)) / 1000,
            guidance=guidance,
            return_dict=False,
        )[0]
        return output[:, : latents.shape[1]].float()


@dataclass(frozen=True)
class Lumina2(PatchingFamily):
    """Lumina 2: one sequence of text and 2x2 patches, which the network makes itself, and Gemma 2.

    Its time runs from noise (0) to image (1), and it predicts image minus noise.

    Args:
        transformer: Lumina2Transformer2DModel.
        instructed: Gemma 2 with an instruction before the text, for positive prompts.
        plain: Gemma 2 without the instruction, for negative prompts.
        scheduler_config: of the model.
    """

    transformer: Any
    instructed: LanguageText
    plain: LanguageText
    scheduler_config: Mapping[str, Any]

    kind = "lumina2"
    keeps_length = "row"

    @classmethod
    def of_parts(cls, parts: Mapping[str, Any]) -> Lumina2:
        plain = LanguageText(parts["tokenizer"], parts["text_encoder"], "{}", 256)
        instructed = replace(plain, form=_LUMINA_INSTRUCTION + "{}")
        return cls(parts["transformer"], instructed, plain, parts["scheduler_config"])

    def encode(self, text: str, clip_skip: int, towards: bool = True) -> Conditioning:
        return Conditioning((self.instructed if towards else self.plain).encode(text))

    def noise_model(self, latent_size: tuple[int, int], steps: int) -> NoiseModel:
        return noise_model_of_flow(shift_of(self.scheduler_config, 6.0, patch_count(latent_size)))

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, conditioning: Conditioning, scales: Scales
    ) -> torch.Tensor:
        tokens = conditioning.tokens.to(dtype_of(self.transformer))
        output = self.transformer(
            hidden_states=latents.to(dtype_of(self.transformer)),
            timestep=1 - timestep.expand(len(latents)) / 1000,
            encoder_hidden_states=tokens,
            encoder_attention_mask=torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device),
            return_dict=False,
        )[0]
        return -output.float()


FLOW_FAMILIES: Mapping[Kind, Callable[[Mapping[str, Any]], Family]] = {
    "z-image": ZImage.of_parts,
    "flux2": Flux2.dev,
    "flux2-klein": Flux2.klein,
    "chroma": Chroma.of_parts,
    "qwen-image": QwenImage.of_parts,
    "sana": Sana.of_parts,
    "sana-sprint": SanaSprint.of_parts,
    "lumina2": Lumina2.of_parts,
}
