"""How much a JSON text holds is known before it is parsed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.bounded_json import DEEPEST, JsonTooLarge, parse_json

values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(10**30), 10**30) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(values)
def test_what_is_small_is_what_json_says(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "deeper"),
        ('{"a":' * 1000, "deeper"),
        ("[" + "[]," * 300_000 + "[]]", "values"),
        ("[" + "0," * 300_000 + "0]", "values"),
        ("[" + '"",' * 300_000 + '""]', "values"),
        ('["' + "[" * 1000 + '",' + "[" * (DEEPEST + 1), "deeper"),
        ("9" * 1000, "digits"),
        (" " * 100_001, "longer"),
    ],
    ids=lambda text: text[:6],
)
def test_what_is_too_much_is_told_and_not_parsed(
    text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if words != "digits":
        monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("it was parsed"))
    with pytest.raises(JsonTooLarge, match=words):
        parse_json(text, most_bytes=100_000 if words == "longer" else 10**7)


@pytest.mark.parametrize(
    "text", ['["' + "[{,:" * 10_000 + '"]', '["' + '\\"[[' * 10_000 + '"]', '["\\\\", "' + "]" * 9999 + '"]']
)
def test_what_stands_in_a_text_does_not_count(text: str) -> None:
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize("text", ['"' + "\\" * 99, '"' * 99, '"\\', "[", b"\xff", b"\xef\xbb\xbf", ""])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_bytes_may_have_a_mark() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
