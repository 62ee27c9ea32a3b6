"""A device for machines without one: tensors that compute on the CPU, but behave like a GPU's to those who use them.

They cannot be mixed with tensors of the CPU, have no numpy form, and every operation for which a GPU would be waited
for is counted with its thread: reading a value, and copies that are not asynchronous. An asynchronous copy has no
content before its event was waited for.
"""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from deforum_helpers.image import transfers

# A kind of device that torch knows without a library behind it.
DEVICE = torch.device("lazy", 0)
_GARBAGE = 123


class PretendTensor(torch.Tensor):
    """A tensor on the device, around one of the CPU."""

    on_cpu: torch.Tensor
    pretended: Pretending | None = None

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> PretendTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        made.on_cpu = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # On threads without the mode, such as those that write files.
        assert cls.pretended is not None, f"{func} outside of `pretending`"
        return cls.pretended.__torch_dispatch__(func, types, args, kwargs)


class Pretending(TorchDispatchMode):
    """Runs the operations of the device, and counts the waits for it.

    `waits` holds the name of the thread and the operation of each wait, `launched` the number of operations other than
    views.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[tuple[str, str]] = []
        self.async_copies: Counter[str] = Counter()
        self.launched = 0
        self._pending: list[Callable[[], None]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket._qualified_op_name
        given = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, torch.Tensor)]
        ours = any(isinstance(leaf, PretendTensor) for leaf in given)
        target = kwargs.get("device")
        moves = name in ("aten::_to_copy", "aten::copy_")
        to_ours = target is not None and torch.device(target).type == DEVICE.type
        if not ours and not to_ours:
            return func(*args, **kwargs)
        self.launched += not func.is_view
        if name in ("aten::_local_scalar_dense", "aten::nonzero", "aten::unique"):
            self._wait(name)
        if moves:
            return self._moved(func, name, args, kwargs)
        mixed = [leaf for leaf in given if not isinstance(leaf, PretendTensor) and leaf.dim() > 0]
        assert not mixed, f"{name} mixes tensors of the device and of the CPU"
        if to_ours:
            kwargs["device"] = torch.device("cpu")
        out = func(*tree_map(_inside, args), **tree_map(_inside, kwargs))
        kept = given[0] if func._schema.is_mutable and given else None
        if kept is not None and isinstance(out, torch.Tensor) and _inside(kept) is out:
            return kept
        return tree_map(lambda leaf: PretendTensor(leaf) if isinstance(leaf, torch.Tensor) else leaf, out)

    def _moved(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        source = args[1] if name == "aten::copy_" else args[0]
        onto = args[0].device if name == "aten::copy_" else kwargs.get("device") or source.device
        crosses = torch.device(onto).type != source.device.type
        free = bool(kwargs.get("non_blocking") or (name == "aten::copy_" and len(args) > 2 and args[2]))
        if crosses and not free:
            self._wait(name)
        if crosses and free:
            self.async_copies[
                "up" if isinstance(source, torch.Tensor) and source.device.type == "cpu" else "down"
            ] += 1
        if name == "aten::copy_":
            goal, origin = _inside(args[0]), _inside(source)
            if crosses and free and not isinstance(args[0], PretendTensor):
                seen = origin.clone()
                goal.fill_(_GARBAGE)
                self._pending.append(lambda: goal.copy_(seen))
            else:
                goal.copy_(origin)
            return args[0]
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        kwargs["non_blocking"] = False
        made = func(_inside(source), **kwargs)
        return PretendTensor(made) if torch.device(onto).type == DEVICE.type else made

    def _wait(self, name: str) -> None:
        place = next(
            (frame for frame in reversed(traceback.extract_stack()) if "deforum_helpers" in frame.filename),
            None,
        )
        where = "" if place is None else f" at {place.filename.rsplit('/', 1)[-1]}:{place.lineno}"
        self.waits.append((threading.current_thread().name, name + where))

    def event(self, **_: Any) -> Any:
        """Return an event; waiting for it completes the asynchronous copies."""
        copies: list[Callable[[], None]] = []

        def record(stream: Any) -> None:
            copies.extend(self._pending)
            self._pending.clear()

        def synchronize() -> None:
            self.waits.append((threading.current_thread().name, "event"))
            for copy in copies:
                copy()

        return SimpleNamespace(record=record, synchronize=synchronize)


def _inside(leaf: Any) -> Any:
    return leaf.on_cpu if isinstance(leaf, PretendTensor) else leaf


@contextmanager
def pretending(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretending]:
    """Let tensors be on `DEVICE` inside, on every thread that the context's thread starts work on."""
    mode = Pretending()
    empty = torch.empty
    with monkeypatch.context() as patched:
        patched.setattr(transfers, "COPYING_DEVICES", {DEVICE.type})
        patched.setattr(
            torch,
            "lazy",
            SimpleNamespace(Event=mode.event, current_stream=lambda device: None),
            raising=False,
        )
        patched.setattr(torch.Tensor, "pin_memory", lambda self: self)
        patched.setattr(torch, "empty", lambda *size, pin_memory=False, **more: empty(*size, **more))
        patched.setattr(PretendTensor, "pretended", mode)
        transfers.constant.cache_clear()
        with mode:
            yield mode
        transfers.constant.cache_clear()
