"""The render loop: each step generates a key frame and finishes the frames up to the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from deforum_helpers.image.color import ColorReference
from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.types import Image
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.inbetween import apply_dissolve, finish_step
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.noise_ahead import NoiseAhead
from deforum_helpers.render.segments import Segment
from deforum_helpers.render.stage_order import Stage
from deforum_helpers.render.stages import STAGES, Apply, WorkingImage
from deforum_helpers.render.state import WITHHELD, Frame, State


def step(
    state: State,
    key: KeyFrame,
    context: RenderContext,
    stages: Mapping[Stage, Apply] = STAGES,
) -> tuple[State, tuple[Frame, ...]]:
    """Generate the key frame `key` and finish the frames key.index .. key.stop - 1.

    Args:
        state: state after the previous step.
        key: the planned key frame.
        context: render context of the run.
        stages: stage name -> function; tests replace some.

    Returns:
        The state for the next step, and the finished frames in order. Nothing is written and no global state changes.
    """
    start = _start_image(state, key, context)
    renewed = key.index > 0 and key.source == "nothing"
    work = WorkingImage(
        image=start,
        reference=state.reference,
        start=start,
        flow=state.flow,
        first=state.first,
        unpainted=None if renewed else state.unpainted,
        memory=None if renewed else state.memory,  # it holds another scene
    )
    for stage in key.stages:
        work = stages[stage](work, key, context)
    fading = state.last if key.source == "last_frame" else None
    done = finish_step(work, fading, key, context)
    # The next key frame starts from the last frame: the anchor alone, unless the run ends during a fade.
    frames, last = done.frames, done.frames[-1].image
    memory = context.remember(work.memory, key, last)
    leaving = state.last if key.dissolve == key.index else state.leaving
    if key.dissolve is None or leaving is None:
        leaving = None
    else:
        frames, leaving = apply_dissolve(frames, leaving, key, context)
    first = state.first
    if key.index == 0 and context.plan.settings.seamless_loop:
        first = on_8_bit_grid(frames[0].image)
    next_state = State(
        steps_done=state.steps_done + 1,
        last=last,
        reference=work.reference,
        flow=done.flow,
        leaving=leaving,
        first=first,
        unpainted=done.unpainted,
        memory=memory,
    )
    return next_state, frames


def _start_image(state: State, key: KeyFrame, context: RenderContext) -> Image | None:
    """Return the image that a key frame starts from, or None."""
    if key.source == "video":
        return context.video_frame(key.index)
    if key.source == "guide":
        return context.guides[0]
    if key.source == "init_image":
        return context.init_image
    return state.last if key.source == "last_frame" else None


@dataclass(frozen=True)
class Outcome:
    """The result of one step: its frames, and the state for the next step."""

    frames: tuple[Frame, ...]
    state: State


def starting_state(segment: Segment, context: RenderContext, given: State) -> State:
    """Return the state from which `render` yields the frames of a segment as in the whole run, bit for bit.

    Args:
        segment: one of the plan's.
        context: plan, engine and inputs of the run.
        given: the state that the run began with; in a loop with frame 0 in addition, if the segment needs it.
    """
    reference = given.reference
    if segment.reference_frame is not None:
        image = on_8_bit_grid(context.video_frame(segment.reference_frame))
        reference = ColorReference.of(image, context.plan.settings.color_coherence)
    state = State(segment.start, reference=reference, first=given.first if segment.needs_first else None)
    return replace(state, **dict.fromkeys(segment.withheld, WITHHELD))


def render(context: RenderContext, state: State, stop: int | None = None) -> Iterator[Outcome]:
    """Yield the outcome of every step that `state` has not done yet.

    Args:
        context: plan, engine and inputs of the run.
        state: `State()` for a new run (with the color reference of a given image), a resume state, or the starting
            state of a segment.
        stop: number of steps after which to stop; by default all.

    Raises:
        Cancelled, Parked: the job was stopped; every outcome yielded so far is complete.
    """
    keys = context.plan.key_frames[state.steps_done : stop]
    with ExitStack() as stack:
        if context.engine.device.type != "cpu":
            settings = context.plan.settings
            ahead = NoiseAhead(keys, (settings.W, settings.H), context.engine.device)
            context = replace(context, noise_ahead=stack.enter_context(ahead))
        for number, key in enumerate(keys):
            context.cancel.check()
            context = replace(context, keys_left=len(keys) - number)
            state, frames = step(state, key, context)
            yield Outcome(frames, state)
