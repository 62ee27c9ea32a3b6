"""The state of a run as a file: saved after every step, read to continue the run as if it had never stopped.

The newest frame is not in it: that is a file already, written before.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deforum_helpers.errors import CheckpointError
from deforum_helpers.image.color import ColorReference
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.render.state import State

VERSION = 3


@dataclass(frozen=True)
class Checkpoint:
    """A saved state and what it belongs to.

    Args:
        state: where the run stands.
        frames_done: number of frames on disk, 0 .. frames_done - 1.
        digest: the plan's.
    """

    state: State
    frames_done: int
    digest: str


def encoded(checkpoint: Checkpoint) -> bytes:
    """Return the file that `decoded` reads: the reference in 8 bits, the flow as it is, the rest as JSON."""
    state = checkpoint.state
    about = {
        "version": VERSION,
        "steps_done": state.steps_done,
        "frames_done": checkpoint.frames_done,
        "digest": checkpoint.digest,
        "color_mode": state.reference.mode if state.reference else None,
    }
    arrays: dict[str, Any] = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    if state.flow is not None:
        arrays["flow"] = state.flow.cpu().numpy()
    if state.reference is not None:
        arrays["reference"] = state.reference.image_u8
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def decoded(content: bytes, device: torch.device) -> Checkpoint:
    """Read what `encoded` wrote, arrays onto `device`; the state lacks its newest frame.

    Raises:
        CheckpointError: it is damaged or of another version.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            about: dict[str, Any] = json.loads(saved["about"].tobytes())
            arrays = {name: saved[name] for name in saved.files if name != "about"}
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"The run cannot be resumed: its checkpoint is damaged ({error}). Render it anew."
        ) from error
    if about.get("version") != VERSION:
        raise CheckpointError(
            f"The run cannot be resumed: its checkpoint has version {about.get('version')}, this program "
            f"reads version {VERSION}. Render it anew."
        )
    reference = None
    if "reference" in arrays:
        reference = ColorReference(from_bytes(arrays["reference"], device), about["color_mode"])
    flow = torch.from_numpy(arrays["flow"]).to(device) if "flow" in arrays else None
    state = State(about["steps_done"], None, reference, flow)
    return Checkpoint(state, about["frames_done"], about["digest"])
