"""Where a run goes on that was stopped, and what a person should know of how it goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deforum_helpers.engines.base import Engine
from deforum_helpers.errors import CheckpointError
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.nolinks import is_file, read_file
from deforum_helpers.output.earlier import check_fits, check_frames
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.names import Run
from deforum_helpers.prepare import Prepared
from deforum_helpers.regular_files import UnusableFile
from deforum_helpers.render.checkpoint import LARGEST_BYTES, Checkpoint, decoded


@dataclass(frozen=True)
class Start:
    """Where a run goes on, and what a person should know about that, as plain sentences."""

    checkpoint: Checkpoint
    warnings: tuple[str, ...] = ()


def maker(prepared: Prepared, engine: Engine) -> str:
    """Return what generates the frames of a job: its engine and, where it has one, its model."""
    return f"{engine.name} with {prepared.model}" if prepared.model else engine.name


def resumed_start(prepared: Prepared, run: Run, engine: Engine) -> Start | None:
    """Read where a run stands, and see that everything before that is there; None if no frame was done.

    Args:
        prepared: the job as it is to go on.
        run: the run.
        engine: generates what is left of it.

    Raises:
        CheckpointError: the run cannot go on from what is there.
    """
    content = _content(run)
    if content is None:
        return None
    start = decoded(content, engine.device)
    check_frames(run, start.frames_done, depth=prepared.settings.save_depth_maps)
    if start.frames_done:
        newest = read_frame(run.frame_path(start.frames_done - 1))
        size = (prepared.settings.W, prepared.settings.H)
        check_fits(run, (start.frames_done, *newest.shape[1::-1]), (prepared.plan.frames, *size))
        start = replace(start, state=replace(start.state, last=from_bytes(newest, engine.device)))
    return _with_other_maker(_with_other_settings(Start(start), prepared, run), maker(prepared, engine), run)


def _content(run: Run) -> bytes | None:
    try:
        return read_file(run.checkpoint_path, LARGEST_BYTES + 1)
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


def _with_other_settings(begun: Start, prepared: Prepared, run: Run) -> Start:
    """Return where the run goes on with other settings than it was begun with.

    Raises:
        CheckpointError: the new settings have no key frame there.
    """
    start, plan = begun.checkpoint, prepared.plan
    if start.digest == plan.digest:
        return begun
    places = [key.index for key in plan.key_frames]
    if start.frames_done not in places and start.frames_done < plan.frames:
        raise CheckpointError(
            f"The run {run.timestring} has {start.frames_done} frames, but with the changed settings frame "
            f"{start.frames_done} is no key frame. Resume with the diffusion_cadence it was begun with."
        )
    warning = (
        f"The settings differ from those that the run {run.timestring} was begun with; frames from "
        f"{start.frames_done} on follow the new ones."
    )
    done = sum(place < start.frames_done for place in places)
    changed = replace(start, state=replace(start.state, steps_done=done), digest=plan.digest)
    return Start(changed, (*begun.warnings, warning))


def _with_other_maker(begun: Start, made_by: str, run: Run) -> Start:
    """Return where the run goes on with another engine or model; one that a run does not name is not known."""
    start = begun.checkpoint
    if not start.made_by or start.made_by == made_by:
        return Start(replace(start, made_by=made_by), begun.warnings)
    warning = (
        f"The run {run.timestring} was begun by {start.made_by}; frames from {start.frames_done} on are generated "
        f"by {made_by} and may look different. Cancel the job to keep it as it is, and resume it where it was begun."
    )
    return Start(replace(start, made_by=made_by), (*begun.warnings, warning))
