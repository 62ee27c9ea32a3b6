"""Classifier-free guidance over one or several prompts."""

from __future__ import annotations

from dataclasses import replace

import torch

from deforum_helpers.engines.diffusion.conditioning import Conditioning, Guidance, stacked
from deforum_helpers.engines.diffusion.families import Family, Scales


def guided_output(
    family: Family,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    guidance: Guidance,
    scales: Scales,
    cfg_factor: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (guided, unguided) outputs, float32 like `latents` (1, C, h, w).

    guided = away + scale * sum of weight * (towards - away). Without `away`, prompts are averaged by weight.

    Args:
        family: the network.
        latents: the network's input.
        timestep: where on the noise schedule.
        guidance: the positive and the negative conditionings.
        scales: CFG scales.
        cfg_factor: factor of the CFG scale; CFG++ has another range.
    """
    texts = [conditioning for conditioning, _ in guidance.towards]
    weights = [weight for _, weight in guidance.towards]
    if guidance.away is None:
        outputs = _predicted(family, latents, timestep, texts, scales)
        total = sum(weights)
        shares = [weight / total if total else 1 / len(weights) for weight in weights]
        mean = sum(
            (share * output for share, output in zip(shares, outputs, strict=True)), torch.zeros_like(latents)
        )
        return mean, mean
    from_text = replace(guidance.away, towards=(False,))
    away, *outputs = _predicted(family, latents, timestep, [from_text, *texts], scales)
    guided = away
    for output, weight in zip(outputs, weights, strict=True):
        guided = guided + (output - away) * (weight * scales.cfg * cfg_factor)
    return guided, away


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
