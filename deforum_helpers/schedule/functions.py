"""The operators and functions of expressions, over whole arrays of float64.

None of them raises: undefined values are nan, too large ones inf, and the caller checks the result. They are called
under `numpy.errstate(all="ignore")`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Value: TypeAlias = Any  # float64 array of shape (frames,), or a float64 scalar

_EXACT = 2.0**53


def _comparison(compare: Callable[[Value, Value], Any]) -> Callable[[Value, Value], Value]:
    def zero_or_one(left: Value, right: Value) -> Value:
        return compare(left, right) * 1.0

    return zero_or_one


def _exact(value: Value) -> Any:
    return (np.trunc(value) == value) & (np.abs(value) <= _EXACT)


def _bitwise(combine: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    def on_whole_numbers(left: Value, right: Value) -> Value:
        exact = _exact(left) & _exact(right)
        bits = combine(np.where(exact, left, 0).astype(np.int64), np.where(exact, right, 0).astype(np.int64))
        return np.where(exact, bits, np.nan)

    return on_whole_numbers


def _shift_left(value: Value, places: Value) -> Value:
    return np.where(_exact(value) & _exact(places) & (places >= 0), value * np.exp2(places), np.nan)


def _shift_right(value: Value, places: Value) -> Value:
    whole = _exact(value) & _exact(places) & (places >= 0)
    return np.where(whole, np.floor(value / np.exp2(places)), np.nan)


def inverted_bits(value: Value) -> Value:
    """Return `~value` of integers, nan elsewhere."""
    return np.where(_exact(value), -1.0 - value, np.nan)


def inverted_truth(value: Value) -> Value:
    """Return 1 where `value` is 0, else 0."""
    return (value == 0) * 1.0


def _where(condition: Value, if_true: Value, if_false: Value) -> Value:
    return np.where(condition != 0, if_true, if_false)


def _minimum(*values: Value) -> Value:
    return reduce(np.minimum, values)


def _maximum(*values: Value) -> Value:
    return reduce(np.maximum, values)


def _clip(value: Value, low: Value, high: Value) -> Value:
    return np.minimum(np.maximum(value, low), high)


def _gate(value: Value, threshold: Value) -> Value:
    return np.where(np.isnan(value), np.nan, np.where(value >= threshold, value, 0.0))


def followed(values: Value, attack: Value, release: Value) -> Value:
    """Return the envelope of `values`, one per frame from frame 0 on: `attack` is for rising, `release` for falling.

    Each frame takes the envelope 1 - exp(-1 / n) of the way to the value, where n is `attack` if the value is above it,
    else `release`; 0 frames follow at once. It begins at the first value. A value that is not finite changes nothing.

    >>> followed(np.array([0.0, 1.0, 0.0, 0.0]), 0, 1).round(3).tolist()
    [0.0, 1.0, 0.368, 0.135]
    """
    shape = np.broadcast_shapes(np.shape(values), np.shape(attack), np.shape(release))
    rise, fall = (_kept(np.broadcast_to(frames, shape)).ravel().tolist() for frames in (attack, release))
    envelope = np.nan
    result = []
    for value, up, down in zip(np.broadcast_to(values, shape).ravel().tolist(), rise, fall, strict=True):
        if not math.isfinite(value):
            result.append(value)
            continue
        keep = up if value > envelope else down
        envelope = value + (envelope - value) * keep if envelope == envelope else value
        result.append(envelope)
    return np.array(result).reshape(shape)


def _kept(frames: Value) -> Value:
    """Return the part of a difference that is left after one frame; nan for a negative number of frames."""
    return np.where(frames > 0, np.exp(-1.0 / np.maximum(frames, 1e-9)), np.where(frames == 0, 0.0, np.nan))


def _isnan(value: Value) -> Value:
    return np.isnan(value) * 1.0


def _imaginary_part(value: Value) -> Value:
    return value * 0.0


def smooth_noise(x: Value, seed: Value) -> Value:
    """Return value noise: a random number in -1..1 at every whole x, joined by smooth curves.

    Args:
        x: float64, any shape; nan where |x| is 2**52 or more.
        seed: scalar; each seed gives another curve.

    The numbers at the whole positions come from the finaliser of SplitMix64; between them runs the
    quintic 6f^5 - 15f^4 + 10f^3, so slope and curvature are 0 at every whole x.
    """
    x = np.asarray(x, dtype=np.float64)
    flat = np.atleast_1d(x)
    inside = np.abs(flat) < 2.0**52
    cell = np.floor(np.where(inside, flat, 0.0))
    f = np.where(inside, flat - cell, np.nan)
    weight = f * f * f * (f * (f * 6.0 - 15.0) + 10.0)
    lattice = cell.astype(np.int64).astype(np.uint64)
    start = _hashed(np.array([int(seed) & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))
    near, far = _signed_unit(lattice + start), _signed_unit(lattice + np.uint64(1) + start)
    return (near + (far - near) * weight).reshape(x.shape)


def _hashed(number: Any) -> Any:
    number = number + np.uint64(0x9E3779B97F4A7C15)
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


def _signed_unit(number: Any) -> Any:
    return (_hashed(number) >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def _power(base: Value, exponent: Value) -> Value:
    """Return base ** exponent; small whole exponents by multiplication, which is ten times faster."""
    if np.ndim(base) == 0 or np.ndim(exponent) != 0 or not 0 <= exponent <= 256 or exponent % 1:
        return np.power(base, exponent)
    result, square, left = np.ones_like(base), base, int(exponent)
    while left:
        if left & 1:
            result = result * square
        left >>= 1
        square = square * square if left else square
    return result


class Operator(NamedTuple):
    """A binary operator: how tightly it binds, and what it does."""

    power: int
    apply: Callable[[Value, Value], Value]


class Function(NamedTuple):
    """A function.

    Args:
        apply: what it does.
        least, most: how many arguments it takes.
        more: variables that it gets after its arguments.
        last: variable that takes the place of a last argument that is left out, "" = none.
    """

    apply: Callable[..., Value]
    least: int = 1
    most: int = 1
    more: tuple[str, ...] = ()
    last: str = ""


COMPARISON_POWER = 10
UNARY_POWER = 80
POWER_POWER = 90

OPERATORS = {
    "==": Operator(COMPARISON_POWER, _comparison(np.equal)),
    "!=": Operator(COMPARISON_POWER, _comparison(np.not_equal)),
    "<": Operator(COMPARISON_POWER, _comparison(np.less)),
    "<=": Operator(COMPARISON_POWER, _comparison(np.less_equal)),
    ">": Operator(COMPARISON_POWER, _comparison(np.greater)),
    ">=": Operator(COMPARISON_POWER, _comparison(np.greater_equal)),
    "|": Operator(20, _bitwise(np.bitwise_or)),
    "^": Operator(30, _bitwise(np.bitwise_xor)),
    "&": Operator(40, _bitwise(np.bitwise_and)),
    "<<": Operator(50, _shift_left),
    ">>": Operator(50, _shift_right),
    "+": Operator(60, np.add),
    "-": Operator(60, np.subtract),
    "*": Operator(70, np.multiply),
    "/": Operator(70, np.true_divide),
    "//": Operator(70, np.floor_divide),
    "%": Operator(70, np.mod),
    "**": Operator(POWER_POWER, _power),
}

FUNCTIONS = {
    "sin": Function(np.sin),
    "cos": Function(np.cos),
    "tan": Function(np.tan),
    "arcsin": Function(np.arcsin),
    "arccos": Function(np.arccos),
    "arctan": Function(np.arctan),
    "arctan2": Function(np.arctan2, 2, 2),
    "sinh": Function(np.sinh),
    "cosh": Function(np.cosh),
    "tanh": Function(np.tanh),
    "arcsinh": Function(np.arcsinh),
    "arccosh": Function(np.arccosh),
    "arctanh": Function(np.arctanh),
    "deg": Function(np.degrees),
    "rad": Function(np.radians),
    "hypot": Function(np.hypot, 2, 2),
    "log": Function(np.log),
    "log10": Function(np.log10),
    "log1p": Function(np.log1p),
    "exp": Function(np.exp),
    "expm1": Function(np.expm1),
    "sqrt": Function(np.sqrt),
    "pow": Function(_power, 2, 2),
    "abs": Function(np.abs),
    "floor": Function(np.floor),
    "ceil": Function(np.ceil),
    "round": Function(np.rint),
    "trunc": Function(np.trunc),
    "sign": Function(np.sign),
    "mod": Function(np.mod, 2, 2),
    "fmod": Function(np.fmod, 2, 2),
    "min": Function(_minimum, 1, 16),
    "max": Function(_maximum, 1, 16),
    "clip": Function(_clip, 3, 3),
    "where": Function(_where, 3, 3),
    "if": Function(_where, 3, 3),
    "isnan": Function(_isnan),
    "noise": Function(smooth_noise, more=("s",)),
    "gate": Function(_gate, 2, 2),
    "env": Function(followed, 3, 3),
    "conj": Function(np.positive),
    "real": Function(np.positive),
    "imag": Function(_imaginary_part),
}

CHOICES = frozenset({"where", "if"})
TRUTHS = frozenset({"==", "!=", "<", "<=", ">", ">=", "isnan", "not"})
TRUTH_KEEPING = frozenset({"&", "|", "^"})
WHOLE = TRUTHS | {"&", "|", "^", "~", "<<", ">>", "beat", "bar"}
WHOLE_KEEPING = frozenset(
    {"+", "-", "*", "//", "%", "**", "u+", "u-", "abs", "sign", "min", "max", "clip", "mod", "fmod", "pow"}
    | {"conj", "real"}
)
