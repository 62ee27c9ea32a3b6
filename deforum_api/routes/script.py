"""The JavaScript client, served to the pages that use it."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse, Response

from deforum_api.routing import Router

SCRIPT = Path(__file__).parents[1] / "static" / "client.js"
router = Router(prefix="/deforum_api", include_in_schema=False)


@router.get("/client.js")
async def client_script() -> Response:
    """`import { Deforum } from ".../deforum_api/client.js"`."""
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return FileResponse(SCRIPT, media_type="text/javascript", headers=headers)
