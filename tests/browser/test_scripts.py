"""The page's scripts alone, on a page that has only what they press: loaded in any order, and more than once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

WAITING = ("deforum", "deforum_files", "deforum_marks", "deforum_presses")
SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "javascript").glob("*.js"))
# deforum.js waits for these; the others stand at each place in turn.
AWAITED = [script for script in SCRIPTS if script.stem in WAITING]
OTHERS = [script for script in SCRIPTS if script not in AWAITED]
REQUESTS = next(script for script in OTHERS if script.stem == "deforum_requests")


def _order(awaited: Sequence[Path], turn: int) -> tuple[Path, ...]:
    order = list(awaited)
    for number, script in enumerate(OTHERS):
        order.insert((turn + number) % (len(order) + 1), script)
    return tuple(order)


ORDERS = [_order(awaited, turn) for turn, awaited in enumerate(permutations(AWAITED))]
PAGE = """<div id="deforum_interface"><button data-act="up" data-job="a">Move up</button>
<button id="deforum_look" onclick="window.looks = (window.looks || 0) + 1; (window.look || look)()"></button>
<button id="deforum_tick"></button><button id="deforum_act" onclick="window.sent = (window.sent || 0) + 1"></button>
<div id="deforum_field_zoom"></div>
<div id="deforum_verdict"><span class="deforum-marks"
 data-marks='{"hidden": [], "problems": {"zoom": [{"message": "No."}]}}'></span></div></div>
<script>
const numbered = (asked) => `<span data-number="${JSON.parse(asked).number}"></span>`;
const look = () => deforumTab.checked(numbered(deforumTab.looking()));
</script>"""


@pytest.mark.parametrize(
    "scripts",
    [*ORDERS, (*SCRIPTS, *SCRIPTS)],
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


@pytest.fixture
def scripts_page(browser: Any) -> Iterator[Any]:
    """A reloaded page whose scripts start when its clock runs."""
    page = browser.new_page()
    try:
        page.route("http://page.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.clock.install()
        page.goto("http://page.test/")
        page.evaluate("sessionStorage.setItem('deforum_held', JSON.stringify({W: 320, H: 640}))")
        for script in AWAITED:
            page.add_script_tag(content=script.read_text(encoding="utf-8"))
        yield page
    finally:
        page.close()


def _values(page: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(page.evaluate("deforumTab.values()"))
    return values


def test_a_change_before_the_start_is_kept_beside_those_of_before_the_reload(scripts_page: Any) -> None:
    scripts_page.evaluate("deforumTab.changed('W', 512, false)")
    assert _values(scripts_page) == {"W": 512, "H": 640}
    assert json.loads(scripts_page.evaluate("sessionStorage.getItem('deforum_held')")) == {"W": 512, "H": 640}


# gradio drops the press that follows when patience ends, as it still waits for the answer to the one before.
def test_a_change_while_an_answer_is_late_is_checked_after_it(scripts_page: Any) -> None:
    page = scripts_page
    page.clock.run_for(1000)
    page.evaluate(
        "void (window.asked = [], window.look = () => asked.length || asked.push(deforumTab.looking()))"
    )
    page.evaluate("deforumTab.changed('steps', 5, false)")
    page.clock.run_for(1000)
    page.evaluate("deforumTab.changed('steps', 9, false)")
    before = page.evaluate("looks")
    page.clock.run_for(17_000)
    assert page.evaluate("looks") > before
    page.evaluate("void (window.look = () => asked.push(deforumTab.looking()))")
    page.evaluate("deforumTab.checked(numbered(asked[0]))")
    assert [json.loads(one)["values"]["steps"] for one in page.evaluate("asked")] == [5, 9]


def test_an_answer_that_comes_after_a_later_one_is_replaced(scripts_page: Any) -> None:
    page = scripts_page
    page.clock.run_for(1000)
    page.evaluate("void (window.asked = [], window.look = () => asked.push(deforumTab.looking()))")
    page.evaluate("deforumTab.changed('steps', 5, false)")
    page.evaluate("deforumTab.changed('steps', 9, false)")
    page.clock.run_for(17_000)
    page.evaluate("deforumTab.checked(numbered(asked[1]))")
    assert len(page.evaluate("asked")) == 2
    page.evaluate("deforumTab.checked(numbered(asked[0]))")
    page.evaluate("deforumTab.checked(numbered(asked[2]))")
    page.clock.run_for(20_000)
    assert [json.loads(one)["values"]["steps"] for one in page.evaluate("asked")] == [5, 9, 9]


def test_a_value_is_checked_at_once_and_once(scripts_page: Any) -> None:
    page = scripts_page
    page.clock.run_for(1000)
    before = page.evaluate("looks")
    assert page.evaluate("deforumTab.changed('steps', 5, false), looks") == before + 1
    page.evaluate("deforumTab.changed('steps', 5, false)")
    page.clock.run_for(1000)
    assert page.evaluate("deforumTab.changed('zoom', '0: (1)', true), looks") == before + 1
    page.clock.run_for(1000)
    assert page.evaluate("looks") == before + 2


def test_the_jobs_are_not_asked_for_while_an_answer_is_awaited(scripts_page: Any) -> None:
    """A page that takes seconds for an answer would otherwise do nothing else."""
    page = scripts_page
    page.clock.run_for(1000)
    page.evaluate(
        "window.ticks = 0;"
        "void (document.getElementById('deforum_tick').onclick = () => { ticks++; deforumTab.state(); });"
        "deforumTab.state(); deforumTab.ticked()"
    )
    page.clock.run_for(5000)
    assert page.evaluate("ticks") == 1
    assert page.evaluate("deforumTab.ticked(), ticks") == 1
    page.clock.run_for(1000)
    assert page.evaluate("ticks") == 2


# What gradio 3 (no ids, buttons alone), 4 and 6 say of a page: an event of the tab, what follows it, one of a host.
DEPENDENCIES = {
    "gradio 3": """[
        {targets: [7], backend_fn: true}, {targets: [7], backend_fn: false}, {targets: [8], backend_fn: true}]""",
    "later": """[
        {id: 0, targets: [[7, "click"]], backend_fn: true}, {id: 1, targets: [[0, "then"]], backend_fn: false},
        {id: 2, targets: [[8, "click"]], backend_fn: true}]""",
}
ASKING = """async ([path, number]) => {
  const body = JSON.stringify({ fn_index: number, data: ["{}"] });
  const answer = await fetch(path, { method: "POST", body }).catch(() => null);
  return answer && [answer.status, await answer.json()];
}"""


@pytest.mark.parametrize("kind", DEPENDENCIES)
@pytest.mark.parametrize("path", ["/run/predict", "/gradio_api/run/predict"])
def test_a_request_of_the_tab_itself_waits_for_the_server_and_no_other_does(
    browser: Any, kind: str, path: str
) -> None:
    page = browser.new_page()
    config = f"""({{components: [{{id: 7, props: {{elem_id: "deforum_tick"}}}},
        {{id: 8, props: {{elem_id: "txt2img"}}}}], dependencies: {DEPENDENCIES[kind]}}})"""
    met: list[str] = []

    def answer(route: Any) -> None:
        """Two connections that fail, an answer of a proxy, then the server."""
        met.append(route.request.post_data)
        if len(met) in (1, 2, 5):
            route.abort()
        else:
            route.fulfill(status=502 if len(met) == 3 else 200, json={"data": ["here"]})

    try:
        page.route("http://page.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.route(f"http://page.test{path}", answer)
        page.goto("http://page.test/")
        described = page.evaluate(f"window.gradio_config = {config}")
        page.route("http://page.test/config", lambda route: route.fulfill(json=described))
        page.add_script_tag(content=REQUESTS.read_text(encoding="utf-8").replace("1000", "1"))
        assert page.evaluate(ASKING, [path, 0]) == [200, {"data": ["here"]}]
        assert len(met) == 4
        assert page.evaluate(ASKING, [path, 2]) is None  # somebody pressed this one and has to know
        assert page.evaluate(ASKING, [path, 2]) == [200, {"data": ["here"]}]
    finally:
        page.close()


def test_an_action_fails_alone_and_says_why(browser: Any) -> None:
    """gradio takes a request without any answer for the end of the whole page."""
    page = browser.new_page()
    config = """{components: [{id: 7, props: {elem_id: "deforum_generate"}}],
        dependencies: [{targets: [[7, "click"]], backend_fn: true}]}"""
    answers: list[dict[str, Any]] = [{"status": 413, "json": {"error": "Too large."}}, {"json": {"data": []}}]

    def answer(route: Any) -> None:
        if met.append(route) or len(met) == 1:
            route.abort()
        else:
            route.fulfill(**answers[len(met) - 2])

    met: list[Any] = []
    try:
        body = f'<meta id="deforum_own_page">{PAGE}'
        page.route("http://page.test/", lambda route: route.fulfill(body=body, content_type="text/html"))
        page.route("http://page.test/run/predict", answer)
        page.goto("http://page.test/")
        page.evaluate(f"void (window.gradio_config = {config})")
        page.add_script_tag(content=REQUESTS.read_text(encoding="utf-8"))
        said = page.locator("#deforum_refused")
        status, _ = page.evaluate(ASKING, ["/run/predict", 0])
        assert (status, said.count()) == (503, 1)
        assert page.evaluate(ASKING, ["/run/predict", 0])[0] == 413
        assert said.inner_text() == "Too large."
        assert page.evaluate(ASKING, ["/run/predict", 0])[0] == 200
        assert said.count() == 0
    finally:
        page.close()


def test_a_request_is_not_sent_again_to_a_server_with_other_pages(browser: Any) -> None:
    page = browser.new_page()
    config = """({components: [{id: 7, props: {elem_id: "BUTTON"}}],
        dependencies: [{targets: [[7, "click"]], backend_fn: true}]})"""
    met: list[str] = []

    def answer(route: Any) -> None:
        met.append(route.request.url)
        route.abort()

    try:
        page.route("http://page.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.route("http://page.test/run/predict", answer)
        page.goto("http://page.test/")
        page.evaluate("window.gradio_config = " + config.replace("BUTTON", "deforum_tick"))
        now = page.evaluate(config.replace("BUTTON", "something_else"))
        page.route("http://page.test/config", lambda route: route.fulfill(json=now))
        page.add_script_tag(content=REQUESTS.read_text(encoding="utf-8").replace("1000", "1"))
        page.evaluate(f"void ({ASKING})(['/run/predict', 0])")
        page.locator("#deforum_interface.deforum-server-other").wait_for()
        assert len(met) == 1
    finally:
        page.close()
