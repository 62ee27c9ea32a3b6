"""Kohya HRFix for large images: during a part of sampling, the U-Net's features are downscaled from one block on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from deforum_helpers.core.errors import ModelError
from deforum_helpers.engines import messages
from deforum_helpers.engines.base import KohyaHRFix

Size = tuple[int, int]

# Noise levels that Stable Diffusion models are trained on.
LEVELS = 1000


@contextmanager
def hrfix_applied(network: Any, fix: KohyaHRFix | None) -> Iterator[None]:
    """Run the network with the fix inside; networks that are not U-Nets are left alone.

    The blocks are counted as the original code of Stable Diffusion counts them: 0 is the first convolution, then
    come the layers and downsamplings of each stage in turn.

    Args:
        network: UNet2DConditionModel.
        fix: None = none.

    Raises:
        ModelError: the U-Net has no such block.
    """
    if fix is None or not hasattr(network, "down_blocks"):
        yield
        return
    blocks = [layers for stage in network.down_blocks for layers in _input_blocks(stage)]
    if fix.block_number > len(blocks):
        raise ModelError(messages.HRFIX_BLOCK(found=fix.block_number, blocks=len(blocks)))
    patch = _Patch(fix, tuple(type(layers[0]).__name__ == "Downsample2D" for layers in blocks))
    with ExitStack() as stack:
        hooks = [network.register_forward_pre_hook(patch.begin, with_kwargs=True)]
        following = [*blocks[fix.block_number :], [network.mid_block.resnets[0]]][0][0]
        if fix.downscale_after_skip:
            hooks.append(following.register_forward_pre_hook(patch.shrink_input))
        else:
            hooks.append(blocks[fix.block_number - 1][-1].register_forward_hook(patch.shrink_output))
        hooks += [hook for stage in network.up_blocks for hook in _up_hooks(stage, patch)]
        for hook in hooks:
            stack.callback(hook.remove)
        yield


def resized(values: torch.Tensor, size: Size, method: str) -> torch.Tensor:
    """Return (B, C, h, w) features at another (height, width).

    Args:
        values: features.
        size: wanted (height, width).
        method: one of `settings.tables.RESIZE_METHODS`.
    """
    if tuple(values.shape[2:]) == size:
        return values
    if method == "bislerp":
        return _turned(_turned(values, size[0], 2), size[1], 3)
    return F.interpolate(values, size=size, mode=method)


@dataclass
class _Patch:
    """State shared by the hooks of one image; `halving`: for each block, whether it halves the sides."""

    fix: KohyaHRFix
    halving: tuple[bool, ...]
    is_on: bool = False
    wanted: dict[int, Size] = field(default_factory=dict)

    def begin(self, _network: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Switch downscaling on or off by the network's timestep, which falls during sampling.

        Residuals of ControlNets are downscaled to the size of the features that they are added to.
        """
        done = 1 - float(torch.as_tensor(inputs[1]).flatten()[0]) / LEVELS
        begun = self.fix.start <= 0 or done >= self.fix.start
        self.is_on = begun and (self.fix.end >= 1 or done <= self.fix.end)
        self.wanted.clear()
        added = named.get("down_block_additional_residuals")
        if not self.is_on or added is None:
            return None
        sizes = self._sizes((int(inputs[0].shape[2]), int(inputs[0].shape[3])))
        shrunk = tuple(resized(one, size, "bilinear") for one, size in zip(added, sizes, strict=False))
        middle = resized(named["mid_block_additional_residual"], sizes[-1], "bilinear")
        changed = {"down_block_additional_residuals": shrunk, "mid_block_additional_residual": middle}
        return inputs, {**named, **changed}

    def _sizes(self, size: Size) -> list[Size]:
        """Return the size of each skip connection, and of the middle."""
        sizes = [size]
        for number, halves in enumerate(self.halving, start=1):
            if halves:
                size = (-(-size[0] // 2), -(-size[1] // 2))
            small = self._small(size) if number == self.fix.block_number else size
            sizes.append(size if self.fix.downscale_after_skip else small)
            size = small
        return [*sizes, size]

    def shrink_input(self, _layer: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._shrunk(inputs[0]), *inputs[1:])

    def shrink_output(self, _layer: Any, _inputs: Any, output: Any) -> Any:
        return (self._shrunk(output[0]), *output[1:]) if isinstance(output, tuple) else self._shrunk(output)

    def _shrunk(self, values: torch.Tensor) -> torch.Tensor:
        if not self.is_on:
            return values
        size = self._small((int(values.shape[2]), int(values.shape[3])))
        return resized(values, size, self.fix.downscale_method)

    def _small(self, size: Size) -> Size:
        height, width = (max(1, round(side / self.fix.downscale_factor)) for side in size)
        return height, width

    def enlarged(self, values: torch.Tensor, size: Size) -> torch.Tensor:
        return resized(values, size, self.fix.upscale_method)


def _input_blocks(stage: Any) -> Iterator[list[Any]]:
    """Yield the layers of each input block of a stage of the way down, in order."""
    attentions = getattr(stage, "attentions", None) or [None] * len(stage.resnets)
    for resnet, attention in zip(stage.resnets, attentions, strict=True):
        yield [resnet] if attention is None else [resnet, attention]
    for layer in stage.downsamplers or ():
        yield [layer]


def _up_hooks(stage: Any, patch: _Patch) -> list[Any]:
    """Return hooks that give the features of a stage of the way up the size of each skip before they are joined."""
    attentions = getattr(stage, "attentions", None) or stage.resnets
    layers = list(attentions)

    def enter(_stage: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        skips = named["res_hidden_states_tuple"][::-1]
        sizes = [(int(skip.shape[2]), int(skip.shape[3])) for skip in skips]
        patch.wanted.update(zip(map(id, layers), sizes[1:], strict=False))
        return inputs, {**named, "hidden_states": patch.enlarged(named["hidden_states"], sizes[0])}

    return [
        stage.register_forward_pre_hook(enter, with_kwargs=True),
        *(layer.register_forward_hook(_leave(patch, id(layer))) for layer in layers[:-1]),
    ]


def _leave(patch: _Patch, layer: int) -> Callable[..., Any]:
    def enlarge(_layer: Any, _inputs: Any, output: Any) -> Any:
        size = patch.wanted[layer]
        if isinstance(output, tuple):
            return (patch.enlarged(output[0], size), *output[1:])
        return patch.enlarged(output, size)

    return enlarge


def _turned(values: torch.Tensor, size: int, axis: int) -> torch.Tensor:
    """Resize one axis so that between two neighbours the feature vector turns evenly and its length goes evenly."""
    places = (torch.arange(size, device=values.device) + 0.5) * values.shape[axis] / size - 0.5
    low = places.floor()
    share = (places - low).view([-1 if each == axis else 1 for each in range(4)])
    last = values.shape[axis] - 1
    one, other = (values.index_select(axis, (low + step).clamp(0, last).long()).float() for step in (0, 1))
    lengths = one.norm(dim=1, keepdim=True), other.norm(dim=1, keepdim=True)
    ways = [vector / length.clamp_min(1e-12) for vector, length in zip((one, other), lengths, strict=True)]
    angle = (ways[0] * ways[1]).sum(1, keepdim=True).clamp(-1, 1).arccos()
    sine = angle.sin()
    straight = sine < 1e-4  # alike or opposite: the way between them is a line, or has no direction
    safe = torch.where(straight, torch.ones_like(sine), sine)
    shares = (((1 - share) * angle).sin() / safe, (share * angle).sin() / safe)
    turned = ways[0] * torch.where(straight, 1 - share, shares[0]) + ways[1] * torch.where(
        straight, share, shares[1]
    )
    length = lengths[0] * (1 - share) + lengths[1] * share
    return (turned * length).to(values.dtype)
