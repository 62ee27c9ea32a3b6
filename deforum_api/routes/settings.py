"""The settings themselves, and how the server is."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from deforum_api.models import Health
from deforum_api.routing import SERVICE, Router, Service, errors
from deforum_helpers.settings import defaults, schema

router = Router(prefix="/deforum_api", tags=["Settings"])


@router.get(
    "/settings/schema", response_model=dict[str, Any], responses=errors(), summary="Schema of all settings"
)
async def settings_schema() -> Response:
    """JSON schema of a settings object, with help, bounds, units and choices."""
    return JSONResponse(schema())


@router.get(
    "/settings/defaults", response_model=dict[str, Any], responses=errors(), summary="Default settings"
)
async def settings_defaults() -> Response:
    """Every setting with its default."""
    return JSONResponse(defaults())


@router.get("/health", response_model=Health, responses=errors(), summary="How the server is")
async def health(service: Service = SERVICE) -> Response:
    """Host, engine, model, versions, queue, free disk, and what is unavailable and why."""
    facts = await run_in_threadpool(service.health)
    return JSONResponse({**facts, "queue_length": len(service.jobs.store.queued())})
