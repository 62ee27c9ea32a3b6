"""Prompts, and what a run records beside them. Groups prompts, metadata and ui_only of a settings file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deforum_helpers.settings.fields import record, setting
from deforum_helpers.settings.predicates import is_on, one_of
from deforum_helpers.settings.situations import MOVED
from deforum_helpers.settings.tables import PROMPT_TRANSITIONS

DEFAULT_PROMPTS = {
    "0": "a mountain lake at dawn, mist over the water, soft golden light",
    "30": "a pine forest in autumn, red and orange leaves, sun between the trees",
    "60": "a desert of tall dunes under a blue sky, long shadows --neg people, buildings",
    "90": "a rocky coast at night, full moon over the sea, stars",
}


@dataclass(frozen=True)
class PromptSettings:
    """Prompts, and the changes between them."""

    prompts: Mapping[str, str] = setting(
        DEFAULT_PROMPTS,
        "The prompts, each with the frame it begins at: a number, an expression such as max_f/2, or a time such "
        "as 2.5s. Text after "
        '--neg is the negative prompt; an expression in backticks is replaced by its value at each frame: {"0": '
        '"a lake", "max_f/2": "a lake in winter --neg people"}.',
        tab="Prompts",
        label="Prompts",
        used_in="render/plan.py",
    )
    animation_prompts_positive: str = setting(
        "",
        "Text added in front of every prompt.",
        tab="Prompts",
        label="Prompts positive",
        used_in="render/plan.py",
    )
    animation_prompts_negative: str = setting(
        "",
        "Text added to every negative prompt. It needs no --neg.",
        tab="Prompts",
        label="Prompts negative",
        used_in="render/plan.py",
    )
    wildcards: bool = setting(
        False,
        "Replaces {a|b} in prompts by one of the texts, and a name between double underscores by a line of name.txt "
        "in a folder of wildcards. The seed makes the choice, and the saved settings contain it.",
        tab="Prompts",
        label="Wildcards",
        since="here",
        used_in="pipeline/wildcards.py",
    )
    prompt_interpolation: str = setting(
        "hold",
        "What happens between two prompts. hold: each prompt stays until the next begins. weights: the "
        "weights shift from one prompt to the other (AND). embedding: their text embeddings are mixed, "
        "LoRA weights included. In Interpolation mode, hold works like weights.",
        tab="Prompts",
        label="Between prompts",
        choices=("hold", "weights", "embedding"),
        since="here",
        used_in="settings/modes.py",
    )
    prompt_transition: str = setting(
        "none",
        "How a new prompt takes over. none: as the strength schedules say. cut: its scene starts from scratch. "
        "dissolve: its scene starts from scratch and replaces the old one area by area. morph: the old scene "
        "turns into the new one.",
        tab="Prompts",
        label="Prompt transition",
        choices=PROMPT_TRANSITIONS,
        used_when=MOVED & one_of("prompt_interpolation", "hold"),
        since="here",
        used_in="render/transitions.py",
    )
    prompt_transition_frames: int = setting(
        12,
        "Length of a dissolve or a morph, from the frame where the new prompt begins.",
        tab="Prompts",
        label="Prompt transition frames",
        bounds=(1, 1000),
        step=1,
        unit="frames",
        used_when=one_of("prompt_transition", "dissolve", "morph"),
        since="here",
        used_in="render/transitions.py",
    )
    positive_prompts: str = record("", "The positive additions used in the run; written, never read.")
    negative_prompts: str = record("", "The negative additions used in the run; written, never read.")


@dataclass(frozen=True)
class RunRecord:
    """Records that a run writes into its settings file; loading ignores them."""

    sd_model_name: str | None = record(
        None, "Name of the checkpoint that generated the frames; written, never read."
    )
    sd_model_hash: str | None = record(None, "Short hash of that checkpoint; written, never read.")
    deforum_git_commit_id: str | None = record(None, "Version that rendered the video; written, never read.")
    fetched_parseq_manifest_summary: Mapping[str, Any] | None = record(
        None, "A Parseq manifest fetched from an address, without its frames; written, never read."
    )


@dataclass(frozen=True)
class TabOnly:
    """Controls of the tab; they have no effect in a file."""

    override_settings_with_file: bool = record(
        False,
        "Runs the uploaded settings files instead of the settings in the tab.",
        tab="Run > Batch Mode",
        label="Enable batch mode",
        saved=False,
        used_in="ui/tab.py",
    )
    custom_settings_file: tuple[str, ...] | None = record(
        None,
        "Settings files to run one after the other.",
        tab="Run > Batch Mode",
        label="Settings files",
        saved=False,
        used_when=is_on("override_settings_with_file"),
        used_in="ui/tab.py",
    )
