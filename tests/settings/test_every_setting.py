"""A setting acts exactly where its declaration says so: there a changed value changes what is generated or written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch
from small_runs import NoisyEngine, host

from deforum_helpers.core.errors import DeforumError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.types import Image
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.depth.estimators import DepthEstimator, make_estimator
from deforum_helpers.output.writer import Background
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.settings import FIELDS, defaults
from deforum_helpers.settings.compatibility import FACTS
from deforum_helpers.settings.modes import acts
from tests.settings.effects import BASE, MORE_CASES, Case, Changes, all_cases, make_files

ALL_CASES = all_cases()
Trace = tuple[Any, ...]


class NoiseOrBlack(NoisyEngine):
    """Generates noise, and black images for the prompt "black" while the seed is at most 3."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        image = super().generate(request, cancel)
        black = "black" in request.prompt and request.seed <= 3
        return torch.zeros_like(image) if black else image


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def comparable(value: Any) -> Any:
    """Return a value of a request in a form that can be compared."""
    if isinstance(value, torch.Tensor):
        return digest(value.numpy().tobytes())
    if is_dataclass(value):
        return tuple(comparable(getattr(value, part.name)) for part in fields(value))
    if isinstance(value, tuple):
        return tuple(comparable(part) for part in value)
    return repr(value)


def _with_mask_or_without(request: GenerateRequest) -> GenerateRequest:
    """Return the request as engines read it: without a mask, they ignore the content of the masked part."""
    return request if request.mask is not None else replace(request, mask_content="picture")


def written(path: Path) -> Any:
    """Return the images of a file in a form that can be compared, without the settings stored in it."""
    if path.suffix in (".png", ".jpg"):
        return digest(cv2.imread(str(path), cv2.IMREAD_UNCHANGED).tobytes())
    if path.suffix == ".mp4":
        command = [find_ffmpeg(None), "-hide_banner", "-i", str(path), "-f", "streamhash", "-"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout, re.findall(r"Duration: \S+|[\d.]+ fps", done.stderr)
    return None


def trace(root: Path, files: Path, changes: Changes, *, again: bool = False) -> Trace:
    """Render a video; return the requests, the files, the number of requests before each write, and the error.

    Args:
        root: folder of the video.
        files: folder of the files that settings name as <file>.
        changes: settings that differ from `BASE`.
        again: render twice and return the second run; in between, the extracted frames are blackened.
    """
    if again:
        trace(root, files, changes)
        for path in root.rglob("*inputframes/*.jpg"):
            cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    text = json.dumps(BASE | changes).replace("<", f"{files}/")
    submitted = json.loads(text.replace(">", ""))
    engine, queued = NoiseOrBlack(), []
    put = Background.put

    def recording(background: Any, work: Any) -> None:
        queued.append(len(engine.requests))
        put(background, work)

    shares: list[dict[str, Any]] = []

    def making_estimator(name: str, device: torch.device, **share: Any) -> DepthEstimator:
        shares.append(share)
        return make_estimator(name, device, **share)

    try:
        job = prepare(submitted, host(root), {"deforum_ffmpeg_preset": "ultrafast"}, draw_seed=lambda: 9)
        with patch.object(Background, "put", recording):
            run_job(job, engine, CancelToken(), lambda progress: None, estimator=making_estimator)
        end = ""
    except DeforumError as error:
        end = str(error)
    requests = tuple(comparable(_with_mask_or_without(request)) for request in engine.requests)
    on_disk = {
        re.sub(r"\d{14}", "<when>", str(path.relative_to(root))): written(path)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    return requests, on_disk, queued, shares, re.sub(r"\d{14}", "<when>", end) if "resume" not in end else end


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    return folder


@pytest.fixture(autouse=True)
def without_disk_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture(scope="module")
def plain() -> dict[str, Trace]:
    """Return the traces of videos without the setting under test, which many cases share."""
    return {}


def plainly(plain: dict[str, Trace], root: Path, files: Path, others: Changes, again: bool = False) -> Trace:
    key = json.dumps((others, again))
    if key not in plain:
        plain[key] = trace(root / "plain", files, others, again=again)
    return plain[key]


def test_every_setting_has_a_case_or_a_reason() -> None:
    without = {name for name, fact in FACTS.items() if fact.no_effect}
    assert set(ALL_CASES) | without == set(FIELDS)
    assert not set(ALL_CASES) & without
    assert all(
        not info.loaded or info.name in ALL_CASES or FACTS[info.name].no_effect for info in FIELDS.values()
    )


@pytest.mark.parametrize("name", ALL_CASES)
def test_a_changed_value_changes_the_video(
    name: str, files: Path, plain: dict[str, Trace], tmp_path: Path
) -> None:
    assert_that_it_acts(name, ALL_CASES[name], files, plain, tmp_path)


def assert_that_it_acts(name: str, case: Case, files: Path, plain: dict[str, Trace], tmp_path: Path) -> None:
    assert case.value != FIELDS[name].default or name in case.others
    assert acts(name, defaults() | BASE | case.others | {name: case.value}), FIELDS[name].used_when.phrase()
    changed = trace(tmp_path / "changed", files, case.others | {name: case.value}, again=case.again)
    before = plainly(plain, tmp_path, files, case.others, case.again)
    assert before[-1] == "" or name in before[-1], before[-1]
    assert changed != before


@pytest.mark.parametrize(
    ("name", "case"), MORE_CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_setting_acts_in_every_way_that_its_declaration_names(
    name: str, case: Case, files: Path, plain: dict[str, Trace], tmp_path: Path
) -> None:
    assert_that_it_acts(name, case, files, plain, tmp_path)


def other_values(name: str) -> tuple[Any, ...]:
    """Return values of a setting for which a predicate may not hold."""
    info = FIELDS[name]
    if info.kind == "bool":
        return (False, True)
    if info.kind in ("int", "float"):
        return (info.minimum,)
    return info.choices or ("0: (0)" if info.kind == "schedule" else "",)


def idle_cases() -> dict[str, tuple[str, Changes]]:
    """Return videos in which a setting has another value but does not act, according to its declaration.

    They are the video in which it acts, changed in one setting that its predicate reads, and two simple ones. Of the
    ControlNet units, which are all alike, only the first is used.
    """
    found = {}
    for name, case in ALL_CASES.items():
        if name.startswith("cn_") and not name.startswith("cn_1_"):
            continue
        scenes = {"plain": {}, "Interpolation": {"animation_mode": "Interpolation"}}
        for read in sorted(FIELDS[name].used_when.reads()):
            for value in other_values(read):
                changed = case.others | {read: value}
                if not acts(name, defaults() | BASE | changed | {name: case.value}):
                    scenes[read] = changed
                    break
        for about, others in scenes.items():
            if not acts(name, defaults() | BASE | others | {name: case.value}):
                found[f"{name}, {about}"] = (name, others)
    return found


@pytest.mark.parametrize(("name", "others"), idle_cases().values(), ids=idle_cases())
def test_a_setting_that_does_not_act_changes_nothing(
    name: str, others: Changes, files: Path, plain: dict[str, Trace], tmp_path: Path
) -> None:
    again = ALL_CASES[name].again
    changed = trace(tmp_path / "changed", files, others | {name: ALL_CASES[name].value}, again=again)
    assert changed == plainly(plain, tmp_path, files, others, again)


def test_every_setting_that_may_not_act_is_seen_without_effect() -> None:
    seen = {name for name, _ in idle_cases().values()}
    conditional = {name for name in ALL_CASES if FIELDS[name].used_when.reads()}
    assert {name for name in conditional if not name.startswith(("cn_2", "cn_3", "cn_4", "cn_5"))} == seen
