"""Which settings act: evaluation of the predicates in their declarations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from deforum_helpers.settings.model import FIELDS, Settings
from deforum_helpers.settings.predicates import Predicate

Flat = Mapping[str, Any]


class Acting:
    """Evaluates which settings act among given values; caches each result.

    Args:
        value: returns the value of a setting by its flat name.
    """

    def __init__(self, value: Callable[[str], Any]) -> None:
        self.value = value
        self._known: dict[str, bool] = {}

    def acts(self, name: str) -> bool:
        """Return whether the setting `name` acts."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = FIELDS[name].used_when.holds(self)
        return known

    def reasons(self, name: str) -> tuple[str, ...]:
        """Return the reasons why `name` does not act, such as `diffusion_cadence is 1`; none if it acts."""
        if self.acts(name):
            return ()
        return tuple(dict.fromkeys(FIELDS[name].used_when.obstacles(self)))


def acts(name: str, flat: Flat) -> bool:
    """Return whether the setting `name` acts; `flat` has every setting by its flat name."""
    return Acting(flat.__getitem__).acts(name)


def acting(names: Iterable[str], flat: Flat) -> frozenset[str]:
    """Return the subset of `names` that acts."""
    values = Acting(flat.__getitem__)
    return frozenset(name for name in names if values.acts(name))


def reasons(name: str, flat: Flat) -> tuple[str, ...]:
    """Return the reasons why the setting `name` does not act; none if it acts."""
    return Acting(flat.__getitem__).reasons(name)


def holds(predicate: Predicate, settings: Settings | Flat) -> bool:
    """Return whether a predicate holds; for typed settings it must not read a ControlNet unit."""
    value = partial(getattr, settings) if isinstance(settings, Settings) else settings.__getitem__
    return predicate.holds(Acting(value))
