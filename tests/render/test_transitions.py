"""How a new prompt takes over: where it begins, what of the old scene is left, and when it is over."""

from __future__ import annotations

import math
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import Parked
from deforum_helpers.core.progress import CancelToken, Progress
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.types import Image
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.render.plan import Plan

NO_VIDEO = {"skip_video_creation": True}
PROMPTS = {"prompts": {"0": "a lake --neg fog", "5": "a forest"}, "max_frames": 14}


def plan(tmp_path: Path, **changes: Any) -> Plan:
    return prepared(tmp_path, None, **{**NO_VIDEO, **PROMPTS, **changes}).plan


def frames(tmp_path: Path, engine: NoisyEngine, **changes: Any) -> list[np.ndarray]:
    job = prepared(tmp_path, None, **{**NO_VIDEO, **PROMPTS, **changes})
    result = run_job(job, engine, CancelToken(), lambda progress: None)
    return [read_frame(path) for path in frame_files(result.outdir)]


@pytest.mark.parametrize("cadence", [1, 2, 4])
@pytest.mark.parametrize("transition", ["cut", "dissolve", "morph"])
def test_a_change_begins_where_its_prompt_does(transition: str, cadence: int, tmp_path: Path) -> None:
    places = [
        key.index
        for key in plan(tmp_path, prompt_transition=transition, diffusion_cadence=cadence).key_frames
    ]
    assert 5 in places
    assert set(places) - {5} == set(range(0, 14, cadence)) - {5} | {13}


@pytest.mark.parametrize("transition", ["cut", "dissolve"])
def test_the_new_scene_is_generated_from_nothing(transition: str, tmp_path: Path) -> None:
    engine = NoisyEngine()
    frames(tmp_path, engine, prompt_transition=transition)
    blank = [number for number, request in enumerate(engine.requests) if request.init_image is None]
    assert blank == [0, 5]
    assert engine.requests[5].prompt == "a forest"
    assert engine.requests[5].denoising_strength == 1


def test_nothing_of_the_old_scene_is_left_after_a_cut(tmp_path: Path) -> None:
    shown = frames(tmp_path / "cut", NoisyEngine(), prompt_transition="cut", diffusion_cadence=2)
    other = {"0": "a desert", "5": "a forest"}
    elsewhere = frames(
        tmp_path / "other",
        NoisyEngine(),
        prompts=other,
        prompt_transition="cut",
        diffusion_cadence=2,
        zoom="0:(1.1), 4:(1.1), 5:(1.0025)",
    )
    assert not np.array_equal(shown[4], elsewhere[4])
    assert np.array_equal(shown[5], elsewhere[5])


def test_a_dissolve_leads_from_the_old_scene_to_the_new_one(tmp_path: Path) -> None:
    numbers = {"prompt_transition": "dissolve", "prompt_transition_frames": 6, "zoom": "0:(1)"}
    shown = frames(tmp_path / "dissolve", NoisyEngine(), **numbers)
    cut = frames(tmp_path / "cut", NoisyEngine(), **numbers | {"prompt_transition": "cut"})
    for frame in (*range(5), *range(10, 14)):
        assert np.array_equal(shown[frame], cut[frame])
    old = shown[4].astype(float)
    distances = [np.abs(shown[frame] - old).mean() for frame in range(5, 11)]
    assert all(nearer < farther for nearer, farther in pairwise(distances[:4]))
    assert distances[0] < 0.3 * distances[-1]


@pytest.mark.parametrize("cadence", [1, 2])
@pytest.mark.parametrize("parked_at", [6, 8])
@pytest.mark.parametrize("transition", ["dissolve", "morph"])
def test_a_run_that_was_stopped_in_a_change_goes_on_bit_for_bit(
    transition: str, parked_at: int, cadence: int, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        "prompt_transition": transition,
        "prompt_transition_frames": 6,
        "diffusion_cadence": cadence,
        "stability_schedule": "0:(0.5)",
        "color_coherence": "LAB",
    }
    whole = frames(tmp_path / "whole", NoisyEngine(), **changes)
    job, token = prepared(tmp_path / "parts", None, **{**NO_VIDEO, **PROMPTS, **changes}), CancelToken()

    def park(progress: Progress) -> None:
        if progress.frame >= parked_at:
            token.park()

    with pytest.raises(Parked):
        run_job(job, NoisyEngine(), token, park, now=lambda: datetime(2026, 1, 2, 3, 4, 5))
    result = run_job(job, NoisyEngine(), CancelToken(), lambda progress: None, resume="20260102030405")
    resumed = [read_frame(path) for path in frame_files(result.outdir)]
    assert all(np.array_equal(one, two) for one, two in zip(whole, resumed, strict=True))


def test_a_morph_shows_both_prompts_and_then_the_new_one_alone(tmp_path: Path) -> None:
    keys = plan(
        tmp_path,
        prompt_transition="morph",
        prompt_transition_frames=4,
        noise_source="inverted",
        strength_schedule="0:(0.6)",
    ).key_frames
    requests = [key.request for key in keys]
    assert [request.prompt for request in requests[4:6]] == ["a lake", "a forest"]
    assert requests[4].blend is None
    blends = [request.blend for request in requests[5:8]]
    assert [(blend.prompt, blend.negative_prompt) for blend in blends if blend] == [("a lake", "fog")] * 3
    shares = [blend.share for blend in blends if blend]
    assert shares == pytest.approx([0.75, 0.5, 0.25])
    assert all(request.blend is None for request in requests[8:])
    # In its middle it keeps less of the frame before and has more new noise; at its ends as much as ever.
    strengths = [request.denoising_strength for request in requests]
    assert strengths[4] == strengths[9] == pytest.approx(0.4)
    assert strengths[6] == max(strengths[1:]) > strengths[5] > strengths[4]
    assert requests[6].new_noise_share > requests[5].new_noise_share > requests[4].new_noise_share == 0


def test_frames_are_held_to_the_look_of_their_own_prompt(tmp_path: Path) -> None:
    engine = NoisyEngine()
    frames(
        tmp_path, engine, stability_schedule="0:(0.5)", prompt_transition="morph", prompt_transition_frames=4
    )
    blank = [request for request in engine.requests if request.init_image is None]
    # The first frame is the image that the frames of its prompt are held to.
    assert [request.prompt for request in blank] == ["a lake", "a forest"]
    held = [
        key.stability
        for key in plan(tmp_path, stability_schedule="0:(0.5)", prompt_transition="morph").key_frames
    ]
    assert held[0] is None
    before, during = held[4:6]
    assert before is not None
    assert before.former is None
    assert during is not None
    assert during.former == before.reference
    assert 0 < during.passed < 1


def test_light_changes_evenly_in_a_morph(tmp_path: Path) -> None:
    """An engine goes over from one prompt to the other at once, whatever their shares are."""

    class Sudden(NoisyEngine):
        def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
            image = super().generate(request, cancel)
            old = 0.0 if request.blend is None else request.blend.share
            return 0.25 * image + (0.7 if old > 0.5 or request.prompt == "a lake" else 0.05)

    changes: dict[str, Any] = {
        "prompt_transition": "morph",
        "prompt_transition_frames": 8,
        "stability_schedule": "0:(0.5)",
        "color_coherence": "None",
        "zoom": "0:(1)",
    }
    shown = frames(tmp_path, Sudden(), **changes)
    light = np.array([float(frame.mean()) for frame in shown])
    steps = -np.diff(light[4:13])
    assert steps.max() < 1.5 * (light[4] - light[12]) / 8
    keys = plan(tmp_path, **changes).key_frames
    shares = [key.stability.share for key in keys if key.stability]
    assert shares[3] == shares[12] == 0.5
    assert shares[4:12] == pytest.approx([0.5 + 0.5 * math.sin(math.pi * k / 8) for k in range(1, 9)])


@pytest.mark.parametrize("mode", ["2D", "3D"])
def test_a_change_has_no_effect_where_prompts_pass_into_each_other(mode: str, tmp_path: Path) -> None:
    numbers = {"animation_mode": mode, "prompt_interpolation": "embedding"}
    with_change = plan(tmp_path, prompt_transition="morph", **numbers)
    without = plan(tmp_path, **numbers)
    assert [key.request for key in with_change.key_frames] == [key.request for key in without.key_frames]


def test_the_first_prompt_is_no_change(tmp_path: Path) -> None:
    late = {"prompts": {"4": "a lake", "8": "a forest"}}
    keys = plan(tmp_path, prompt_transition="cut", **late).key_frames
    assert [key.index for key in keys if key.source == "nothing"] == [0, 8]
