"""CUDA graphs: the kernels of a network, recorded once for a shape of its inputs and launched together from then on.

The CPU launches a network's thousands of kernels more slowly than a fast GPU runs them. A recorded graph launches them
at once; they are the same kernels, so results keep their bits.
"""

from __future__ import annotations

import logging
import os
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from deforum_helpers.models.devices import device_memory

_log = logging.getLogger(__name__)

Forward = Callable[..., Any]

WARM_UPS = 3
# Plain calls with one shape before it is recorded, so that a preview or a single image does not wait for a recording.
PLAIN_CALLS = 8
# A graph keeps the memory of a whole evaluation.
MOST_RECORDED = 2
FREE_SHARE = 0.5


class Recorder:
    """Records functions as CUDA graphs, which share their memory: of all its graphs one runs at a time.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None

    def record(self, forward: Forward, args: Any, kwargs: Any) -> Forward:
        """Return a function that repeats the kernels of forward(*args, **kwargs) with other tensors' content."""
        leaves, structure = tree_flatten((args, kwargs))
        held = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        held_args, held_kwargs = tree_unflatten(held, structure)
        with torch.cuda.device(self._device):
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    forward(*held_args, **held_kwargs)
            here.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # Other threads, which wait for copies, must not end the recording.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                result = forward(*held_args, **held_kwargs)

        def replay(*given_args: Any, **given_kwargs: Any) -> Any:
            for mine, given in zip(held, tree_flatten((given_args, given_kwargs))[0], strict=True):
                if isinstance(mine, torch.Tensor):
                    mine.copy_(given)
            graph.replay()
            return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, result)

        return replay


class RecordedNetwork:
    """A network that is evaluated once per frame, recorded for each shape that comes back often enough.

    Args:
        forward: evaluates the network; takes tensors, and returns tensors that depend on nothing else.
        record: as `Recorder.record`.
        has_room: tells whether the device has memory for a recording.
    """

    def __init__(
        self, forward: Forward, record: Callable[..., Forward], has_room: Callable[[], bool]
    ) -> None:
        self._forward = forward
        self._record = record
        self._has_room = has_room
        self._calls: Counter[object] = Counter()
        self._recorded: OrderedDict[object, Forward] = OrderedDict()
        self._records = True

    def __call__(self, *tensors: torch.Tensor) -> Any:
        """Return forward(*tensors)."""
        shape = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        if shape not in self._recorded and not (self._pays(shape) and self._recording_of(shape, tensors)):
            return self._forward(*tensors)
        self._recorded.move_to_end(shape)
        return self._recorded[shape](*tensors)

    def _pays(self, shape: object) -> bool:
        self._calls[shape] += 1
        if not self._records or self._calls[shape] <= PLAIN_CALLS:
            return False
        self._records = self._has_room()
        return self._records

    def _recording_of(self, shape: object, tensors: tuple[torch.Tensor, ...]) -> bool:
        try:
            self._recorded[shape] = self._record(self._forward, tensors, {})
        except Exception as error:
            # A network that reads a value, or copies from the CPU, cannot be recorded and fails in many ways.
            _log.info("A network is evaluated without a CUDA graph", exc_info=error)
            self._records = False
            return False
        if len(self._recorded) > MOST_RECORDED:
            left, _ = self._recorded.popitem(last=False)
            self._calls[left] = 0
        return True


def recorded(forward: Forward, device: torch.device | str) -> Forward:
    """Return `forward`, on CUDA as a `RecordedNetwork` unless the variable `DEFORUM_COMPILE` is "never"."""
    place = torch.device(device)
    if place.type != "cuda" or os.environ.get("DEFORUM_COMPILE") == "never":
        return forward

    def has_room() -> bool:
        memory = device_memory(place)
        return memory is not None and memory.free >= FREE_SHARE * memory.total

    return RecordedNetwork(forward, Recorder(place).record, has_room)
