"""Which operation happens to which frame, in which order and with which numbers, against runs of classic Deforum.

Deviations, all ordered on purpose:
- the last key frame is the last frame, so that every frame is written (classic lost the frames after its last group);
  the fading image moves along into it, so that the video does not jump at its end;
- an in-between frame is moved only where it is seen: classic moved the fading image once more in the last frame of
  a group, where its share is zero;
- noise seeds of seed_behavior "schedule" derive from seed and frame (classic drew them at random), seed -1 likewise;
- the colours of the last redo pass are matched (in classic that line was never reached), redo seeds are planned.

Classic applied strength_0_no_init inside the diffusion, which its recorded runs had replaced: it is off here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_runs import NoisyEngine, golden_traces, prepared

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.loop import step
from deforum_helpers.render.stages import STAGES, Apply, WorkingImage
from deforum_helpers.render.state import State

TRACES = golden_traces()
SCENARIOS = {scenario["name"]: scenario for scenario in TRACES["scenarios"]}


class Recorder:
    """Runs a video and writes down what happens, in the words of the golden traces."""

    def __init__(self, root: Path, changes: dict[str, Any]) -> None:
        self.events: list[list[Any]] = []
        small = {"W": 64, "H": 64, "strength_0_no_init": False}
        self.prepared = prepared(root, **(TRACES["base"] | small | changes))
        self.plan = self.prepared.plan

    def run(self) -> list[list[Any]]:
        init_image = from_bytes(np.zeros((64, 64, 3), np.uint8), NoisyEngine.device)
        context = RecordingContext(self.plan, NoisyEngine(), None, CancelToken(), init_image=init_image)
        context.events = self.events
        stages = {name: self._recorded(name, apply) for name, apply in STAGES.items()}
        state = State()
        if self.plan.settings.color_coherence == "Image":
            state = STAGES["take_reference"](WorkingImage(init_image, None), self.plan.key_frames[0], context)
            state = State(reference=state.reference)
        for key in self.plan.key_frames:
            state, frames = step(state, key, context, stages)
            self.events.extend(["save", frame.index] for frame in frames)
        return self.events

    def _recorded(self, name: str, apply: Apply) -> Apply:
        def record(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
            if name in ("match_color", "sharpen"):
                self.events.append([name])
            if name == "noise":
                self.events.append(["noise", key.noise.amount, key.noise.seed])
            for seed in (*key.redo_seeds, key.request.seed) if name == "redo" else (key.request.seed,):
                if name in ("redo", "diffuse") and (name == "diffuse" or seed in key.redo_seeds):
                    self.events.append(self._generated(key, seed, work))
            if name == "redo":
                self.events.append(["match_color"])
            return apply(work, key, context)

        return record

    def _generated(self, key: KeyFrame, seed: int, work: WorkingImage) -> list[Any]:
        request, settings = key.request, self.plan.settings
        strength = settings.strength if key.index == 0 else 1 - request.denoising_strength
        said = {
            "seed": seed,
            "strength": strength,
            "prompt": request.prompt
            + (f"--neg {request.negative_prompt}" if request.negative_prompt else ""),
            "scale": request.cfg_scale,
            "steps": request.steps,
            "sampler": request.sampler.lower() if settings.enable_sampler_scheduling else None,
            "subseed": request.subseed,
            "subseed_strength": request.subseed_strength,
            "ckpt": request.checkpoint,
            "init": work.image is not None,
        }
        return ["generate", key.index, said]


class RecordingContext(RenderContext):
    events: list[list[Any]]

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def warp(self, image, frame, depth_image=None):  # type: ignore[no-untyped-def]
        self.events.append(["warp", frame])
        return super().warp(image, frame, depth_image)


def same(found: list[Any], wanted: list[Any]) -> bool:
    if found[0] != "generate":
        return found == wanted
    numbers = [(found[2][name], wanted[2][name]) for name in ("strength", "subseed_strength", "scale")]
    rest = [
        {k: v for k, v in e[2].items() if k not in ("strength", "subseed_strength", "scale")}
        for e in (found, wanted)
    ]
    return (
        found[1] == wanted[1] and rest[0] == rest[1] and np.allclose(*zip(*numbers, strict=True), atol=1e-12)
    )


def write_init_image(folder: Path) -> Path:
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    path = folder / "init.png"
    cv2.imwrite(str(path), np.dstack([3 * x % 256, 4 * y % 256, (x + y) % 256]).astype(np.uint8))
    return path


def overrides_of(scenario: dict[str, Any], folder: Path) -> dict[str, Any]:
    init = str(write_init_image(folder))
    return {name: init if value == "<init.png>" else value for name, value in scenario["overrides"].items()}


def planned_seeds(events: list[list[Any]]) -> list[list[Any]]:
    """Leave out seeds that classic drew at random."""
    compared = []
    for event in events:
        if event[0] == "noise":
            event = event[:2]
        elif event[0] == "generate":
            event = [
                *event[:2],
                {**event[2], "seed": event[2]["seed"] if 0 <= event[2]["seed"] < 1000 else None},
            ]
        compared.append(event)
    return compared


EXACT = [name for name in SCENARIOS if name not in ("cad3_max10", "diffusion_redo2", "seed_schedule")]


@pytest.mark.parametrize("name", EXACT)
def test_events_are_classics(name: str, tmp_path: Path) -> None:
    found = Recorder(tmp_path, overrides_of(SCENARIOS[name], tmp_path)).run()
    wanted = SCENARIOS[name]["events"]
    assert len(found) == len(wanted)
    for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert same(one, other), f"event {number}: {one} is not {other}"


def test_seed_schedule_differs_only_in_drawn_seeds(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SCENARIOS["seed_schedule"]["overrides"])
    found = planned_seeds(recorder.run())
    wanted = planned_seeds(SCENARIOS["seed_schedule"]["events"])
    assert [event[0] for event in found] == [event[0] for event in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert same(one, other), f"{one} is not {other}"
    assert recorder.events == Recorder(tmp_path, SCENARIOS["seed_schedule"]["overrides"]).run()


def test_redo_uses_planned_seeds_and_matches_colours(tmp_path: Path) -> None:
    found = planned_seeds(Recorder(tmp_path, SCENARIOS["diffusion_redo2"]["overrides"]).run())
    wanted = planned_seeds(SCENARIOS["diffusion_redo2"]["events"])
    for frame in (1, 2):
        last = [place for place, event in enumerate(wanted) if event[:2] == ["generate", frame]][-1]
        wanted.insert(last, ["match_color"])
    assert [event[0] for event in found] == [event[0] for event in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert same(one, other), f"{one} is not {other}"


def test_cadence_three_over_ten_frames(tmp_path: Path) -> None:
    """Classic's events up to its last key frame, in our grouping: a key frame, then the frames up to the next."""
    found = Recorder(tmp_path, SCENARIOS["cad3_max10"]["overrides"]).run()
    said = [event[:2] if event[0] in ("generate", "warp", "save") else event[:1] for event in found]
    key_frame = [["match_color"], ["sharpen"], ["noise"]]
    assert said == [
        ["generate", 0],
        *(["warp", 1], ["warp", 2], ["save", 0], ["save", 1], ["save", 2]),
        *(["warp", 3], *key_frame, ["generate", 3], ["match_color"]),
        *(["warp", 3], ["warp", 4], ["warp", 4], ["warp", 5], ["save", 3], ["save", 4], ["save", 5]),
        *(["warp", 6], *key_frame, ["generate", 6], ["match_color"]),
        *(["warp", 6], ["warp", 7], ["warp", 7], ["warp", 8], ["save", 6], ["save", 7], ["save", 8]),
        *(["warp", 9], *key_frame, ["generate", 9], ["match_color"], ["warp", 9], ["save", 9]),
    ]
    generated = {event[1]: event[2] for event in SCENARIOS["cad3_max10"]["events"] if event[0] == "generate"}
    for event in found:
        if event[0] == "generate":
            assert same(event, ["generate", event[1], generated[event[1]]])


@pytest.mark.parametrize("cadence", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("frames", [1, 2, 5, 8, 9])
def test_every_frame_is_finished_once(cadence: int, frames: int, tmp_path: Path) -> None:
    events = Recorder(tmp_path, {"diffusion_cadence": cadence, "max_frames": frames}).run()
    assert [event[1] for event in events if event[0] == "save"] == list(range(frames))
