"""Where a stopped run continues, the parts of its state that its frames give back, and the warnings about it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

from deforum_helpers.core.errors import CheckpointError
from deforum_helpers.core.files.no_links import is_file, read_file
from deforum_helpers.core.files.regular import UnusableFile
from deforum_helpers.engines.base import Engine
from deforum_helpers.engines.diffusion.lockstep import PlacedEngine
from deforum_helpers.image.color import ColorReference
from deforum_helpers.image.convert import from_bytes, on_8_bit_grid
from deforum_helpers.image.types import Image
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.paths import Run
from deforum_helpers.output.runs import (
    check_fits,
    count_complete_frames,
    derived_files,
    frame_files_from,
    set_aside,
)
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.plan import Plan
from deforum_helpers.render.stages import STAGES, WorkingImage
from deforum_helpers.render.state import LARGEST_BYTES, ResumeState, State, decode_state
from deforum_helpers.settings.modes import remembers


@dataclass(frozen=True)
class Start:
    """Where a run continues.

    Args:
        state: state before the next step. The step may generate existing frames again; their files stay.
        frames_done: number of frames on disk, 0 .. frames_done - 1.
        made_by: the engine and checkpoint that generate the remaining frames.
        other_settings: the remaining frames follow other settings than the run was started with.
        from_frames: the state was made from the frames on disk, not from a resume state, and lacks the color reference.
        warnings: sentences for the user.
    """

    state: State
    frames_done: int
    made_by: str
    from_frames: bool = False
    other_settings: bool = False
    warnings: tuple[str, ...] = ()


def generator_name(prepared: Prepared, engine: Engine) -> str:
    """Return the engine of a job and, if it has one, its checkpoint: "diffusers with base.safetensors".

    Of an engine in lockstep the name says so, since its images equal those of the engine alone only up to rounding.
    """
    name = f"{engine.name} in lockstep" if isinstance(engine, PlacedEngine) else engine.name
    return f"{name} with {prepared.model}" if prepared.model else name


def resumed_start(prepared: Prepared, run: Run, engine: Engine) -> Start | None:
    """Return the start at the first missing frame of a run; None if the run has no frame.

    A resume state of the same plan gives the state exactly. Without one, with other settings, or with frames deleted
    since, the state is made from the frames on disk. Files that would be overwritten are moved away.

    Args:
        prepared: the job.
        run: the run to continue.
        engine: generates the remaining frames.

    Raises:
        CheckpointError: the run cannot be resumed.
    """
    saved = _saved(run, engine)
    known = saved.frames_done if saved else 0
    plan, made_by = prepared.plan, generator_name(prepared, engine)
    done = count_complete_frames(run, known, depth=prepared.settings.save_depth_maps, shown=plan.video_index)
    if not done:
        return None
    newest = read_frame(run.frame_path(plan.video_index(done - 1)))
    size = (prepared.settings.W, prepared.settings.H)
    check_fits(run, (done, *newest.shape[1::-1]), (plan.frames, *size))
    if saved and saved.digest == plan.digest and known <= done:
        state = saved.state
        if state.leaving is None:
            state = replace(state, last=frame_image(run, plan.video_index(known - 1), engine))
        start = Start(state, done, made_by)
    else:
        state = _state_at(plan, done, saved, run, engine)
        other = saved is not None and saved.digest != plan.digest
        start = Start(state, done, made_by, from_frames=True, other_settings=other)
    warnings = [_start_warning(start, saved, plan, run), _engine_warning(start, saved, run)]
    warnings.append(_move_leftovers(run, start, plan))
    return replace(start, warnings=tuple(filter(None, warnings)))


def restore_reference(state: State, context: RenderContext, frame: Callable[[int], Image]) -> State:
    """Return `state` with the color reference that the steps so far have taken, if any.

    It equals the reference of an uninterrupted run bit for bit, except where it was taken at a key frame whose image
    was faded in: then it is taken from the frame at which the fade ends.

    Args:
        state: state from the frames on disk; its reference is the given one, or None.
        context: render context of the run.
        frame: frame number -> finished frame (3, H, W).
    """
    mode = context.plan.settings.color_coherence
    for key in reversed(context.plan.key_frames[: state.steps_done]):
        if "take_reference" in key.stages:
            place = len(key.stages) - 1 - key.stages[::-1].index("take_reference")
            if place > key.stages.index("diffuse"):
                finished = key.stop - 1 if key.source == "last_frame" else key.index
                return replace(state, reference=ColorReference.of(frame(finished), mode))
            return replace(
                state, reference=_reference_before_diffusion(key, place, context, frame(key.index - 1))
            )
        if "video_reference" in key.stages:
            image = on_8_bit_grid(context.video_frame(key.index))
            return replace(state, reference=ColorReference.of(image, mode))
    return state


def restore_memory(state: State, context: RenderContext, frame: Callable[[int], Image]) -> State:
    """Return `state` with the scene memory rebuilt from the last frame of each step.

    The memory follows from the frames alone, so it equals that of an uninterrupted run bit for bit.

    Args:
        state: state from the frames on disk.
        context: render context of the run.
        frame: frame number -> finished frame (3, H, W).
    """
    if not remembers(context.plan.settings):
        return state
    memory = None
    for key in context.plan.key_frames[: state.steps_done]:
        context.cancel.check_cancel()
        if key.index > 0 and key.source == "nothing":
            memory = None  # a new scene begins
        memory = context.remember(memory, key, frame(key.stop - 1))
    return replace(state, memory=memory)


def frame_image(run: Run, frame: int, engine: Engine) -> Image:
    """Return a frame of a run as an image on the engine's device: (3, H, W), 0..1."""
    return from_bytes(read_frame(run.frame_path(frame)), engine.device)


def _saved(run: Run, engine: Engine) -> ResumeState | None:
    try:
        return decode_state(read_file(run.resume_state_path, LARGEST_BYTES + 1), engine.device)
    except UnusableFile as error:
        if error.absent and is_file(run.settings_path):
            return None
        if error.absent:
            message = messages.RUN_LOST(run=run.timestring, folder=run.outdir.name)
        else:
            message = messages.RUN_STATE_UNREADABLE(run=run.timestring, reason=error)
        raise CheckpointError(message) from error


def _state_at(plan: Plan, done: int, saved: ResumeState | None, run: Run, engine: Engine) -> State:
    """Return the state before the step that generates frame `done`, made from the frames on disk."""
    steps = bisect_right(plan.key_frames.stops, done)
    while steps < len(plan.key_frames) and plan.key_frames[steps].dissolve not in (
        None,
        plan.key_frames[steps].index,
    ):
        steps -= 1  # a frame of a dissolve shows two scenes, so both are generated again from its start
    place = plan.key_frames[steps].index if steps < len(plan.key_frames) else done
    flow = saved.state.flow if saved and saved.frames_done == place else None
    return State(steps, frame_image(run, plan.video_index(place - 1), engine) if place else None, None, flow)


def _reference_before_diffusion(
    key: KeyFrame, place: int, context: RenderContext, start: Image
) -> ColorReference | None:
    """Return the reference that a key frame takes from the previous frame after its camera move."""
    work = WorkingImage(image=start, reference=None, start=start)
    for stage in key.stages[: place + 1]:
        work = STAGES[stage](work, key, context)
    return work.reference


def _start_warning(start: Start, saved: ResumeState | None, plan: Plan, run: Run) -> str:
    done, name = start.frames_done, run.timestring
    if not start.from_frames:
        return ""
    if saved is None and done == plan.frames:
        return messages.RUN_COMPLETE_WITHOUT_STATE(run=name, frames=done)
    if saved is None:
        return messages.RUN_WITHOUT_STATE(run=name, frame=done)
    if done < saved.frames_done:
        return messages.RUN_FRAME_MISSING(run=name, frame=done)
    return messages.RUN_SETTINGS_DIFFER(run=name, frame=done)


def _engine_warning(start: Start, saved: ResumeState | None, run: Run) -> str:
    """Warn if the run was started with another engine or checkpoint; old resume states name none."""
    if saved is None or saved.made_by in ("", start.made_by):
        return ""
    return messages.RUN_ENGINE_DIFFERS(
        run=run.timestring, found=saved.made_by, frame=start.frames_done, engine=start.made_by
    )


def _move_leftovers(run: Run, start: Start, plan: Plan) -> str:
    """Move the files that the remaining frames would overwrite, and return a warning that names the folder.

    A run that continues from its resume state completes the same video, so that is overwritten.
    """
    names = frame_files_from(run, start.frames_done, plan.video_index) + (
        derived_files(run) if start.from_frames else []
    )
    if not names:
        return ""
    folder = set_aside(run, names)
    return messages.RUN_FILES_MOVED(run=run.timestring, frames=start.frames_done, folder=folder)
