"""A server that is given what is no file: it answers in words, renders the next job, and ends when it is told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.conftest import Start
from tests.faults.serving import SETTINGS
from tests.odd_files import WORDS, odd_files

NAMED = {
    "init_image": {"use_init": True},
    "video_init_path": {"animation_mode": "Video Input"},
    "soundtrack_path": {"add_soundtrack": "File"},
}


@pytest.mark.parametrize("setting", NAMED)
def test_a_server_is_not_held_up(start: Start, setting: str, tmp_path: Path) -> None:
    server = start()
    for name, path in odd_files(tmp_path / "odd").items():
        wanted = {**SETTINGS, **NAMED[setting], setting: str(path)}
        for route in ("validate", "batches"):
            status, answer = server.ask("POST", f"/deforum_api/{route}", {"deforum_settings": wanted})
            assert status in (200, 400), answer
            assert WORDS[name] in str(answer), (name, answer)
    (job_id,) = server.submit({**SETTINGS, "batch_name": "after"})
    assert server.ended(job_id)["status"] == "SUCCEEDED"
    assert server.terminate() == 0


def test_a_server_ends_while_a_drive_does_not_answer(start: Start) -> None:
    """Its look at a file never comes back: the thread that waits for it keeps nobody."""
    server = start("hanging drive")
    status, answer = server.ask(
        "POST",
        "/deforum_api/validate",
        {"deforum_settings": {**SETTINGS, "use_init": True, "init_image": "/a.png"}},
    )
    assert status == 200
    assert "does not answer" in str(answer)
    assert server.terminate() == 0
