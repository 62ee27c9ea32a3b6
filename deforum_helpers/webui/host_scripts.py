"""The host's scripts that are run with an image of Deforum, such as ControlNet; no other script is run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from deforum_helpers.webui.host_modules import optional_module

# Methods of a script that hosts call during generation.
CALLS = (
    "setup",
    "before_process",
    "process",
    "before_process_init_images",
    "before_process_batch",
    "after_extra_networks_activate",
    "process_batch",
    "process_before_every_sampling",
    "on_mask_blend",
    "post_sample",
    "postprocess_batch",
    "postprocess_batch_list",
    "postprocess_image",
    "postprocess_maskoverlay",
    "postprocess_image_after_composite",
    "postprocess",
)
_ABSENT = object()


@dataclass(frozen=True)
class ScriptArgs:
    """A script and its arguments for one image.

    Args:
        script: of the host.
        arguments: the values that the script's controls in the host's page would have.
    """

    script: Any
    arguments: tuple[Any, ...]


@dataclass
class ScriptErrors:
    """Errors of the host's scripts as (title, error); the host itself only prints them."""

    seen: list[tuple[str, Exception]] = field(default_factory=list)


def find_script(title: str, *, is_img2img: bool) -> Any | None:
    """Return the host's script whose title begins with `title`, ignoring case, or None."""
    for script in getattr(_runner(is_img2img=is_img2img), "alwayson_scripts", ()):
        if str(script.title()).casefold().startswith(title.casefold()):
            return script
    return None


@contextmanager
def attached(
    processing: Any, script_args: Sequence[ScriptArgs], script_errors: ScriptErrors, *, is_img2img: bool
) -> Iterator[None]:
    """Run `processing` with these scripts of the host only, in the host's order, while the context lasts.

    The scripts are the host's own objects, so that state which they keep between images stays valid for other users.
    Their positions in the list of arguments are changed meanwhile, so the host's queue must be held. Their errors are
    added to `script_errors`.
    """
    if not script_args:
        yield
        return
    runner: Any = copy.copy(_runner(is_img2img=is_img2img))
    places = {id(args.script): args for args in script_args}
    runner.alwayson_scripts = [each for each in runner.alwayson_scripts if id(each) in places]
    runner.scripts, runner.selectable_scripts = list(runner.alwayson_scripts), []
    runner.callback_map = {}
    arguments: list[Any] = [0]  # index of the selectable script: none
    with ExitStack() as stack:
        for script in runner.alwayson_scripts:
            given = places[id(script)].arguments
            end = len(arguments) + len(given)
            changes = {"args_from": len(arguments), "args_to": end, **_watched(script, script_errors)}
            stack.enter_context(_changed(script, changes))
            arguments += given
        processing.scripts = runner
        processing.script_args = tuple(arguments)
        yield


def _runner(*, is_img2img: bool) -> Any | None:
    scripts = optional_module("modules.scripts")
    return getattr(scripts, "scripts_img2img" if is_img2img else "scripts_txt2img", None)


def _watched(script: Any, script_errors: ScriptErrors) -> dict[str, Callable[..., Any]]:
    """Return the methods of `script`, wrapped to record their errors."""
    title = str(script.title())

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def noting(*arguments: Any, **named: Any) -> Any:
            try:
                return call(*arguments, **named)
            except Exception as error:
                script_errors.seen.append((title, error))
                raise

        return noting

    return {name: watched(getattr(script, name)) for name in CALLS if hasattr(script, name)}


@contextmanager
def _changed(script: Any, changes: dict[str, Any]) -> Iterator[None]:
    """Set attributes of the object `script`, not of its class, and restore them at the end."""
    own = vars(script)
    before = {name: own.get(name, _ABSENT) for name in changes}
    own.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is _ABSENT:
                own.pop(name, None)
            else:
                own[name] = value
