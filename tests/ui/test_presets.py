"""Presets are settings that render as they are, with a name, a sentence and a still."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.pipeline.prepare import HostFacts, prepare
from deforum_helpers.schedule.sound import Beats
from deforum_helpers.settings import load_settings
from deforum_helpers.ui.preset_list import FOLDER, Preset, preset_settings, presets, presets_html


def test_there_are_many_and_each_has_its_own_name() -> None:
    assert len(presets()) >= 10
    assert len({preset.title for preset in presets()}) == len(presets())
    files = {path.stem for path in FOLDER.glob("*.txt")}
    assert files == {preset.name for preset in presets()}


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_a_preset_is_ready_for_the_built_in_model(preset: Preset, tmp_path: Path) -> None:
    settings = preset_settings(preset.name)
    assert load_settings(settings).unknown == {}
    facts = HostFacts("standalone", "demo", None, tmp_path, samplers(), schedulers())
    prepared = prepare(settings, facts)
    assert prepared.warnings == ()
    assert prepared.settings.seed >= 0
    assert prepared.settings.W % 64 == prepared.settings.H % 64 == 0


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_a_preset_has_a_small_still(preset: Preset) -> None:
    assert preset.still.read_bytes()[:2] == b"\xff\xd8"
    assert preset.still.stat().st_size <= 40_000
    assert preset.about.endswith(".")


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_a_preset_has_a_small_moving_thumbnail(preset: Preset) -> None:
    assert preset.moving.stat().st_size <= 60_000
    with Image.open(preset.moving) as moving:
        frames = []
        for number in range(moving.n_frames):  # type: ignore[attr-defined]
            moving.seek(number)
            frames.append(np.asarray(moving.convert("RGB"), dtype=np.float32))
    assert len(frames) >= 12
    assert max(float(np.abs(one - frames[0]).mean()) for one in frames) > 2.0
    assert "image/webp" in presets_html()
    assert "prefers-reduced-motion" in presets_html()


def test_the_picker_offers_all() -> None:
    page = presets_html()
    assert all(f'data-preset="{preset.name}"' in page for preset in presets())
    assert page.count("<img ") == len(presets())


@pytest.mark.parametrize("name", ["kick_tunnel", "night_drive_3d", "two_beat_cuts"])
def test_music_videos_change_their_image_and_push_on_beats(name: str, tmp_path: Path) -> None:
    facts = HostFacts("standalone", "demo", None, tmp_path, samplers(), schedulers())
    plan = prepare(preset_settings(name), facts).plan
    beats = Beats.steady(110).frame(np.arange(17), plan.fps)
    assert len(plan.prompts.key_frames) >= 4
    assert set(plan.prompts.key_frames) <= set(beats.tolist())
    push = plan.schedules.values["translation_z" if name.endswith("3d") else "zoom"]
    on_beat = push[beats[beats < plan.frames]]
    assert np.median(on_beat) == pytest.approx(push.max(), rel=0.2)
    between = np.delete(push, [*beats[beats < plan.frames], *(beats[beats < plan.frames - 1] + 1)])
    assert np.median(on_beat) - 1 > 2 * (np.median(between) - 1)
    assert on_beat.min() > between.max()
    assert plan.sound


def test_the_seamless_one_ends_as_it_begins(tmp_path: Path) -> None:
    facts = HostFacts("standalone", "demo", None, tmp_path, samplers(), schedulers())
    keys = prepare(preset_settings("seamless_interpolation"), facts).plan.key_frames
    first, middle, last = keys[0].request, keys[len(keys) // 2].request, keys[-1].request
    assert first == last
    assert middle.prompt != first.prompt
    assert middle.subseed_strength > 0
