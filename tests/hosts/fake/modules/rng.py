"""Random numbers of the generators that the whole host shares."""

import numpy as np

try:
    import torch
except ImportError:  # an environment without torch draws no frames
    torch = None
nv_rng = None


def manual_seed(seed):
    global nv_rng
    seed %= 2**32
    nv_rng = np.random.default_rng(seed)
    if torch is not None:
        torch.manual_seed(seed)


def global_noise():
    """Return a number that every shared generator takes part in."""
    noise = float(np.random.standard_normal()) + (float(nv_rng.standard_normal()) if nv_rng else 0.0)
    return noise + (float(torch.randn(())) if torch is not None else 0.0)
