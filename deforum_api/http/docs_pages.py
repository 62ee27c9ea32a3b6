"""The documentation pages, and the OpenAPI links from a response to the requests that may follow."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from deforum_api.http import messages
from deforum_api.http.routing import Router, error_response, service_of
from deforum_api.http.security import guard
from deforum_api.queue.errors import ApiError

# name: (method, path), where {id} is taken from a response
OF_A_JOB = {
    "look": ("get", "/deforum_api/jobs/{id}"),
    "follow": ("get", "/deforum_api/jobs/{id}/events"),
    "cancel": ("delete", "/deforum_api/jobs/{id}"),
    "resume": ("post", "/deforum_api/jobs/{id}/resume"),
    "outputs": ("get", "/deforum_api/jobs/{id}/outputs"),
    "video": ("get", "/deforum_api/jobs/{id}/video"),
    "preview": ("get", "/deforum_api/jobs/{id}/preview"),
}
OF_A_BATCH = {
    "lookAtBatch": ("get", "/deforum_api/batches/{id}"),
    "cancelBatch": ("delete", "/deforum_api/batches/{id}"),
}


def links(code: int, **ids: str) -> dict[int | str, dict[str, Any]]:
    """Return the links of a response with status `code`; `job` and `batch` are expressions for their ids."""
    made = {}
    for kind, targets in (("job", OF_A_JOB), ("batch", OF_A_BATCH)):
        for name, (method, path) in targets.items() if kind in ids else ():
            escaped = path.replace("/", "~1")
            made[name] = {"operationRef": f"#/paths/{escaped}/{method}", "parameters": {"id": ids[kind]}}
    return {code: {"links": made}}


FILES = "/docs-files"
REDOC = "redoc.standalone.js"
# ReDoc loads a logo from the internet; an empty image replaces it.
REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
NO_LOGO = b"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"
router = Router(include_in_schema=False)
home = Router(include_in_schema=False)


def add_docs(app: FastAPI) -> None:
    """Serve `/docs`, `/redoc` and `/openapi.json`, guarded like every other route."""
    package = importlib.util.find_spec("fastapi_offline")
    if package is None or package.origin is None:
        raise RuntimeError(messages.DOCS_PACKAGE_MISSING())
    app.include_router(router)
    app.mount(FILES, GuardedFiles(directory=Path(package.origin).parent / "static"))


class GuardedFiles(StaticFiles):
    """The scripts and styles of the pages, with the same checks as the pages."""

    async def get_response(self, path: str, scope: Any) -> Response:
        request = Request(scope)
        try:
            guard(request, FILES, service_of(request).access)
        except ApiError as error:
            return error_response(error)
        if path == REDOC and self.directory is not None:
            return Response(_redoc_without_logo(Path(self.directory)), media_type="text/javascript")
        return await super().get_response(path, scope)


@lru_cache(maxsize=1)
def _redoc_without_logo(folder: Path) -> bytes:
    return (folder / REDOC).read_bytes().replace(REDOC_LOGO, NO_LOGO)


def redirect_home_to_docs(app: FastAPI) -> None:
    """Redirect `/` to `/docs`."""
    app.include_router(home)


@router.get("/docs")
async def swagger(request: Request) -> Response:
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Deforum API",
        swagger_js_url=f"{FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{FILES}/swagger-ui.css",
        swagger_favicon_url=f"{FILES}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
    )


@router.get("/redoc")
async def redoc(request: Request) -> Response:
    return get_redoc_html(
        openapi_url="openapi.json",
        title="Deforum API",
        redoc_js_url=f"{FILES}/{REDOC}",
        redoc_favicon_url=f"{FILES}/favicon.png",
        with_google_fonts=False,
    )


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    return JSONResponse(request.app.openapi())


@home.get("/")
async def root(request: Request) -> Response:
    return RedirectResponse("/docs")
