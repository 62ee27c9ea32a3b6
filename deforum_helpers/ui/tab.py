"""The tab: controls of the settings on the left, run and jobs on the right; and its page on Deforum's own server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from deforum_helpers.core.bundled import bundled
from deforum_helpers.pipeline.last_settings import load_last_settings
from deforum_helpers.settings import FIELDS
from deforum_helpers.settings.keys import UNITS_OF_KEYS
from deforum_helpers.ui import compat
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.buttons import BUTTONS, Place
from deforum_helpers.ui.controls import (
    NAMES,
    available_controlnet,
    control,
    fixed_facts,
    host_choices,
    option_rows,
    start_values,
)
from deforum_helpers.ui.events import TabComponents, connect
from deforum_helpers.ui.formatting import code_attribute, escape, model_html
from deforum_helpers.ui.layout import IDLE, Section, sections
from deforum_helpers.ui.panels import DOCK, TIMELINE
from deforum_helpers.ui.preset_list import presets_html
from deforum_helpers.ui.service import Event, JobService
from deforum_helpers.ui.tool_tab import TOOLS, ToolComponents
from deforum_helpers.ui.uploads import Uploads, boxes_for_script

NOTES = """Keys are frames, values are prompts: <code>{"0": "a lake at dawn", "60": "a forest in autumn"}</code>.
Keys may count from the end: <code>"max_f-10"</code>. <code>"2.5s"</code> and <code>"8b"</code> are
seconds and beats. Text after <code>--neg</code> is the negative prompt;
<code>(word:1.3)</code> weights a word, <code>`expression`</code> is evaluated for each frame;
<code>--seed 5</code>, <code>--steps 30</code> and <code>--cfg 7</code> apply to one prompt."""
# Schedules with a button that sets them to a value without motion.
RESETS = {"zoom": "0:(1)", "translation_z": "0:(0)"}
STYLE = bundled("style.css")
# A WebUI loads these files by itself, in the order of their names; they work in any order.
SCRIPTS = tuple(sorted(bundled("javascript").glob("*.js")))
# gradio's wide margins would leave too little room for three controls in a line.
WIDE = "\n.gradio-container > .main.fillable.app { max-width: 1800px; }\n"


def make_tab(service: JobService, uploads: Uploads) -> Any:
    """Return the tab as gradio Blocks.

    Args:
        service: the jobs and the host.
        uploads: the files dropped into the tab.
    """
    with compat.blocks("Deforum") as made:
        with gr.Column(elem_id="deforum_interface"):
            kept = load_last_settings(service.options(), service.facts.output_root)
            start = start_values(kept, service.facts)
            components = _Builder(service, start, uploads).build()
        connect(components, Answers(service, compat.file_url, start, uploads))
    return made


def mount(app: Any, service: JobService, uploads: Uploads, module: str = "") -> dict[int, Event]:
    """Serve the tab at `/` of the FastAPI app `app`, after the routes that it already has.

    gradio serves the page only; the functions of its events are returned by number, for a route of this project to
    call.

    Args:
        app: the server's app.
        service: the jobs and the host.
        uploads: the files dropped into the tab.
        module: text of a further JavaScript module for the page.
    """
    made = make_tab(service, uploads)
    scripts = "".join(f"<script>{script.read_text(encoding='utf-8')}</script>" for script in SCRIPTS)
    head = f'<meta id="deforum_own_page" name="deforum" content="own page">{scripts}'
    if module:
        head += f'<script type="module">{module}</script>'
    gr.mount_gradio_app(
        app,
        made,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=compat.own_theme(),
        css=STYLE.read_text(encoding="utf-8") + WIDE,
        head=head,
    )
    return {number: one.fn for number, one in made.fns.items() if isinstance(one.fn, compat.EventHandler)}


class _Builder:
    """Makes the components in the order of the layout."""

    def __init__(self, service: JobService, start: tuple[Any, ...], uploads: Uploads) -> None:
        self._service = service
        self._uploads = uploads
        self._values = dict(zip(NAMES, start, strict=True))
        self._fields: dict[str, Any] = {}
        self._resets: dict[str, Any] = {}
        self._options_held: tuple[Any, ...] = ()
        self._tools: list[ToolComponents] = []
        self._named: dict[str, Any] = {}

    def build(self) -> TabComponents:
        tabs = sections()
        compat.html(_places_html(tabs), "deforum_places")
        compat.html(_head_html(self._service), "deforum_head")
        compat.html(DOCK, "deforum_dock")
        with gr.Accordion("Timeline", open=False, elem_id="deforum_timeline_fold"):
            compat.html(TIMELINE, "deforum_timeline")
        with gr.Row(elem_id="deforum_columns"):
            with gr.Column(scale=5, min_width=320, elem_id="deforum_left"):
                self._help()
                with compat.tabs("deforum_tabs"):
                    for section in tabs:
                        with compat.tab(section.title):
                            self._tab(section)
            with gr.Column(scale=4, min_width=320, elem_id="deforum_right"):
                self._right()
        self._silent()
        return TabComponents(
            fields={name: self._fields[name] for name in NAMES},
            resets=self._resets,
            tools=tuple(self._tools),
            options=self._options_held,
            named=self._named,
        )

    def _help(self) -> None:
        with gr.Accordion("Info, Links and Help", open=False):
            compat.html(_help_html(self._service), "deforum_help")
        self._field("show_info_on_ui")

    def _tab(self, section: Section) -> None:
        if section.title == "Prompts":
            with gr.Accordion("Notes on writing prompts", open=False):
                compat.html(f"<p>{NOTES}</p>{model_html(self._service.facts)}", "deforum_prompt_notes")
        if section.title == "ControlNet":
            self._controlnet()
        self._idle(section.title)
        self._lines(section.lines)
        for shape, inside in section.groups:
            if shape == "accordion":
                for one in inside:
                    with gr.Accordion(one.title, open=False):
                        self._section(one)
            else:
                with compat.tabs():
                    for one in inside:
                        with compat.tab(one.title):
                            self._idle(f"{section.title} > {one.title}")
                            self._section(one)
        if section.title == "Run":
            with gr.Accordion("Models", open=False):
                self._buttons("models", size="sm", elem_classes=["deforum-reset"])
                self._named["models"] = compat.html("", "deforum_models")
        if section.title == "Output":
            self._named["tool_runs"] = compat.html("", "deforum_tools")

    def _idle(self, place: str) -> None:
        """Make the note that a section shows while all of its controls are hidden."""
        if place in IDLE:
            title = escape(place.split(" > ")[-1])
            note = (
                f'<p class="deforum-idle deforum-folded" data-section="{title}"{code_attribute(IDLE[place])}>'
                f"{escape(IDLE[place])}</p>"
            )
            compat.html(note, f"deforum_idle_{place.split()[-1].lower()}")

    def _section(self, section: Section) -> None:
        if section.title == "Batch Mode, Resume and more":
            self._batch()
        self._lines(section.lines)
        if section.title == "Batch Mode, Resume and more":
            self._resume()
        if section.title in TOOLS:
            self._tools += TOOLS[section.title](self._uploads)

    def _lines(self, lines: Sequence[tuple[str, ...]]) -> None:
        for line in lines:
            if len(line) == 1 and line[0] not in RESETS:
                self._field(line[0])
                continue
            with gr.Row(elem_classes=["deforum-row"]):
                for name in line:
                    self._field(name)
                    if name in RESETS:
                        self._resets[name] = gr.Button(
                            f"Reset to {RESETS[name]}",
                            size="sm",
                            elem_classes=["deforum-reset"],
                            min_width=80,
                        )

    def _field(self, name: str) -> None:
        facts = self._service.facts
        made = control(FIELDS[name])
        if name in facts.lacks:
            made = replace(made, info=f"{made.info} {facts.lacks[name]}")
        choices = host_choices(name, facts) or FIELDS[name].choices
        self._fields[name] = compat.field(made, self._values[name], choices, self._uploads)

    def _buttons(self, place: Place, **looks: Any) -> None:
        """Make the buttons of a place, with further arguments of gradio's buttons."""
        for button in BUTTONS:
            if button.place == place:
                variant = "primary" if button.primary else "secondary"
                self._named[button.name] = gr.Button(
                    button.label, variant=variant, elem_id=f"deforum_{button.name}", **looks
                )

    def _controlnet(self) -> None:
        missing = available_controlnet(self._service.facts).missing
        if missing:
            note = f'<p class="deforum-missing" role="note">{escape(missing)}</p>'
            compat.html(note, "deforum_controlnet_note")
        self._buttons("controlnet", size="sm", elem_classes=["deforum-reset"])

    def _batch(self) -> None:
        make = self._named
        make["batch"] = gr.Checkbox(
            value=False,
            label=FIELDS["override_settings_with_file"].label,
            elem_id="deforum_batch",
            info="Generate renders each file below as a video of its own, instead of the settings in this tab.",
        )
        make["batch_files"] = compat.files(
            FIELDS["custom_settings_file"].label, "deforum_batch_files", self._uploads
        )

    def _resume(self) -> None:
        make = self._named
        with gr.Row(elem_classes=["deforum-row"]):
            make["runs"] = gr.Dropdown(
                choices=[],
                value=None,
                label="Resumable runs",
                elem_id="deforum_runs",
                allow_custom_value=True,
                scale=3,
            )
            self._buttons("resume", size="sm", min_width=80)

    def _right(self) -> None:
        make = self._named
        make["run"] = compat.html("", "deforum_run")
        with gr.Row(elem_id="deforum_buttons"):
            self._buttons("run", min_width=100)
        make["message"] = compat.html("", "deforum_message")
        make["verdict"] = compat.html("", "deforum_verdict")
        with gr.Accordion("Presets", open=True, elem_id="deforum_presets"):
            compat.html(presets_html(), "deforum_picker")
        with gr.Accordion("Schedules and camera", open=False, elem_id="deforum_plots"):
            self._plots()
        with gr.Accordion("Jobs", open=True, elem_id="deforum_jobs_box"):
            make["jobs"] = compat.html("", "deforum_jobs")
        with gr.Accordion("Settings", open=True, elem_id="deforum_settings_box"):
            self._settings()
        if self._service.keeps_options:
            with gr.Accordion("Options", open=False, elem_id="deforum_options_box"):
                self._options()

    def _plots(self) -> None:
        schedules = [
            (f"{info.label} ({name})", name) for name, info in FIELDS.items() if info.kind == "schedule"
        ]
        self._named["plot_names"] = gr.Dropdown(
            choices=compat.named(schedules),
            value=[],
            multiselect=True,
            label="Schedules to plot (empty: all that change)",
            elem_id="deforum_plot_names",
        )
        self._named["plots"] = compat.html("", "deforum_plot")

    def _settings(self) -> None:
        make = self._named
        make["drop"] = compat.files("Settings file, frame or video", "deforum_drop", self._uploads)
        make["file_name"] = gr.Textbox(
            value="deforum_settings.txt",
            label="Settings File",
            info="Name of the file in the output folder.",
            elem_id="deforum_file_name",
        )
        with gr.Row(elem_id="deforum_file_buttons"):
            self._buttons("files", size="sm", min_width=100)
        with gr.Row(elem_id="deforum_keys_row"):
            make["keys_unit"] = gr.Dropdown(
                choices=list(UNITS_OF_KEYS),
                value=UNITS_OF_KEYS[0],
                label="Keys of schedules and prompts in",
                elem_id="deforum_keys_unit",
                scale=3,
            )
            self._buttons("keys", size="sm", min_width=100)
        make["report"] = compat.html("", "deforum_report")

    def _options(self) -> None:
        options = self._service.options()
        self._options_held = tuple(compat.option(row, getattr(options, row.name)) for row in option_rows())
        facts = fixed_facts(options, self._service.facts.output_root)
        compat.html("".join(f"<p>{escape(fact)}</p>" for fact in facts), "deforum_option_facts")
        self._buttons("options", size="sm")
        self._named["options_report"] = compat.html("", "deforum_options_report")

    def _silent(self) -> None:
        """Make the hidden components that the page's script clicks and fills."""
        with gr.Row(elem_classes=["deforum-silent"]):
            self._named["sent"] = gr.Textbox(value="", label="command", elem_id="deforum_sent")
            self._named["timeline_data"] = gr.Textbox(
                value="", label="timeline", elem_id="deforum_timeline_data"
            )
            self._named["camera_data"] = gr.Textbox(value="", label="camera", elem_id="deforum_camera_data")
            self._buttons("hidden")


def _places_html(tabs: Sequence[Section]) -> str:
    """Return the data of the page's script: the section of each setting, the boxes, the upload address."""
    places: dict[str, list[str]] = {}
    for tab in tabs:
        places |= {name: [tab.title] for line in tab.lines for name in line}
        for _, inside in tab.groups:
            places |= {name: [tab.title, one.title] for one in inside for line in one.lines for name in line}
    return (
        f'<span id="deforum_place_data" data-places="{escape(json.dumps(places))}" '
        f'data-names="{escape(json.dumps(NAMES))}" data-boxes="{escape(json.dumps(boxes_for_script()))}" '
        f'data-upload="{compat.upload_url()}"></span>'
    )


def _head_html(service: JobService) -> str:
    facts = service.facts
    model = f", {facts.model}" if facts.model else ""
    theme = (
        '<button type="button" class="deforum-button" data-act="theme" '
        'title="Switch between light and dark">Theme</button>'
    )
    return (
        f'<header class="deforum-head"><h1>Deforum</h1><span>{escape(facts.name)}: {escape(facts.engine)}'
        f"{escape(model)} on {escape(facts.device)}</span>{theme if facts.name == 'standalone' else ''}</header>"
    )


def _help_html(service: JobService) -> str:
    return (
        "<p>Choose a preset, change its settings, and press Generate. Problems appear below their control as you type; "
        "Check lists all of them, or the cost of the video.</p>"
        "<p>A schedule is a list of frames and values: <code>0: (1), 60: (1.02)</code> changes from 1 to 1.02 over 60 "
        "frames. A value may be an expression: <code>0: (1 + 0.01*sin(t/10))</code>, where t is the frame.</p>"
        f"<p>Videos are saved in {escape(service.facts.output_root)}.</p>"
    )
