"""Which settings act: the predicates of their declarations, worked out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from deforum_helpers.settings.model import FIELDS, Settings
from deforum_helpers.settings.predicates import Predicate

Flat = Mapping[str, Any]


class Acting:
    """Tells which settings act among given values; each is worked out once.

    Args:
        value: gives the value of a setting by its flat name.
    """

    def __init__(self, value: Callable[[str], Any]) -> None:
        self.value = value
        self._known: dict[str, bool] = {}

    def acts(self, name: str) -> bool:
        """Tell whether the setting `name` acts."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = FIELDS[name].used_when.holds(self)
        return known

    def reasons(self, name: str) -> tuple[str, ...]:
        """Return what keeps `name` from acting, each reason once: `diffusion_cadence is 1`; nothing where it acts."""
        if self.acts(name):
            return ()
        return tuple(dict.fromkeys(FIELDS[name].used_when.obstacles(self)))


def acts(name: str, flat: Flat) -> bool:
    """Tell whether the setting `name` acts in a video of these settings.

    Args:
        name: of a setting.
        flat: every setting by its flat name.
    """
    return Acting(flat.__getitem__).acts(name)


def acting(names: Iterable[str], flat: Flat) -> frozenset[str]:
    """Return those of `names` that act."""
    values = Acting(flat.__getitem__)
    return frozenset(name for name in names if values.acts(name))


def reasons(name: str, flat: Flat) -> tuple[str, ...]:
    """Return what keeps the setting `name` from acting; nothing where it acts."""
    return Acting(flat.__getitem__).reasons(name)


def holds(predicate: Predicate, settings: Settings | Flat) -> bool:
    """Tell whether a predicate holds; of typed settings it must read none of a ControlNet unit."""
    value = partial(getattr, settings) if isinstance(settings, Settings) else settings.__getitem__
    return predicate.holds(Acting(value))
