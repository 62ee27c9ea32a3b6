"""What happens to each frame in every mode and with every switch, against traces that were read line by line.

A line of tests/golden/mode_traces.json is one step: the key frame's number, what happens to it and to the frames
after it in order, and the frames that it finishes. `draw` is a diffusion: its seed, its denoising strength, "init"
where it starts from an image and "mask" where a part is repainted. `warp` is a move of the camera, `motion` the
video's own, `video` a look at one of its images, `flow` a measurement, `depth` a look at depth. Where classic
Deforum has a trace, tests/render/test_trace.py holds it; these are the ones of what it lost, crashed at or did wrong.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from clips import clip, levels
from small_runs import GOLDEN, NoisyEngine, prepared

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.types import Depth, Flow, Image
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.render import loop
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.loop import step
from deforum_helpers.render.moves import Move2D
from deforum_helpers.render.stages import STAGES, Apply, WorkingImage
from deforum_helpers.render.state import Frame, State

TRACES: dict[str, dict[str, Any]] = json.loads((GOLDEN / "mode_traces.json").read_text(encoding="utf-8"))
# Told by what they call.
SILENT = ("move", "video_reference", "diffuse", "redo", "flow_redo", "hybrid_motion", "remember")
COMMON = {"zoom": "0:(1.02)", "skip_video_creation": True, "prompts": {"0": "a", "3": "b --neg c"}}


class Diary:
    """Writes down what a video does."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._words: list[str] = []

    def say(self, words: str) -> None:
        self._words.append(words)

    def step(self, state: State, key: KeyFrame, context: RenderContext) -> tuple[State, tuple[Frame, ...]]:
        stages = {name: self._told(name, apply) for name, apply in STAGES.items()}
        result = step(state, key, replace(context, flow=self._lens), stages)
        saved = " ".join(str(frame.index) for frame in result[1])
        self.lines.append(f"{key.index}: {', '.join(self._words)} > {saved}")
        self._words.clear()
        return result

    def _told(self, name: str, apply: Apply) -> Apply:
        def told(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
            if name == "noise":
                self.say(f"noise {key.noise.amount:g} of {key.noise.seed}")
            elif name not in SILENT:
                self.say(name)
            return apply(work, key, context)

        return told

    def _lens(self, method: str) -> Lens:
        return Lens(method, self)


class Lens:
    """Stands for a way to measure motion: nothing moves."""

    def __init__(self, name: str, diary: Diary) -> None:
        self.name = name
        self._diary = diary

    def estimate(self, source: Image, target: Image, guess: Flow | None = None) -> Flow:
        self._diary.say(f"flow by {self.name}" + (" guessed" if guess is not None else ""))
        return torch.zeros(2, *source.shape[1:])


class Slope:
    """Stands for a depth model: far above, near below."""

    name = "slope"

    def __init__(self, diary: Diary) -> None:
        self._diary = diary

    def estimate(self, image: Image) -> Depth:
        self._diary.say("depth")
        return torch.linspace(2, 1, image.shape[1])[:, None].expand(*image.shape[1:]).contiguous()


class Artist(NoisyEngine):
    """Generates noise, black with some seeds."""

    def __init__(self, diary: Diary, black: tuple[int, ...] = ()) -> None:
        super().__init__()
        self._diary, self._black = diary, black

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        start = "" if request.init_image is None else f" {request.denoising_strength:.3g} init"
        self._diary.say(f"draw {request.seed}{start}" + ("" if request.mask is None else " mask"))
        image = super().generate(request, cancel)
        return torch.zeros_like(image) if request.seed in self._black else image


def context_class(diary: Diary) -> type[RenderContext]:
    class Told(RenderContext):
        def warp(self, image: Image, frame: int, depth_image: Image | None = None) -> Image:
            kind = "warp" if isinstance(self.plan.moves[frame], Move2D) else "warp 3D"
            diary.say(f"{kind} {frame}")
            return super().warp(image, frame, depth_image)

        def video_frame(self, frame: int) -> Image:
            diary.say(f"video {frame}")
            return super().video_frame(frame)

        def video_motion(self, frame: int, before: Image, guess: Flow | None) -> Any:
            motion = super().video_motion(frame, before, guess)
            if motion is not None:
                diary.say(f"motion {frame}")
            return motion

    return Told


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("files")
    half = np.zeros((64, 64), np.uint8)
    half[:, 32:] = 255
    cv2.imwrite(str(folder / "half.png"), half)
    cv2.imwrite(str(folder / "blue.png"), np.full((64, 64, 3), (255, 60, 0), np.uint8))
    masks = np.broadcast_to(half[None, ..., None], (6, 64, 64, 3))
    return {
        "<mask>": str(folder / "half.png"),
        "<image>": str(folder / "blue.png"),
        "<video>": str(clip(folder / "video.mp4", levels(6))),
        "<mask video>": str(clip(folder / "masks.mp4", masks)),
    }


def traced(
    root: Path, monkeypatch: pytest.MonkeyPatch, wish: dict[str, Any], files: dict[str, str]
) -> list[str]:
    """Return the lines of the video that `wish` asks for, which may name the files."""
    text = json.dumps(COMMON | {"animation_mode": "2D"} | wish)
    for name, path in files.items():
        text = text.replace(name, path)
    settings = json.loads(text)
    black = tuple(settings.pop("black seeds", ()))
    diary = Diary()
    monkeypatch.setattr(loop, "step", diary.step)
    monkeypatch.setattr("deforum_helpers.pipeline.sources.RenderContext", context_class(diary))
    job = prepared(root, **settings)
    result = run_job(
        job,
        Artist(diary, black),
        CancelToken(),
        lambda progress: None,
        estimator=lambda name, device: Slope(diary),
    )
    assert result.frames == job.plan.frames
    return diary.lines


@pytest.mark.parametrize("name", TRACES)
def test_events_are_as_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]
) -> None:
    trace = TRACES[name]
    assert traced(tmp_path, monkeypatch, trace["settings"], files) == trace["steps"]
