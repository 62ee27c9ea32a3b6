"""Independent segments: where they begin, and that each gives the frames of the whole run from its own start."""

from __future__ import annotations

import ast
import inspect
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import NoisyEngine, prepared
from test_random_runs import FRAMES, files, named, wishes

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.image.color import ColorReference
from deforum_helpers.models.depth.estimators import make_estimator
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.pipeline.sources import load_image, open_inputs, with_videos
from deforum_helpers.render import loop, stages
from deforum_helpers.render.cached_depth import CachedDepth
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.loop import Outcome, render, starting_state
from deforum_helpers.render.segments import Segment
from deforum_helpers.render.stage_order import READS, REPLACES, Carried
from deforum_helpers.render.state import WITHHELD, State
from deforum_helpers.settings.modes import reads_color_image

assert files  # the fixture

PROMPTS = {"0": "a lighthouse on a cliff", "3": "a harbour at dawn", "5": "a forest"}
CARRIED = frozenset(get_args(Carried))


def segments(tmp_path: Path, **changes: Any) -> list[tuple[int, int]]:
    plan = prepared(tmp_path, **changes).plan
    return [(segment.start, segment.stop) for segment in plan.independent_segments]


def test_frames_that_build_on_each_other_are_one_segment(tmp_path: Path) -> None:
    assert segments(tmp_path, max_frames=7) == [(0, 7)]
    # At strength 0 the engine still gets the previous frame as its init image.
    assert segments(tmp_path, max_frames=7, strength_schedule="0:(0.6), 3:(0), 4:(0.6)") == [(0, 7)]


@pytest.mark.parametrize("use_init", [False, True])
def test_every_frame_of_interpolation_is_a_segment(
    tmp_path: Path, files: dict[str, str], use_init: bool
) -> None:
    changes = {"animation_mode": "Interpolation", "use_init": use_init, "init_image": files["image"]}
    assert segments(tmp_path, **changes) == [(frame, frame + 1) for frame in range(5)]


@pytest.mark.parametrize("color", ["None", "LAB", "Video Input"])
def test_every_frame_of_a_video_input_is_a_segment(tmp_path: Path, files: dict[str, str], color: str) -> None:
    changes = {"animation_mode": "Video Input", "video_init_path": files["video"], "color_coherence": color}
    plan = prepared(tmp_path, **changes, color_coherence_video_every_N_frames=3).plan
    assert [segment.start for segment in plan.independent_segments] == list(range(FRAMES))
    references = [segment.reference_frame for segment in plan.independent_segments]
    # Every third frame takes a new reference before it needs one.
    expected = [None, 0, 0, None, 3, 3, None] if color == "Video Input" else [None] * FRAMES
    assert references == expected


@pytest.mark.parametrize(
    ("transition", "expected"),
    [
        ("none", [(0, 7)]),
        ("cut", [(0, 3), (3, 5), (5, 7)]),
        ("dissolve", [(0, 7)]),
        ("morph", [(0, 7)]),
    ],
)
def test_a_segment_begins_at_a_cut(tmp_path: Path, transition: str, expected: list[tuple[int, int]]) -> None:
    changes = {"max_frames": 7, "prompts": PROMPTS, "prompt_transition": transition}
    assert segments(tmp_path, **changes) == expected
    exact = {"animation_mode": "3D", "depth_warp": "exact", "scene_memory": True, "color_coherence": "LAB"}
    assert segments(tmp_path, **changes, **exact) == expected


def test_the_motion_of_a_video_ties_the_scenes_together(tmp_path: Path, files: dict[str, str]) -> None:
    changes = {"prompts": PROMPTS, "prompt_transition": "cut", "video_init_path": files["video"]}
    flow = {"hybrid_motion": "Optical Flow", "hybrid_flow_method": "DIS Medium"}
    assert len(segments(tmp_path, **changes, **flow)) == 1
    assert len(segments(tmp_path, **changes, hybrid_motion="Affine")) == 3


def test_the_last_segment_of_a_loop_needs_the_first_frame(tmp_path: Path) -> None:
    changes = {"prompts": PROMPTS, "prompt_transition": "cut", "seamless_loop": True, "ending_frames": 2}
    plan = prepared(tmp_path, max_frames=9, **changes).plan
    assert [segment.needs_first for segment in plan.independent_segments] == [False, True, True]


@st.composite
def divided(draw: st.DrawFn) -> dict[str, Any]:
    """Settings as in the other random videos, with everything that divides a run or ties it together."""
    wish = draw(wishes())
    yes = st.booleans()
    transition = draw(st.sampled_from(["cut", "cut", "cut", "dissolve", "morph", "none"]))
    plain = {
        "use_mask_video": False,
        "hybrid_motion": "None",
        "hybrid_composite": "None",
        "hybrid_use_first_frame_as_init_image": False,
        "mask_schedule": '0: ("{init_mask}")',
    }
    without_video = draw(yes)
    colors = ["None", "LAB", "HSV", "Image"] + ["Video Input"] * (not without_video)
    more = {
        "animation_mode": draw(st.sampled_from(["2D", "2D", "3D", "3D", "Video Input", "Interpolation"])),
        "prompts": PROMPTS,
        "prompt_transition": transition,
        "prompt_transition_frames": draw(st.integers(1, 3)),
        "seamless_loop": draw(yes),
        "ending_frames": draw(st.integers(1, 3)),
        "reverse_generation": without_video and draw(yes),
        "depth_warp": draw(st.sampled_from(["classic", "exact"])),
        "scene_memory": draw(yes),
        "rotation_3d_y": "0:(3)",
        "translation_z": "0:(8)",
        "stability_schedule": draw(st.sampled_from(["0:(0)", "0:(0.4)"])),
        "color_coherence": draw(st.sampled_from(colors)),
        "color_coherence_image_path": "<image>",
        "color_coherence_video_every_N_frames": draw(st.integers(1, 3)),
        "save_depth_maps": draw(yes),
        "cadence_blend": draw(st.sampled_from(["classic", "sharp"])),
        # A new scene has no init image that a guide image could be blended into.
        "use_looper": wish["use_looper"] and transition not in ("cut", "dissolve"),
    }
    return wish | more | (plain if without_video else {})


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(wish=divided())
def test_a_segment_gives_the_frames_of_the_whole_run(files: dict[str, str], wish: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            job = prepared(Path(folder), **named(wish, files))
        except Exception:  # settings that exclude each other
            return
        whole = list(render(context_of(job, folder), given_state(job)))
        first = whole[0].frames[0].image
        for segment in job.plan.independent_segments:
            own = context_of(job, folder)
            begin = starting_state(segment, own, replace(given_state(job), first=first))
            check_withheld(begin, segment)
            parts = list(render(own, begin, segment.stop))
            assert len(parts) == segment.stop - segment.start
            for one, other in zip(parts, whole[segment.start : segment.stop], strict=True):
                assert_equal(one, other)


def check_withheld(state: State, segment: Segment) -> None:
    """A segment after the first one knows nothing of the frames before it beside what its plan names."""
    assert (state.last is WITHHELD) == (segment.start > 0)
    for name in segment.withheld:
        assert getattr(state, name) is WITHHELD


def assert_equal(one: Outcome, other: Outcome) -> None:
    for left, right in zip(one.frames, other.frames, strict=True):
        assert left.index == right.index
        assert torch.equal(left.image, right.image)
        assert (left.depth is None) == (right.depth is None)
        if left.depth is not None and right.depth is not None:
            assert torch.equal(left.depth, right.depth)
        for (name, image), (name_there, image_there) in zip(left.extras, right.extras, strict=True):
            assert name == name_there
            assert torch.equal(image, image_there)


def context_of(job: Prepared, folder: str) -> RenderContext:
    engine, cancel = NoisyEngine(), CancelToken()
    context = with_videos(open_inputs(job, engine, cancel), job, Path(folder))
    depth = CachedDepth(make_estimator("Plane", engine.device), engine) if job.plan.uses_depth else None
    return replace(context, cached_depth=depth)


def given_state(job: Prepared) -> State:
    if not reads_color_image(job.settings):
        return State()
    path = job.settings.color_coherence_image_path
    image = load_image(job, "color_coherence_image_path", path, torch.device("cpu"))
    return State(reference=ColorReference.of(image, "Image"))


def test_a_withheld_value_cannot_be_used_unnoticed(tmp_path: Path) -> None:
    job = prepared(tmp_path, prompts=PROMPTS, prompt_transition="cut", color_coherence="LAB")
    context = context_of(job, str(tmp_path))
    claimed = Segment(1, 2, frozenset({"last", "reference"}))
    with pytest.raises((AssertionError, TypeError)):
        list(render(context, starting_state(claimed, context, State()), 2))


def test_the_table_of_stages_names_all_that_they_read() -> None:
    """Each function of `STAGES` reads only what `READS` names, by itself or through functions of its file."""
    tree = ast.parse(inspect.getsource(stages))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def read_by(name: str) -> set[str]:
        found: set[str] = set()
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "work":
                found.add(node.attr)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
                found |= read_by(node.func.id)
        return found & CARRIED

    for stage, function in stages.STAGES.items():
        assert read_by(function.__name__) <= READS.get(stage, frozenset()), stage
        assert (function.__name__ in ("_take_reference", "_video_reference")) == (stage in REPLACES)


def test_the_step_hands_on_every_carried_value() -> None:
    names = {field for field in State.__dataclass_fields__ if field != "steps_done"}
    assert names == CARRIED
    source = inspect.getsource(loop.step)
    assert {name for name in names if f"state.{name}" in source} == names
