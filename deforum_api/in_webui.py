"""Mounts the API on a WebUI's app. The queue stays when the WebUI rebuilds its app, and with it every job."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from deforum_api.app import mount
from deforum_api.host import health, make_queue, standalone_facts
from deforum_api.jobs import JobQueue
from deforum_api.security import access_of

if TYPE_CHECKING:
    from deforum_helpers.engines.base import Engine
    from deforum_helpers.prepare import HostFacts


def mount_in_webui(app: FastAPI, flags: Any, output_root: Path) -> None:
    """Add our routes to the WebUI's app, if its flags ask for them.

    Args:
        app: of the WebUI; a new one after each "Reload UI".
        flags: its parsed command line.
        output_root: its folder for everything that is written.
    """
    api, simple_api = bool(flags.deforum_api), bool(flags.deforum_simple_api)
    if not (api or simple_api):
        return
    facts, queue = _queue(output_root)
    mount(app, queue, access_of(flags), lambda: health(facts), api=api)


@lru_cache
def _queue(output_root: Path) -> tuple[HostFacts, JobQueue]:
    facts = standalone_facts("demo", None, output_root, name="webui")
    return facts, make_queue(facts, _engine)


def _engine() -> Engine:
    from deforum_helpers.engines import make_engine

    return make_engine("demo")
