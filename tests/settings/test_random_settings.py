"""Any settings that the declaration allows are planned or refused in our own words; equal ones plan equal videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import host

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.pipeline.prepare import Prepared, prepare
from deforum_helpers.settings import FIELDS, FieldInfo
from tests.settings.effects import all_cases, make_files, manifest

MOST_FRAMES = 40
FILES = ("a.png", "b.png", "clear.png", "half.png", "video.mp4", "masks.mp4")
NAMES = [name for name, info in FIELDS.items() if info.loaded]

numbers = st.one_of(
    st.sampled_from(["0", "1", "-1", "0.5", "30", "1e3", ".5", "5."]),
    st.floats(-300, 300, width=16).map(repr),
)
names = st.sampled_from(["t", "s", "max_f", "fps", "w", "h", "pi", "e", "u"])
expressions = st.recursive(
    numbers | names,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<", "&"]), inner).map(
            "".join
        ),
        st.tuples(st.sampled_from(["sin", "sqrt", "log", "noise", "abs", "tan", "round"]), inner).map(
            lambda call: f"{call[0]}({call[1]})"
        ),
        st.tuples(inner, inner).map(lambda pair: f"where(t>3, {pair[0]}, {pair[1]})"),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=5,
)
frames = st.one_of(st.integers(0, 60).map(str), st.sampled_from(["max_f", '"max_f-2"', "max_f/2", "-3", "x"]))
entries = st.tuples(frames, expressions).map(lambda entry: f"{entry[0]}: ({entry[1]})")
schedules = st.lists(entries, min_size=1, max_size=4).map(", ".join) | st.text("0:(1),'\" t", max_size=12)
masks = st.sampled_from(
    [
        "{everywhere}",
        "!{video_mask} & {init_mask}",
        "([<a.png>] | {x})",
        "<a house>",
        "!",
        "{human_mask} ^ !{init_mask}",
    ]
)
string_schedules = st.one_of(
    st.tuples(frames, st.sampled_from(["Euler a", "ddim", "Karras", "a", "b", "no such"]) | masks).map(
        lambda entry: f'{entry[0]}: ("{entry[1]}")'
    ),
    st.text(max_size=12),
)
paths = st.sampled_from(
    ["", "nowhere.mp4", "file:///etc/passwd", "http://127.0.0.1/a.png", *(f"<{name}>" for name in FILES)]
)
prompts = st.dictionaries(
    frames,
    st.text(max_size=20) | st.sampled_from(["a --neg b", "`t/0`", "`1+t` x", "(a:1.2) AND b:`t`"]),
    min_size=1,
    max_size=4,
)
jsons = st.one_of(
    st.sampled_from(
        ["", "{}", "{", "[]", "null", '{"0": 3}', '{"0": "<a.png>", "3": "<b.png>"}', manifest()]
    ),
    st.text('{}[]":0a,', max_size=12),
)


def values_of(info: FieldInfo) -> st.SearchStrategy[Any]:
    """Values that the declaration of one setting allows, and a few texts that it has to read first."""
    if info.name == "max_frames":
        return st.integers(1, MOST_FRAMES)
    if info.name in ("W", "H"):
        return st.integers(64, 200)
    if info.kind == "int":
        return st.integers(int(info.minimum or 0), int(info.maximum or 0))
    if info.kind == "float":
        return st.floats(info.minimum, info.maximum)
    if info.kind == "enum":
        return st.sampled_from(info.choices)
    return {
        "bool": st.booleans(),
        "schedule": schedules,
        "string schedule": string_schedules,
        "text": st.text(max_size=12),
        "path": paths,
        "prompts": prompts,
        "json": jsons,
    }[info.kind]


ALL_CASES = all_cases()
SMALL = {"W": 64, "H": 64, "max_frames": 6, "depth_algorithm": "Plane"}


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Any]:
    """One setting where it matters, it and its companions at random, and a few others."""
    name = draw(st.sampled_from(sorted(ALL_CASES)))
    scene = ALL_CASES[name].others
    near = draw(st.lists(st.sampled_from(sorted({name, *scene})), max_size=4, unique=True))
    far = draw(st.lists(st.sampled_from(NAMES), max_size=6, unique=True))
    chosen = {other: draw(values_of(FIELDS[other])) for other in (name, *near, *far)}
    return SMALL | scene | chosen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    return folder


def prepared_or_refused(submitted: dict[str, Any], folder: Path) -> Prepared | SettingsError:
    try:
        return prepare(submitted, host(folder / "out"), draw_seed=lambda: 7)
    except SettingsError as error:
        return error


def submitted_with(wish: dict[str, Any], folder: Path) -> dict[str, Any]:
    text = json.dumps(wish)
    for name in FILES:
        text = text.replace(f"<{name}>", str(folder / name))
    return json.loads(text)


@pytest.mark.parametrize(
    "name", [name for name in ALL_CASES if not name.startswith(("cn_2", "cn_3", "cn_4", "cn_5"))]
)
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_value_of_a_setting_plans_or_is_refused_where_it_matters(
    name: str, folder: Path, data: st.DataObject
) -> None:
    wish = SMALL | ALL_CASES[name].others | {name: data.draw(values_of(FIELDS[name]))}
    prepared_or_refused(submitted_with(wish, folder), folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(wishes())
def test_any_valid_settings_plan_or_are_refused(folder: Path, wish: dict[str, Any]) -> None:
    submitted = submitted_with(wish, folder)
    first, second = (prepared_or_refused(submitted, folder) for _ in range(2))
    if isinstance(first, SettingsError):
        assert isinstance(second, SettingsError)
        assert first.problems == second.problems
        assert all(problem.message.isprintable() and problem.message for problem in first.problems)
    else:
        assert isinstance(second, Prepared)
        assert first.plan.digest == second.plan.digest
        assert [key.index for key in first.plan.key_frames] == sorted(
            {key.index for key in first.plan.key_frames}
        )
        assert first.plan.key_frames[-1].stop == first.plan.frames
    assert not (folder / "out").exists()
