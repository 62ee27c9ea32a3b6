"""Prompts over frames: additions, negative parts, expressions, blends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.engines.diffusion.prompt_syntax import parse_prompt
from deforum_helpers.schedule import Timeline, interpolated_prompt_series, prompt_series
from deforum_helpers.schedule.prompt_text import MAX_PROMPT_CHARACTERS, merged_prompt, split_negative


def timeline(frames: int = 10) -> Timeline:
    return Timeline(frames=frames, seed=7, fps=15.0, width=512, height=512)


def test_prompts_hold_and_reach_back() -> None:
    series = prompt_series({"3": "a", "max_f/2+2": "b", "(8)": "c"}, timeline())
    assert series.positive == ("a",) * 6 + ("b",) * 2 + ("c",) * 2
    assert series.negative == ("",) * 10
    assert series.key_frames == (3, 6, 8)
    assert series.warnings == ()


def test_texts_are_the_merged_prompts_as_written() -> None:
    series = prompt_series({"0": "cat `t`", "1": "dog --neg wet"}, timeline(2), "oil", "ugly --neg bad")
    assert series.texts == ("oil cat `t` --neg ugly  bad", "oil dog --neg wet  ugly  bad")
    assert series.positive == ("oil cat 0", "oil dog")
    assert series.negative == ("ugly  bad", "wet  ugly  bad")


def test_additions_may_be_empty() -> None:
    assert prompt_series({"0": "cat"}, timeline(1)).texts == (" cat --neg ",)
    assert merged_prompt("a --neg b", "", "") == " a --neg b  "


def test_a_negative_mark_in_the_positive_addition_comes_first() -> None:
    series = prompt_series({"0": "cat"}, timeline(1), "oil --neg dry")
    assert (series.positive, series.negative) == (("oil",), ("dry cat",))


@given(st.lists(st.sampled_from(["a ", " b", "--neg", "--neg ", "é", ""]), max_size=6).map("".join))
def test_everything_after_the_first_mark_is_negative(text: str) -> None:
    before, after = split_negative(text)
    assert "--neg" not in before
    assert "--neg" not in after.replace("--", "") or "--neg" in text
    series = prompt_series({"0": text}, timeline(1))
    assert series.positive[0] == before.strip()
    assert series.negative[0] == after.strip()


@pytest.mark.parametrize(
    "mark",
    [
        "--NEG",
        "-- neg",
        "—neg",
        "– neg",
        "−−neg",
        "---neg",
        "-neg",
        "--negative",
        "--Negative:",
        "--neg:",
        "--neg_prompt",
    ],
)
def test_a_misspelled_mark_is_read_as_the_mark(mark: str) -> None:
    for read in (prompt_series, interpolated_prompt_series):
        series = read({"0": f"a `t` lake {mark} fog {mark} dust"}, timeline(2))
        assert series.positive == ("a 0 lake", "a 1 lake")
        assert series.negative == ("fog  dust",) * 2
        assert series.texts == (" a `t` lake --neg fog --neg dust  ",) * 2
        (warning,) = series.warnings
        assert repr(mark) in warning
    assert prompt_series({"0": "a"}, timeline(1), f"oil {mark} dry").negative == ("dry a",)


@pytest.mark.parametrize(
    "text",
    [
        "minimal—negative space",
        "a -negative space",
        "a — negative space",
        "bad-hands-neg",
        "<lora:x-neg:1>",
        "a-neg-b",
    ],
)
def test_words_with_dashes_are_no_mark(text: str) -> None:
    series = prompt_series({"0": text}, timeline(1))
    assert (series.positive, series.negative, series.warnings) == ((text,), ("",), ())


def test_key_frames_before_the_video_and_between_frames_are_told() -> None:
    for read in (prompt_series, interpolated_prompt_series):
        before, between = read({"0-5": "a", "1.5": "b"}, timeline()), read({"0": "a", "1.5": "b"}, timeline())
        assert any("-5" in warning for warning in before.warnings)
        assert "key_rounded" in map(code_of, between.warnings)


def test_expressions_change_per_frame_on_both_sides_and_in_additions() -> None:
    series = prompt_series(
        {"0": "(a:`t/4`) --neg `max_f-t`", "2": "b"}, timeline(3), "`t*10`", "`where(t>1, t, 0.5)`"
    )
    assert series.positive == ("0 (a:0.0)", "10 (a:0.25)", "20 b")
    assert series.negative == ("2  0.5", "1  0.5", "2")


def test_key_frames_outside_the_run_change_nothing_and_are_named() -> None:
    series = prompt_series({"0": "a", "10": "b", "0-4": "c"}, timeline())
    assert series.positive == ("a",) * 10
    (warning,) = series.warnings
    assert code_of(warning) == "prompt_keys_outside"
    assert "-4, 10" in warning


def test_of_only_outside_key_frames_the_first_written_counts() -> None:
    series = prompt_series({"30": "a", "20": "b"}, timeline())
    assert series.positive == ("a",) * 10
    assert series.key_frames == ()
    assert [code_of(warning) for warning in series.warnings] == ["prompt_keys_outside", "no_prompt_inside"]
    assert "key frame 30" in series.warnings[1]
    assert interpolated_prompt_series({"30": "a", "20": "b"}, timeline()).positive == ("a",) * 10


def test_a_frame_given_twice_keeps_the_last() -> None:
    series = prompt_series({"0": "a", "0+0": "b"}, timeline())
    assert series.positive == ("b",) * 10
    assert [code_of(warning) for warning in series.warnings] == ["key_given_again"]


def test_a_lonely_back_tick_is_kept() -> None:
    series = prompt_series({"0": "`t` it`s"}, timeline(2))
    assert series.positive == ("0 it`s", "1 it`s")
    (warning,) = series.warnings
    assert code_of(warning) == "unpaired_backtick"
    assert warning.startswith("prompts, frame 0, column 7: ")


def test_all_problems_are_reported_with_their_places() -> None:
    with pytest.raises(SettingsError) as caught:
        prompt_series({"0": "a `foo`", "t": "b", "5": "``"}, timeline(), "x `1+`", "y `t t`")
    found = {(problem.setting, problem.frame, problem.column) for problem in caught.value.problems}
    assert found == {
        ("animation_prompts_positive", None, 6),
        ("animation_prompts_negative", None, 6),
        ("prompts", 0, 4),
        ("prompts", None, 1),
        ("prompts", 5, 2),
    }


def test_the_first_bad_frame_of_each_prompt_is_reported() -> None:
    with pytest.raises(SettingsError) as caught:
        prompt_series({"0": "`1/(t-2)`", "5": "a --neg `1/(t-7)`"}, timeline())
    assert [(problem.frame, problem.column) for problem in caught.value.problems] == [(2, 3), (7, 11)]


@pytest.mark.parametrize(
    ("key", "place", "code"),
    [
        ("max_f/2+zz", "prompts, key 'max_f/2+zz', column 9: ", "unknown_name"),
        (" ", "prompts, key ' ', column 1: ", "empty_text"),
    ],
)
def test_a_bad_key_is_shown(key: str, place: str, code: str) -> None:
    with pytest.raises(SettingsError) as caught:
        prompt_series({"0": "a", key: "b"}, timeline())
    (problem,) = caught.value.problems
    assert problem.message.startswith(place)
    assert (problem.setting, problem.code) == ("prompts", code)


@given(st.sets(st.integers(-3, 12), min_size=1), st.integers(0, 9))
def test_the_key_frames_around_a_frame(keys: set[int], frame: int) -> None:
    series = prompt_series({f"{key}+0": "a" for key in keys}, timeline())
    inside = [key for key in keys if 0 <= key < 10]
    first = max((key for key in inside if key <= frame), default=0)
    assert series.around(frame) == (first, min((key for key in inside if key > frame), default=None))
    assert series.begins_at(frame) == (frame in inside)


def test_there_must_be_a_prompt() -> None:
    with pytest.raises(SettingsError) as caught:
        prompt_series({}, timeline())
    assert caught.value.problems[0].code == "no_prompts"


@pytest.mark.parametrize("series", [prompt_series, interpolated_prompt_series])
def test_sizes_are_bounded(series: object) -> None:
    with pytest.raises(SettingsError, match=f"at most {MAX_PROMPT_CHARACTERS}"):
        series({"0": "a" * (MAX_PROMPT_CHARACTERS + 1)}, timeline())  # type: ignore[operator]
    with pytest.raises(SettingsError, match="at most 2000 characters per prompt"):
        series({"0": "`t`" + "a" * 5000}, timeline(100_000))  # type: ignore[operator]


def test_blends_weigh_both_prompts() -> None:
    series = interpolated_prompt_series({"2": "a `t`", "6": "b --neg c"}, timeline(8), "x")
    assert series.positive[:3] == ("x a 0", "x a 1", "x a 2")
    assert series.positive[3] == "(x a 3 ):0.75 AND  (x b ):0.25"
    assert series.negative[3] == "( c  ):0.25"
    assert series.positive[6:] == ("x b", "x b")
    assert series.texts[3] == " (x a `t` ):0.75 AND  (x b ):0.25 --neg  ( c  ):0.25"
    assert series.key_frames == (2, 6)


def test_blends_weigh_each_part_of_and_with_its_own_weight() -> None:
    prompts = {"0": "x AND y:0.5 --neg n AND m:2", "4": "z:-0.5 AND (v:1.2) AND w:`t`"}
    series = interpolated_prompt_series(prompts, timeline(5))
    assert parse_prompt(series.positive[1]).parts == (
        ("( x )", 0.75),
        ("( y)", 0.375),
        ("( z)", -0.125),
        ("( (v:1.2) )", 0.25),
        ("( w)", 0.25),
    )
    assert [weight for _, weight in parse_prompt(series.negative[1]).parts] == [0.75, 1.5]
    assert [parse_prompt(text).parts[-1][1] for text in series.positive[1:4]] == [0.25, 1.0, 2.25]
    again = prompt_series({"0": series.texts[3], "9": "end"}, timeline(5))
    assert parse_prompt(again.positive[3]).parts == parse_prompt(series.positive[3]).parts
    assert series.positive[0] == "x AND y:0.5"


def test_brackets_that_and_divides_stay_apart() -> None:
    series = interpolated_prompt_series({"0": r"(x AND y:0.5) AND \(v", "4": "z"}, timeline(5))
    assert parse_prompt(series.positive[2]).parts == (
        ("(x", 0.5),
        ("y:0.5)", 0.5),
        (r"( \(v )", 0.5),
        ("( z )", 0.5),
    )


def test_small_weights_have_no_exponent() -> None:
    """Hosts read none, nor do we."""
    series = interpolated_prompt_series({"0": "a", "90000": "b AND c:0.00001"}, timeline(4))
    for frame in (1, 2, 3):
        weights = [weight for _, weight in parse_prompt(series.positive[frame]).parts]
        assert weights == pytest.approx([1 - frame / 90000, frame / 90000, frame / 90000 * 1e-5], rel=1e-9)
        assert "e-" not in series.positive[frame]


def test_blends_reach_towards_key_frames_outside_the_run() -> None:
    series = interpolated_prompt_series({"0-2": "a", "2": "b", "6": "c"}, timeline(4))
    assert series.positive[0] == "( a ):0.5 AND  ( b ):0.5"
    assert series.positive[3] == "( b ):0.75 AND  ( c ):0.25"
    assert series.key_frames == (2,)


@given(
    st.dictionaries(st.integers(-5, 25).map(str), st.sampled_from(["a", "b --neg c", "`t`", ""]), min_size=1),
    st.integers(1, 20),
)
def test_every_frame_has_a_prompt_in_both_modes(prompts: dict[str, str], frames: int) -> None:
    for make in (prompt_series, interpolated_prompt_series):
        series = make(prompts, timeline(frames))
        assert len(series.texts) == len(series.positive) == len(series.negative) == frames
        assert all("--neg" not in side for side in series.positive + series.negative)


def test_frames_without_a_number_have_that_of_their_neighbours() -> None:
    series = prompt_series({"0": "a `sqrt(t-2)*2`", "5": "b --neg `where(t==7, log(-1), t)`"}, timeline(9))
    assert series.positive[:3] == ("a 0.0", "a 0.0", "a 0.0")
    assert series.positive[3] == "a 2.0"
    assert series.negative[5:] == ("5", "6", "7.0", "8")
    assert len(series.warnings) == 2
    assert "0-1" in series.warnings[0]
    assert "frame 7" in series.warnings[1]


def test_a_key_frame_without_a_number_takes_it_from_the_blend() -> None:
    series = interpolated_prompt_series({"0": "cat:`sqrt(t-1)+2`", "4": "dog"}, timeline(4))
    assert series.positive[0] == "cat:2.0"
    assert series.positive[1] == "( cat):1.5 AND  ( dog ):0.25"


@pytest.mark.parametrize("expand", [prompt_series, interpolated_prompt_series])
def test_a_number_that_is_none_at_every_frame_is_an_error(expand: Callable[..., Any]) -> None:
    with pytest.raises(SettingsError, match="nan"):
        expand({"0": "cat `log(-1)`"}, timeline())
