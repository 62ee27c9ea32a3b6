"""ControlNet residuals: what units add to the U-Net at each step, by mask, weight and side of guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from deforum_helpers.engines.base import Control
from deforum_helpers.image.transfers import constant

Added = Mapping[str, Any] | None

# From the finest layer to the deepest each counts this share of the next, counted from the thirteenth.
RAMP = 0.825
DEEPEST = 12


@dataclass(frozen=True)
class Residuals:
    """Residuals for a U-Net: one for each skip connection, in order, and one for the middle; all (N, C, h, w)."""

    skips: tuple[torch.Tensor, ...]
    middle: torch.Tensor

    def plus(self, other: Residuals | None) -> Residuals:
        if other is None:
            return self
        skips = tuple(mine + theirs for mine, theirs in zip(self.skips, other.skips, strict=True))
        return Residuals(skips, self.middle + other.middle)


@dataclass(frozen=True)
class Unit:
    """A unit with its network and control image, for one generation.

    Args:
        network: the ControlNet.
        image: (1, 3, H, W) the control image, at the generated size.
        mask: (1, 1, h, w) where it steers, at any size, or None for everywhere.
        weight: factor of all that it adds.
        first, last: share of sampling, 0..1, between which it acts.
        ramped: whether fine layers count less than deep ones.
        one_sided: whether it steers only the evaluation of the positive prompt.
    """

    network: Any
    image: torch.Tensor
    mask: torch.Tensor | None
    weight: float
    first: float
    last: float
    ramped: bool
    one_sided: bool

    def acts(self, share: float) -> bool:
        """Tell whether it acts at a step, given the share of steps done before it."""
        return self.weight != 0 and self.first <= share <= self.last

    def residuals(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        tokens: torch.Tensor,
        added: Added,
        towards: Sequence[bool],
    ) -> Residuals:
        """Return what the unit adds to a U-Net whose input is `latents`.

        Args:
            latents: (N, C, h, w) of the network's type.
            timestep: as the U-Net takes it.
            tokens: (N, T, width) text embeddings.
            added: further conditions of XL, or None.
            towards: for each of N texts, True = positive prompt, False = negative.
        """
        skips, middle = self.network(
            latents,
            timestep,
            encoder_hidden_states=tokens,
            controlnet_cond=self.image.expand(len(latents), -1, -1, -1),
            added_cond_kwargs=added,
            return_dict=False,
        )
        layers = [*skips, middle]
        shares = [self.weight * (RAMP ** (DEEPEST - i) if self.ramped else 1.0) for i in range(len(layers))]
        scaled = [self._masked(layer * share, towards) for layer, share in zip(layers, shares, strict=True)]
        return Residuals(tuple(scaled[:-1]), scaled[-1])

    def _masked(self, layer: torch.Tensor, towards: Sequence[bool]) -> torch.Tensor:
        """Return a layer limited to the mask and, for one-sided units, to the positive prompt."""
        if self.mask is not None:
            layer = layer * F.interpolate(self.mask, layer.shape[2:], mode="area").to(layer.dtype)
        if self.one_sided:
            sides = constant(tuple(map(float, towards)), layer.device)
            layer = layer * sides.to(layer.dtype)[:, None, None, None]
        return layer


@dataclass(frozen=True)
class Steering:
    """The units that act at one step, at least one."""

    units: tuple[Unit, ...]

    def residuals(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        tokens: torch.Tensor,
        added: Added,
        towards: Sequence[bool],
    ) -> Residuals:
        """Return the sum of what all units add; arguments as `Unit.residuals`."""
        total: Residuals | None = None
        for unit in self.units:
            total = unit.residuals(latents, timestep, tokens, added, towards).plus(total)
        assert total is not None, "a step without units is not steered"
        return total


def steering_at(units: Sequence[Unit], step: int, steps: int) -> Steering | None:
    """Return the units that act at step number `step` of `steps`, or None; the share is step / steps, as in WebUIs.

    With a start of 0.5 and four steps, the third and the fourth are steered.
    """
    acting = tuple(unit for unit in units if unit.acts(step / steps))
    return Steering(acting) if acting else None


def unit_of(control: Control, network: Any, image: torch.Tensor, mask: torch.Tensor | None) -> Unit:
    """Return the unit that a request asks for; `image` and `mask` as in `Unit`."""
    return Unit(
        network=network,
        image=image,
        mask=mask,
        weight=control.weight,
        first=control.guidance_start,
        last=control.guidance_end,
        ramped=control.control_mode != "Balanced",
        one_sided=control.control_mode == "ControlNet is more important",
    )
