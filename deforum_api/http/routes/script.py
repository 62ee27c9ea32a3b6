"""The JavaScript client, served to the pages that use it."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse, Response

from deforum_api.http.routing import Router, error_responses

SCRIPT = Path(__file__).parents[2] / "static" / "client.js"
router = Router(prefix="/deforum_api", tags=["Settings"])


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
