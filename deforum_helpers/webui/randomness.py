"""The random generators that the whole host shares, set for the length of one of our frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from deforum_helpers.webui.parts import part

# The host makes its initial noise of the same seed; the noise of what it draws before that must be another.
OFFSET = 0x9E3779B9


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set the generators of torch, numpy and the host by `seed`, and give them their states back on any exit.

    Hosts seed torch only when they sample; by then they have drawn from the latent distribution of an init image.
    Python's own generator stays alone: hosts do not draw frames with it, but name other users' tasks meanwhile.

    Args:
        seed: of the request, any integer.
    """
    start = (seed + OFFSET) % 2**32
    rng = part("modules.rng")
    with ExitStack() as stack:
        for state, restore in _generators():
            stack.callback(restore, state())
        if rng is not None and hasattr(
            rng, "nv_rng"
        ):  # the generator of the option "Random number generator source: NV"
            stack.callback(setattr, rng, "nv_rng", rng.nv_rng)
            rng.manual_seed(start)
        torch.manual_seed(start)
        np.random.seed(start)
        yield


def _generators() -> Iterator[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """Yield for each shared generator the functions that return and set its state."""
    yield np.random.get_state, np.random.set_state
    yield torch.get_rng_state, torch.set_rng_state
    for name in ("cuda", "xpu"):
        device = getattr(torch, name, None)
        if device is not None and device.is_available():
            yield device.get_rng_state_all, device.set_rng_state_all
    if torch.backends.mps.is_available():
        yield torch.mps.get_rng_state, torch.mps.set_rng_state
