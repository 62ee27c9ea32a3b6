"""What the documentation of a route says of where its answer leads: links between operations, as OpenAPI has them."""

from __future__ import annotations

from typing import Any

# name: (method, path); "{id}" of each is filled in from an answer
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
    """Return the links of an answer with status `code`; `job` and `batch` tell where their ids stand in it."""
    made = {}
    for kind, targets in (("job", OF_A_JOB), ("batch", OF_A_BATCH)):
        for name, (method, path) in targets.items() if kind in ids else ():
            escaped = path.replace("/", "~1")
            made[name] = {"operationRef": f"#/paths/{escaped}/{method}", "parameters": {"id": ids[kind]}}
    return {code: {"links": made}}
