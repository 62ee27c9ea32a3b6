"""The page's scripts alone, on a page that has only what they press: loaded in any order, and more than once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "javascript").glob("*.js"))
PAGE = """<div id="deforum_interface"><button data-act="up" data-job="a">Move up</button>
<button id="deforum_look" onclick="window.looks = (window.looks || 0) + 1; window.deforumTab.checked()"></button>
<button id="deforum_tick"></button><button id="deforum_act" onclick="window.sent = (window.sent || 0) + 1"></button>
<div id="deforum_field_zoom"></div>
<div id="deforum_verdict"><span class="deforum-marks"
 data-marks='{"hidden": [], "problems": {"zoom": [{"message": "No."}]}}'></span></div></div>"""


@pytest.mark.parametrize(
    "scripts",
    [*permutations(SCRIPTS), (*SCRIPTS, *SCRIPTS)],
    ids=lambda files: " ".join(file.stem for file in files),
)
def test_they_work_in_any_order_and_twice(browser: Any, scripts: Sequence[Path]) -> None:
    page = browser.new_page()
    try:
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # Not about:blank, which has nothing to keep values in.
        page.route("http://page.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.clock.install()
        page.goto("http://page.test/")
        for script in scripts:
            page.add_script_tag(content=script.read_text(encoding="utf-8"))
            page.clock.run_for(1000)
        page.locator("#deforum_error_zoom", has_text="No.").wait_for()
        page.click("[data-act=up]")
        assert page.evaluate("[window.sent, window.looks]") == [1, 1]
        assert page.evaluate("window.deforumTab.command()") == '{"act":"up","job":"a"}'
        assert complaints == []
    finally:
        page.close()
