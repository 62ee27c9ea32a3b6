from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.engines.diffusion.prompt_syntax import (
    Lora,
    Weighted,
    parse_attention,
    parse_prompt,
    text_at_step,
)

SYNTAX = st.text(alphabet="ab ()[]|:\\.,0123<>loraANDBREK\n", max_size=40)


def pieces(text: str) -> list[tuple[str | None, float]]:
    return [(piece.text, round(piece.weight, 4)) for piece in parse_attention(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", [("plain", 1.0)]),
        ("", []),
        ("a (b) c", [("a ", 1.0), ("b", 1.1), (" c", 1.0)]),
        ("((b))", [("b", 1.21)]),
        ("[b]", [("b", 0.9091)]),
        ("([b])", [("b", 1.0)]),
        ("(b:1.3)", [("b", 1.3)]),
        ("(b : .5 )", [("b ", 0.5)]),
        ("(a (b:2) c:0.5)", [("a ", 0.5), ("b", 1.0), (" c", 0.5)]),
        (r"\(b\) \[c\]", [("(b) [c]", 1.0)]),
        (r"(b\:1.3)", [("b:1.3", 1.1)]),
        ("(open", [("open", 1.1)]),
        ("shut) too]", [("shut) too]", 1.0)]),
        ("ratio 16:9", [("ratio 16:9", 1.0)]),
        ("(-:-1)", [("-", -1.0)]),
        ("a BREAK b", [("a", 1.0), (None, 1.0), ("b", 1.0)]),
        ("(a BREAK b:2)", [("a", 2.0), (None, 1.0), ("b", 2.0)]),
        ("BREAKFAST", [("BREAKFAST", 1.0)]),
    ],
)
def test_attention(text: str, expected: list[tuple[str | None, float]]) -> None:
    assert pieces(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a [b:c:0.5] d", ["a b d"] * 5 + ["a c d"] * 5),
        ("[b:c:3]", ["b"] * 3 + ["c"] * 7),
        ("x[b:4]", ["x"] * 4 + ["xb"] * 6),
        ("[b::0.2]x", ["bx"] * 2 + ["x"] * 8),
        ("[a:[b:c:0.6]:0.3]", ["a"] * 3 + ["b"] * 3 + ["c"] * 4),
        ("[a|b]", ["a", "b"] * 5),
        ("[a|b|[c:d:6]]", ["a", "b", "c", "a", "b", "c", "a", "b", "d", "a"]),
        ("[a||b]", ["a", "", "b", "a", "", "b", "a", "", "b", "a"]),
        ("[less]", ["[less]"] * 10),
        ("[a:b]", ["[a:b]"] * 10),
        ("[a:b:c:2]", ["[a:b:c:2]"] * 10),
        ("[open:b:2", ["[open:b:2"] * 10),
        (r"[a\:b:c:5]", [r"a\:b"] * 5 + ["c"] * 5),
        ("(a:1.2) [b:c:5]", ["(a:1.2) b"] * 5 + ["(a:1.2) c"] * 5),
        ("[(a:1.2):b:5]", ["(a:1.2)"] * 5 + ["b"] * 5),
        ("[a:((b:1.2) c:0.8):5]", ["a"] * 5 + ["((b:1.2) c:0.8)"] * 5),
        ("[(a:1.2)|(b|c)]", ["(a:1.2)", "(b|c)"] * 5),
        ("([a:b:5]:1.2)", ["(a:1.2)"] * 5 + ["(b:1.2)"] * 5),
        ("[(a [b:c:2]:1.1)::5]", ["(a b:1.1)"] * 2 + ["(a c:1.1)"] * 3 + [""] * 5),
        (r"[\(a:b:5]", [r"\(a"] * 5 + ["b"] * 5),
        ("[(a:b:5]", ["(a"] * 5 + ["b"] * 5),
        ("[a):b:5] (c", ["a) (c"] * 5 + ["b (c"] * 5),
        ("(a [b:5", ["(a [b:5"] * 10),
    ],
)
def test_what_changes_from_step_to_step(text: str, expected: list[str]) -> None:
    assert [text_at_step(text, step, 10) for step in range(10)] == expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a AND b", (("a", 1.0), ("b", 1.0))),
        ("a :0.3 AND (b:1.2):-2", (("a", 0.3), ("(b:1.2)", -2.0))),
        ("(a):0.25 AND (b):0.75", (("(a)", 0.25), ("(b)", 0.75))),
        ("SAND ANDES", (("SAND ANDES", 1.0),)),
        ("", (("", 1.0),)),
        ("a (b:1.2)", (("a (b:1.2)", 1.0),)),
    ],
)
def test_what_and_joins(text: str, parts: tuple[tuple[str, float], ...]) -> None:
    assert parse_prompt(text).parts == parts


def test_loras_are_taken_out_of_the_text() -> None:
    prompt = parse_prompt("a <lora:ink wash:0.8>hill<lora:b> <lora:c:0.2:0.9> <hypernet:x:1>")
    assert prompt.parts == (("a hill  <hypernet:x:1>", 1.0),)
    assert prompt.loras == (Lora("ink wash", 0.8), Lora("b", 1.0), Lora("c", 0.9, 0.2))


@given(SYNTAX, st.integers(0, 9))
def test_no_text_is_an_error(text: str, step: int) -> None:
    for part, _ in parse_prompt(text).parts:
        parse_attention(text_at_step(part, step, 10))


@pytest.mark.parametrize(
    "nested", ["[a:" * 4000 + "x" + ":1]" * 4000, "(" * 9000 + "a", "[" * 9000 + "(a:2)"]
)
def test_nesting_without_end_is_read_all_the_same(nested: str) -> None:
    (piece, *_) = parse_attention(text_at_step(nested, 2, 10))
    assert piece.text
    assert 1e-5 < piece.weight < 1e5


@given(st.text(alphabet="abc ,.!-\n", max_size=30))
def test_plain_text_is_itself(text: str) -> None:
    assert "".join(piece.text or "" for piece in parse_attention(text)) == text
    assert text_at_step(text, 3, 10) == text
    assert parse_prompt(text).parts == ((text.strip(), 1.0),)


@given(st.text(alphabet="abc", min_size=1, max_size=5), st.integers(1, 6))
def test_brackets_multiply(text: str, depth: int) -> None:
    (piece,) = parse_attention("(" * depth + text + ")" * depth)
    assert piece == Weighted(text, pytest.approx(1.1**depth))
