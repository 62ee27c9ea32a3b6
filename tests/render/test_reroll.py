"""Black frames: generated anew with the next seed, kept, or the end of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import BlankFrame, NotFinite
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.types import Image
from deforum_helpers.media.containers import count_frames
from deforum_helpers.pipeline.job import RunResult, run_job


class FaintEngine(NoisyEngine):
    """Generates black with some seeds, and fails with NaN with others."""

    def __init__(self, black: set[int], broken: set[int] | None = None) -> None:
        super().__init__()
        self.black, self.broken = black, broken or set()

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        image = super().generate(request, cancel)
        if request.seed in self.broken:
            raise NotFinite("The image came out as NaN.")
        return torch.zeros_like(image) if request.seed in self.black else image


def rendered(root: Path, engine: NoisyEngine, **changes: Any) -> RunResult:
    job = prepared(root, {"deforum_ffmpeg_preset": "ultrafast"}, seed=10, **changes)
    return run_job(job, engine, CancelToken(), lambda progress: None)


def seeds(engine: NoisyEngine) -> list[int]:
    return [request.seed for request in engine.requests]


def test_a_black_frame_is_generated_with_the_next_seeds(tmp_path: Path) -> None:
    engine = FaintEngine({12, 13})
    result = rendered(tmp_path, engine, reroll_blank_frames="reroll", reroll_patience=2)
    assert seeds(engine) == [10, 11, 12, 13, 14, 13, 14, 14]
    assert result.frames == 5


def test_nan_counts_as_black(tmp_path: Path) -> None:
    engine = FaintEngine({12}, {10})
    assert rendered(tmp_path, engine, reroll_blank_frames="reroll").frames == 5
    assert seeds(engine)[:2] == [10, 11]


def test_the_last_retry_may_succeed(tmp_path: Path) -> None:
    engine = FaintEngine({11, 12, 13})
    assert (
        rendered(tmp_path, engine, reroll_blank_frames="reroll", reroll_patience=2.5, max_frames=2).frames
        == 2
    )
    assert seeds(engine) == [10, 11, 12, 13, 14]


def test_patience_ends_with_the_frames_before(tmp_path: Path) -> None:
    engine = FaintEngine({13, 14, 15})
    with pytest.raises(BlankFrame, match="Frame 3 came out black 3 times"):
        rendered(tmp_path, engine, reroll_blank_frames="reroll", reroll_patience=2)
    (video,) = tmp_path.rglob("*.mp4")
    assert count_frames(video) == 3
    assert len(list(frame_files(video.parent))) == 3


def test_interrupt_ends_at_once(tmp_path: Path) -> None:
    engine = FaintEngine(set(), {12})
    with pytest.raises(BlankFrame, match="Frame 2 came out black, so"):
        rendered(tmp_path, engine, reroll_blank_frames="interrupt")
    assert seeds(engine) == [10, 11, 12]


def test_ignore_keeps_black_frames_and_fails_with_nan(tmp_path: Path) -> None:
    assert rendered(tmp_path / "a", FaintEngine({12})).frames == 5
    with pytest.raises(NotFinite):
        rendered(tmp_path / "b", FaintEngine(set(), {12}))
