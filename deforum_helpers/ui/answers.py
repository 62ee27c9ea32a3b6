"""What happens when something in the tab is pressed, changed or dropped; no component is known here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import DeforumError, SettingsError
from deforum_helpers.output.metadata import read_settings
from deforum_helpers.pipeline.plot import camera_svg, changing_schedules, plot_svg
from deforum_helpers.ui import panels
from deforum_helpers.ui.checking import Checked, check, verdict_html
from deforum_helpers.ui.controls import (
    BOX_FIELDS,
    default_values,
    held,
    host_choices,
    start_values,
    submitted,
    values_of,
)
from deforum_helpers.ui.formatting import escape
from deforum_helpers.ui.host_options import chosen
from deforum_helpers.ui.loading import Taken, default_settings, problem_html, report_html, saved_text, taken
from deforum_helpers.ui.preset_list import preset_settings
from deforum_helpers.ui.saved_files import SavedFiles, download_html, run_settings
from deforum_helpers.ui.service import JobService
from deforum_helpers.ui.tool_answers import ToolAnswers
from deforum_helpers.ui.uploads import Uploads, host_uploads

Values = tuple[Any, ...]
VIDEO_GROUP = "DeforumOutputArgs"
NO_PLAN = '<p class="deforum-empty">There is no plan to draw yet: mend the problems that Check lists.</p>'
PLOT_PX = 480  # about as wide as it is seen, so that its letters keep their size


class Answers:
    """The tab's answers.

    Args:
        service: keeps the jobs.
        file_url: address of a file in this host's pages.
        start: what the controls hold when the page is made; by default the defaults.
        uploads: what was dropped into the tab; by default, what was dropped into a WebUI.
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
        """Return the verdict on what the controls hold."""
        return verdict_html(check(self._service, values))

    def look(self, changed: str) -> str:
        """Return the verdict on what the page's script says the controls hold.

        Args:
            changed: JSON object of the controls that were changed since the page was made.
        """
        try:
            return self.check(*self._told(changed))
        except SettingsError as error:
            return verdict_html(Checked(submitted(self._start), None, error.problems))

    def _told(self, changed: str) -> Values:
        """Return what the controls hold.

        Raises:
            SettingsError: the page names a file that was not dropped into it.
        """
        values = _object(changed)
        dropped = {name: self._uploads.of_setting(name, values[name]) for name in BOX_FIELDS & set(values)}
        return values_of(values | dropped, self._start)

    def generate(self, batch: bool, files: list[Path], values: Values, *, preview: bool = False) -> str:
        """Queue what the controls hold, or all of `files`; return the verdict.

        Args:
            batch: render `files` in place of `values`.
            files: settings files, frames or films.
            values: what the controls hold.
            preview: let the camera move a test picture, in seconds.
        """
        more = {"motion_preview_mode": True} if preview else {}
        try:
            jobs = [read_settings(path) | more for path in files] if batch else [submitted(values) | more]
        except SettingsError as error:
            return verdict_html(Checked(submitted(values), None, error.problems), refused=True)
        if not jobs:
            return _said(
                "Batch mode is on, but no setting files are there; drop some, or switch it off.", bad=True
            )
        if not batch:
            checked = check(self._service, values)
            if checked.prepared is None:
                return verdict_html(checked, refused=True)
        try:
            if not batch:
                jobs = [self._durable(jobs[0])]
            ids = self._service.submit(jobs)
        except SettingsError as error:
            return verdict_html(Checked(submitted(values), None, error.problems), refused=True)
        except DeforumError as error:
            return _said(str(error), bad=True)
        return _said(f"Queued as {', '.join(ids)}.", queued=ids[0])

    def _durable(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the settings with dropped images where they outlive a restart, as the job does."""
        dropped = {name: settings[name] for name in BOX_FIELDS if settings.get(name)}
        return settings | {name: self._uploads.keep(path) for name, path in dropped.items()}

    def tick(self, state: str) -> tuple[str | None, str | None, str | None]:
        """Return the run, the list of jobs and the tools' jobs, each None where the page shows it already.

        Args:
            state: JSON of the page: the job picked, and the versions of the three parts that it shows.
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
        """Do something to a job; return what went wrong, or nothing."""
        wanted = _object(command)
        action, job_id = wanted.get("act"), str(wanted.get("job") or "")
        try:
            if action == "toggle":
                action = "pause" if self._service.job(job_id).state == "running" else "resume"
            does = self._actions().get(str(action))
            if does:
                does(job_id)
        except DeforumError as error:
            return _said(str(error), bad=True)
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
        """Return the controls' values with a preset's, a job's or a stopped run's settings in them, and the report.

        Or with those that stood there before the page was loaded again, as its script has kept them.
        """
        wanted = _object(command)
        if wanted.get("act") == "kept" and isinstance(kept := wanted.get("values"), dict):
            plain = {name: value for name, value in kept.items() if name not in BOX_FIELDS}
            return values_of(plain, values), ""
        action, name = wanted.get("act"), str(wanted.get("name") or wanted.get("job") or "")
        try:
            if action == "preset":
                found = preset_settings(name)
            elif action == "use":
                found = self._service.settings(name)
            elif action == "run":
                found, name = self._stopped(name), f"run {name}"
            else:
                return values, ""
            return self._filled(taken(name, found, default_settings()), values)
        except KeyError:
            return values, _said(f"There is nothing called {name[:60]!r} to load.", bad=True)
        except SettingsError as error:
            return values, problem_html(name, error)
        except DeforumError as error:
            return values, _said(str(error), bad=True)

    def _stopped(self, timestring: str) -> dict[str, Any]:
        runs = {run.timestring: run for run in self._service.stopped_runs()}
        run = runs[timestring]
        settings = run_settings(run.settings)
        return settings | {
            "batch_name": run.folder,
            "resume_from_timestring": True,
            "resume_timestring": timestring,
        }

    def load(self, paths: list[Path], values: Values, *, video_only: bool = False) -> tuple[Values, str]:
        """Return the controls' values with those of the first file in them, and the report."""
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
        return self._filled(taken(name, found, submitted(values), group=group), values)

    def load_named(self, name: str, values: Values, *, video_only: bool = False) -> tuple[Values, str]:
        """Return the same for a file that was saved from the tab."""
        try:
            return self._loaded(name, self._saved.read(name), values, video_only)
        except SettingsError as error:
            return values, problem_html(name[:60], error)

    def save(self, name: str, values: Values) -> str:
        """Write what the controls hold to a settings file in the output folder; return the report."""
        settings = submitted(values)
        try:
            path = self._saved.write(name, settings)
        except SettingsError as error:
            return problem_html(name[:60], error)
        except DeforumError as error:
            return _said(str(error), bad=True)
        link = download_html("Download", path.name, saved_text(settings).encode("utf-8", "replace"))
        return f'<div class="deforum-report" role="status">Saved as {escape(path)}. {link}</div>'

    def reset(self, values: Values) -> tuple[Values, str]:
        """Return what the controls of a new video hold, and the report."""
        start = start_values({}, self._service.facts)
        changed = sum(new != old for new, old in zip(start, values, strict=True))
        return start, _said(f"All settings are at their defaults; {changed} changed.")

    def set_options(self, values: Values) -> str:
        """Let what the drawer holds apply from now on; return the report."""
        try:
            self._service.set_options(chosen(values))
        except SettingsError as error:
            return problem_html("Options", error)
        except DeforumError as error:
            return _said(str(error), bad=True)
        return _said("These options hold for every film from now on.")

    def choices(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return what the host offers now for each setting of `names`."""
        facts = self._service.facts_now()
        return {name: host_choices(name, facts) for name in names}

    def runs(self) -> list[tuple[str, str]]:
        """Return the runs that can be continued, newest first: what they are called, and their timestrings."""
        return [
            (f"{run.folder} (continue from frame {run.frames})", run.timestring)
            for run in self._service.stopped_runs()
        ]

    def draw(self, names: list[str], changed: str) -> str:
        """Return the pictures of the plan of what the page's script says the controls hold; see `look`."""
        try:
            return self.plot(names, self._told(changed))
        except SettingsError:
            return NO_PLAN

    def plot(self, names: list[str], values: Values) -> str:
        """Return the pictures of the plan that the controls make, or what keeps it from being made."""
        checked = check(self._service, values)
        if checked.prepared is None:
            return NO_PLAN
        plan = checked.prepared.plan
        schedules = [name for name in names if name in plan.schedules.values] or changing_schedules(plan)
        return (
            f'<figure class="deforum-plot" id="deforum_schedules_svg">{plot_svg(plan, schedules, PLOT_PX)}</figure>'
            f'<figure class="deforum-plot" id="deforum_camera_svg">{camera_svg(plan)}</figure>'
        )

    def _filled(self, one: Taken, values: Values) -> tuple[Values, str]:
        return held(one.settings), report_html(one)


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object that the page sent; anything else is an empty one."""
    try:
        read = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _said(sentence: str, *, bad: bool = False, queued: str = "") -> str:
    data = f' data-queued="{escape(queued)}"' if queued else ""
    return f'<div class="deforum-verdict {"bad" if bad else "good"}" role="status"{data}>{escape(sentence)}</div>'
