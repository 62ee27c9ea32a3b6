"""Edits of schedules and prompts: one entry is rewritten, the rest stays byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule.easing import NAMES
from deforum_helpers.schedule.edit import (
    entries_of,
    with_easing,
    with_entry,
    with_key,
    with_value,
    without_entry,
)
from tests.refusals import refuses

TEXT = '0: (1),\n  30 : ( 2 ) ~hold ,\n\t"max_f-2":sin(t/2)'
PROMPTS = '{\n  "0": "a \\"lake\\"",  "max_f/2":"b"\n}'


def parts(text: str, kind: str = "numbers") -> list[tuple[str, str, str]]:
    return [(one.key, one.value, one.easing) for one in entries_of(text, kind)]  # type: ignore[arg-type]


def test_spans_are_places_in_the_text() -> None:
    entries = entries_of(TEXT, "numbers")
    assert parts(TEXT) == [("0", "1", ""), ("30", "2", "hold"), ("max_f-2", "sin(t/2)", "")]
    assert [TEXT[slice(*one.span)] for one in entries] == [
        "0: (1)",
        "30 : ( 2 ) ~hold",
        '"max_f-2":sin(t/2)',
    ]
    assert [TEXT[slice(*one.key_span)] for one in entries] == ["0", "30", "max_f-2"]
    assert TEXT[slice(*entries[1].value_span)] == "2"
    assert TEXT[slice(*entries[1].easing_span)] == "hold"


@pytest.mark.parametrize(
    ("edited", "expected"),
    [
        (with_key(TEXT, "numbers", 1, "2.5s"), TEXT.replace("30", "2.5s")),
        (with_key(TEXT, "numbers", 2, "-1"), TEXT.replace("max_f-2", "-1")),
        (with_value(TEXT, "numbers", 1, "cos(t)"), TEXT.replace("2 )", "cos(t) )")),
        (with_value(TEXT, "numbers", 2, "-.5"), TEXT.replace("sin(t/2)", "-.5")),
        (with_value(TEXT, "numbers", 2, "max(1, t)"), TEXT.replace("sin(t/2)", "(max(1, t))")),
        (with_easing(TEXT, 1, "bezier(0, 0, 1, 1)"), TEXT.replace("hold", "bezier(0, 0, 1, 1)")),
        (with_easing(TEXT, 1, ""), TEXT.replace(" ~hold", "")),
        (with_easing(TEXT, 2, "cubic"), f"{TEXT} ~cubic"),
        (without_entry(TEXT, "numbers", 0), TEXT.replace("0: (1),\n  ", "", 1)),
        (without_entry(TEXT, "numbers", 2), TEXT[: TEXT.index(" ,\n\t")]),
        (with_entry("0:(1),\n9:(2)", "numbers", 1, "5", "t"), "0:(1),\n5: (t),\n9:(2)"),
        (with_entry("0:(1),\n9:(2)", "numbers", 2, "2b", "3", "hold"), "0:(1),\n9:(2),\n2b: (3) ~hold"),
        (with_entry("0:(1)", "numbers", 1, "5", "t"), "0:(1), 5: (t)"),
        (with_entry(" ", "numbers", 0, "0", "1"), "0: (1)"),
        (with_entry("7", "numbers", 1, "5", "8"), "0: (7), 5: (8)"),
        (with_key("sin(t)", "numbers", 0, "5"), "5: (sin(t))"),
        (with_value("7", "numbers", 0, "8"), "8"),
        (with_key("0: (a, b), 5: c:d", "words", 1, "9"), "0: (a, b), 9: c:d"),
        (with_value('0: ("a"), 5: b', "words", 0, "c, d"), '0: ("c, d"), 5: b'),
        (with_key(PROMPTS, "prompts", 1, "50%"), PROMPTS.replace("max_f/2", "50%")),
        (with_value(PROMPTS, "prompts", 0, 'x "y"\n'), PROMPTS.replace('a \\"lake\\"', 'x \\"y\\"\\n')),
        (without_entry(PROMPTS, "prompts", 1), '{\n  "0": "a \\"lake\\""\n}'),
        (with_entry(PROMPTS, "prompts", 1, "9", "c"), PROMPTS.replace('",  "', '",  "9": "c",  "')),
        (with_entry("{}", "prompts", 0, "0", "c"), '{"0": "c"}'),
    ],
)
def test_edits(edited: str, expected: str) -> None:
    assert edited == expected


@pytest.mark.parametrize("text", ["0:(1) 5:(2), 9:3", "0: 0: (1), 5: ((2)+1)", "5: (1", "0: (1)), 3: (2)"])
def test_lenient_texts_can_be_edited(text: str) -> None:
    before = parts(text)
    for number in range(len(before)):
        after = parts(with_value(text, "numbers", number, "77"))
        assert after == [*before[:number], (before[number][0], "77", ""), *before[number + 1 :]]


@pytest.mark.parametrize("value", ["2), 5: (3", "2) ~hold", "", "(2", "1)"])
def test_a_value_that_would_change_other_entries_is_refused(value: str) -> None:
    with refuses(SettingsError, "edit_not_one_entry"):
        with_value(TEXT, "numbers", 0, value)


@pytest.mark.parametrize("key", ["3: (1), 5", "", "3,"])
def test_a_key_that_would_change_other_entries_is_refused(key: str) -> None:
    with pytest.raises(SettingsError):
        with_key(TEXT, "numbers", 0, key)


def test_the_only_entry_stays() -> None:
    with refuses(SettingsError, "last_entry"):
        without_entry("0: (1)", "numbers", 0)
    with refuses(SettingsError, "not_json_prompts"):
        entries_of("0: a | 5: b", "prompts")


keys = st.sampled_from(["0", "7", "2.5s", "8b", "50%", "-10", "max_f/2", "(max_f-1)"])
values = st.sampled_from(["1", "-0.5", "sin(t/3)", "max(1, t)", "(1+2)*t", "where(t>3, 1, 2)"])
easings = st.sampled_from(["", *NAMES[:-1], "bezier(0.1, 0, .2, 1)"])
blanks = st.sampled_from(["", " ", "\n  ", "\t"])
entries = st.tuples(keys, values, easings, blanks, blanks, st.booleans())


@given(st.lists(entries, min_size=2, max_size=6), st.data())
def test_random_edits_rewrite_one_entry(
    found: list[tuple[str, str, str, str, str, bool]], data: object
) -> None:
    pieces = []
    for key, value, easing, before, after, bare in found:
        written = value if bare and "," not in value else f"({value})"
        pieces.append(
            f"{before}{key}{after}:{before}{written}" + (f"{after}~{easing}" if easing else "") + after
        )
    text = ",".join(pieces)
    number = data.draw(st.integers(0, len(found) - 1))  # type: ignore[attr-defined]
    edit = data.draw(st.sampled_from(["key", "value", "easing"]))  # type: ignore[attr-defined]
    if edit == "key":
        edited = with_key(text, "numbers", number, data.draw(keys))  # type: ignore[attr-defined]
    elif edit == "value":
        edited = with_value(text, "numbers", number, data.draw(values))  # type: ignore[attr-defined]
    else:
        edited = with_easing(text, number, data.draw(easings))  # type: ignore[attr-defined]
    entry = entries_of(text, "numbers")[number]
    assert edited.startswith(text[: entry.span.start])
    assert edited.endswith(text[entry.span.end :])
    added = with_entry(edited, "numbers", number, "99", "5", "hold")
    assert parts(without_entry(added, "numbers", number)) == parts(edited)


@given(
    st.dictionaries(st.text(min_size=1, max_size=4), st.text(min_size=1, max_size=9), min_size=1, max_size=4)
)
def test_prompts_are_edited_as_json(prompts: dict[str, str]) -> None:
    text = json.dumps(prompts, indent=2)
    edited = with_value(text, "prompts", 0, "é\n\"'\\")
    assert list(json.loads(edited).items())[1:] == list(prompts.items())[1:]
    assert next(iter(json.loads(edited).values())) == "é\n\"'\\"
