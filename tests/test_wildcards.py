"""Wildcards of prompts: choices by the seed, files within their folders, and what is refused."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import SMALL, host

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.prepare import Prepared, prepare
from deforum_helpers.pipeline.wildcards import resolve_wildcards
from deforum_helpers.settings import Settings
from deforum_helpers.settings.files import settings_text
from deforum_helpers.settings.recommended import recommended_settings
from tests.refusals import refuses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wildcards" / "deep").mkdir(parents=True)
    for name, text in {
        "colors": "# warm ones\nred\n\n  orange \n9::yellow\n",
        "scenes": "a __colors__ {sky|sea}\n",
        "deep/one": "only",
        "empty": "# nothing\n\n",
        "loop": "a __turn__",
        "turn": "b __loop__",
    }.items():
        (tmp_path / "wildcards" / f"{name}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    return tmp_path / "wildcards"


def resolved(text: str, *folders: Path, seed: int = 1) -> str:
    settings = Settings(prompts={"0": text}, seed=seed, wildcards=True)
    found, problems, warnings = resolve_wildcards(settings, folders)
    if problems:
        raise SettingsError(problems)
    assert warnings == ()
    return found.prompts["0"]


def test_braces_become_one_of_their_texts() -> None:
    found = Counter(resolved("a {red|{dark|light} green|} cat", seed=seed) for seed in range(300))
    assert found.keys() == {"a red cat", "a dark green cat", "a light green cat", "a  cat"}
    assert 70 < found["a red cat"] < 130
    weighted = Counter(resolved("{3::a|b|0::c}", seed=seed) for seed in range(300))
    assert weighted.keys() == {"a", "b"}
    assert 190 < weighted["a"] < 260


def test_files_become_one_of_their_lines(folder: Path) -> None:
    found = Counter(resolved("__scenes__, __deep/one__", folder, seed=seed) for seed in range(200))
    colors, scenes = zip(*((text.split()[1], text.split()[2]) for text in found), strict=True)
    assert set(colors) == {"red", "orange", "yellow"}
    assert set(scenes) == {"sky,", "sea,"}
    assert all(text.endswith(", only") for text in found)
    assert sum(count for text, count in found.items() if "yellow" in text) > 120


def test_choices_follow_from_the_seed_and_the_place_alone() -> None:
    choice = "{a|b|c|d|e|f|g|h} {a|b|c|d|e|f|g|h}"
    assert resolved(choice, seed=5) == resolved(choice, seed=5)
    assert len({resolved(choice, seed=seed) for seed in range(20)}) > 10
    two = Settings(prompts={"0": choice, "9": choice}, seed=5, wildcards=True)
    first, second = resolve_wildcards(two, ())[0].prompts.values()
    assert first == resolved(choice, seed=5) != second


@pytest.mark.parametrize(
    "text",
    [
        "a {red} cat",
        "{a",
        "a|b}",
        "one __ two __ three",
        "snake__case",
        "____",
        "<lora:my__name__style:0.8>",
        "a cat `where(t>3, 1, 2)` {",
        "(a|b) [c|d]",
        "a --neg b",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert resolved(text) == text
    settings, problems, warnings = resolve_wildcards(Settings(prompts={"0": text}, seed=1), ())
    assert (settings.prompts["0"], problems, warnings) == (text, (), ())


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ("__nowhere__", "wildcard_missing", "colors"),
        ("__../secret__", "wildcard_missing", "secret"),
        ("__deep/../../secret__", "wildcard_missing", "secret"),
        ("__deep__", "wildcard_missing", "deep"),
        ("__empty__", "wildcard_empty", "empty"),
        ("__loop__", "wildcard_recursion", "__loop__ in __turn__ in __loop__"),
        ("{0::a|" * 30 + "b" + "}" * 30, "wildcards_too_many", "inside"),
        ("{a|b}" * 1001, "wildcards_too_many", "1000"),
    ],
)
def test_refused(folder: Path, text: str, code: str, found: str) -> None:
    if found == "secret":  # the name is not one of a wildcard
        assert resolved(text, folder) == text or "secret" not in resolved(text, folder)
        return
    with refuses(SettingsError, code, found, "key '0'"):
        for seed in range(200):
            resolved(text, folder, seed=seed)


def test_files_outside_the_folder_are_not_read(folder: Path) -> None:
    if not hasattr(os, "symlink") or os.name == "nt":
        pytest.skip("needs links")
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    with refuses(SettingsError, "wildcard_missing", "link"):
        resolved("__link__", folder)
    for name in ("C:/x", "/etc/passwd", "a\\b", "..", "colors/..", "colors."):
        assert "secret" not in repr(resolved_or_refused(f"__{name}__", folder))


def resolved_or_refused(text: str, folder: Path) -> str | None:
    try:
        return resolved(text, folder)
    except SettingsError:
        return None


def test_a_file_of_gigabytes_or_a_folder_is_refused(folder: Path) -> None:
    (folder / "big.txt").write_bytes(b"x" * (5 << 20))
    with refuses(SettingsError, "wildcard_unreadable", "big"):
        resolved("__big__", folder)


@given(st.text(alphabet="{}|_ab`<>:1.", max_size=60))
def test_any_text_is_resolved_or_refused(text: str) -> None:
    found = resolved_or_refused(text, Path("nowhere"))
    assert found is None or resolved_or_refused(found, Path("nowhere")) is not None


def planned(folder: Path, **changes: Any) -> Prepared:
    return prepare(SMALL | changes, host(folder.parent, wildcard_folders=(folder,)), draw_seed=lambda: 99)


def test_the_plan_and_the_saved_settings_have_the_choices(folder: Path) -> None:
    settings = {
        "prompts": {"0": "a {lake|sea} __colors__ --neg {fog|rain}"},
        "animation_prompts_positive": "{oil|ink}",
    }
    job = planned(folder, **settings, wildcards=True, seed=-1)
    saved = json.loads(settings_text(job.settings))
    prompt = saved["prompts"]["0"]
    assert not {"{", "_", "|"} & set(prompt + saved["animation_prompts_positive"])
    assert saved["animation_prompts_positive"] in ("oil", "ink")
    request = job.plan.key_frames[0].request
    assert request.prompt.endswith(prompt.split(" --neg ")[0])
    assert request.negative_prompt == prompt.split(" --neg ")[1]
    again = planned(folder, **saved)
    assert again.plan.digest == job.plan.digest
    assert job.submitted["prompts"] == settings["prompts"]


def test_off_they_stay_with_a_warning(folder: Path) -> None:
    job = planned(folder, prompts={"0": "a {lake|sea}"})
    assert job.plan.key_frames[0].request.prompt == "a {lake|sea}"
    assert "wildcards_off" in map(code_of, job.warnings)
    assert recommended_settings().wildcards


def test_a_missing_file_is_a_problem_of_the_prompts(folder: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        planned(folder, prompts={"0": "a", "2": "__no__"}, wildcards=True, zoom="0:(1+)")
    assert {problem.setting for problem in caught.value.problems} == {"prompts", "zoom"}


def test_the_own_host_reads_them_beside_the_outputs(tmp_path: Path) -> None:
    assert own_facts("null", None, tmp_path).wildcard_folders[0] == tmp_path.resolve() / "wildcards"
