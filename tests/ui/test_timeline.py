"""The timeline's data and the edits of its texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deforum_helpers.core.bundled import bundled
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import Timeline, numeric_series
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.timeline import COLUMNS, edited, offset_expression, read_request, video_timeline
from tests.refusals import refuses
from tests.ui.fake_service import FakeService, facts

FRAMES = Timeline(120, 1, 15.0, 512, 512)
TEXT = '0: (1),\n   30 :( 1.2 ) ~ease_in  ,  "60":(1 + 0.1*sin(t/5)), max_f-5: (2)'


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    return Answers(FakeService(facts(tmp_path)), str)


def ask(answers: Answers, **wanted: Any) -> Any:
    return json.loads(answers.timeline(json.dumps(wanted)))


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        ({"at": 30, "to": 45}, "30 :", "45 :"),
        ({"at": 30, "value": "1.25"}, "( 1.2 )", "( 1.25 )"),
        ({"at": 30, "easing": "bounce"}, "~ease_in", "~bounce"),
        ({"at": 30, "easing": ""}, " ~ease_in", ""),
        ({"at": 60, "offset": 0.5}, "(1 + 0.1*sin(t/5))", "((1 + 0.1*sin(t/5)) + 0.5)"),
        ({"at": 60, "value": "3"}, "(1 + 0.1*sin(t/5))", "(3)"),
        ({"at": 114, "to": 100}, "max_f-5", "100"),
        ({"at": 0, "value": "0.9"}, "0: (1)", "0: (0.9)"),
    ],
)
def test_an_edit_rewrites_its_entry_alone(edit: dict[str, Any], before: str, after: str) -> None:
    assert TEXT.count(before) == 1
    assert edited(TEXT, "zoom", [edit], FRAMES) == TEXT.replace(before, after)


def test_keys_that_swap_frames_are_moved_together() -> None:
    edits = [{"at": 10, "to": 20}, {"at": 20, "to": 10}]
    assert edited("10: (1), 20: (2)", "zoom", edits, FRAMES) == "20: (1), 10: (2)"


def test_keys_are_added_where_they_belong_and_removed_with_their_comma() -> None:
    edits = [{"at": 30, "remove": True}, {"add": 20, "value": "5", "easing": "hold"}]
    assert edited("0: (1), 30: (2), 60: (3)", "zoom", edits, FRAMES) == "0: (1), 20: (5) ~hold, 60: (3)"
    assert edited("30: (2)", "zoom", [{"add": 0, "value": "1"}], FRAMES) == "0: (1), 30: (2)"


def test_a_key_that_is_added_where_one_is_replaces_its_value() -> None:
    assert edited("0: (1), 30: (2)", "zoom", [{"add": 30, "value": "4"}], FRAMES) == "0: (1), 30: (4)"


def test_an_edited_text_is_the_series_that_was_drawn() -> None:
    text = edited(TEXT, "zoom", [{"at": 60, "offset": 0.5}], FRAMES)
    before, after = (numeric_series(one, FRAMES, "zoom").values for one in (TEXT, text))
    assert np.allclose(after[60:110] - before[60:110], 0.5)
    assert np.array_equal(after[:31], before[:31])


@pytest.mark.parametrize(
    ("value", "offset", "found"),
    [
        ("sin(t)", 0.5, "(sin(t)) + 0.5"),
        ("(sin(t)) + 0.5", 0.25, "(sin(t)) + 0.75"),
        ("(sin(t)) + 0.5", -0.75, "(sin(t)) - 0.25"),
        ("(sin(t)) + 0.5", -0.5, "sin(t)"),
        ("(a) * (b) + 1", 1, "((a) * (b) + 1) + 1"),
        ("t", 1e-5, "(t) + 0.00001"),
    ],
)
def test_an_offset_is_added_once(value: str, offset: float, found: str) -> None:
    assert offset_expression(value, offset) == found


def test_prompts_are_moved_split_rewritten_and_removed() -> None:
    text = '{\n  "0": "a lake",\n  "60": "a \\u00e9tang --neg x",   "max_f-9": "end"\n}'
    edits = [{"at": 60, "to": 70}, {"at": 0, "value": 'say "hi"'}]
    moved = text.replace('"60"', '"70"').replace('"a lake"', '"say \\"hi\\""')
    assert edited(text, "prompts", edits, FRAMES) == moved
    split = json.loads(edited(text, "prompts", [{"add": 30, "value": "a lake"}], FRAMES))
    assert list(split) == ["0", "30", "60", "max_f-9"]
    assert list(json.loads(edited(text, "prompts", [{"at": 110, "remove": True}], FRAMES))) == ["0", "60"]


def test_a_text_that_cannot_be_read_is_not_edited() -> None:
    for text, name, code in (
        ("0: (1), 5", "zoom", "not_a_key_frame"),
        ("[1]", "prompts", "not_json_prompts"),
    ):
        with refuses(SettingsError, code):
            edited(text, name, [{"at": 0, "to": 3}], FRAMES)


def test_a_value_that_is_none_is_refused_and_nothing_is_edited(answers: Answers) -> None:
    edits = {"zoom": [{"at": 0, "value": "1), 5: (2"}], "angle": [{"at": 0, "value": "3"}]}
    answer = ask(answers, edits=edits, rows=["zoom"])
    assert answer["texts"] == {}
    assert answer["refused"]
    assert answer["rows"][0]["name"] == "zoom"


def test_rows_are_the_series_that_render(answers: Answers) -> None:
    text = "0: (1), 60: (1.5) ~ease_in_out, 90: (1 + 0.1*sin(t/9))"
    answer = ask(
        answers, values={"zoom": text, "max_frames": 110}, rows=["zoom", "no such", "zoom", 3], number=7
    )
    assert (answer["frames"], answer["number"], answer["problem"]) == (110, 7, "")
    (row,) = answer["rows"]
    values = numeric_series(text, video_timeline({"max_frames": 110}), "zoom").values
    assert np.allclose(row["series"]["values"], values, atol=1e-6)
    assert [point["frame"] for point in row["points"]] == [0, 60, 90]
    assert [point["number"] for point in row["points"]] == [1.0, 1.5, None]
    assert row["points"][1]["easing"]["name"] == "ease_in_out"


def test_rows_of_a_reversed_video_run_as_they_are_written(answers: Answers) -> None:
    values = {"zoom": "0: (1), 50: (2)", "max_frames": 60, "reverse_generation": True}
    series = ask(answers, values=values, rows=["zoom"])["rows"][0]["series"]["values"]
    assert (series[0], series[25], series[59]) == (1.0, 1.5, 2.0)


def test_without_a_choice_those_that_change_are_shown(answers: Answers) -> None:
    names = [row["name"] for row in ask(answers, values={"noise_schedule": "0: (0), 9: (0.1)"})["rows"]]
    assert names == ["zoom", "angle", "strength_schedule", "noise_schedule"]


def test_a_long_series_keeps_its_extremes_and_has_detail_in_view(answers: Answers) -> None:
    values = {"max_frames": 20_000, "zoom": "0: (1), 7001: (1), 7002: (9), 7003: (1)"}
    answer = ask(answers, values=values, rows=["zoom", "angle"], first=6900, last=7100)
    zoom, angle = answer["rows"]
    assert len(zoom["series"]["high"]) <= COLUMNS
    assert (max(zoom["series"]["high"]), min(zoom["series"]["low"])) == (9.0, 1.0)
    assert zoom["detail"]["values"][7002 - 6900] == 9.0
    assert (angle["series"]["values"], len(angle["detail"]["values"])) == ([0.0], 1)


def test_a_row_with_a_mistake_says_so_and_the_others_are_drawn(answers: Answers) -> None:
    answer = ask(answers, values={"zoom": "0: (1+)", "angle": "0: (5)"}, rows=["zoom", "angle"])
    zoom, angle = answer["rows"]
    assert "column" in zoom["problem"]
    assert zoom["points"] == []
    assert (angle["problem"], angle["series"]["values"]) == ("", [5.0])
    assert answer["problem"]


def test_prompts_that_are_no_json_say_so(answers: Answers) -> None:
    prompts = ask(answers, values={"prompts": '{"0": "a",'})["prompts"]
    assert prompts["bands"] == []
    assert prompts["problem"]


def test_moves_are_those_of_the_plan(answers: Answers) -> None:
    flat = ask(answers, values={"zoom": "0: (1)", "translation_x": "0: (51.2)", "W": 512})["motion"]
    assert flat["kind"] == "2D"
    # A tenth of the width to the right.
    assert flat["moves"][5] == [1.0, 0.0, 0.2, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    deep = ask(answers, values={"animation_mode": "3D", "translation_z": "0: (20)"})["motion"]
    assert deep["kind"] == "3D"
    assert deep["moves"][5] == [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, -0.1]
    assert ask(answers, values={"animation_mode": "Interpolation"})["motion"] == {"kind": "none"}


def test_the_waveform_of_a_short_video_is_finer_than_its_frames(answers: Answers) -> None:
    sound = bundled("config/presets/eight_bars.ogg")
    peaks = ask(answers, values={"audio_path": str(sound), "max_frames": 30, "fps": 15})["ruler"]["peaks"]
    assert len(peaks) == 8 * 30 + 1
    # Levels of one frame differ, and neighbours differ less than frames do: no steps.
    assert len(set(peaks[8:16])) > 4
    assert np.abs(np.diff(peaks)).max() < np.abs(np.diff(peaks[::8])).max()


def test_beats_of_a_tempo_are_on_the_ruler(answers: Answers) -> None:
    values = {"bpm": 120, "fps": 20, "max_frames": 40, "beats_per_bar": 3}
    for more in ({}, {"zoom": "0: (1+)"}):  # with a plan and without
        ruler = ask(answers, values=values | more)["ruler"]
        assert ruler == {"beats": [0, 10, 20, 30, 40, 50, 60], "bars": [0, 30, 60], "peaks": []}
    assert ask(answers)["ruler"] == {"beats": [], "bars": [], "peaks": []}


def test_a_moved_key_keeps_its_unit(answers: Answers) -> None:
    values = {"bpm": 120, "fps": 20, "zoom": "0: (1), 1.5s: (2), 4b: (3), 50%: (4)", "max_frames": 101}
    edits = {"zoom": [{"at": 30, "to": 35}, {"at": 40, "to": 70}, {"at": 50, "to": 60}]}
    texts = ask(answers, values=values, edits=edits)["texts"]
    assert texts == {"zoom": "0: (1), 1.75s: (2), 7b: (3), 60: (4)"}


@pytest.mark.parametrize(
    "wanted", [{}, {"rows": 3, "edits": [], "first": "x"}, {"edits": {"W": [{}], "zoom": [1, "a"]}}]
)
def test_what_a_page_may_send_is_narrow(wanted: dict[str, Any]) -> None:
    request = read_request(wanted)
    assert (request.rows, request.first, request.last) == ((), 0, 0)
    assert not any(request.edits.values())


def test_odd_edits_change_nothing() -> None:
    odd = [{}, {"at": None}, {"at": 77, "to": 3}, {"at": 0, "to": 0}, {"at": 0, "offset": True, "remove": 1}]
    assert edited("0: (1)", "zoom", odd, FRAMES) == "0: (1)"
