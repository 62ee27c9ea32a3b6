"""The network conditioned on a request: one prompt, or a blend of two, and the ControlNet units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

from deforum_helpers.engines.base import GenerateRequest, PromptBlend
from deforum_helpers.engines.diffusion.conditioning import (
    Conditioning,
    Guidance,
    blended,
    mean_of,
    stacked,
)
from deforum_helpers.engines.diffusion.control_residuals import Unit
from deforum_helpers.engines.diffusion.controlnet import with_units
from deforum_helpers.engines.diffusion.families import Family, Scales, packed, unpacked
from deforum_helpers.engines.diffusion.loading import LoadedModel
from deforum_helpers.engines.diffusion.prompt_syntax import Lora, Prompt, parse_prompt, text_at_step
from deforum_helpers.engines.diffusion.sampling import Outputs


def guided_output(
    family: Family,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    guidance: Guidance,
    scales: Scales,
    cfg_factor: float,
) -> Outputs:
    """Return the network's outputs, float32 like `latents` (1, C, h, w).

    guided = away + scale * sum of weight * (towards - away), for some families at the lengths of `towards`. Without
    `away`, prompts are averaged by weight.

    Args:
        family: the network.
        latents: the network's input.
        timestep: where on the noise schedule.
        guidance: the positive and the negative conditionings.
        scales: CFG scales.
        cfg_factor: factor of the CFG scale; CFG++ has another range.
    """
    from_texts = [replace(conditioning, towards=(False,)) for conditioning, _ in guidance.away]
    texts = [*from_texts, *(conditioning for conditioning, _ in guidance.towards)]
    outputs = _predicted(family, latents, timestep, texts, scales)
    towards, weights = outputs[len(from_texts) :], [weight for _, weight in guidance.towards]
    own = mean_of(towards, weights)
    if not guidance.away:
        return Outputs.unguided(own)
    away = mean_of(outputs[: len(from_texts)], [weight for _, weight in guidance.away])
    guided = away
    for output, weight in zip(towards, weights, strict=True):
        guided = guided + (output - away) * (weight * scales.cfg * cfg_factor)
    if family.keeps_length is not None:
        guided = _with_lengths_of(guided, own, family.keeps_length)
    return Outputs(guided, away, own)


def _with_lengths_of(guided: torch.Tensor, own: torch.Tensor, kept: Literal["patch", "row"]) -> torch.Tensor:
    """Return `guided` with each 2x2 patch, or each row of a channel, as long as that of `own`; both (1, C, h, w)."""
    parts, own_parts = (packed(guided), packed(own)) if kept == "patch" else (guided, own)
    lengths = own_parts.norm(dim=-1, keepdim=True)
    scaled = parts * (lengths / parts.norm(dim=-1, keepdim=True).clamp_min(1e-12))
    return unpacked(scaled, guided) if kept == "patch" else scaled


def _predicted(
    family: Family,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    texts: list[Conditioning],
    scales: Scales,
) -> list[torch.Tensor]:
    """One output per text: in one batch where the lengths are equal, one by one where they differ."""
    if len({text.tokens.shape for text in texts}) == 1:
        batch = latents.repeat(len(texts), 1, 1, 1)
        return list(family.predict(batch, timestep, stacked(texts), scales).split(1))
    return [family.predict(latents, timestep, text, scales) for text in texts]


@dataclass(frozen=True)
class WeightedPrompts:
    """Prompts with their shares, which sum to 1.

    Args:
        entries: one prompt, or the outgoing and the incoming one of a blend.
    """

    entries: tuple[tuple[Prompt, float], ...]

    @classmethod
    def read(
        cls, text: str, blend: PromptBlend | None, side: Literal["prompt", "negative_prompt"]
    ) -> WeightedPrompts:
        """Parse a request's prompt and, in a blend, the incoming one."""
        # The mean of equal embeddings is not quite equal to them, and bfloat16 makes more of small differences.
        if blend is None or blend.share <= 0 or getattr(blend, side) == text:
            return cls(((parse_prompt(text), 1.0),))
        following = parse_prompt(getattr(blend, side))
        if blend.share >= 1:
            return cls(((following, 1.0),))
        return cls(((parse_prompt(text), 1 - blend.share), (following, blend.share)))

    @property
    def loras(self) -> tuple[Lora, ...]:
        """All LoRAs, their weights multiplied by the share of their prompt."""
        return tuple(
            replace(
                lora,
                weight=lora.weight * share,
                text_weight=None if lora.text_weight is None else lora.text_weight * share,
            )
            for prompt, share in self.entries
            for lora in prompt.loras
        )

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """The texts and weights of all prompts, multiplied by their shares."""
        return tuple(
            (text, weight * share) for prompt, share in self.entries for text, weight in prompt.parts
        )

    @property
    def is_blend(self) -> bool:
        """Whether two prompts are blended."""
        return len(self.entries) > 1


@dataclass(frozen=True)
class ConditionedNetwork:
    """A network with its prompts and units, evaluated at each noise level of sampling and of inversion.

    Args:
        model: the loaded model.
        request: gives prompts and scales.
        positive, negative: its prompts, read.
        units: its ControlNet units, ready.
    """

    model: LoadedModel
    request: GenerateRequest
    positive: WeightedPrompts
    negative: WeightedPrompts
    units: tuple[Unit, ...] = ()

    @property
    def loras(self) -> tuple[Lora, ...]:
        """The LoRAs that both prompts call."""
        return (*self.positive.loras, *self.negative.loras)

    def guided(
        self, shown: torch.Tensor, timestep: torch.Tensor, step: int, steps: int, cfg_factor: float = 1.0
    ) -> Outputs:
        """Return the network's outputs, float32 like `shown`.

        Args:
            shown: (1, C, h, w) the network's input.
            timestep: on the network's device.
            step: number of the sampling step, which selects the edited prompt and the active units.
            steps: number of sampling steps that are run.
            cfg_factor: factor of the CFG scale.
        """
        scale = self.request.cfg_scale
        away: tuple[tuple[Conditioning, float], ...] = ()
        if scale != 1 and not self.model.family.guides_itself:
            away = self._as_one(self._texts(self.negative, step, towards=False))
        return self._output(
            shown, timestep, step, steps, Guidance(self._towards(step), away), scale, cfg_factor
        )

    def unguided(self, shown: torch.Tensor, timestep: torch.Tensor, step: int, steps: int) -> torch.Tensor:
        """Return the network's output for the prompt alone, at a CFG scale of 1; the arguments are `guided`'s."""
        return self._output(shown, timestep, step, steps, Guidance(self._towards(step)), 1.0, 1.0).guided

    def _output(
        self,
        shown: torch.Tensor,
        timestep: torch.Tensor,
        step: int,
        steps: int,
        guidance: Guidance,
        cfg_scale: float,
        cfg_factor: float,
    ) -> Outputs:
        self.model.need("network")
        family = with_units(self.model.family, self.units, step, steps)
        scales = Scales(cfg_scale, self.request.distilled_cfg_scale)
        return guided_output(family, shown, timestep, guidance, scales, cfg_factor)

    def _towards(self, step: int) -> tuple[tuple[Conditioning, float], ...]:
        entries = self._texts(self.positive, step, towards=True)
        return self._as_one(entries) if self.positive.is_blend else entries

    def _as_one(
        self, entries: tuple[tuple[Conditioning, float], ...]
    ) -> tuple[tuple[Conditioning, float], ...]:
        """Return texts blended into one; of texts whose lengths differ, the network's outputs are averaged instead.

        A shorter text without padding has nothing to be continued with: already a small share of another prompt would
        change all of the image.
        """
        shapes = {conditioning.tokens.shape for conditioning, _ in entries}
        if len(shapes) > 1 and not self.model.family.pads_texts:
            return entries
        return ((blended(entries), 1.0),)

    def _texts(
        self, prompts: WeightedPrompts, step: int, towards: bool
    ) -> tuple[tuple[Conditioning, float], ...]:
        return tuple(
            (self._embedded(text_at_step(text, step, self.request.steps), towards), weight)
            for text, weight in prompts.parts
        )

    def _embedded(self, text: str, towards: bool) -> Conditioning:
        clip_skip = self.request.clip_skip
        key = (text, clip_skip, self.loras, towards)

        def encode() -> Conditioning:
            self.model.need("text")
            return self.model.family.encode(text, clip_skip, towards)

        return self.model.embeddings.get(key, encode)
