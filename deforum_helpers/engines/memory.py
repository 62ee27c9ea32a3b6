"""Memory of the device that an engine renders on: how much there is, how much a model needs, and what then leaves it.

Imports without torch.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable


def device_memory(device: str) -> tuple[int, int]:
    """Return the total and the used bytes of a device; 0 where they are unknown.

    On a GPU "used" counts all programs, on a CPU or a Mac the resident memory of this process. Loads nothing: before
    the first job has loaded torch, those of a GPU are unknown.
    """
    kind = device.partition(":")[0]
    return _gpu_memory(kind, device) if kind in ("cuda", "xpu") else _process_memory()


def _gpu_memory(kind: str, device: str) -> tuple[int, int]:
    module = getattr(sys.modules.get("torch"), kind, None)
    if module is None or not module.is_initialized():
        return 0, 0
    free, total = module.mem_get_info(device)
    return int(total), int(total - free)


def _process_memory() -> tuple[int, int]:
    with suppress(OSError, ValueError, ImportError, AttributeError):
        import resource

        page = resource.getpagesize()
        total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
        return total, int(Path("/proc/self/statm").read_text().split()[1]) * page
    return 0, 0


# Which parts of a model leave the device while others work, the fastest mode first.
OffloadMode = Literal["none", "model", "streamed"]
MODES: tuple[OffloadMode, ...] = ("none", "model", "streamed")
AUTO = "auto"
OFFLOAD_CHOICES = (AUTO, *MODES)

# How the weights of a model's blocks are kept: as they were loaded, or in 8 bits, floats or integers.
Precision = Literal["native", "fp8", "int8"]
PRECISIONS: tuple[Precision, ...] = ("native", "fp8", "int8")
PRECISION_CHOICES = (AUTO, *PRECISIONS)
# Columns of a row that share a factor in 8 bits; a row of another width has one factor.
GROUP = 128

# Activations at the peak of a network, in values per cell (or token, or pixel) and per channel of its first layer.
# Counted on the device `meta` with attention that stores no matrix; tests/engines/test_memory.py counts them again.
UNET_VALUES = 26.1
TRANSFORMER_VALUES = 22.6
LUMINA_VALUES = 26.6  # queries share keys, which are repeated
SANA_VALUES = 14.1
AUTOENCODER_VALUES = 6.0
DEEP_AUTOENCODER_VALUES = 7.1
TEXT_VALUES = 16.0
# The longest text that most families read.
TEXT_TOKENS = 512
# Sana's text is beside its tokens, not among them: it costs as much as these.
SANA_TEXT_TOKENS = 50
# Workspace of convolutions and products of matrices, and gaps between the blocks of the allocator.
WORKSPACE = 1.25
# For the images of the frame loop and the libraries' own memory.
RESERVED_BYTES = 350_000_000
# Side of the tiles that an autoencoder works on where a whole image does not fit.
TILE_PX = 512


@dataclass(frozen=True)
class MemoryNeeds:
    """What a model needs of a device to generate images of one size, in bytes.

    Args:
        text, network, autoencoder: weights of the text encoders, the denoising network and the VAE.
        layer: weights of the largest layer.
        encoding: activations of the text encoders.
        sampling: activations of the denoising network.
        decoding: activations of the VAE for the whole image.
        tile: those for one tile of it.
    """

    text: int
    network: int
    autoencoder: int
    layer: int = 0
    encoding: int = 0
    sampling: int = 0
    decoding: int = 0
    tile: int = 0

    def peak(self, mode: OffloadMode, tiled: bool = False) -> int:
        """Return the most bytes that are in use at one moment."""
        decoding = min(self.tile, self.decoding) if tiled else self.decoding
        if mode == "none":
            weights = self.text + self.network + self.autoencoder
            return RESERVED_BYTES + weights + max(self.encoding, self.sampling, decoding)
        if mode == "model":
            generating = self.network + self.autoencoder + max(self.sampling, decoding)
            return RESERVED_BYTES + max(self.text + self.encoding, generating)
        # While a layer computes, the next one arrives.
        moving = 2 * self.layer + max(self.encoding, self.sampling)
        return RESERVED_BYTES + self.autoencoder + max(moving, decoding)

    def exceeds(self, other: MemoryNeeds) -> bool:
        """Return whether any amount is larger than in `other`."""
        return any(getattr(self, one.name) > getattr(other, one.name) for one in fields(self))


@dataclass(frozen=True)
class MemoryPlan:
    """Where the parts of a model are kept.

    Args:
        mode: which of them leave the device.
        tiled: whether the VAE works on one tile at a time.
        peak: estimated bytes at the peak.
        fits: whether they are free; True where that is not known.
        precision: how the weights are kept.
    """

    mode: OffloadMode
    tiled: bool
    peak: int
    fits: bool = True
    precision: Precision = "native"


@runtime_checkable
class ManagesMemory(Protocol):
    """An engine that decides where the parts of its model are kept."""

    @property
    def memory_plan(self) -> MemoryPlan | None:
        """The plan of the loaded model; None before the first image."""
        ...

    @property
    def memory_notes(self) -> tuple[str, ...]:
        """What a person should know of the memory, as plain sentences, the newest last."""
        ...


def memory_notes(engine: object) -> tuple[str, ...]:
    """Return the notes of an engine about its memory; none of one that does not manage it."""
    return engine.memory_notes if isinstance(engine, ManagesMemory) else ()


def plan_memory(
    needs: MemoryNeeds, free: int | None, total: int | None, mode: OffloadMode | None = None
) -> MemoryPlan:
    """Return the fastest plan that fits into the free memory; the one with the lowest peak where none does.

    Tiles change the image a little. They therefore depend on the memory that the device has, not on what is free just
    now: a run that is resumed on the same device keeps its bits.

    Args:
        needs: of the model at the size of the images.
        free, total: bytes of the device, None = unknown, as on a CPU, where nothing is offloaded unasked.
        mode: the mode to use, None = choose it.
    """
    modes = MODES if mode is None else (mode,)
    if free is None or total is None:
        return MemoryPlan(modes[0], False, needs.peak(modes[0]))
    tiled = not any(needs.peak(one) <= total for one in MODES[:2])
    if tiled:
        tiled = any(needs.peak(one, True) <= total for one in MODES[:2]) or needs.peak(MODES[2]) > total
    chosen = next((one for one in modes if needs.peak(one, tiled) <= free), modes[-1])
    peak = needs.peak(chosen, tiled)
    return MemoryPlan(chosen, tiled, peak, peak <= free)


def factors_of(columns: int) -> int:
    """Return how many factors, of four bytes each, a row of a matrix in 8 bits has."""
    return columns // GROUP if columns % GROUP == 0 else 1


def fitting_precision(
    native: MemoryNeeds, eight_bits: MemoryNeeds, total: int | None, mode: OffloadMode | None = None
) -> Precision:
    """Return "int8" where only weights in 8 bits spare the device the slow streaming; else "native".

    The choice changes images a little, so it depends on the memory that the device has, not on what is free just now.

    Args:
        native, eight_bits: of the model with its weights as loaded, and with those of its blocks in 8 bits.
        total: bytes of the device, None = unknown, as on a CPU.
        mode: the mode that was asked for, None = any.
    """
    modes = MODES[:2] if mode is None else (mode,)

    def fits(needs: MemoryNeeds) -> bool:
        return any(needs.peak(one, tiled) <= total for one in modes for tiled in (False, True))  # type: ignore[operator]

    return "native" if total is None or fits(native) or not fits(eight_bits) else "int8"


def lower_plan(plan: MemoryPlan, needs: MemoryNeeds, decoding: bool) -> MemoryPlan | None:
    """Return the plan to try after memory ran out; None after the most frugal one failed.

    Args:
        plan: the one that failed.
        needs: of the model.
        decoding: whether it failed in the VAE, which tiles help at once.
    """
    if decoding and not plan.tiled:
        return replace(plan, tiled=True, peak=needs.peak(plan.mode, True))
    if plan.mode == MODES[-1]:
        return None
    mode = MODES[MODES.index(plan.mode) + 1]
    return replace(plan, mode=mode, peak=needs.peak(mode, plan.tiled))


def sampling_bytes(config: Mapping[str, Any], cells: int, batch: int, patch: int, value_bytes: int) -> int:
    """Return the bytes of the denoising network's activations.

    Args:
        config: of the network, as diffusers writes it.
        cells: latent cells of one image.
        batch: latents that are evaluated at once.
        patch: cells per token and side, if the network is a transformer.
        value_bytes: of one number.
    """
    if channels := config.get("block_out_channels"):
        return _activations(UNET_VALUES, batch * cells, channels[0], value_bytes)
    heads = _first_of(config, "num_attention_heads")
    width = _first_of(config, "dim", "hidden_size") or heads * _first_of(config, "attention_head_dim")
    values, text = TRANSFORMER_VALUES, TEXT_TOKENS
    if "num_cross_attention_heads" in config:
        values, text = SANA_VALUES, SANA_TEXT_TOKENS
    elif "cap_feat_dim" in config and "hidden_size" in config:
        values = LUMINA_VALUES
    return _activations(values, batch * (cells // patch**2 + text), width, value_bytes)


def decoding_bytes(config: Mapping[str, Any], pixels: int, value_bytes: int) -> int:
    """Return the bytes of a VAE's activations; `config` as diffusers writes it."""
    values = DEEP_AUTOENCODER_VALUES if "decoder_block_types" in config else AUTOENCODER_VALUES
    channels = config.get("block_out_channels") or config.get("decoder_block_out_channels") or [128]
    first = _first_of(config, "base_dim") or channels[0]
    return _activations(values, pixels, first, value_bytes)


def pixels_per_cell(config: Mapping[str, Any]) -> int:
    """Return the pixels per latent cell and side of a VAE; `config` as diffusers writes it."""
    if "temperal_downsample" in config:
        return int(2 ** len(config["temperal_downsample"]))
    channels = config.get("block_out_channels") or config.get("decoder_block_out_channels") or [128] * 4
    return int(2 ** (len(channels) - 1))


def encoding_bytes(config: Mapping[str, Any], value_bytes: int) -> int:
    """Return the bytes of a text encoder's activations; `config` as transformers writes it."""
    config = config.get("text_config") or config
    layers = _first_of(config, "num_hidden_layers", "num_layers")
    # All hidden layers are returned.
    width = _first_of(config, "hidden_size", "d_model")
    return _activations(TEXT_VALUES + layers, TEXT_TOKENS, width, value_bytes)


def _first_of(config: Mapping[str, Any], *names: str) -> int:
    """Return the first of some numbers that a configuration has; 0 if it has none."""
    return next((int(value) for name in names if (value := config.get(name))), 0)


def _activations(values: float, places: int, width: int, value_bytes: int) -> int:
    return int(WORKSPACE * values * places * width * value_bytes)
