"""Checks of features that a host may lack: ControlNet, LoRAs, depth models, face restoration, U-Net changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deforum_helpers.controlnet.units import acting_units
from deforum_helpers.core.errors import Problem
from deforum_helpers.core.progress import told_once
from deforum_helpers.engines.diffusion.prompt_syntax import parse_prompt, unread_loras
from deforum_helpers.models.depth.names import available_families, depth_name, second_family, serve
from deforum_helpers.models.weights.checkpoints import LORA_FOLDER
from deforum_helpers.pipeline.host_facts import ControlNetFacts, HostFacts
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings import Settings
from deforum_helpers.settings.model import ControlNetUnit

NO_NAME = "none"
FACES = "restore_faces"
MAX_NAMES_SHOWN = 40


def ability_problems(settings: Settings, facts: HostFacts) -> list[Problem]:
    """Return what `settings` switch on and the host of `facts` does not have."""
    lacking = [setting for setting in facts.lacks if setting != FACES]
    problems = _lacking(settings, facts, lacking)
    for number, unit in acting_units(settings):
        problems += _unit_problems(number, unit, facts.controlnet)
    return problems


def face_problems(settings: Settings, facts: HostFacts) -> list[Problem]:
    """Return a problem if restore_faces is on and the host has no face restorer; the frames render without it."""
    return _lacking(settings, facts, [FACES])


def _lacking(settings: Settings, facts: HostFacts, switches: Iterable[str]) -> list[Problem]:
    return [
        Problem(
            f"{switch} is true: {facts.lacks[switch]} Allowed here: false.",
            switch,
            found="true",
            allowed="false",
        )
        for switch in switches
        if switch in facts.lacks and getattr(settings, switch)
    ]


def lora_problems(plan: Plan, facts: HostFacts) -> list[Problem]:
    """Return which LoRAs the prompts call that are not there, each where it is called first."""
    if facts.loras is None:
        return []
    called: dict[str, int] = {}
    for text, frame in _with_tags(plan):
        for lora in parse_prompt(text).loras:
            called.setdefault(lora.name, frame)
    there = sorted(facts.loras()) if called else []
    allowed = ", ".join(there[:MAX_NAMES_SHOWN]) or "none"
    return [
        Problem(
            f"prompts, frame {frame}: the LoRA {name[:80]!r} is not there; there are: {allowed}. LoRAs lie in "
            f"the folder {LORA_FOLDER!r} beside the checkpoint or beside its folder; the built-in model takes none.",
            "prompts",
            frame=frame,
            found=name[:80],
            allowed=allowed,
        )
        for name, frame in called.items()
        if name not in there
    ]


def lora_warnings(plan: Plan, facts: HostFacts) -> tuple[str, ...]:
    """Return which tags of prompts call no LoRA because of how they are written; a WebUI reads them in its own way."""
    if facts.loras is None:
        return ()
    return told_once(
        f"prompts, frame {frame}: {tag[:80]!r} is no LoRA tag and is drawn as words; "
        "a LoRA is called as in <lora:name:0.8>."
        for text, frame in _with_tags(plan)
        for tag in unread_loras(text)
    )


def unread_warnings(plan: Plan, facts: HostFacts) -> Iterator[str]:
    """Yield which settings of this plan the host's engine does not read, and what it does instead."""
    if all(source == "nothing" for source in plan.key_frames.sources):
        return
    asked = {
        "noise_source": plan.settings.noise_source == "inverted",
        "autoencoder_correction": plan.settings.autoencoder_correction,
    }
    yield from (reason for name, reason in facts.abilities.unread.items() if asked.get(name))


def word_warnings(plan: Plan, facts: HostFacts) -> Iterator[str]:
    """Return what the engine must be warned of in the prompts, such as words that it does not know."""
    starts = [frame for frame in plan.prompts.key_frames if 0 <= frame < plan.frames]
    return facts.abilities.prompt_warnings(plan.prompts.positive[: plan.frames], starts)


def _with_tags(plan: Plan) -> list[tuple[str, int]]:
    """Return the different texts of prompts that may hold tags, each with its first frame, in the order of frames."""
    first: dict[tuple[int, str], int] = {}
    for side, texts in enumerate((plan.prompts.positive, plan.prompts.negative)):
        for frame, text in enumerate(texts):
            if "<" in text:
                first.setdefault((side, text), frame)
    return sorted(((text, frame) for (_, text), frame in first.items()), key=lambda one: one[1])


def host_name_of(name: str, names: Sequence[str]) -> str | None:
    """Return which of the host's names a settings file means, or None.

    Case makes no difference, nor does the hash that hosts write behind a model's name: "canny [1a2b3c4d]".
    """
    if name in names:
        return name
    by_plain_name = {_plain(known): known for known in reversed(names)}
    return by_plain_name.get(_plain(name))


def _plain(name: str) -> str:
    return name.partition(" [")[0].strip().casefold()


def _unit_problems(number: int, unit: ControlNetUnit, facts: ControlNetFacts) -> Iterator[Problem]:
    if facts.missing is not None:
        setting = f"cn_{number}_enabled"
        message = f"{setting} is true: {facts.missing} Allowed here: false."
        yield Problem(message, setting, found="true", allowed="false")
        return
    module, model = f"cn_{number}_module", f"cn_{number}_model"
    if facts.modules and host_name_of(unit.module, facts.modules) is None:
        yield _unknown(module, "preprocessor", unit.module, facts.modules)
    if _plain(unit.model) == NO_NAME:
        alone = host_name_of(unit.module, facts.modules_without_model) is not None
        if facts.models and not alone:
            yield _unknown(model, "model", unit.model, facts.models)
    elif facts.models and host_name_of(unit.model, facts.models) is None:
        yield _unknown(model, "model", unit.model, facts.models)


def _unknown(setting: str, what: str, found: str, names: Sequence[str]) -> Problem:
    others = [name for name in names if _plain(name) != NO_NAME or what == "preprocessor"]
    allowed = ", ".join(others[:MAX_NAMES_SHOWN]) + (", ..." if len(others) > MAX_NAMES_SHOWN else "")
    allowed = allowed or "none, as no ControlNet model is there"
    message = (
        f"{setting} names the ControlNet {what} {found!r}, which this host does not have; allowed: {allowed}."
    )
    return Problem(message, setting, found=found, allowed=allowed)


def depth_warnings(plan: Plan) -> tuple[str, ...]:
    """Return which depth model serves in the place of the one asked for, as plain sentences."""
    if not plan.uses_depth:
        return ()
    name, families = plan.settings.depth_algorithm, available_families()
    _, warning = serve(name, families)
    found = [warning] if warning else []
    if depth_name(name).raw and plan.settings.midas_weight < 1 and second_family(name, families) is None:
        found.append(
            "midas_weight changes nothing: there is no second depth model here that could be mixed in."
        )
    return tuple(found)
