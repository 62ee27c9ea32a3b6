"""The components of the tab that have events or change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deforum_helpers.ui.tool_tab import ToolComponents


@dataclass(frozen=True)
class TabComponents:
    """Gradio components by purpose.

    Args:
        fields: setting -> its control, in the order of `controls.NAMES`.
        resets: setting -> its reset button.
        options: one per option, in the order of `host_options.option_rows`; empty in a WebUI.
        tools: of the tab Output.
        named: the buttons, by the names in `buttons.BUTTONS`, and the components that they read and set.
    """

    fields: Mapping[str, Any]
    resets: Mapping[str, Any]
    options: tuple[Any, ...]
    tools: tuple[ToolComponents, ...]
    named: Mapping[str, Any]

    def of(self, name: str) -> tuple[Any, ...]:
        """Return the components that a `buttons.Call` means by `name`."""
        if name == "fields":
            return tuple(self.fields.values())
        if name == "options":
            return self.options
        return (self.named[name] if name in self.named else self.fields[name],)
