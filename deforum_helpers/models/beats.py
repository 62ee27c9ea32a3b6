"""Beats found by the network of the package beat_this, where it and its weights are installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deforum_helpers.core.files.regular import is_regular
from deforum_helpers.core.optional import require
from deforum_helpers.media.containers import Check, decode_sound, open_media
from deforum_helpers.media.sound_analysis import RATE_HZ

NAME = "beat_this"
WEIGHTS = "beat_this-final0.ckpt"
INSTALL_LINE = "pip install beat-this"
# The network reads the whole signal at once.
LONGEST_S = 3600.0


class NetworkBeats(NamedTuple):
    """Times in seconds: of all beats, and of those that begin a bar."""

    beats_s: npt.NDArray[np.float64]
    downbeats_s: npt.NDArray[np.float64]


def network_weights() -> Path | None:
    """Return the file with the weights, or None where the network cannot be used.

    A process that has not imported torch, such as one that only checks settings, does not do so for this.
    """
    torch = sys.modules.get("torch")
    if torch is None or find_spec(NAME) is None:
        return None
    path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
    return path if is_regular(path) else None


def network_beats(path: Path, weights: Path, check: Check) -> NetworkBeats:
    """Return the beats of a sound file.

    Args:
        path: local sound or video file.
        weights: from `network_weights`.
        check: called at each packet, to raise an error that ends the work.

    Raises: as `open_media` and `decode_sound`.
    """
    inference = require(f"{NAME}.inference", "Finding beats with beat_this", INSTALL_LINE)
    with open_media(path, check) as container:
        signal = np.concatenate(list(decode_sound(container, RATE_HZ, check)))
    beats, downbeats = inference.Audio2Beats(str(weights), device="cpu")(signal, RATE_HZ)
    return NetworkBeats(np.asarray(beats, np.float64), np.asarray(downbeats, np.float64))
