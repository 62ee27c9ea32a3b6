"""The functions that the tab's events call: they take and return values and HTML, and know no gradio component."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import DeforumError, SettingsError
from deforum_helpers.engines.model_list import listed_models, searched_folders, this_machine
from deforum_helpers.media.camera_files import WRITERS
from deforum_helpers.output.metadata import read_settings
from deforum_helpers.pipeline.camera_export import video_shot
from deforum_helpers.pipeline.camera_scene import camera_scene
from deforum_helpers.pipeline.plot import camera_svg, changing_schedules, plot_svg
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings import flat_settings, load_settings
from deforum_helpers.settings.keys import UNITS_OF_KEYS, with_keys_in
from deforum_helpers.ui import messages, panels
from deforum_helpers.ui.checking import CheckResult, check, verdict_html
from deforum_helpers.ui.controls import (
    BOX_FIELDS,
    NAMES,
    control_values,
    default_values,
    host_choices,
    overrides_of,
    start_values,
    submitted_settings,
    with_changes,
)
from deforum_helpers.ui.formatting import code_attribute, escape, message_of
from deforum_helpers.ui.preset_list import preset_settings
from deforum_helpers.ui.service import JobService
from deforum_helpers.ui.settings_files import (
    LoadResult,
    SavedFiles,
    default_settings,
    download_html,
    load_over,
    problem_html,
    report_html,
    run_settings,
    saved_text,
)
from deforum_helpers.ui.timeline import edited_texts, read_request, timeline_data
from deforum_helpers.ui.tool_answers import ToolAnswers
from deforum_helpers.ui.uploads import Uploads, host_uploads

Values = tuple[Any, ...]
VIDEO_GROUP = "DeforumOutputArgs"
# A longer one would stop the page for seconds.
MOST_CAMERA_BYTES = 16 * 2**20
PLOT_PX = 480  # about the width at which it is shown, so that its text keeps its size


class Answers:
    """One method for each event of the tab.

    Args:
        service: the jobs and the host.
        file_url: returns the address of a file in this host's pages.
        start: initial values of the controls; by default the defaults of the settings.
        uploads: the dropped files; by default those of a WebUI.
    """

    def __init__(
        self,
        service: JobService,
        file_url: Callable[[Path], str],
        start: Values | None = None,
        uploads: Uploads | None = None,
    ) -> None:
        self._uploads = uploads or host_uploads(service.facts.output_root)
        self._start = start or default_values()
        self._service = service
        self._file_url = file_url
        self.tools = ToolAnswers(service, file_url)
        self._saved = SavedFiles(service.facts.output_root)

    def check(self, *values: Any) -> str:
        """Check the values of the controls and return the panel below Check."""
        return verdict_html(check(self._service, values))

    def check_changes(self, asked: str) -> str:
        """Check the values that the page's script sends; see `check`.

        Args:
            asked: JSON object of the changed `values` and the request's `number`, which the answer begins with.
        """
        wanted = _object(asked)
        try:
            return _numbered(wanted, self.check(*self._changed(wanted)))
        except SettingsError as error:
            checked = CheckResult(submitted_settings(self._start), None, error.problems)
            return _numbered(wanted, verdict_html(checked))

    def timeline(self, asked: str) -> str:
        """Apply the edits that the timeline sends, and return its data as JSON.

        Args:
            asked: JSON object of the changed values, the rows and the range in view, and the edits.

        Returns:
            The data; `texts` has the edited settings, `refused` says why there are none, `number` is the request's.
        """
        wanted = _object(asked)
        request = read_request(wanted)
        try:
            values = dict(zip(NAMES, self._changed(wanted), strict=True))
            texts, refused = edited_texts(values, request, lambda: check(self._service, values))
            checked = check(self._service, values | texts)
            answer = timeline_data(checked, values | texts, request)
        except DeforumError as error:
            texts, refused, answer = {}, message_of(error), {}
        return json.dumps(answer | {"texts": texts, "refused": refused, "number": wanted.get("number")})

    def _changed(self, wanted: dict[str, Any]) -> Values:
        """Return the values of all controls.

        Args:
            wanted: a request of the page's script; its `values` are those that differ from the initial ones.

        Raises:
            SettingsError: a file was not dropped into the page.
        """
        values = wanted.get("values")
        values = values if isinstance(values, dict) else {}
        dropped = {name: self._uploads.of_setting(name, values[name]) for name in BOX_FIELDS & set(values)}
        return with_changes(values | dropped, self._start)

    def generate(self, batch: bool, files: list[Path], values: Values, *, preview: bool = False) -> str:
        """Queue a job of the controls, or one of each file; return the panel below Check.

        Args:
            batch: render `files` instead of `values`.
            files: settings files, frames or videos.
            values: of the controls.
            preview: make motion previews.
        """
        more = {"motion_preview_mode": True} if preview else {}
        try:
            jobs = (
                [read_settings(path) | more for path in files]
                if batch
                else [submitted_settings(values) | more]
            )
        except SettingsError as error:
            return verdict_html(CheckResult(submitted_settings(values), None, error.problems), refused=True)
        if not jobs:
            return _status_html(messages.BATCH_WITHOUT_FILES(), bad=True)
        if not batch:
            checked = check(self._service, values)
            if checked.prepared is None:
                return verdict_html(checked, refused=True)
        try:
            if not batch:
                jobs = [self._durable(jobs[0])]
            ids = self._service.submit(jobs)
        except SettingsError as error:
            return verdict_html(CheckResult(submitted_settings(values), None, error.problems), refused=True)
        except DeforumError as error:
            return _error_html(error)
        return _status_html(messages.JOBS_QUEUED(ids=", ".join(ids)), queued=ids[0])

    def _durable(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the settings with dropped images copied to where they survive a restart, as the job does."""
        dropped = {name: settings[name] for name in BOX_FIELDS if settings.get(name)}
        return settings | {name: self._uploads.keep(path) for name, path in dropped.items()}

    def tick(self, state: str) -> tuple[str | None, str | None, str | None]:
        """Return HTML of the run, the jobs and the tools' jobs, each None where the page is up to date.

        Args:
            state: JSON object with the chosen job and the versions of the three panels that the page shows.
        """
        shown = _object(state)
        jobs = self._service.jobs(panels.LISTED)
        job = panels.chosen_job(jobs, str(shown.get("job") or ""))
        run = None
        if panels.run_version(self._service, job) != shown.get("run"):
            run = panels.run_html(self._service, job, self._file_url)
        table = None if panels.version(jobs) == shown.get("jobs") else panels.jobs_html(jobs)
        tools = None if self.tools.version(jobs) == shown.get("tools") else self.tools.html(jobs)
        return run, table, tools

    def act(self, command: str) -> str:
        """Apply an action to a job; return an error panel, or an empty text."""
        wanted = _object(command)
        action, job_id = wanted.get("act"), str(wanted.get("job") or "")
        try:
            if action == "toggle":
                action = "pause" if self._service.job(job_id).state == "running" else "resume"
            apply = self._actions().get(str(action))
            if apply:
                apply(job_id)
        except DeforumError as error:
            return _error_html(error)
        return ""

    def _actions(self) -> Mapping[str, Callable[[str], None]]:
        return {
            "cancel": self._service.cancel,
            "pause": self._service.pause,
            "resume": self._service.resume,
            "up": self._service.move_up,
            "forget": self._service.forget,
            "folder": self._service.open_folder,
        }

    def fill(self, command: str, values: Values) -> tuple[Values, str]:
        """Load settings into the controls; return the new values and the report.

        Args:
            command: JSON object with the source: a preset, a job, a run, or ("kept") values that the page's script
                kept over a reload.
            values: of the controls.
        """
        wanted = _object(command)
        if wanted.get("act") == "kept" and isinstance(kept := wanted.get("values"), dict):
            plain = {name: value for name, value in kept.items() if name not in BOX_FIELDS}
            return with_changes(plain, values), ""
        action, name = wanted.get("act"), str(wanted.get("name") or wanted.get("job") or "")
        try:
            if action == "preset":
                found = preset_settings(name)
            elif action == "use":
                found = self._service.settings(name)
            elif action == "run":
                found, name = self._resumable_settings(name), f"run {name}"
            else:
                return values, ""
            return _filled(load_over(name, found, default_settings()))
        except KeyError:
            return values, _status_html(messages.NOTHING_TO_LOAD(name=name[:60]), bad=True)
        except SettingsError as error:
            return values, problem_html(name, error)
        except DeforumError as error:
            return values, _error_html(error)

    def _resumable_settings(self, timestring: str) -> dict[str, Any]:
        runs = {run.timestring: run for run in self._service.resumable_runs()}
        run = runs[timestring]
        settings = run_settings(run.settings)
        return settings | {
            "batch_name": run.folder,
            "resume_from_timestring": True,
            "resume_timestring": timestring,
        }

    def load(self, paths: list[Path], values: Values, *, video_only: bool = False) -> tuple[Values, str]:
        """Load the first of the dropped files into the controls; return the new values and the report."""
        if not paths:
            return values, ""
        try:
            return self._loaded(paths[0].name, read_settings(paths[0]), values, video_only)
        except SettingsError as error:
            return values, problem_html(paths[0].name, error)

    def _loaded(
        self, name: str, found: dict[str, Any], values: Values, video_only: bool
    ) -> tuple[Values, str]:
        group = VIDEO_GROUP if video_only else None
        return _filled(load_over(name, found, submitted_settings(values), group=group))

    def load_named(self, name: str, values: Values, *, video_only: bool = False) -> tuple[Values, str]:
        """Load a file that was saved from the tab; see `load`."""
        try:
            return self._loaded(name, self._saved.read(name), values, video_only)
        except SettingsError as error:
            return values, problem_html(name[:60], error)

    def convert_keys(self, unit: str, values: Values) -> tuple[Values, str]:
        """Write all keys of schedules, prompts and guide images in one unit; return the new values and the report.

        Args:
            unit: one of `UNITS_OF_KEYS`; any other is read as frames.
            values: of the controls.
        """
        chosen = next((known for known in UNITS_OF_KEYS if known == unit), UNITS_OF_KEYS[0])
        checked = check(self._service, values)
        if checked.prepared is None:
            return values, _error_html(SettingsError(checked.problems))
        try:
            settings = load_settings(checked.settings).settings
            found = flat_settings(with_keys_in(settings, checked.prepared.plan.timeline, chosen))
        except SettingsError as error:
            return values, _error_html(error)
        changed = sum(found[name] != value for name, value in flat_settings(settings).items())
        plain = {name: value for name, value in found.items() if name not in BOX_FIELDS}
        plain |= {name: checked.settings[name] for name in BOX_FIELDS}
        return control_values(plain), _status_html(messages.KEYS_CONVERTED(unit=chosen, count=changed))

    def save(self, name: str, values: Values) -> str:
        """Write the values of the controls to a settings file in the output folder; return the report."""
        settings = submitted_settings(values)
        try:
            path = self._saved.write(name, settings)
        except SettingsError as error:
            return problem_html(name[:60], error)
        except DeforumError as error:
            return _error_html(error)
        link = download_html("Download", path.name, saved_text(settings).encode("utf-8", "replace"))
        saved = messages.SETTINGS_SAVED(path=path)
        return (
            f'<div class="deforum-report" role="status"{code_attribute(saved)}>{escape(saved)} {link}</div>'
        )

    def reset(self, values: Values) -> tuple[Values, str]:
        """Return the initial values of the controls and the report."""
        start = start_values({}, self._service.facts)
        changed = sum(new != old for new, old in zip(start, values, strict=True))
        return start, _status_html(messages.SETTINGS_RESET(count=changed))

    def set_options(self, values: Values) -> str:
        """Apply the host's options; return the report."""
        try:
            self._service.set_options(overrides_of(values))
        except SettingsError as error:
            return problem_html("Options", error)
        except DeforumError as error:
            return _error_html(error)
        return _status_html(messages.OPTIONS_APPLIED())

    def choices(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the choices that the host has now for each setting in `names`."""
        facts = self._service.facts_now()
        return {name: host_choices(name, facts) for name in names}

    def list_models(self) -> str:
        """Return the models of this machine as a table; torch is imported for it, to see the device."""
        checkpoint = self._service.facts_now().model
        known = checkpoint if checkpoint and Path(checkpoint).expanduser().exists() else None
        folders = searched_folders(known)
        return panels.models_html(listed_models(folders, this_machine()), folders)

    def runs(self) -> list[tuple[str, str]]:
        """Return a label and the timestring of each resumable run, newest first."""
        return [
            (f"{run.folder} (continue from frame {run.frames})", run.timestring)
            for run in self._service.resumable_runs()
        ]

    def plot_changes(self, names: list[str], asked: str) -> str:
        """Plot the values that the page's script sends; see `check_changes` and `plot`."""
        wanted = _object(asked)
        try:
            return _numbered(wanted, self.plot(names, self._changed(wanted)))
        except SettingsError:
            return _numbered(wanted, _no_plan_html())

    def plot(self, names: list[str], values: Values) -> str:
        """Return plots of the schedules and of the camera, or a note that the settings have problems.

        Args:
            names: schedules to plot; empty = those that change.
            values: of the controls.
        """
        checked = check(self._service, values)
        if checked.prepared is None:
            return _no_plan_html()
        plan = checked.prepared.plan
        schedules = [name for name in names if name in plan.schedules.values] or changing_schedules(plan)
        return (
            f'<figure class="deforum-plot" id="deforum_schedules_svg">{plot_svg(plan, schedules, PLOT_PX)}</figure>'
            f'<figure class="deforum-plot" id="deforum_camera_svg">{camera_svg(plan)}</figure>'
            + self._scene_html(plan)
        )

    def camera_file(self, asked: str) -> str:
        """Return the camera of the values that the page's script sends as a file, in JSON.

        Args:
            asked: JSON object of the changed `values`, and `ending`, one of `WRITERS`.

        Returns:
            `name`, `type` (media type) and `content` as base64 of the file; `said` has warnings, or says why there is
            none. `number` is the request's.
        """
        wanted = _object(asked)
        ending = str(wanted.get("ending"))
        ending = ending if ending in WRITERS else "glb"
        return json.dumps({"number": wanted.get("number")} | self._camera(wanted, ending))

    def _camera(self, wanted: dict[str, Any], ending: str) -> dict[str, str]:
        media_type, write = WRITERS[ending]
        try:
            checked = check(self._service, self._changed(wanted))
            if checked.prepared is None:
                raise SettingsError(checked.problems)
            shot, warnings = video_shot(checked.prepared.plan)
        except DeforumError as error:
            return {"said": message_of(error)}
        content = write(shot)
        if len(content) > MOST_CAMERA_BYTES:
            return {"said": messages.CAMERA_TOO_LONG(most=MOST_CAMERA_BYTES // 2**20)}
        encoded = base64.b64encode(content).decode("ascii")
        name, said = f"camera.{ending}", " ".join(warnings)
        return {"name": name, "type": media_type, "content": encoded, "said": said}

    def _scene_html(self, plan: Plan) -> str:
        """Return the figure that the page's script turns into the 3D view, with the newest frame of the shown run."""
        job = panels.chosen_job(self._service.jobs(panels.LISTED), "")
        frame = self._service.newest_frame(job.id) if job else None
        scene = camera_scene(plan, frame)
        if scene is None:
            return ""
        data = escape(json.dumps(scene))
        return f'<figure class="deforum-plot" id="deforum_camera_view" hidden data-scene="{data}"></figure>'


def _filled(result: LoadResult) -> tuple[Values, str]:
    return control_values(result.settings), report_html(result)


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object that the page sent, or an empty one for any other text."""
    try:
        read = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _numbered(wanted: dict[str, Any], html: str) -> str:
    """Return HTML that begins with the number of the request that it answers."""
    number = wanted.get("number")
    return f'<span data-number="{number if isinstance(number, int) else 0:d}"></span>{html}'


def _status_html(message: str, *, bad: bool = False, queued: str = "") -> str:
    data = code_attribute(message) + (f' data-queued="{escape(queued)}"' if queued else "")
    return (
        f'<div class="deforum-verdict {"bad" if bad else "good"}" role="status"{data}>{escape(message)}</div>'
    )


def _error_html(error: DeforumError) -> str:
    return _status_html(message_of(error), bad=True)


def _no_plan_html() -> str:
    message = messages.PLOT_WITHOUT_PLAN()
    return f'<p class="deforum-empty"{code_attribute(message)}>{escape(message)}</p>'
