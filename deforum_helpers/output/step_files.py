"""The results of one step as they are written: images in 8 bits and the resume state.

Where several workers render a run, steps also travel between programs as bytes, and steps that are finished ahead of
their turn wait in a folder beside the frames. A run that dies continues from there as well.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.errors import CheckpointError
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import make_folder, read_file
from deforum_helpers.core.files.regular import UnusableFile
from deforum_helpers.image.convert import begin_to_bytes, from_bytes
from deforum_helpers.image.transfers import HostCopy
from deforum_helpers.models.depth.scene import begin_depth_bytes
from deforum_helpers.output import messages
from deforum_helpers.output.frames import encode_png
from deforum_helpers.output.paths import Run
from deforum_helpers.render.loop import Outcome
from deforum_helpers.render.plan import Plan
from deforum_helpers.render.state import (
    DAMAGES,
    LARGEST_BYTES,
    ResumeState,
    State,
    decode_state,
    encode_state,
    unpacked,
    without_withheld,
)

if TYPE_CHECKING:
    import torch

Pixels = NDArray[np.uint8]
AHEAD_ENDING = ".ahead"


@dataclass(frozen=True)
class StepFiles:
    """The files of one step.

    Args:
        frames: frame number, image (H, W, 3), and depth map (H, W) or None; in order, all uint8. They may still be
            on their way from a GPU.
        extras: intermediate images to save, each with a name.
        resume_state: the state after the step, without the newest frame except in a dissolve.
        memory_full: whether the scene memory has dropped points.
    """

    frames: tuple[tuple[int, HostCopy, HostCopy | None], ...]
    extras: tuple[tuple[str, HostCopy], ...]
    resume_state: ResumeState
    memory_full: bool = False

    @property
    def bytes(self) -> int:
        images = [image for _, *both in self.frames for image in both if image is not None]
        return sum(image.nbytes for image in (*images, *(image for _, image in self.extras)))

    def state(self, device: torch.device) -> State:
        """Return the state after the step, on a device; without scene memory, which follows from the frames."""
        state = self.resume_state.state
        if state.leaving is None:
            state = replace(state, last=from_bytes(self.frames[-1][1].array(), device))
        return state


def step_files(outcome: Outcome, plan: Plan, made_by: str) -> StepFiles:
    """Return the files of a step.

    Args:
        outcome: the result of the step.
        plan: plan of the run.
        made_by: name of the engine and model, for the resume state.
    """
    name = plan.settings.depth_algorithm
    images = tuple(
        (
            frame.index,
            frame.levels or begin_to_bytes(frame.image),
            begin_depth_bytes(frame.depth, name) if frame.depth is not None else None,
        )
        for frame in outcome.frames
    )
    extras = tuple((name, begin_to_bytes(image)) for frame in outcome.frames for name, image in frame.extras)
    state = without_withheld(outcome.state)
    memory_full = state.memory is not None and state.memory.forgot
    if state.leaving is None:
        state = replace(state, last=None)  # the newest frame is kept once, in 8 bits
    saved = ResumeState(state, outcome.frames[-1].index + 1, plan.digest, made_by)
    return StepFiles(images, extras, saved, memory_full)


def encode_step(step: StepFiles) -> bytes:
    """Return a step as bytes that `decode_step` reads: an .npz archive of PNG images, resume state and JSON header."""
    about = {
        "frames": [index for index, _, _ in step.frames],
        "depth": [depth is not None for _, _, depth in step.frames],
        "extras": [name for name, _ in step.extras],
        "memory_full": step.memory_full,
    }
    images = [image for _, *both in step.frames for image in both if image is not None]
    images += [image for _, image in step.extras]
    parts = [encode_png(image.array()) for image in images]
    parts += [encode_state(step.resume_state), json.dumps(about).encode()]
    names = [*(f"image{number}" for number in range(len(images))), "state", "about"]
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        name: np.frombuffer(part, np.uint8) for name, part in zip(names, parts, strict=True)
    }
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def decode_step(content: bytes, device: torch.device) -> StepFiles:
    """Return the step in `content`, its state on `device`.

    Raises:
        CheckpointError: the content is damaged.
    """
    try:
        about, arrays = unpacked(content)
        images = (HostCopy(image_in(arrays[f"image{number}"])) for number in range(len(arrays) - 1))
        frames = tuple(
            (int(index), next(images), next(images) if has_depth else None)
            for index, has_depth in zip(about["frames"], about["depth"], strict=True)
        )
        extras = tuple((str(name), next(images)) for name in about["extras"])
        saved = decode_state(arrays["state"].tobytes(), device)
        return StepFiles(frames, extras, saved, bool(about["memory_full"]))
    except (*DAMAGES, StopIteration, cv2.error) as error:
        raise CheckpointError(messages.STEP_DAMAGED()) from error


def image_in(content: Pixels) -> Pixels:
    """Decode the bytes of a PNG file to (H, W, 3) RGB or (H, W) gray; raises ValueError if they are not an image."""
    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("not an image")
    return np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


class StepsAhead:
    """The steps of a run that are finished before their turn, in a folder beside its frames.

    Args:
        run: the run.
        digest: digest of its plan.
        made_by: name of the engine and model; steps of another one are not used.
        device: device of the states that are read.
    """

    def __init__(self, run: Run, digest: str, made_by: str, device: torch.device) -> None:
        self._folder = run.outdir / f".{run.timestring}{AHEAD_ENDING}"
        self._digest, self._made_by = digest, made_by
        self._device = device

    def put(self, number: int, step: StepFiles) -> None:
        """Keep step `number`.

        Raises:
            DiskFull, RenderError: it cannot be written.
        """
        with disk_errors(self._folder.name):
            make_folder(self._folder)
        write_whole(self._path(number), encode_step(step))

    def get(self, number: int) -> StepFiles | None:
        """Return step `number`; None if it is not there, is damaged, or belongs to another plan or engine."""
        try:
            step = decode_step(read_file(self._path(number), LARGEST_BYTES), self._device)
        except (UnusableFile, CheckpointError):
            return None
        saved = step.resume_state
        fits = (saved.digest, saved.made_by, saved.state.steps_done)
        return step if fits == (self._digest, self._made_by, number + 1) else None

    def numbers(self) -> Sequence[int]:
        """Return the numbers of the steps that are kept, in order."""
        with suppress(OSError):
            names = (path.name for path in self._folder.iterdir())
            return sorted(int(name[:-4]) for name in names if name[:-4].isdigit() and name.endswith(".npz"))
        return []

    def remove(self, number: int) -> None:
        """Remove step `number`, which has its turn now."""
        with suppress(OSError):
            self._path(number).unlink()

    def clear(self) -> None:
        """Remove all steps."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:09d}.npz"
