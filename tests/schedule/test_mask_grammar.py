"""Mask expressions: read with the right precedence, worked out like logic, refused with a column."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule.mask_grammar import MASK_NAMES, MAX_STEPS, Leaf, parse_mask

PAIRS = {
    "&": min,
    "\\": lambda a, b: min(a, 1 - b),
    "^": lambda a, b: max(min(a, 1 - b), min(b, 1 - a)),
    "|": max,
}
STRENGTH = {"|": 1, "^": 2, "\\": 3, "&": 4}
LEAVES = {
    "{everywhere}": 1.0,
    "{video_mask}": 0.25,
    "{init_mask}": 0.5,
    "{ human_mask }": 0.75,
    "[C:/masks (old)/a&b.png]": 0.125,
    "<red|blue sky>": 0.375,
    "[ 'x y.png' ]": 0.625,
}


@dataclass(frozen=True)
class Tree:
    """A plain expression: an operator over others, or the text of a leaf."""

    sign: str
    parts: tuple[Tree, ...] = ()

    def value(self) -> float:
        values = [part.value() for part in self.parts]
        if not values:
            return LEAVES[self.sign]
        return 1 - values[0] if self.sign == "!" else PAIRS[self.sign](*values)

    def text(self, space: str) -> str:
        """Written with brackets only where they are needed."""
        if not self.parts:
            return self.sign
        if self.sign == "!":
            inner = self.parts[0]
            return "!" + space + (f"({inner.text(space)})" if inner.sign in STRENGTH else inner.text(space))
        left, right = self.parts
        strength = STRENGTH[self.sign]
        sides = [
            f"({side.text(space)})" if STRENGTH.get(side.sign, 9) < least else side.text(space)
            for side, least in ((left, strength), (right, strength + 1))
        ]
        return f"{sides[0]}{space}{self.sign}{space}{sides[1]}"


trees = st.recursive(
    st.sampled_from(sorted(LEAVES)).map(Tree),
    lambda inner: st.one_of(
        inner.map(lambda part: Tree("!", (part,))),
        st.tuples(st.sampled_from(sorted(PAIRS)), inner, inner).map(lambda t: Tree(t[0], t[1:])),
    ),
    max_leaves=12,
)


def worked_out(text: str) -> float:
    values = {inner(text): value for text, value in LEAVES.items()}
    return parse_mask(text, "mask_schedule").value(lambda leaf: values[leaf.text], lambda a: 1 - a, PAIRS)


def inner(text: str) -> str:
    return text[1:-1].strip().strip("'")


@given(trees, st.sampled_from(["", " ", "  \n"]))
@example(Tree("^", (Tree("{init_mask}"), Tree("|", (Tree("{everywhere}"), Tree("{video_mask}"))))), "")
def test_expressions_are_worked_out_as_written(tree: Tree, space: str) -> None:
    assert worked_out(tree.text(space)) == tree.value()


@given(st.text("{}[]<>!&\\^|() aeinv_mask", max_size=40))
def test_random_text_is_read_or_refused_with_a_column(text: str) -> None:
    try:
        parse_mask(text, "mask_schedule")
    except SettingsError as error:
        (problem,) = error.problems
        assert problem.setting == "mask_schedule"
        assert problem.column is not None
        assert 1 <= problem.column <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "column", "code", "found"),
    [
        ("", 1, "mask_unexpected", "the end"),
        ("   ", 4, "mask_unexpected", "the end"),
        ("{everywhere} &", 15, "mask_unexpected", "the end"),
        ("& {everywhere}", 1, "mask_unexpected", "'&'"),
        ("{everywhere} {init_mask}", 14, "mask_unexpected", "'{init_mask}'"),
        ("{everywhere} ! {init_mask}", 14, "mask_unexpected", "'!'"),
        ("({everywhere}", 1, "mask_bracket_unpaired", "'(' without its partner"),
        ("{everywhere})", 13, "mask_bracket_unpaired", "')' without its partner"),
        ("()", 2, "mask_unexpected", "nothing between ( and )"),
        ("{sky}", 2, "mask_name_unknown", "'sky'"),
        ("{everywhere", 1, "mask_bracket_unpaired", "'{' without its partner"),
        ("[mask.png", 1, "mask_bracket_unpaired", "'[' without its partner"),
        ("[ ]", 2, "mask_unexpected", "nothing"),
        ("<>", 2, "mask_unexpected", "nothing"),
        ("{everywhere} + {init_mask}", 14, "mask_unexpected", "'+'"),
        ("everywhere", 1, "mask_unexpected", "'e'"),
        ("!" * 5000 + "{everywhere}", 1001, "mask_too_large", "more"),
        ("x" * 20_000, 1, "mask_too_long", "a mask of 20000 characters"),
    ],
)
def test_each_kind_of_mistake(text: str, column: int, code: str, found: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_mask(text, "noise_mask_schedule", frame=3)
    (problem,) = caught.value.problems
    assert (problem.code, problem.found) == (code, found)
    assert problem.allowed
    assert problem.message.startswith(f"noise_mask_schedule, frame 3, column {column}:")
    assert (problem.setting, problem.frame, problem.column) == ("noise_mask_schedule", 3, column)


def test_columns_count_in_the_whole_setting() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_mask("{sky}", "mask_schedule", whole='0: ("{sky}")')
    assert caught.value.problems[0].column == 7


def test_leaves_are_told_once_and_in_order() -> None:
    expression = parse_mask("<sky> | ![a b.png] & (<sky> ^ {init_mask})", "mask_schedule")
    assert expression.leaves == (Leaf("words", "sky"), Leaf("file", "a b.png"), Leaf("name", "init_mask"))


def test_nesting_is_not_bounded_by_the_stack() -> None:
    half = MAX_STEPS // 2 - 1
    text = "(" * half + "{everywhere}" + ")" * half
    assert worked_out(text) == 1


@pytest.mark.parametrize("name", MASK_NAMES)
def test_every_name(name: str) -> None:
    assert parse_mask(f"{{{name}}}", "mask_schedule").leaves == (Leaf("name", name),)
