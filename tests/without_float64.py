"""A device without float64, as those of Macs and of Intel's Arc are, and whose operations all stay on it."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class WithoutFloat64(TorchDispatchMode):
    """Lets the device `meta` refuse tensors of float64; those of the CPU may have it.

    Args:
        value: what values count as that are brought to the CPU; None = to bring one is an error.
    """

    def __init__(self, value: float | None = None) -> None:
        super().__init__()
        self._value = value

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten._local_scalar_dense.default and self._value is not None:
            return self._value if args[0].is_floating_point() else bool(self._value)
        if function is torch.ops.aten._to_copy.default and self._value is not None:
            source, target = args[0], torch.device((kwargs or {}).get("device") or args[0].device)
            if source.device.type == "meta" and target.type == "cpu":
                dtype = (kwargs or {}).get("dtype") or source.dtype
                return torch.full(source.shape, self._value, dtype=dtype).as_strided(
                    source.shape, source.stride()
                )
        output = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            if _is_forbidden(tensor):
                raise TypeError(f"{function} makes {tensor.dtype} of {[_shown(arg) for arg in args]}")
        return output


def _is_forbidden(value: Any) -> bool:
    if not isinstance(value, torch.Tensor) or value.device.type != "meta":
        return False
    return value.dtype in (torch.float64, torch.complex128)


def _shown(value: Any) -> Any:
    return (value.dtype, tuple(value.shape), value.device) if isinstance(value, torch.Tensor) else value
