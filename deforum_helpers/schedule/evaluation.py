"""Evaluation of expressions over ranges of frames, within a bounded amount of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.expression import MAX_MAGNITUDE, Expression, Undefined
from deforum_helpers.schedule.keyframes import frame_ranges
from deforum_helpers.schedule.reading import Reading
from deforum_helpers.schedule.timeline import Timeline

MAX_WORK = 30_000_000
_REAL_FROM_0_ON = frozenset({"**", "pow", "sqrt", "log", "log10"})
_FOLLOWER_WORK = 8  # operations that cost as much as one frame of an envelope, which is computed in sequence
_CHUNK = 8192  # frames evaluated at a time: few enough for the CPU cache

Floats: TypeAlias = npt.NDArray[np.float64]


class Evaluation:
    """Evaluates the expressions of one setting.

    Args:
        timeline: gives the values of names in expressions.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._work = 0

    def values(
        self, reading: Reading, expression: Expression, first: int, end: int, *, extra_work: int = 0
    ) -> Floats:
        """Return the values over the frames `first` to `end` - 1, float64, shape (end - first,).

        If a value is infinite or beyond 2**53, the first such frame is added to `reading` as a problem. Undefined
        values (NaN or complex) are NaN.

        Args:
            extra_work: operations that the caller performs per value.

        Raises:
            SettingsError: the expressions so far need more than `MAX_WORK` operations.
        """
        frames = end - first
        per_frame = expression.nodes + extra_work + _FOLLOWER_WORK * expression.followers
        self._work += per_frame * (end if expression.followers else frames)
        if self._work > MAX_WORK:
            allowed = f"at most {MAX_WORK} operations over all frames"
            raise SettingsError(
                [
                    reading.problem(
                        expression.root.place,
                        messages.EVALUATION_TOO_EXPENSIVE,
                        found="more",
                        allowed=allowed,
                        frame=first,
                    )
                ]
            )
        with np.errstate(all="ignore"):
            values = self._raw_values(expression, first, end)
            if values.min() >= -MAX_MAGNITUDE and values.max() <= MAX_MAGNITUDE:
                return values
            beyond = np.abs(values) > MAX_MAGNITUDE
            if not beyond.any():
                return values
        self.refuse(reading, expression, first + int(np.argmax(beyond)))
        return np.zeros(frames)

    def refuse(self, reading: Reading, expression: Expression, frame: int) -> None:
        """Add a problem to `reading`: the operation that has no usable value at a frame."""
        undefined = self.undefined(expression, frame)
        reading.refuse(
            reading.problem(
                undefined.place,
                messages.NO_FINITE_VALUE,
                found=undefined.account,
                allowed=_allowed(undefined),
                frame=frame,
            )
        )

    def _raw_values(self, expression: Expression, first: int, end: int) -> Floats:
        values = np.empty(end - first)
        if expression.followers:  # each chunk would evaluate all frames before it again
            values[:] = expression.at(self._timeline.scope(first, end))
            return values
        for start in range(first, end, _CHUNK):
            stop = min(start + _CHUNK, end)
            values[start - first : stop - first] = expression.at(self._timeline.scope(start, stop))
        return values

    def whole_values(
        self, reading: Reading, expression: Expression, first: int, end: int, *, extra_work: int = 0
    ) -> Floats:
        """Return the values as `values` does, with undefined ones interpolated linearly from their neighbors.

        If all of the range is undefined, the neighbors are sought in the whole video. If there are none, that is a
        problem in `reading`; otherwise a warning names the interpolated frames.
        """
        values = self.values(reading, expression, first, end, extra_work=extra_work)
        undefined = first + np.flatnonzero(np.isnan(values))
        if not undefined.size:
            return values
        known_from = first
        if undefined.size == values.size:
            known_from, values = 0, self.values(reading, expression, 0, self._timeline.frames)
        known = np.flatnonzero(~np.isnan(values))
        if not known.size:
            self.refuse(reading, expression, first)
            return np.zeros(end - first)
        self.warn_of_gaps(reading, expression, undefined.tolist())
        return np.interp(np.arange(first, end), known_from + known, values[known])

    def warn_of_gaps(self, reading: Reading, expression: Expression, frames: Sequence[int]) -> None:
        """Add a warning that names the frames where an expression is undefined."""
        undefined = self.undefined(expression, frames[0])
        reading.warn(
            undefined.place,
            messages.UNDEFINED_VALUES(found=undefined.account, frames=frame_ranges(frames)),
            frame=frames[0],
        )

    def printed(self, reading: Reading, expression: Expression, first: int, end: int) -> list[str]:
        """Return the values over the frames as text: integers without a decimal point, others at full precision."""
        values = self.whole_values(reading, expression, first, end, extra_work=20)
        scope = self._timeline.scope(first, end)
        with np.errstate(all="ignore"):
            whole = np.broadcast_to(expression.whole(scope), (end - first,)) & (np.trunc(values) == values)
        return [
            str(int(value)) if is_whole else repr(value)
            for value, is_whole in zip(values.tolist(), whole.tolist(), strict=True)
        ]

    def undefined(self, expression: Expression, frame: int) -> Undefined:
        """Return the innermost operation without a finite value at a frame."""
        scope = self._timeline.constants()
        scope["t"] = scope["i"] = np.float64(frame)
        with np.errstate(all="ignore"):
            return expression.undefined(scope)


def _allowed(undefined: Undefined) -> str:
    allowed = f"a finite real number up to {MAX_MAGNITUDE:g}"
    if undefined.symbol in _REAL_FROM_0_ON and undefined.account.endswith("= nan"):
        return f"{allowed}; write abs(...) or max(..., 0) around a negative operand"
    if undefined.symbol == "^":
        return f"{allowed}; ^ is the exclusive or of whole numbers, write ** for powers"
    return allowed
