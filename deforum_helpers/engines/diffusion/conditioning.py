"""Embeddings of prompts, and a cache of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Conditioning:
    """Embeddings of one text.

    Args:
        tokens: (1, T, width).
        pooled: (1, width), or None where the model has none.
        towards: for each text of a batch, True = positive prompt, False = negative.
    """

    tokens: torch.Tensor
    pooled: torch.Tensor | None = None
    towards: tuple[bool, ...] = (True,)


@dataclass(frozen=True)
class Guidance:
    """The conditionings of one sampling step.

    Args:
        towards: conditionings with their weights, which `AND` joins.
        away: those of the negative prompt, of whose outputs the mean is taken; empty without guidance.
    """

    towards: tuple[tuple[Conditioning, float], ...]
    away: tuple[tuple[Conditioning, float], ...] = ()


class EmbeddingCache:
    """The last `size` embeddings by (text, clip skip, LoRAs); the frames of a run repeat the same few."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._entries: OrderedDict[Hashable, Conditioning] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Conditioning]) -> Conditioning:
        """Return the entry of `key`, made by `make` if it is not there, in one thread at a time.

        Text encoders of transformers replace their own layers for the length of a call.
        """
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
            value = make()
            self._entries[key] = value
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)
            return value

    def clear(self) -> None:
        """Forget everything, because the model has changed."""
        self._entries.clear()


def stacked(conditionings: Sequence[Conditioning]) -> Conditioning:
    """Return one batch of conditionings whose token counts are equal."""
    tokens = torch.cat([entry.tokens for entry in conditionings])
    pooled = [entry.pooled for entry in conditionings if entry.pooled is not None]
    sides = tuple(side for entry in conditionings for side in entry.towards)
    return Conditioning(tokens, torch.cat(pooled) if pooled else None, sides)


def blended(entries: Sequence[tuple[Conditioning, float]]) -> Conditioning:
    """Return the weighted mean of conditionings; shorter ones are continued with their last block.

    A negative prompt joined by `AND` is guided away from as one: its parts blend here, whereas those of the
    positive prompt are evaluated one by one.
    """
    weights = [weight for _, weight in entries]
    length = max(entry.tokens.shape[1] for entry, _ in entries)
    tokens = mean_of([_lengthened(entry.tokens, length) for entry, _ in entries], weights)
    pooled = [entry.pooled for entry, _ in entries if entry.pooled is not None]
    return Conditioning(tokens, mean_of(pooled, weights) if pooled else None)


def mean_of(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Return the weighted mean of tensors of one shape; weights that cancel out count equally."""
    if len(tensors) == 1:
        return tensors[0]
    total = sum(weights)
    shares = [weight / total if total else 1 / len(weights) for weight in weights]
    return torch.stack([tensor * share for tensor, share in zip(tensors, shares, strict=True)]).sum(0)


def _lengthened(tokens: torch.Tensor, length: int) -> torch.Tensor:
    last_block = tokens[:, -min(77, tokens.shape[1]) :]
    missing = length - tokens.shape[1]
    return torch.cat([tokens, *[last_block] * (-(-missing // last_block.shape[1]))], dim=1)[:, :length]
