"""The tab as gradio has it: every setting is a component, every event keeps out of gradio's API and queue."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deforum_helpers.settings import FIELDS
from deforum_helpers.ui.controls import NAMES
from deforum_helpers.ui.uploads import BOXES

pytestmark = pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="gradio is not installed")
ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "javascript").glob("*.js"))

# In a process of its own: importing gradio leaves sockets open.
SCRIPT = """
import json, sys
from dataclasses import replace
from pathlib import Path
import gradio as gr
from deforum_helpers.pipeline.host_facts import ControlNetFacts
from deforum_helpers.settings import FIELDS
from deforum_helpers.ui import compat, make_tab
from deforum_helpers.ui.controls import control
from deforum_helpers.ui.uploads import Uploads
from tests.ui.fake_service import FakeService, facts

controlnet = ControlNetFacts(missing="No <ControlNet> here.")
own = replace(facts(Path(sys.argv[1])), controlnet=controlnet, lacks={"tiling": "This host cannot tile."})
kept = Path(sys.argv[1], "models/Deforum/deforum_persistent_settings.txt")
kept.parent.mkdir(parents=True)
kept.write_text('{"W": 640, "resume_from_timestring": true, "resume_timestring": "20260102030405"}')
service = FakeService(own)
service.set_options({"deforum_enable_persistent_settings": True})
made = make_tab(service)
config = made.get_config_file()
with gr.Blocks():
    dropped = Uploads(Path(sys.argv[1], "dropped"), Path(sys.argv[1]))
    width = compat.field(control(FIELDS["W"]), 512, (), dropped)
    module = compat.field(control(FIELDS["cn_1_module"]), "none", ("none", "canny"), dropped)
    image = compat.field(control(FIELDS["init_image_box"]), None, (), dropped)
fields = [width, module, image]
loaded = compat.EventHandler(lambda *values: (*values[:1], "canny", *values[2:]), fields, fields)
print("FOUND" + json.dumps({
    "config": config,
    "free": [module.allow_custom_value, module.preprocess("my own")],
    "beyond": width.preprocess(99_999),
    "set": [loaded(512, "none", ""), loaded(True, "canny", "")],
    "answering": [isinstance(one.fn, compat.EventHandler) for one in made.fns.values() if one.fn],
    "url": compat.file_url(Path("/a b/\\u00fc#?.mp4")),
}, default=str))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path_factory.mktemp("out"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    read: dict[str, Any] = json.loads(done.stdout.partition("FOUND")[2])
    return read


@pytest.fixture(scope="module")
def config(found: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = found["config"]
    return made


@pytest.fixture(scope="module")
def components(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {part["props"]["elem_id"]: part for part in config["components"] if part["props"].get("elem_id")}


def test_every_setting_is_a_component_with_its_label(components: dict[str, dict[str, Any]]) -> None:
    fields = {name for name in components if name.startswith("deforum_field_")}
    assert fields == {f"deforum_field_{name}" for name in NAMES}
    for name in NAMES:
        assert components[f"deforum_field_{name}"]["props"]["label"] == FIELDS[name].label


def test_choices_are_those_of_the_host(components: dict[str, dict[str, Any]]) -> None:
    choices = components["deforum_field_animation_mode"]["props"]["choices"]
    assert [choice[0] for choice in choices] == list(FIELDS["animation_mode"].choices)


def test_nothing_is_offered_to_programs(config: dict[str, Any]) -> None:
    asked = [event for event in config["dependencies"] if event.get("backend_fn")]
    assert asked
    assert all(event["api_visibility"] == "private" and not event["queue"] for event in asked)


def test_only_values_that_change_are_set_in_the_page(found: dict[str, Any]) -> None:
    """Setting the others again would undo what a user typed meanwhile."""
    unset = {"__type__": "update"}
    assert found["set"] == [[unset, "canny", unset], [unset, unset, unset]]


def test_changes_of_all_settings_are_watched(
    config: dict[str, Any], components: dict[str, dict[str, Any]]
) -> None:
    watched = {
        target[0]
        for event in config["dependencies"]
        for target in event["targets"]
        if "deforumTab?.changed" in str(event.get("js"))
    }
    assert watched == {components[f"deforum_field_{name}"]["id"] for name in NAMES}


def test_the_script_presses_and_reads_what_is_there(components: dict[str, dict[str, Any]]) -> None:
    script = "".join(file.read_text(encoding="utf-8") for file in SCRIPTS)
    named = set(re.findall(r'"(deforum_(?:look|draw|tick|act|fill))"', script))
    assert len(named) == 5
    assert named <= set(components)
    for name in re.findall(r"#(deforum_[a-z_]+)", script):
        assert name.startswith("deforum_field_") or name in components or name == "deforum_hidden_fields", (
            name
        )


def test_a_value_outside_its_bounds_reaches_our_own_check(found: dict[str, Any]) -> None:
    assert found["beyond"] == 99_999


def test_the_controls_begin_with_the_settings_that_were_kept(components: dict[str, dict[str, Any]]) -> None:
    assert components["deforum_field_W"]["props"]["value"] == 640
    assert components["deforum_field_H"]["props"]["value"] == 512
    assert components["deforum_field_resume_from_timestring"]["props"]["value"] is False


def test_the_options_tell_where_the_programs_and_files_are(components: dict[str, dict[str, Any]]) -> None:
    told = components["deforum_option_facts"]["props"]["value"]
    assert "Videos are encoded by " in told
    assert "deforum_persistent_settings.txt" in told


def test_a_list_of_models_takes_free_text_too(found: dict[str, Any]) -> None:
    assert found["free"] == [True, "my own"]


def test_what_the_host_lacks_is_said_where_it_would_be_used(components: dict[str, dict[str, Any]]) -> None:
    note = components["deforum_controlnet_note"]["props"]["value"]
    assert "No &lt;ControlNet&gt; here." in note
    assert components["deforum_field_tiling"]["props"]["info"].endswith("This host cannot tile.")


def test_every_event_sees_to_its_values_before_it_is_asked(found: dict[str, Any]) -> None:
    assert len(found["answering"]) > 20
    assert all(found["answering"])


def test_no_component_takes_files_from_gradio(config: dict[str, Any]) -> None:
    kinds = {part["type"] for part in config["components"]}
    plain = {"textbox", "number", "slider", "checkbox", "checkboxgroup", "dropdown", "button", "html"}
    assert kinds <= plain | {"row", "column", "form", "tabs", "tabitem", "accordion"}


def test_every_box_of_the_script_is_a_line_of_ids(components: dict[str, dict[str, Any]]) -> None:
    boxes = {name for name, part in components.items() if "deforum-files" in part["props"]["elem_classes"]}
    assert boxes == set(BOXES)


def test_addresses_of_files_are_quoted(found: dict[str, Any]) -> None:
    assert found["url"] == "gradio_api/file=/a%20b/%C3%BC%23%3F.mp4"


def test_styles_and_script_ask_no_other_server() -> None:
    for file in (ROOT / "style.css", *SCRIPTS):
        assert not re.search(r"https?://|@import|url\(", file.read_text(encoding="utf-8"))
