"""Faster evaluations of a network on CUDA, where a run's remaining steps pay for the preparation.

The CPU launches a network's thousands of kernels more slowly than a fast GPU runs them. A recorded graph launches them
at once; they are the same kernels, so images keep their bits. Compiled kernels are faster still; they differ by
rounding. Each belongs to one network and one shape of its inputs; only tensors may change from one evaluation to the
next, which is why times and guidance scales are tensors.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import statistics
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils._pytree import tree_flatten

from deforum_helpers.core.bounded_json import parse_json
from deforum_helpers.core.errors import DeforumError
from deforum_helpers.core.files.atomic import write_whole
from deforum_helpers.core.files.no_links import make_folder
from deforum_helpers.core.files.regular import UnusableFile, read_regular
from deforum_helpers.engines import messages
from deforum_helpers.models.graphs import Forward, Recorder

_log = logging.getLogger(__name__)

# What `DEFORUM_COMPILE` may say, and the ways of evaluation that it allows.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "auto": ("plain", "graph", "compiled"),
    "graphs": ("plain", "graph"),
    "always": ("compiled",),
    "never": ("plain",),
}
# Evaluations that are timed per way; the first one also loads libraries and does not count.
TIMED = 6
# A graph keeps the memory of a whole evaluation.
MOST_GRAPHS = 4
LARGEST_STORE_BYTES = 1_000_000
MOST_STORED = 500


@dataclass(frozen=True)
class Times:
    """Times of one way to evaluate a network.

    Args:
        warm_up_s: preparation, in seconds.
        evaluation_s: one evaluation, in seconds.
    """

    warm_up_s: float
    evaluation_s: float

    def total_s(self, evaluations: int, ready: bool) -> float:
        """Return the time of so many evaluations, with the preparation unless it is done."""
        return (0.0 if ready else self.warm_up_s) + evaluations * self.evaluation_s


# Until they are measured: preparation in seconds, and the share of a plain evaluation's time that is left.
EXPECTED: Mapping[str, tuple[float, float]] = {"graph": (2.0, 0.7), "compiled": (90.0, 0.5)}


def fastest_way(
    evaluations: int, measured: Mapping[str, Times], ready: Sequence[str], allowed: Sequence[str]
) -> str:
    """Return the way that finishes so many evaluations first.

    A plain evaluation of 0.1 s is expected to take 0.07 s as a graph and 0.05 s compiled. So 67 evaluations pay for
    the 2 s in which a graph is made, and 4,401 for the 90 s of the compiler as well.

    Args:
        evaluations: how many follow.
        measured: way -> its times, as far as they are known.
        ready: ways that are prepared already.
        allowed: ways to choose from; of several, "plain" is one, which is taken until its time is known.
    """
    if len(allowed) == 1:
        return allowed[0]
    plain = measured.get("plain")
    if plain is None:
        return "plain"
    expected = {way: Times(warm_up, share * plain.evaluation_s) for way, (warm_up, share) in EXPECTED.items()}
    times = {**expected, **measured}
    return min(allowed, key=lambda way: times[way].total_s(evaluations, way in ready))


class Machine(Protocol):
    """What a device can do; tests replace it."""

    def capture(self, forward: Forward, args: Any, kwargs: Any) -> Forward:
        """Return a function that repeats the kernels of forward(*args, **kwargs) with other tensors' content."""
        ...

    def compile(self, forward: Forward) -> Forward:
        """Return `forward` with compiled kernels, for fixed shapes."""
        ...

    def stopwatch(self) -> Callable[[], Callable[[], float | None]]:
        """Start to measure. The result stops, and returns what tells the seconds, None while they are unknown."""
        ...


class CudaMachine:
    """CUDA's graphs and events, torch's compiler.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._recorder = Recorder(device)

    def capture(self, forward: Forward, args: Any, kwargs: Any) -> Forward:
        return self._recorder.record(forward, args, kwargs)

    def compile(self, forward: Forward) -> Forward:
        # Beside the times; by default the compiler's cache is in the folder of temporary files.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "kernels"))
        compiled: Forward = torch.compile(forward, dynamic=False)
        return compiled

    def stopwatch(self) -> Callable[[], Callable[[], float | None]]:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()

        def stop() -> Callable[[], float | None]:
            end.record()
            return lambda: begin.elapsed_time(end) / 1000 if end.query() else None

        return stop


def cache_folder() -> Path:
    """Return the folder of what can be measured or made again."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(caches) / "deforum"


class StoredTimes:
    """Measured times by model, shape, device and version of torch, in a file that later starts read.

    Args:
        path: the file; one that cannot be read or written is left alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> dict[str, Times]:
        """Return the measured times of an entry by way of evaluation; an unknown entry has no times."""
        entry = self._read().get(key)
        found: dict[str, Times] = {}
        for way, pair in entry.items() if isinstance(entry, dict) else ():
            numbers = isinstance(pair, list) and [n for n in pair if isinstance(n, (int, float)) and n >= 0]
            if way in CHOICES["auto"] and numbers and len(numbers) == 2:
                found[way] = Times(*map(float, numbers))
        return found

    def put(self, key: str, times: Mapping[str, Times]) -> None:
        """Add times to an entry, which becomes the newest."""
        known = self.get(key) | dict(times)
        entries = {other: entry for other, entry in self._read().items() if other != key}
        entries[key] = {way: [one.warm_up_s, one.evaluation_s] for way, one in known.items()}
        newest = dict(list(entries.items())[-MOST_STORED:])
        with suppress(OSError, DeforumError):
            make_folder(self._path.parent)
            write_whole(self._path, json.dumps(newest, indent=1).encode())

    def _read(self) -> dict[str, Any]:
        try:
            entries = parse_json(read_regular(self._path, LARGEST_STORE_BYTES))
        except (UnusableFile, ValueError, RecursionError):
            return {}
        return entries if isinstance(entries, dict) else {}


@dataclass
class _Shape:
    """One shape of a network's inputs: what is known and prepared for it."""

    key: str
    measured: dict[str, Times]
    way: str = "plain"
    ready: dict[str, Forward] = field(default_factory=dict)
    warm_up_s: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    clocks: dict[str, list[Callable[[], float | None]]] = field(default_factory=dict)

    def read_clocks(self) -> dict[str, Times]:
        """Return the times of the ways that have been timed to the end since the last call."""
        finished: dict[str, Times] = {}
        for way, clocks in list(self.clocks.items()):
            seconds = [one for one in (clock() for clock in clocks[1:]) if one is not None]
            if seconds:
                self.measured[way] = Times(self.warm_up_s.get(way, 0.0), statistics.median(seconds))
            if seconds and (len(seconds) == TIMED - 1 or way != self.way):
                finished[way] = self.measured[way]
                self.clocks[way] = []
        return finished


class Accelerator:
    """Evaluates one network at a time in the fastest way.

    Args:
        machine: what the device can do.
        device: the device; networks with weights elsewhere are evaluated plainly.
        store: times of earlier starts.
        allowed: the ways to choose from.
    """

    def __init__(
        self,
        machine: Machine,
        device: torch.device,
        store: StoredTimes,
        allowed: Sequence[str] = CHOICES["auto"],
    ) -> None:
        self._machine = machine
        self._device = device
        self._store = store
        self._allowed = tuple(allowed)
        self._network: Any = None
        self._watched: tuple[torch.nn.Parameter, ...] = ()
        self._state: object = None
        self._shapes: OrderedDict[object, _Shape] = OrderedDict()
        self._decided: set[object] = set()
        self._steps_ahead = 0

    def forget(self) -> None:
        """Release the graphs and their memory."""
        self._network, self._watched, self._state = None, (), None
        self._shapes.clear()

    @contextmanager
    def applied(self, network: Any, loras: object, steps_ahead: int) -> Iterator[None]:
        """Evaluate `network` in the fastest way inside.

        Args:
            network: a network of diffusers in its usual form, without anything that changes its layers.
            loras: compares unequal once its LoRAs have changed.
            steps_ahead: sampling steps that the run still has, with those inside.
        """
        if not self._watches(network, loras):
            yield
            return
        for shape in self._shapes.values():
            if finished := shape.read_clocks():
                self._store.put(shape.key, finished)
        self._steps_ahead, self._decided = steps_ahead, set()
        before, forward = network.__dict__.get("forward"), network.forward

        def evaluate(*args: Any, **kwargs: Any) -> Any:
            return self._evaluated(forward, args, kwargs)

        network.forward = evaluate
        try:
            yield
        finally:
            if before is None:
                del network.forward
            else:
                network.forward = before

    def _watches(self, network: Any, loras: object) -> bool:
        """Return whether the network's weights are on the device; graphs of weights that have moved are dropped."""
        if network is not self._network:
            self.forget()
            weights = list(network.parameters())
            self._network = network
            self._watched = (weights[0], weights[len(weights) // 2], weights[-1])
        state = (loras, *(weight.data_ptr() for weight in self._watched))
        if state != self._state:
            self._shapes.clear()
            self._state = state
        return all(weight.device.type == self._device.type for weight in self._watched)

    def _evaluated(self, forward: Forward, args: Any, kwargs: Any) -> Any:
        leaves, structure = tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        if any(tensor.device.type != self._device.type for tensor in tensors):
            return forward(*args, **kwargs)
        signature = (str(structure), *map(_signature, leaves))
        shape = self._shape(signature, tensors)
        if signature not in self._decided:
            self._decided.add(signature)
            allowed = [way for way in self._allowed if way not in shape.failed]
            ready = tuple(shape.ready)
            shape.way = fastest_way(self._steps_ahead, shape.measured, ready, allowed or ("plain",))
        call = forward if shape.way == "plain" else self._prepared(shape, forward, args, kwargs)
        clocks = shape.clocks.setdefault(shape.way, [])
        if len(clocks) >= TIMED or (shape.way in shape.measured and not clocks):
            return call(*args, **kwargs)
        stop = self._machine.stopwatch()
        result = call(*args, **kwargs)
        clocks.append(stop())
        return result

    def _shape(self, signature: object, tensors: Sequence[torch.Tensor]) -> _Shape:
        if signature not in self._shapes:
            key = self._key(tensors)
            self._shapes[signature] = _Shape(key, self._store.get(key))
            if len(self._shapes) > MOST_GRAPHS:
                self._shapes.popitem(last=False)
        self._shapes.move_to_end(signature)
        return self._shapes[signature]

    def _key(self, tensors: Sequence[torch.Tensor]) -> str:
        config = json.dumps(dict(getattr(self._network, "config", {})), sort_keys=True, default=str)
        model = f"{type(self._network).__name__} {hashlib.sha256(config.encode()).hexdigest()[:12]}"
        shapes = " ".join("x".join(map(str, tensor.shape)) or "1" for tensor in tensors)
        name = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else self._device.type
        return f"{name}; torch {torch.__version__}; {model}; {tensors[0].dtype}; {shapes}"

    def _prepared(self, shape: _Shape, forward: Forward, args: Any, kwargs: Any) -> Forward:
        if shape.way in shape.ready:
            return shape.ready[shape.way]
        began = time.perf_counter()
        try:
            faster = forward
            if shape.way == "compiled":
                faster = self._compiled(forward)
            shape.ready = {shape.way: self._machine.capture(faster, args, kwargs)}
        except Exception as error:
            # The compiler and the recording fail in many ways, all of which leave the plain way.
            _log.warning("%s", messages.NOT_ACCELERATED(way=shape.way), exc_info=error)
            shape.failed.add(shape.way)
            shape.way = "plain"
            return forward
        shape.warm_up_s[shape.way] = time.perf_counter() - began
        _log.info("Prepared %s evaluations in %.1f s: %s", shape.way, shape.warm_up_s[shape.way], shape.key)
        return shape.ready[shape.way]

    def _compiled(self, forward: Forward) -> Forward:
        """Return `forward` compiled: a transformer's equal blocks, which are compiled once; a U-Net as a whole."""
        names = () if hasattr(self._network, "mid_block") else getattr(self._network, "_repeated_blocks", ())
        blocks = [module for module in self._network.modules() if type(module).__name__ in (names or ())]
        if not blocks:
            return self._machine.compile(forward)
        calls = [(block, self._machine.compile(block._call_impl)) for block in blocks]

        def with_compiled_blocks(*args: Any, **kwargs: Any) -> Any:
            for block, call in calls:
                block._compiled_call_impl = call
            try:
                return forward(*args, **kwargs)
            finally:
                for block, _ in calls:
                    block._compiled_call_impl = None

        return with_compiled_blocks


def _signature(leaf: Any) -> object:
    return (leaf.shape, leaf.dtype) if isinstance(leaf, torch.Tensor) else repr(leaf)


def accelerator_for(device: torch.device) -> Accelerator | None:
    """Return what accelerates networks on `device`, None where nothing does; `DEFORUM_COMPILE` chooses.

    Unasked, only what keeps the bits is used: a resumed video must equal an uninterrupted one.
    """
    allowed = CHOICES.get(os.environ.get("DEFORUM_COMPILE", ""), CHOICES["graphs"])
    if device.type != "cuda" or allowed == CHOICES["never"]:
        return None
    return Accelerator(
        CudaMachine(device), device, StoredTimes(cache_folder() / "evaluation_times.json"), allowed
    )
