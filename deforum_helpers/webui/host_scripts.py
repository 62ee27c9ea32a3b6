"""Scripts of the host that take part in our pictures, one by one and for one picture only; all others are left out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from deforum_helpers.webui.host_modules import part

# What hosts call in a script while they draw.
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
class Taking:
    """A script's part in a picture.

    Args:
        script: the host's.
        arguments: as the widgets of its page would give them.
    """

    script: Any
    arguments: tuple[Any, ...]


@dataclass
class Faults:
    """What went wrong in the host's scripts, which it only writes to its console: (title, error)."""

    seen: list[tuple[str, Exception]] = field(default_factory=list)


def find_script(title: str, *, is_img2img: bool) -> Any | None:
    """Return the host's script whose title begins with `title`, any case, or None."""
    for script in getattr(_runner(is_img2img=is_img2img), "alwayson_scripts", ()):
        if str(script.title()).casefold().startswith(title.casefold()):
            return script
    return None


@contextmanager
def attached(
    processing: Any, takings: Sequence[Taking], faults: Faults, *, is_img2img: bool
) -> Iterator[None]:
    """Let these scripts of the host take part in `processing`, in their own order, while the context lasts.

    The scripts are the host's own objects: what they keep from one picture to the next stays right for its other
    users. Their places in the list of arguments are ours meanwhile, so the host's queue must be held. What goes
    wrong in them is added to `faults`.
    """
    if not takings:
        yield
        return
    runner: Any = copy.copy(_runner(is_img2img=is_img2img))
    places = {id(taking.script): taking for taking in takings}
    runner.alwayson_scripts = [each for each in runner.alwayson_scripts if id(each) in places]
    runner.scripts, runner.selectable_scripts = list(runner.alwayson_scripts), []
    runner.callback_map = {}
    arguments: list[Any] = [0]  # the place of the chosen one among those that are run by choice: none
    with ExitStack() as stack:
        for script in runner.alwayson_scripts:
            given = places[id(script)].arguments
            end = len(arguments) + len(given)
            changes = {"args_from": len(arguments), "args_to": end, **_watched(script, faults)}
            stack.enter_context(_changed(script, changes))
            arguments += given
        processing.scripts = runner
        processing.script_args = tuple(arguments)
        yield


def _runner(*, is_img2img: bool) -> Any | None:
    scripts = part("modules.scripts")
    return getattr(scripts, "scripts_img2img" if is_img2img else "scripts_txt2img", None)


def _watched(script: Any, faults: Faults) -> dict[str, Callable[..., Any]]:
    """Return the calls of `script`, with their errors noted."""
    title = str(script.title())

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def noting(*arguments: Any, **named: Any) -> Any:
            try:
                return call(*arguments, **named)
            except Exception as error:
                faults.seen.append((title, error))
                raise

        return noting

    return {name: watched(getattr(script, name)) for name in CALLS if hasattr(script, name)}


@contextmanager
def _changed(script: Any, changes: dict[str, Any]) -> Iterator[None]:
    """Give attributes of `script` itself, not of its class, other values, and take them back."""
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
