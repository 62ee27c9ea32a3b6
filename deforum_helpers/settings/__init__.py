"""Settings: their declaration, and reading, checking and documentation derived from it."""

from __future__ import annotations

from deforum_helpers.settings.fields import FieldInfo
from deforum_helpers.settings.files import (
    defaults,
    flat_settings,
    json_object,
    parse_settings_text,
    read_settings_file,
    settings_text,
)
from deforum_helpers.settings.load import Loaded, examine_settings, load_settings
from deforum_helpers.settings.model import FIELDS, Settings
from deforum_helpers.settings.model_controlnet import ControlNetUnit
from deforum_helpers.settings.schema import schema
from deforum_helpers.settings.tables import canonical_sampler, canonical_scheduler

__all__ = [
    "FIELDS",
    "ControlNetUnit",
    "FieldInfo",
    "Loaded",
    "Settings",
    "canonical_sampler",
    "canonical_scheduler",
    "defaults",
    "examine_settings",
    "flat_settings",
    "json_object",
    "load_settings",
    "parse_settings_text",
    "read_settings_file",
    "schema",
    "settings_text",
]
