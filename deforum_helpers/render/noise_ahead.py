"""Noise fields of the coming key frames, made on threads of the CPU while a GPU renders.

A field takes the CPU longer than everything that a GPU does with it. All seeds are planned, so fields can be made
before they are needed; they are those that `add_noise` would make itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch

from deforum_helpers.image.noise import mixed_field
from deforum_helpers.image.transfers import page_locked, to_device
from deforum_helpers.render.key_frames import KeyFrame

MOST_THREADS = 4
MOST_FIELDS = 8
MOST_BYTES = 256 * 2**20


class NoiseAhead:
    """Makes the noise of key frames in their order; a context manager.

    Args:
        keys: key frames that will be rendered, in order.
        size_px: (width, height) of the frames.
        device: device of the fields.
    """

    def __init__(self, keys: Sequence[KeyFrame], size_px: tuple[int, int], device: torch.device) -> None:
        width_px, height_px = size_px
        self._keys = iter(keys)
        self._size_px = size_px
        self._device = device
        self._most = max(1, min(MOST_FIELDS, MOST_BYTES // (width_px * height_px * 12)))
        self._fields: dict[int, Future[torch.Tensor]] = {}
        threads = min(MOST_THREADS, self._most, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="deforum-noise")

    def __enter__(self) -> NoiseAhead:
        self._make_more()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def field(self, key: KeyFrame) -> torch.Tensor | None:
        """Return the field of `key`, (3, H, W) float32 0..1 on the device; None where it was not made."""
        made = self._fields.pop(key.index, None)
        for index in [index for index in self._fields if index < key.index]:
            self._fields.pop(index).cancel()
        self._make_more()
        return None if made is None else to_device(made.result(), self._device)

    def _make_more(self) -> None:
        while len(self._fields) < self._most:
            key = next((key for key in self._keys if "noise" in key.stages), None)
            if key is None:
                return
            self._fields[key.index] = self._pool.submit(self._made, key)

    def _made(self, key: KeyFrame) -> torch.Tensor:
        width_px, height_px = self._size_px
        noise = key.noise
        field = mixed_field(
            height_px,
            width_px,
            kind=noise.kind,
            seed=noise.seed,
            octaves=noise.octaves,
            persistence=noise.persistence,
        )
        return page_locked(field, self._device)
