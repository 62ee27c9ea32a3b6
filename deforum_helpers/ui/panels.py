"""The panels of the shown run and of the jobs, as HTML."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deforum_helpers.core.files.no_links import open_file
from deforum_helpers.core.progress import frame_words, state_words
from deforum_helpers.engines.model_list import ListedModel, plan_words
from deforum_helpers.output.kinds import KINDS
from deforum_helpers.ui import messages
from deforum_helpers.ui.checking import warnings_html
from deforum_helpers.ui.formatting import code_attribute, escape, size
from deforum_helpers.ui.service import DeliveryView, JobService, JobView
from deforum_helpers.ui.settings_files import download_html, run_content

PREVIEW_PX = 640
LISTED = 50
# Kind of the output that is offered until the video exists.
PREVIEW = "preview_video"
FileUrl = Callable[[Path], str]


def chosen_job(jobs: Sequence[JobView], watched: str) -> JobView | None:
    """Return the job to show: the `watched` one, else a running, paused or queued one, else the first."""
    for wanted in (
        lambda job: job.id == watched,
        lambda job: job.state == "running",
        lambda job: job.state == "paused",
        lambda job: job.state == "queued",
        lambda job: True,
    ):
        found = [job for job in jobs if wanted(job)]
        if found:
            return found[0]
    return None


def in_order(jobs: Sequence[JobView]) -> tuple[JobView, ...]:
    """Return the jobs in the order of the list: the running one, queued ones by position, then the others as given."""

    def place(job: JobView) -> tuple[int, int]:
        if job.state == "running":
            return 0, 0
        return (1, job.position or 0) if job.state == "queued" else (2, 0)

    return tuple(sorted(jobs, key=place))


def version(*parts: object) -> str:
    """Return a short hash of what a panel shows; the page keeps a panel while its version is the same."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def models_html(models: Sequence[ListedModel], folders: Sequence[Path]) -> str:
    """Return the models of this machine as a table; folders are shown by their names alone."""
    if not models:
        searched = ", ".join(dict.fromkeys(folder.name for folder in folders))
        text = messages.NO_MODELS(folders=searched) if searched else messages.NO_MODEL_FOLDERS()
        return f'<p class="deforum-empty"{code_attribute(text)}>{escape(text)}</p>'
    headings = "".join(
        f"<th>{name}</th>" for name in ("Model", "Kind", "Size", "Precision", "Fits", "Licence")
    )
    rows = "".join(f"<tr>{_model_cells(model)}</tr>" for model in models)
    return f'<table class="deforum-models"><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table>'


def _model_cells(model: ListedModel) -> str:
    name = f"<td>{escape(model.path.name)}</td>"
    if model.problem:
        return f'{name}<td colspan="5">{escape(model.problem)}</td>'
    source = "" if model.licence_is_own or not model.licence else " (of the family)"
    at = f" at {model.size_px}" if model.plan is not None else ""
    cells = (
        model.title,
        size(model.size_bytes),
        model.precision,
        f"{plan_words(model.plan)}{at}",
        f"{model.licence}{source}",
    )
    return name + "".join(f"<td>{escape(cell)}</td>" for cell in cells)


def run_version(service: JobService, job: JobView | None) -> str:
    """Return the version of `run_html`, without reading an image."""
    if job is None:
        return version("nothing")
    frame = service.newest_frame(job.id)
    return version(job, frame, _files(service, job))


def run_html(service: JobService, job: JobView | None, file_url: FileUrl) -> str:
    """Return the panel of a run: newest frame or video, progress, links, warnings."""
    mark = run_version(service, job)
    if job is None:
        return (
            f'<section class="deforum-run" data-version="{mark}" aria-label="Run">'
            '<p class="deforum-empty">Nothing rendered yet. Choose a preset and press Generate.</p></section>'
        )
    files = _files(service, job)
    video = files.get("video")
    image = _video_html(video, file_url) if video else _frame_html(service.newest_frame(job.id), job)
    return (
        f'<section class="deforum-run {job.state}" data-version="{mark}" data-job="{escape(job.id)}" '
        f'data-state="{job.state}" aria-label="Run">'
        f"{_mark_html(job)}{image}{progress_html(job)}{_links_html(service, job, files, file_url)}"
        f"{_deliveries_html(job)}{warnings_html(job.warnings)}</section>"
    )


def _mark_html(job: JobView) -> str:
    return '<p class="deforum-mark">Motion preview: no images are generated</p>' if job.preview else ""


def _files(service: JobService, job: JobView) -> Mapping[str, Path]:
    """Return the files to show; of an unfinished job only the video of the frames so far."""
    found = service.files(job.id)
    if job.state in ("done", "failed", "cancelled"):
        return found
    return {PREVIEW: found[PREVIEW]} if PREVIEW in found else {}


def _video_html(video: Path, file_url: FileUrl) -> str:
    return (
        '<video class="deforum-film" controls autoplay loop muted playsinline preload="auto" '
        f'src="{escape(file_url(video))}" aria-label="Finished video"></video>'
    )


def _frame_html(frame: Path | None, job: JobView) -> str:
    jpeg = preview_jpeg(frame) if frame else None
    if jpeg is None:
        return '<div class="deforum-frame" aria-hidden="true"></div>'
    encoded = base64.b64encode(jpeg).decode("ascii")
    return (
        f'<img class="deforum-frame" alt="Frame {job.frame} of {job.max_frames}" '
        f'src="data:image/jpeg;base64,{encoded}">'
    )


def preview_jpeg(frame: Path, longest_px: int = PREVIEW_PX) -> bytes | None:
    """Return a frame as a JPEG whose longer side is at most `longest_px`, or None if the file no longer exists."""
    from PIL import Image

    jpeg = io.BytesIO()
    try:
        with open_file(frame) as file, Image.open(file) as picture:
            small = picture.convert("RGB")
            small.thumbnail((longest_px, longest_px))
            small.save(jpeg, "JPEG", quality=82)
    except OSError:
        return None
    return jpeg.getvalue()


def progress_html(job: JobView) -> str:
    """Return the progress bar, the status line and the message of a job."""
    share = 1.0 if job.state == "done" else job.frame / job.max_frames if job.max_frames else 0.0
    state = job_words(job)
    message = "" if job.message == f"{state}." else job.message
    eta_seconds = job.eta_seconds if job.state == "running" else 0.0
    pace = job.seconds_per_frame
    words = frame_words(job.frame, job.max_frames, seconds_per_frame=pace, eta_seconds=eta_seconds)
    return (
        f'<div class="deforum-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{share * 100:.0f}"><span style="width:{share * 100:.1f}%"></span></div>'
        f'<p class="deforum-line" role="status"><b>{escape(state)}</b> {escape(words)}</p>'
        + (f'<p class="deforum-message">{escape(message)}</p>' if message else "")
    )


def job_words(job: JobView) -> str:
    """Return the state of a job in a few words."""
    if job.state in ("done", "failed", "cancelled"):
        return job.state.capitalize()
    paused = job.state == "paused"
    words = state_words(job.phase, position=job.position, paused=paused, cancelling=job.cancelling)
    return words.capitalize()


# State of a delivery, as the API names it -> words; other states stand for themselves.
DELIVERY_WORDS = {
    "WAITING": "follows after the end",
    "SENDING": "is being sent",
    "RETRYING": "will be tried again",
    "DELIVERED": "delivered",
    "FAILED": "failed",
}


def _deliveries_html(job: JobView) -> str:
    """Return a line for each webhook and upload of a job."""
    return "".join(
        f'<p class="deforum-delivery{" bad" if one.state == "FAILED" else ""}" data-delivery="{escape(one.kind)}" '
        f'data-state="{escape(one.state)}">{escape(_delivery_words(one))}</p>'
        for one in job.deliveries
    )


def _delivery_words(one: DeliveryView) -> str:
    target = f" to {one.target}" if one.target else ""
    tries = f" after {one.tries} tries" if one.tries > 1 and one.state != "SENDING" else ""
    reason = f": {one.message}" if one.message and one.state != "DELIVERED" else ""
    state = DELIVERY_WORDS.get(one.state, one.state)
    return f"{one.kind.capitalize()}{target}: {state}{tries}{reason}"


def _links_html(service: JobService, job: JobView, files: Mapping[str, Path], file_url: FileUrl) -> str:
    links = file_links(files, file_url)
    saved = files.get("settings")
    if saved and (settings := run_content(saved)):
        links.append(download_html(f"Download {KINDS['settings'].label}", saved.name, settings))
    if service.opens_folders and job.folder:
        links.append(button_html("folder", job.id, "Open folder"))
    if not job.tool:
        links.append(button_html("use", job.id, "Load these settings"))
    return (
        f'<p class="deforum-links">{" ".join(links)}</p>{_folder_html(service.facts.output_root, job.folder)}'
    )


def file_links(files: Mapping[str, Path], file_url: FileUrl) -> list[str]:
    """Return a download link for each file that the tab offers.

    Args:
        files: by the names of their kinds.
        file_url: returns the address of a file.
    """
    offered = {name: kind for name, kind in KINDS.items() if kind.downloadable}
    if "video" not in files:
        offered[PREVIEW] = KINDS[PREVIEW]
    return [
        f'<a class="deforum-link" href="{escape(file_url(files[name]))}" download="{escape(files[name].name)}">'
        f"Download {kind.label}</a>"
        for name, kind in offered.items()
        if name in files
    ]


def _folder_html(output_root: Path, folder: Path | None) -> str:
    """Return the folder relative to the output folder, which the help names."""
    if folder is None:
        return ""
    inside = folder.relative_to(output_root) if folder.is_relative_to(output_root) else folder
    return f'<span class="deforum-folder">{escape(inside)}</span>'


DOCK = """<div class="deforum-dock" role="group" aria-label="Run">
<button type="button" class="deforum-button" data-act="reach" data-job="deforum_interface">
<img alt="" hidden><span>Preview</span></button>
<div><div class="deforum-bar"><span></span></div><p></p></div>
<button type="button" class="deforum-button" data-act="reach" data-job="deforum_left">Settings</button>
<button type="button" class="deforum-button deforum-first" data-act="generate">Generate</button></div>"""


# The page's script fills it.
TIMELINE = '<div class="deforum-timeline" data-timeline></div>'


def jobs_html(jobs: Sequence[JobView]) -> str:
    """Return the list of jobs with their buttons."""
    rows = "".join(_row_html(job) for job in in_order(jobs))
    body = rows or '<tr><td colspan="4" class="deforum-empty">No jobs yet.</td></tr>'
    return (
        f'<div class="deforum-jobs" data-version="{version(jobs)}"><table><thead><tr><th scope="col">Job</th>'
        '<th scope="col">State</th><th scope="col">Frames</th><th scope="col">Actions</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


# State of a job -> the command and the label of each of its buttons.
ACTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "queued": (("cancel", "Cancel"), ("up", "Move up")),
    "paused": (("resume", "Resume"), ("cancel", "Cancel")),
    "running": (("pause", "Pause"), ("cancel", "Cancel")),
    "done": (("show", "Show"), ("use", "Load settings"), ("forget", "Remove")),
    "failed": (("show", "Show"), ("resume", "Resume"), ("use", "Load settings"), ("forget", "Remove")),
    "cancelled": (("show", "Show"), ("resume", "Resume"), ("use", "Load settings"), ("forget", "Remove")),
}


def _row_html(job: JobView) -> str:
    buttons = "".join(
        button_html(action, job.id, label)
        for action, label in ACTIONS[job.state]
        if not (action == "up" and not job.position) and not (action == "use" and job.tool)
        if not job.cancelling
    )
    state, kind = job_words(job), ", motion preview" if job.preview else f", {job.tool}" if job.tool else ""
    kind += f", priority {job.priority}" if job.priority else ""
    kind += f", on {escape(job.worker)}" if job.worker else ""
    message = f'<div class="deforum-message">{escape(job.message)}</div>' if job.message else ""
    if job.message.startswith(f"{state} "):  # as in "Cancelled before it started."
        state = ""
    return (
        f'<tr class="{job.state}" data-job="{escape(job.id)}"><th scope="row">{escape(job.title or job.id)}'
        f'<div class="deforum-id">{escape(job.id)}{kind}</div></th><td>{escape(state)}{message}</td>'
        f"<td>{job.frame} / {job.max_frames}</td><td>{buttons}</td></tr>"
    )


def button_html(action: str, job_id: str, label: str) -> str:
    """Return a button that sends `action` for a job."""
    return (
        f'<button type="button" class="deforum-button" data-act="{action}" data-job="{escape(job_id)}" '
        f'aria-label="{escape(label)}: {escape(job_id)}">{escape(label)}</button>'
    )
