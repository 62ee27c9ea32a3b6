"""Where a run goes on that was stopped, and what a person should know of how it goes on."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from deforum_helpers.core.errors import CheckpointError
from deforum_helpers.core.files.no_links import is_file, read_file
from deforum_helpers.core.files.regular import UnusableFile
from deforum_helpers.engines.base import Engine
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.image.types import Image
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.paths import Run
from deforum_helpers.output.runs import check_fits, films, frames_from, set_aside, whole_frames
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.render.plan import Plan
from deforum_helpers.render.resume_state import LARGEST_BYTES, ResumeState, decode_state
from deforum_helpers.render.state import State


@dataclass(frozen=True)
class Start:
    """Where a run goes on.

    Args:
        state: what the next step starts from. That step may draw frames again which are there; those stay.
        frames_done: number of frames on disk, 0 .. frames_done - 1.
        made_by: what generates the frames from now on.
        other_settings: the frames from now on follow other settings than the run was begun with.
        from_frames: the state is that of the frames on disk, not a saved one, and still lacks its colour reference.
        warnings: what a person should know about it, as plain sentences.
    """

    state: State
    frames_done: int
    made_by: str
    from_frames: bool = False
    other_settings: bool = False
    warnings: tuple[str, ...] = ()


def maker(prepared: Prepared, engine: Engine) -> str:
    """Return what generates the frames of a job: its engine and, where it has one, its model."""
    return f"{engine.name} with {prepared.model}" if prepared.model else engine.name


def resumed_start(prepared: Prepared, run: Run, engine: Engine) -> Start | None:
    """Read where a run stands: at its first missing frame; None if it has no frame.

    A checkpoint of the same plan gives the state exactly. Without one, with other settings, or where frames were
    deleted since, the state is made of the frames that are there. What would be overwritten is set aside.

    Args:
        prepared: the job as it is to go on.
        run: the run.
        engine: generates what is left of it.

    Raises:
        CheckpointError: the run cannot go on from what is there.
    """
    saved = _saved(run, engine)
    known = saved.frames_done if saved else 0
    plan, made_by = prepared.plan, maker(prepared, engine)
    done = whole_frames(run, known, depth=prepared.settings.save_depth_maps, shown=plan.video_index)
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
    said = [_how_it_goes_on(start, saved, plan, run), _other_maker(start, saved, run)]
    said.append(_set_aside(run, start, plan))
    return replace(start, warnings=tuple(filter(None, said)))


def frame_image(run: Run, frame: int, engine: Engine) -> Image:
    """Return a frame of a run as the loop knows it, (3, H, W) on the engine's device."""
    return from_bytes(read_frame(run.frame_path(frame)), engine.device)


def _saved(run: Run, engine: Engine) -> ResumeState | None:
    try:
        return decode_state(read_file(run.checkpoint_path, LARGEST_BYTES + 1), engine.device)
    except UnusableFile as error:
        if error.absent and is_file(run.settings_path):
            return None
        if error.absent:
            message = (
                f"The run {run.timestring} is gone: {run.outdir.name!r} has no checkpoint. Render it anew."
            )
        else:
            message = f"The run {run.timestring} cannot be resumed: its checkpoint {error}. Render it anew."
        raise CheckpointError(message) from error


def _state_at(plan: Plan, done: int, saved: ResumeState | None, run: Run, engine: Engine) -> State:
    """Return the state before the step that makes frame `done`, of the frames on disk."""
    steps = bisect_right(plan.key_frames.stops, done)
    while steps < len(plan.key_frames) and plan.key_frames[steps].dissolve not in (
        None,
        plan.key_frames[steps].index,
    ):
        steps -= 1  # frames of a dissolve show two scenes; both are generated again from where it begins
    place = plan.key_frames[steps].index if steps < len(plan.key_frames) else done
    flow = saved.state.flow if saved and saved.frames_done == place else None
    return State(steps, frame_image(run, plan.video_index(place - 1), engine) if place else None, None, flow)


def _how_it_goes_on(start: Start, saved: ResumeState | None, plan: Plan, run: Run) -> str:
    done, name = start.frames_done, run.timestring
    if not start.from_frames:
        return ""
    if saved is None and done == plan.frames:
        return f"The run {name} has no checkpoint; all of its {done} frames are there and stay as they are."
    if saved is None:
        return (
            f"The run {name} has no checkpoint: it goes on at frame {done}, the first that is missing, by the "
            "settings as they are now."
        )
    if done < saved.frames_done:
        return (
            f"Frame {done} of the run {name} is missing: it goes on there, by the settings as they are now."
        )
    return (
        f"The settings differ from those that the run {name} was begun with; frames from {done} on follow the "
        "new ones."
    )


def _other_maker(start: Start, saved: ResumeState | None, run: Run) -> str:
    """Tell of another engine or model than the run was begun with; one that a run does not name is not known."""
    if saved is None or saved.made_by in ("", start.made_by):
        return ""
    return (
        f"The run {run.timestring} was begun by {saved.made_by}; frames from {start.frames_done} on are generated "
        f"by {start.made_by} and may look different. Cancel the job to keep it as it is, and resume it where it "
        "was begun."
    )


def _set_aside(run: Run, start: Start, plan: Plan) -> str:
    """Set aside what the frames to come would overwrite, and tell where it is.

    A run that goes on from its checkpoint completes the film of the same frames, so the shorter one gives way.
    """
    names = frames_from(run, start.frames_done, plan.video_index) + (films(run) if start.from_frames else [])
    if not names:
        return ""
    return (
        f"What the run {run.timestring} had beyond its first {start.frames_done} frames is kept in the folder "
        f"{set_aside(run, names)!r}."
    )
