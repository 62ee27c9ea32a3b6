"""Which parts of a loaded model are on the device: counted, and moved when their turn comes.

The mode "model" keeps the denoising network and the VAE on the device and exchanges them for the text encoders while a
new prompt is encoded. The mode "streamed" leaves text encoders and network in main memory and brings each layer when it
computes. Neither changes a bit of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from deforum_helpers.engines.diffusion.stored_weights import StoredLinear, block_layers, sizes_in
from deforum_helpers.engines.memory import (
    TILE_PX,
    MemoryNeeds,
    MemoryPlan,
    Precision,
    decoding_bytes,
    encoding_bytes,
    sampling_bytes,
)
from deforum_helpers.models.devices import release_unused

Role = Literal["text", "network", "autoencoder"]
Modules = Mapping[Role, Sequence[torch.nn.Module]]

_MAIN_MEMORY = torch.device("cpu")
# The attribute of a streamed text encoder with the device of its inputs.
_INPUTS = "deforum_input_device"


def input_device(module: Any) -> torch.device:
    """Return the device on which a text encoder takes its tokens; the weights of a streamed one are elsewhere."""
    found: torch.device = getattr(module, _INPUTS, None) or module.device
    return found


def reader_of(text_encoder: Any) -> Any:
    """Return the part of a text encoder that reads: a language model without the head, which predicts words."""
    return getattr(text_encoder, "model", text_encoder)


def weight_bytes(modules: Sequence[torch.nn.Module]) -> int:
    """Return the bytes of all weights and buffers."""
    return sum(_Weights.of(module).total for module in modules)


@dataclass(frozen=True)
class _Weights:
    """Bytes of a network's weights and buffers: all, the largest one, and what its largest stored layer decodes to."""

    total: int
    largest: int
    decoded: int

    @classmethod
    def of(cls, module: torch.nn.Module, precision: Precision | None = None) -> _Weights:
        """Return those of `module`, with its blocks in a precision; None = as they are."""
        sizes = {id(one): one.nbytes for one in (*module.parameters(), *module.buffers())}
        stored: dict[torch.nn.Linear, tuple[int, int]] = {
            layer: (layer.stored_bytes, layer.decoding_bytes)
            for layer in module.modules()
            if isinstance(layer, StoredLinear)
        }
        if precision is not None:
            stored |= {layer: sizes_in(layer, precision) for _, layer in block_layers(reader_of(module))}
        for layer, (weights, _) in stored.items():
            for factors in layer.buffers():
                sizes.pop(id(factors), None)
            sizes[id(layer.weight)] = weights
        decoded = max((decoded for _, decoded in stored.values()), default=0)
        return cls(sum(sizes.values()), max(sizes.values(), default=0), decoded)


def memory_needs(
    modules: Modules,
    size_px: tuple[int, int],
    factor: int,
    batch: int,
    patch: int = 2,
    precision: Precision | None = None,
) -> MemoryNeeds:
    """Return what a model needs; its weights may be on any device, `meta` too.

    Args:
        modules: its networks.
        size_px: (width, height) of the generated image.
        factor: pixels per latent cell and side.
        batch: latents that the denoising network evaluates at once.
        patch: cells per token and side, if that network is a transformer.
        precision: of the text encoders' and that network's blocks; None = as they are.
    """
    width, height = size_px
    cells = (width // factor) * (height // factor)
    network: Any = modules["network"][0]
    vae: Any = modules["autoencoder"][0]
    texts = [_Weights.of(module, precision) for module in modules["text"]]
    networks = [_Weights.of(network, precision), *map(_Weights.of, modules["network"][1:])]
    activations = zip(modules["text"], texts, strict=True)
    return MemoryNeeds(
        text=sum(weights.total for weights in texts),
        network=sum(weights.total for weights in networks),
        autoencoder=weight_bytes([vae]),
        layer=max(weights.largest for weights in (*texts, *networks)),
        encoding=max((_encoding(module) + weights.decoded for module, weights in activations), default=0),
        sampling=sampling_bytes(network.config, cells, batch, patch, network.dtype.itemsize)
        + networks[0].decoded,
        decoding=decoding_bytes(vae.config, width * height, vae.dtype.itemsize),
        tile=decoding_bytes(vae.config, TILE_PX * TILE_PX, vae.dtype.itemsize),
    )


def _encoding(text_encoder: Any) -> int:
    return encoding_bytes(text_encoder.config.to_dict(), text_encoder.dtype.itemsize)


class Residency:
    """Keeps the parts of one model where its plan has them.

    Args:
        modules: returns the model's networks, all in main memory; ControlNets may join the network later.
        device: where they run.
        needs: what they need there.
        plan: where they are kept.
    """

    def __init__(
        self, modules: Callable[[], Modules], device: torch.device, needs: MemoryNeeds, plan: MemoryPlan
    ) -> None:
        self.needs = needs
        self.plan = plan
        self.working: Role | None = None  # the role that was needed last
        self._modules = modules
        self._device = device
        self._resident: set[Role] = set()
        self._streamed: tuple[torch.nn.Module, ...] = ()
        if plan.mode == "streamed":
            found = modules()
            self._streamed = (*found["text"], found["network"][0])
            for module in self._streamed:
                _stream(module, device)

    def need(self, role: Role) -> None:
        """Bring the parts of a role to the device, and take off it what the mode has no room for beside them."""
        self.working = role
        if role in self._resident:
            return
        if self.plan.mode == "model":
            self._remove(("network", "autoencoder") if role == "text" else ("text",))
        for module in self._moved(role):
            module.to(self._device)
        self._resident.add(role)

    def leave(self) -> None:
        """Move everything to main memory; each part returns when it is needed."""
        self._remove(("text", "network", "autoencoder"))

    def _remove(self, roles: Sequence[Role]) -> None:
        self._resident -= set(roles)
        if self._device == _MAIN_MEMORY:
            return
        # Of a role that is not resident some weights may be there: memory ran out on their way.
        for role in roles:
            for module in self._moved(role):
                module.to(_MAIN_MEMORY)
        release_unused(self._device)

    def _moved(self, role: Role) -> list[torch.nn.Module]:
        return [module for module in self._modules()[role] if module not in self._streamed]


def _stream(module: Any, device: torch.device) -> None:
    """Let each layer of `module` come to `device` for its computation alone; the next one is fetched meanwhile."""
    if hasattr(module, _INPUTS):
        return
    from diffusers.hooks import apply_group_offloading

    apply_group_offloading(
        reader_of(module),
        onload_device=device,
        offload_device=_MAIN_MEMORY,
        offload_type="leaf_level",
        use_stream=device.type in ("cuda", "xpu"),
    )
    setattr(module, _INPUTS, device)
