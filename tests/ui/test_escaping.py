"""Text from users is text wherever it is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.pipeline.plot import camera_svg, plot_svg
from deforum_helpers.ui import panels
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.controls import NAMES, default_values
from deforum_helpers.ui.service import DeliveryView
from deforum_helpers.ui.settings_files import LoadResult, problem_html, report_html
from tests.ui.fake_service import DONE, RUNNING, FakeService, facts

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</textarea><svg/onload=alert(1)>",
    "${alert(1)} {{alert(1)}}",
    "javascript:alert(1)",
)
ELEMENTS = {
    *(
        "div",
        "section",
        "span",
        "p",
        "b",
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
        "button",
        "details",
        "summary",
        "a",
        "img",
    ),
    *(
        "video",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "figure",
        "svg",
        "g",
        "path",
        "rect",
        "text",
        "title",
    ),
    *("polyline", "polygon", "circle"),
}


class Page(HTMLParser):
    """Fails on an element or attribute that no template of ours has."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, tag
        for name, value in attrs:
            assert not name.startswith("on"), name
            if name in ("href", "src"):
                assert str(value).startswith(("file=", "data:image/jpeg;base64,")), value


def safe(page: str) -> None:
    parser = Page()
    parser.feed(page)
    parser.close()


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    return FakeService(facts(tmp_path))


@pytest.mark.parametrize("evil", EVIL)
def test_names_messages_and_paths_of_jobs(service: FakeService, evil: str) -> None:
    job = replace(
        DONE,
        id=evil,
        title=evil,
        message=evil,
        warnings=(evil, evil),
        phase=evil,
        folder=Path(f"/x/{evil}"),
        deliveries=(DeliveryView(evil, evil, 2, evil, evil),),
    )
    service.made = {"video": Path(f"/{evil}/{evil}.mp4"), "gif": Path(f"/{evil}.gif")}
    safe(panels.run_html(service, job, lambda path: f"file={path}"))
    safe(panels.run_html(service, replace(job, state="running"), str))
    safe(panels.jobs_html((job, RUNNING)))


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("name", ["zoom", "prompts", "batch_name", "sampler", "init_image", "W"])
def test_what_stands_in_the_controls(service: FakeService, name: str, evil: str) -> None:
    held: dict[str, Any] = dict(zip(NAMES, default_values(), strict=True)) | {name: evil, "use_init": True}
    answers = Answers(service, lambda path: f"file={path}")
    safe(answers.check(*held.values()))
    safe(answers.generate(False, [], tuple(held.values())))
    safe(answers.plot([], tuple(held.values())))


@pytest.mark.parametrize("evil", EVIL)
def test_prompts_in_images(service: FakeService, evil: str) -> None:
    plan = service.check({"prompts": {"0": evil, "60": evil}, "animation_mode": "3D"}).plan
    safe(plot_svg(plan, ["strength_schedule"]))
    safe(camera_svg(plan))


@pytest.mark.parametrize("evil", EVIL)
def test_reports_of_files(service: FakeService, evil: str) -> None:
    problem = Problem(evil, setting="zoom", found=evil)
    safe(report_html(LoadResult(evil, {}, ("zoom",), (evil,), (evil,), (problem,), (evil,), (evil,))))
    safe(problem_html(evil, SettingsError([problem])))
    answers = Answers(service, lambda path: f"file={path}")
    safe(answers.save(evil, default_values()))
    safe(answers.load_named(evil, default_values())[1])
    safe(answers.fill(json.dumps({"act": "preset", "name": evil}), default_values())[1])
    safe(answers.act(json.dumps({"act": "cancel", "job": evil})))
