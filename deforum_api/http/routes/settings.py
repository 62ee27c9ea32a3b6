"""The settings themselves, how the server is, and the JavaScript client for web pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response

from deforum_api.http.metrics import CONTENT_TYPE, metrics_text, server_state
from deforum_api.http.models import Health
from deforum_api.http.routing import SERVICE, Router, Service, error_responses
from deforum_helpers.settings import defaults, schema

SCRIPT = Path(__file__).parents[2] / "static" / "client.js"
TEXT = {"schema": {"type": "string"}}

router = Router(prefix="/deforum_api", tags=["Settings"])


@router.get(
    "/settings/schema",
    response_model=dict[str, Any],
    responses=error_responses(),
    summary="Schema of all settings",
)
async def settings_schema() -> Response:
    """JSON schema of a settings object, with help, bounds, units and choices."""
    return JSONResponse(schema())


@router.get(
    "/settings/defaults",
    response_model=dict[str, Any],
    responses=error_responses(),
    summary="Default settings",
)
async def settings_defaults() -> Response:
    """Every setting with its default."""
    return JSONResponse(defaults())


@router.get("/health", response_model=Health, responses=error_responses(), summary="How the server is")
async def health(service: Service = SERVICE) -> Response:
    """Host, engine, model, versions, queue, free disk, and what is unavailable and why."""
    async with service.reading:
        facts = await run_in_threadpool(service.health)
    return JSONResponse(server_state(facts, service.jobs))


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **error_responses(503),
        200: {"description": "Prometheus text", "content": {"text/plain": TEXT}},
    },
    summary="Numbers for Prometheus",
)
async def metrics(service: Service = SERVICE) -> Response:
    """Queue, jobs by status, the running job's frames and free disk, in the text format of Prometheus."""
    async with service.reading:
        facts = await run_in_threadpool(service.health)
    # As a header: older Starlette would add the charset to a media type once more.
    return Response(metrics_text(facts, service.jobs), headers={"Content-Type": CONTENT_TYPE})


@router.get(
    "/client.js",
    response_class=Response,
    responses={
        **error_responses(),
        200: {"description": "The module", "content": {"text/javascript": {"schema": {"type": "string"}}}},
    },
    summary="The JavaScript client",
)
async def client_script() -> Response:
    """A module for web pages: `import { Deforum } from ".../deforum_api/client.js"`."""
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return FileResponse(SCRIPT, media_type="text/javascript", headers=headers)
