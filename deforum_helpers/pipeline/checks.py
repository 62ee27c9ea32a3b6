"""Checks of features that a host may lack: ControlNet, LoRAs, depth models, face restoration, U-Net changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deforum_helpers.controlnet.units import acting_units
from deforum_helpers.core.errors import Problem
from deforum_helpers.core.progress import distinct_messages
from deforum_helpers.engines.diffusion.prompt_syntax import parse_prompt, unread_loras
from deforum_helpers.models.depth import available_families, depth_name, second_family, serve
from deforum_helpers.models.weights.checkpoints import LORA_FOLDER
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.host_facts import ControlNetFacts, HostFacts
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings import Settings
from deforum_helpers.settings.model import ControlNetUnit

NO_NAME = "none"
FACES = "restore_faces"
MAX_NAMES_SHOWN = 40
# Making the request of a key frame takes longer than planning it; the engine sees all of them when the job begins.
MOST_REQUESTS = 200


def ability_problems(settings: Settings, facts: HostFacts) -> list[Problem]:
    """Return a problem for each switch that is on and each ControlNet unit that the host of `facts` does not support.

    Face restoration is left to `face_problems`.
    """
    switches = [setting for setting in facts.lacks if setting != FACES]
    problems = _unavailable(settings, facts, switches)
    for number, unit in acting_units(settings):
        problems += _unit_problems(number, unit, facts.controlnet)
    return problems


def face_problems(settings: Settings, facts: HostFacts) -> list[Problem]:
    """Return a problem if restore_faces is on and the host cannot restore faces; the frames are rendered without it."""
    return _unavailable(settings, facts, [FACES])


def _unavailable(settings: Settings, facts: HostFacts, switches: Iterable[str]) -> list[Problem]:
    return [
        Problem(
            messages.SWITCH_UNAVAILABLE(setting=switch, reason=facts.lacks[switch]),
            switch,
            found="true",
            allowed="false",
        )
        for switch in switches
        if switch in facts.lacks and getattr(settings, switch)
    ]


def lora_problems(plan: Plan, facts: HostFacts) -> list[Problem]:
    """Return a problem for each LoRA in the prompts that the host does not have, at the first frame that uses it."""
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
            messages.LORA_UNKNOWN(frame=frame, name=name[:80], allowed=allowed, folder=LORA_FOLDER),
            "prompts",
            frame=frame,
            found=name[:80],
            allowed=allowed,
        )
        for name, frame in called.items()
        if name not in there
    ]


def lora_warnings(plan: Plan, facts: HostFacts) -> tuple[str, ...]:
    """Return a warning for each malformed LoRA tag in the prompts; a WebUI, which parses tags itself, gets none."""
    if facts.loras is None:
        return ()
    return distinct_messages(
        messages.LORA_TAG_MALFORMED(frame=frame, tag=tag[:80])
        for text, frame in _with_tags(plan)
        for tag in unread_loras(text)
    )


def unread_warnings(plan: Plan, facts: HostFacts) -> Iterator[str]:
    """Yield a warning for each setting in use that the host's engine ignores, with what it does instead."""
    if all(source == "nothing" for source in plan.key_frames.sources):
        return
    asked = {
        "noise_source": plan.settings.noise_source == "inverted",
        "autoencoder_correction": plan.settings.autoencoder_correction,
    }
    yield from (reason for name, reason in facts.abilities.unread.items() if asked.get(name))


def prompt_warnings(plan: Plan, facts: HostFacts) -> Iterator[str]:
    """Return the engine's warnings about the prompts, such as words outside its vocabulary."""
    starts = [frame for frame in plan.prompts.key_frames if 0 <= frame < plan.frames]
    return facts.abilities.prompt_warnings(plan.prompts.positive[: plan.frames], starts)


def engine_warnings(plan: Plan, facts: HostFacts) -> tuple[str, ...]:
    """Return the engine's warnings about the plan's requests: of a long run, about some that are evenly spread."""
    stride = -(-len(plan.key_frames) // MOST_REQUESTS)
    requests = (key.request for key in plan.key_frames[::stride])
    return distinct_messages(facts.abilities.request_warnings(facts.model, requests))


def _with_tags(plan: Plan) -> list[tuple[str, int]]:
    """Return the distinct prompts that may contain tags, each with its first frame, sorted by frame."""
    first: dict[tuple[int, str], int] = {}
    for side, texts in enumerate((plan.prompts.positive, plan.prompts.negative)):
        for frame, text in enumerate(texts):
            if "<" in text:
                first.setdefault((side, text), frame)
    return sorted(((text, frame) for (_, text), frame in first.items()), key=lambda one: one[1])


def host_name_of(name: str, names: Sequence[str]) -> str | None:
    """Return the host's spelling of a name in a settings file, or None.

    Case is ignored, and so is the hash that hosts append to a model's name: "canny [1a2b3c4d]".
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
        message = messages.SWITCH_UNAVAILABLE(setting=setting, reason=facts.missing)
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


def _unknown(setting: str, kind: str, found: str, names: Sequence[str]) -> Problem:
    others = [name for name in names if _plain(name) != NO_NAME or kind == "preprocessor"]
    allowed = ", ".join(others[:MAX_NAMES_SHOWN]) + (", ..." if len(others) > MAX_NAMES_SHOWN else "")
    allowed = allowed or "none, as there is no ControlNet model"
    message = messages.UNIT_NAME_UNKNOWN(setting=setting, kind=kind, found=found, allowed=allowed)
    return Problem(message, setting, found=found, allowed=allowed)


def depth_warnings(plan: Plan) -> tuple[str, ...]:
    """Return warnings about a depth model that replaces the one in the settings, and about an unused midas_weight."""
    if not plan.uses_depth:
        return ()
    name, families = plan.settings.depth_algorithm, available_families()
    _, warning = serve(name, families)
    found = [warning] if warning else []
    if depth_name(name).raw and plan.settings.midas_weight < 1 and second_family(name, families) is None:
        found.append(messages.MIDAS_WEIGHT_UNUSED())
    return tuple(found)
