"""Bad settings over HTTP, with the real checks: each gets its status and setting, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue.store import MemoryStore
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.settings import FIELDS
from tests.api.fake_renderer import Renderer, serving, strict_queue

SMALL = {"max_frames": 8, "W": 64, "H": 64, "prompts": {"0": "a"}}
LONG = 10_000


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Path]]:
    """A server with the real checks, and the folder that it would write to; nothing is ever rendered."""
    root = Path(tmp_path_factory.mktemp("strict")) / "outputs"
    facts = own_facts("null", None, root)
    queue = make_queue(facts, lambda: pytest.fail("a bad job was rendered"), MemoryStore())
    with serving(queue) as client:
        yield client, root
    assert queue.close(20)


# (settings, the setting that is named)
BAD: list[tuple[dict[str, Any], str]] = [
    # sizes and types
    ({"W": 0}, "W"),
    ({"W": -64}, "W"),
    ({"W": 63}, "W"),
    ({"W": 4097}, "W"),
    ({"W": "wide"}, "W"),
    ({"W": [512]}, "W"),
    ({"W": {"a": 1}}, "W"),
    ({"H": 1e300}, "H"),
    ({"H": 1e9}, "H"),
    ({"max_frames": 0}, "max_frames"),
    ({"max_frames": -1}, "max_frames"),
    ({"max_frames": "3D"}, "max_frames"),
    ({"max_frames": 10**12}, "max_frames"),
    ({"max_frames": 10**200}, "max_frames"),
    ({"steps": 0}, "steps"),
    ({"steps": "many"}, "steps"),
    ({"fps": 0}, "fps"),
    ({"fps": -5}, "fps"),
    ({"fps": "x"}, "fps"),
    ({"diffusion_cadence": 0}, "diffusion_cadence"),
    ({"diffusion_cadence": "often"}, "diffusion_cadence"),
    ({"seed": "abc"}, "seed"),
    ({"seed": []}, "seed"),
    ({"animation_mode": True}, "animation_mode"),
    ({"animation_mode": "4D"}, "animation_mode"),
    ({"sampler": "Eulerian"}, "sampler"),
    ({"sampler": 99}, "sampler"),
    ({"scheduler": "whenever"}, "scheduler"),
    ({"seed_behavior": "wild"}, "seed_behavior"),
    ({"border": "fence"}, "border"),
    ({"color_coherence": "Purple"}, "color_coherence"),
    ({"noise_type": "white"}, "noise_type"),
    ({"animation_mode": "3D", "depth_algorithm": "Guess"}, "depth_algorithm"),
    # schedules
    ({"zoom": "0:(1+)"}, "zoom"),
    ({"zoom": "0:(foo)"}, "zoom"),
    ({"zoom": "0:(1/0)"}, "zoom"),
    ({"zoom": "0:(1/t)"}, "zoom"),
    ({"zoom": "0:(sqrt(-1))"}, "zoom"),
    ({"zoom": "0:(__import__('os').system('touch /tmp/owned'))"}, "zoom"),
    ({"zoom": "0:((lambda: 1)())"}, "zoom"),
    ({"zoom": "0:([x for x in range(9)])"}, "zoom"),
    ({"zoom": "0:(t.__class__)"}, "zoom"),
    ({"zoom": "0:(t[0])"}, "zoom"),
    ({"zoom": "0:((a:=1))"}, "zoom"),
    ({"zoom": "0:('a')"}, "zoom"),
    ({"zoom": "0:(9**9**9**9)"}, "zoom"),
    ({"zoom": "0:(2**1e308)"}, "zoom"),
    ({"zoom": "0:(" + "(" * LONG + "1" + ")" * LONG + ")"}, "zoom"),
    ({"zoom": "abc:(1)"}, "zoom"),
    ({"zoom": ""}, "zoom"),
    ({"zoom": {"0": 1}}, "zoom"),
    ({"angle": "0:(1), 4:(min())"}, "angle"),
    ({"translation_x": "0:(1e999)"}, "translation_x"),
    ({"strength_schedule": "0:(nan)"}, "strength_schedule"),
    ({"cfg_scale_schedule": "0:(inf)"}, "cfg_scale_schedule"),
    # prompts
    ({"prompts": {"x": "a"}}, "prompts"),
    ({"prompts": {}}, "prompts"),
    ({"prompts": 7}, "prompts"),
    ({"prompts": {"0": 7}}, "prompts"),
    ({"prompts": {"0": "a `__import__('os')`"}}, "prompts"),
    ({"prompts": {"0": "a `1/0`"}}, "prompts"),
    # paths
    ({"batch_name": 7e300, "W": 1}, "W"),
    ({"resume_from_timestring": True, "resume_timestring": "../../etc/passwd"}, "resume_timestring"),
    ({"resume_from_timestring": True, "resume_timestring": "now"}, "resume_timestring"),
    ({"resume_from_timestring": True, "resume_timestring": "20200101000000"}, "resume_timestring"),
    ({"use_init": True, "init_image": "/no/such/file.png"}, "init_image"),
    ({"use_init": True, "init_image": "\u0000"}, "init_image"),
    ({"use_init": True, "init_image": "http://127.0.0.1:1/a.png"}, "init_image"),
    ({"color_coherence": "Image", "color_coherence_image_path": "nothing.png"}, "color_coherence_image_path"),
]
OVERRIDES: list[tuple[Any, str]] = [
    ({"deforum_persistent_settings_path": "/etc/x"}, "deforum_persistent_settings_path"),
    ({"outdir_img2img_samples": "/etc"}, "outdir_img2img_samples"),
    ({"sd_checkpoint_file": "x"}, "sd_checkpoint_file"),
    ({"__class__": 1}, "__class__"),
    ({"CLIP_stop_at_last_layers": 99}, "CLIP_stop_at_last_layers"),
    ({"CLIP_stop_at_last_layers": "x"}, "CLIP_stop_at_last_layers"),
    ({"eta_ddim": -1}, "eta_ddim"),
    ({"deforum_ffmpeg_crf": 1.5}, "deforum_ffmpeg_crf"),
    ({"deforum_ffmpeg_preset": "; rm -rf"}, "deforum_ffmpeg_preset"),
    ({"sd_model_checkpoint": "no such model"}, "sd_model_checkpoint"),
]


def name_of(case: object) -> str:
    return str(case)[:50]


@pytest.mark.parametrize(("settings", "named"), BAD, ids=name_of)
def test_bad_settings_are_400_and_leave_nothing(
    strict: tuple[TestClient, Path], settings: dict[str, Any], named: str
) -> None:
    client, root = strict
    answer = client.post("/deforum_api/batches", json={"deforum_settings": [SMALL, {**SMALL, **settings}]})
    reply = answer.json()
    assert answer.status_code == 400, reply
    assert any(error["job"] == 1 and error["setting"] == named for error in reply["errors"]), reply
    assert all(error["message"] and len(error["message"]) < 1200 for error in reply["errors"])
    assert client.get("/deforum_api/jobs").json() == {}
    assert not root.exists()


@pytest.mark.parametrize(("overrides", "named"), OVERRIDES, ids=name_of)
def test_options_outside_the_list_are_400_and_named_once(
    strict: tuple[TestClient, Path], overrides: dict[str, Any], named: str
) -> None:
    client, root = strict
    body = {"deforum_settings": [SMALL, SMALL], "options_overrides": overrides}
    answer = client.post("/deforum_api/batches", json=body)
    assert answer.status_code == 400
    if named:
        (error,) = answer.json()["errors"]
        assert (error["job"], error["setting"]) == (None, f"options_overrides.{named}")
    assert client.get("/deforum_api/jobs").json() == {}
    assert not root.exists()


def test_validate_tells_the_same_without_a_refusal(strict: tuple[TestClient, Path]) -> None:
    client, _ = strict
    body = {"deforum_settings": [SMALL, {**SMALL, "zoom": "0:(1), 3:(1/0)", "stepz": 3}]}
    answer = client.post("/deforum_api/validate", json=body)
    good, bad = answer.json()["jobs"]
    assert answer.status_code == 200
    assert (good["errors"], good["plan"]["frames"], good["settings"]["W"]) == ([], 8, 64)
    assert [(error["job"], error["setting"], error["frame"]) for error in bad["errors"]] == [(1, "zoom", 3)]
    assert (bad["settings"], bad["plan"]) == (None, None)
    assert bad["warnings"] == ["Unknown settings are kept but have no effect: 'stepz' (did you mean steps?)."]
    assert client.get("/deforum_api/jobs").json() == {}


def test_names_that_stand_twice_in_a_body_are_told(strict: tuple[TestClient, Path]) -> None:
    client, _ = strict
    once, twice = '{"max_frames": 8, "W": 64, "H": 64}', '{"max_frames": 8, "W": 64, "W": 128, "H": 64}'
    body = f'{{"deforum_settings": [{once}, {twice}]}}'
    for text, number in ((body, 1), (f'{{"deforum_settings": {twice}}}', 0)):
        jobs = client.post("/deforum_api/validate", content=text).json()["jobs"]
        told = [number for number, job in enumerate(jobs) if "more than once" in " ".join(job["warnings"])]
        assert told == [number]
        assert jobs[number]["settings"]["W"] == 128


def test_validate_gives_every_value_of_every_frame(strict: tuple[TestClient, Path]) -> None:
    client, _ = strict
    settings = {
        **SMALL,
        "animation_mode": "3D",
        "translation_z": "0:(t*2)",
        "prompts": {"0": "a --neg b", "4": "c"},
    }
    answer = client.post("/deforum_api/validate?series=true", json={"deforum_settings": settings})
    (job,) = answer.json()["jobs"]
    assert job["series"]["translation_z"] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert {len(values) for values in job["series"].values()} == {8}
    assert [prompt.strip() for prompt in job["prompts"]] == ["a"] * 4 + ["c"] * 4
    assert [prompt.strip() for prompt in job["negative_prompts"]] == ["b"] * 4 + [""] * 4
    assert len(job["seeds"]) == 8
    assert {len(pose) for pose in job["poses"]} == {16}


def test_every_value_of_too_many_frames_is_refused(
    strict: tuple[TestClient, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = strict
    monkeypatch.setattr("deforum_api.queue.checks.request.SERIES_FRAMES", 15)
    body = {"deforum_settings": [SMALL, SMALL]}
    assert client.post("/deforum_api/validate", json=body).status_code == 200
    answer = client.post("/deforum_api/validate?series=true", json=body)
    assert (answer.status_code, "16" in answer.json()["message"]) == (400, True)


def test_the_real_checks_take_good_settings(renderer: Renderer) -> None:
    queue = strict_queue(renderer)
    with serving(queue) as client:
        settings = {**SMALL, "W": "64", "sampler": "euler", "zoom": 0.7, "unheard_of": 1}
        answer = client.post("/deforum_api/batches", json={"deforum_settings": settings})
    assert answer.status_code == 202
    (warnings,) = answer.json()["warnings"].values()
    assert any("unheard_of" in warning for warning in warnings)
    assert queue.close(20)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SCHEDULE_LIKE = st.text(alphabet="0123456789:().,+-*/ tsinmax'\"`\\%^&|<>=!~[]{}_", max_size=40)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), VALUES | SCHEDULE_LIKE, max_size=6))
def test_no_value_of_any_setting_is_a_server_error(
    strict: tuple[TestClient, Path], submitted: dict[str, Any]
) -> None:
    client, root = strict
    body = json.dumps({"deforum_settings": {**SMALL, **submitted}})
    answer = client.post("/deforum_api/validate?series=true", content=body)
    assert answer.status_code in (200, 422), (submitted, answer.json())
    assert not root.exists()


def test_equal_mistakes_are_one_entry_for_each_setting(strict: tuple[TestClient, Path]) -> None:
    client, _ = strict
    wrong = {"zoom": "0:(a), 3:(a), 5:(a)", "angle": "0:(a)", "prompts": {"0": "x `{`", "3": "y `{`"}}
    body = {"deforum_settings": [SMALL | wrong, SMALL | {"zoom": "0:(a)"}]}
    answer = client.post("/deforum_api/batches", json=body)
    told = {(one["job"], one["setting"]): one["message"] for one in answer.json()["errors"]}
    assert sorted(told) == [(0, "angle"), (0, "prompts"), (0, "zoom"), (1, "zoom")]
    assert len(answer.json()["errors"]) == len(told)
    for setting, frames in (("zoom", (0, 3, 5)), ("prompts", (0, 3)), ("angle", (0,))):
        assert all(f"frame {frame}" in told[0, setting] for frame in frames)
