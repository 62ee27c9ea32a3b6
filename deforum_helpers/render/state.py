"""The state between two steps: in memory, and as a resume state, the file from which a run continues bit for bit.

A resume state is saved after every step. The newest frame is left out, as its file is written before. During a dissolve
that file shows two scenes, so both scenes are included.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import dataclass, fields, replace
from typing import Any, NoReturn

import numpy as np
import torch

from deforum_helpers.core.bounded_json import parse_json
from deforum_helpers.core.errors import CheckpointError
from deforum_helpers.image.color import LEVELS, ColorReference
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.transfers import HostCopy
from deforum_helpers.image.types import Depth, Flow, Image
from deforum_helpers.render import messages
from deforum_helpers.render.memory import SceneMemory

VERSION = 4
# Version 3 has the image whose colors are matched instead of how often its levels occur.
READABLE_VERSIONS = (3, VERSION)
# Flow and two scenes of the largest frames take 240 MB.
LARGEST_BYTES = 512_000_000
# What reading a damaged archive raises.
DAMAGES = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, OverflowError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class State:
    """Everything that the next step depends on besides the plan and the context.

    Args:
        steps_done: number of key frames rendered with all their in-between frames.
        last: (3, H, W) newest frame, rounded to 8 bits like its file; None before the first step.
        reference: colors to match, those of an 8-bit image, or None.
        flow: (2, H, W) last flow measured in the init video, the initial estimate of the next; or None.
        leaving: (3, H, W) during a dissolve, the old scene at the newest frame, rounded to 8 bits. `last` is then the
            new scene alone, which no file holds.
        first: (3, H, W) frame 0, rounded to 8 bits, where a loop leads back to it; else None.
        unpainted: (H, W) bool, areas revealed in the in-between frames that no key frame has generated yet; or None.
        memory: scene memory, or None. It follows from the frames, so resume states leave it out.
    """

    steps_done: int = 0
    last: Image | None = None
    reference: ColorReference | None = None
    flow: Flow | None = None
    leaving: Image | None = None
    first: Image | None = None
    unpainted: torch.Tensor | None = None
    memory: SceneMemory | None = None


@dataclass(frozen=True)
class Frame:
    """One finished frame.

    Args:
        index: frame number.
        image: (3, H, W) float32 RGB 0..1.
        depth: (H, W) its depth where depth maps are saved, else None.
        extras: intermediate images to save, each with a name.
        levels: (H, W, 3) uint8, the image in 8 bits, where it was made from them; else None.
    """

    index: int
    image: Image
    depth: Depth | None = None
    extras: tuple[tuple[str, Image], ...] = ()
    levels: HostCopy | None = None


class _Withheld:
    """In the starting state of a segment, a value that no step of it reads; any use of it is an error."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError("a step reads a value of the frames before its segment")


WITHHELD: Any = _Withheld()


def without_withheld(state: State) -> State:
    """Return `state` with None for withheld values, which no later step reads, so that it can be saved."""
    withheld: dict[str, Any] = {
        field.name: None for field in fields(state) if getattr(state, field.name) is WITHHELD
    }
    return replace(state, **withheld)


@dataclass(frozen=True)
class ResumeState:
    """A saved state, and the plan and engine that it belongs to.

    Args:
        state: state after the last finished step.
        frames_done: number of frames on disk, 0 .. frames_done - 1.
        digest: digest of the plan.
        made_by: engine and model that generate the frames; empty where unknown.
    """

    state: State
    frames_done: int
    digest: str
    made_by: str = ""


def encode_state(resume_state: ResumeState) -> bytes:
    """Return the file content that `decode_state` reads: an uncompressed .npz archive of arrays and a JSON header."""
    state = resume_state.state
    about: dict[str, Any] = {
        "version": VERSION,
        "steps_done": state.steps_done,
        "frames_done": resume_state.frames_done,
        "digest": resume_state.digest,
        "made_by": resume_state.made_by,
        "color_mode": state.reference.mode if state.reference else None,
    }
    arrays: dict[str, Any] = {}
    if state.reference is not None:
        arrays["colors"] = state.reference.saved
    if state.flow is not None:
        arrays["flow"] = state.flow.cpu().numpy()
    if state.leaving is not None and state.last is not None:
        arrays["leaving"], arrays["last"] = to_bytes(state.leaving), to_bytes(state.last)
    if state.unpainted is not None:
        arrays["unpainted"] = np.packbits(state.unpainted.cpu().numpy(), axis=1)
        about["width_px"] = state.unpainted.shape[1]
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def decode_state(content: bytes, device: torch.device) -> ResumeState:
    """Read the content of a resume state, with arrays on `device`; its newest frame is missing except in a dissolve.

    Raises:
        CheckpointError: the file is damaged or has another version.
    """
    try:
        about, arrays = unpacked(content)
        version = about["version"]
        if version not in READABLE_VERSIONS:
            raise CheckpointError(messages.RESUME_STATE_VERSION(found=str(version)[:20], expected=VERSION))
        reference = None
        if "colors" in arrays:
            reference = ColorReference(_counts(arrays["colors"]).to(device), about["color_mode"])
        elif "reference" in arrays:
            reference = ColorReference.of(from_bytes(arrays["reference"], device), about["color_mode"])
        flow = torch.from_numpy(arrays["flow"]).to(device) if "flow" in arrays else None
        unpainted = None
        if "unpainted" in arrays:
            flags = np.unpackbits(arrays["unpainted"], axis=1, count=int(about["width_px"]))
            unpainted = torch.from_numpy(flags.astype(bool)).to(device)
        last, leaving = (
            from_bytes(arrays[name], device) if name in arrays else None for name in ("last", "leaving")
        )
        state = State(int(about["steps_done"]), last, reference, flow, leaving=leaving, unpainted=unpainted)
        made_by = str(about.get("made_by", ""))
        return ResumeState(state, int(about["frames_done"]), str(about["digest"]), made_by)
    except DAMAGES as error:  # without the libraries' messages, which advise unsafe loading
        raise CheckpointError(messages.RESUME_STATE_DAMAGED()) from error


def _counts(array: Any) -> torch.Tensor:
    counts = torch.from_numpy(np.asarray(array, np.int64).reshape(3, LEVELS))
    if (counts < 0).any() or not counts.sum(1).all():
        raise ValueError("a channel has no pixels")
    return counts


def unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the JSON header and the arrays; refuses archives that unpack to more than the file's own size."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        if sum(part.file_size for part in parts.infolist()) > len(content):
            raise ValueError("it unpacks to more than it is")
        if any(part.compress_type != zipfile.ZIP_STORED or part.flag_bits & 1 for part in parts.infolist()):
            raise ValueError("it is packed in another way")
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        about = parse_json(saved["about"].tobytes())
        return about, {name: saved[name] for name in saved.files if name != "about"}
