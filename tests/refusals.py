"""Errors recognized by the code of their message, as programs recognize them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deforum_helpers.core.errors import DeforumError, SettingsError


@contextmanager
def refuses(
    error: type[DeforumError], code: str, *words: str
) -> Iterator[pytest.ExceptionInfo[DeforumError]]:
    """Expect an `error` whose message, or one of whose problems, has the code and names each of `words`."""
    with pytest.raises(error) as caught:
        yield caught
    raised = caught.value
    problems = raised.problems if isinstance(raised, SettingsError) else ()
    assert code in [raised.message_code, *(problem.code for problem in problems)], raised
    assert all(word in str(raised) for word in words), raised
