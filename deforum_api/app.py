"""Mounts the API on a FastAPI app, our own or a host's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from deforum_api.jobs import JobQueue
from deforum_api.routes import batches, jobs, outputs, script, settings, simple, tools
from deforum_api.routing import Service
from deforum_api.security import Access


def mount(
    app: FastAPI,
    queue: JobQueue,
    access: Access,
    health: Callable[[], dict[str, Any]],
    *,
    api: bool = True,
    simple_api: bool = True,
) -> None:
    """Add our routes to `app`, once; a second call only exchanges what they work with.

    Args:
        app: the host's app, or our own.
        queue: the jobs; outlives the app.
        access: who may ask for what.
        health: the facts of `/deforum_api/health` that the queue does not know.
        api: mount `/deforum_api/*`.
        simple_api: mount `/deforum/*`.
    """
    mounted = hasattr(app.state, "deforum")
    app.state.deforum = Service(queue, access, health)
    if mounted:
        return
    if api:
        for routes in (batches, tools, jobs, outputs, settings, script):
            app.include_router(routes.router)
    if simple_api:
        app.include_router(simple.router)
    app.openapi_schema = None
