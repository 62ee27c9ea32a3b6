"""What is made of a rendered film's frames: enlarged ones and their film, frames in between and theirs.

Each finished step is in the list of outputs before anything that it was made of is removed, so that a run which is
stopped or killed anywhere goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import CheckpointError, VideoError
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import make_folder, read_file
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media.containers import count_frames
from deforum_helpers.models.interpolation import names as interpolation
from deforum_helpers.models.interpolation.engines import make_interpolator
from deforum_helpers.models.upscaling import names as upscaling
from deforum_helpers.models.upscaling.models import make_upscaler
from deforum_helpers.output.frames import is_whole
from deforum_helpers.output.image_steps import Report, enlarge_pictures, film_of, interpolate_pictures
from deforum_helpers.output.kinds import KINDS, VIDEO
from deforum_helpers.output.manifest import Manifest, OutputFile, output_file, read_manifest, write_manifest
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline.extra_outputs import (
    interpolates,
    interpolates_upscaled,
    slow_mo_amount,
    upscales,
)
from deforum_helpers.settings import Settings
from deforum_helpers.settings.host_options import Options

# Tells for which settings the pictures in a folder were made.
RECORD = ".made_for"
RECORD_BYTES = 1 << 20
# Of one step: the share of making its pictures, the rest is their film's.
PICTURES_SHARE = 0.8


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A film whose frames are all there.

    Args:
        settings, options: of the run.
        run: names its files.
        fps: of the film.
        frames: their number.
        settings_json: travels inside films.
        soundtrack: sound of the film, or None.
        sound_starts_s: second of it that is heard with the first frame.
        device: where networks run.
        resting: inside it, the engine's memory is lent to networks.
    """

    settings: Settings
    options: Options
    run: Run
    fps: float
    frames: int
    settings_json: str
    soundtrack: Path | None
    sound_starts_s: float = 0.0
    device: str
    resting: Callable[[], AbstractContextManager[None]]

    @property
    def subtitles(self) -> Path | None:
        """The subtitles that films carry."""
        carried = self.options.deforum_save_gen_info_as_srt and self.options.deforum_embed_srt
        return self.run.srt_path if carried else None


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One kind of pictures and their film.

    Args:
        video, picture: kinds of its files, of `kinds.KINDS`.
        film: its film.
        folder: of its pictures.
        pictures: in order.
        make: writes the pictures that are not there yet.
        kept: whether they stay.
        fps: of its film.
        quiet: whether its film has neither sound nor subtitles.
    """

    video: str
    picture: str
    film: Path
    folder: Path
    pictures: tuple[Path, ...]
    make: Callable[[Rendered, _Step, CancelToken, Report], None]
    kept: bool
    fps: float
    quiet: bool = False


def film_digest(saved_settings: Mapping[str, Any], options: Options, plan_digest: str) -> str:
    """Return the digest of all that a run's films depend on."""
    steady = {name: value for name, value in saved_settings.items() if not name.startswith("resume_")}
    content = json.dumps([steady, asdict(options), plan_digest], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def finished_film(run: Run, digest: str) -> Manifest | None:
    """Return the list of outputs of a run whose film is finished, for these very settings; else None.

    Every file is there as it is listed: pictures whole, films with all their frames, which are counted again. The
    frames may be removed already, if that is what the settings ask for.
    """
    try:
        manifest = read_manifest(run.manifest_path)
    except CheckpointError:
        return None
    finished = bool(digest) and manifest.film_digest == digest
    return manifest if finished and all(_as_listed(run, file) for file in manifest.files) else None


def _as_listed(run: Run, file: OutputFile) -> bool:
    path = run.outdir / file.name
    try:
        if path.stat().st_size != file.size:
            return False
        kind = KINDS.get(file.kind)
        if kind is not None and kind.media_type == VIDEO and file.frames:
            return count_frames(path) == file.frames
    except (OSError, VideoError):
        return False
    return path.suffix != ".png" or is_whole(path)


def wants_more(settings: Settings) -> bool:
    """Tell whether a film's frames are used for more than the film itself."""
    return upscales(settings) or interpolates(settings)


def post_produce(rendered: Rendered, manifest: Manifest, cancel: CancelToken, report: Report) -> Manifest:
    """Make of the frames what the settings ask for, remove what they do not keep, and return the list of outputs.

    Args:
        rendered: the film.
        manifest: its list of outputs; steps that it holds already are not made again.
        cancel: asked before each picture.
        report: is told the share that is done.

    Raises:
        Cancelled, Parked: the job was told to stop; finished steps stay.
        ModelError: weights are gone or broken since the job was checked.
        VideoError, DiskFull, RenderError: a file could not be written.
    """
    steps = _steps(rendered)
    for number, step in enumerate(steps):
        if not any(file.kind == step.video and file.name == step.film.name for file in manifest.files):
            _fresh_folder(step.folder, manifest.film_digest)
            _make(rendered, step, cancel, _part_of(report, number, len(steps)))
            manifest = _listed(rendered.run, manifest, step)
    for step in steps:
        if not step.kept:
            shutil.rmtree(step.folder, ignore_errors=True)
    if rendered.settings.delete_imgs and not rendered.settings.skip_video_creation:
        manifest = _without_frames(rendered, manifest)
    report(1.0)
    return manifest


def _part_of(report: Report, number: int, count: int) -> Report:
    return lambda share: report((number + share) / count)


def _steps(rendered: Rendered) -> list[_Step]:
    steps = []
    if upscales(rendered.settings):
        steps.append(_upscaled(rendered))
    if interpolates(rendered.settings):
        steps.append(_interpolated(rendered))
    return steps


def _upscaled(rendered: Rendered) -> _Step:
    settings, run = rendered.settings, rendered.run
    folder = run.outdir / upscaling.folder_name(run.timestring)
    return _Step(
        video="upscaled_video",
        picture="upscaled_frame",
        film=run.outdir / upscaling.video_name(run.timestring, settings.r_upscale_factor),
        folder=folder,
        pictures=tuple(folder / run.frame_path(frame).name for frame in range(rendered.frames)),
        make=_enlarge,
        kept=settings.r_upscale_keep_imgs,
        fps=rendered.fps,
    )


def _interpolated(rendered: Rendered) -> _Step:
    settings, run = rendered.settings, rendered.run
    engine = interpolation.engine_name(settings.frame_interpolation_engine)
    x_amount, slower = settings.frame_interpolation_x_amount, slow_mo_amount(settings)
    of_upscaled = interpolates_upscaled(settings)
    folder = run.outdir / interpolation.folder_name(run.timestring, engine)
    count = interpolation.frame_count(rendered.frames, x_amount)
    return _Step(
        video="interpolated_video",
        picture="interpolated_frame",
        film=run.outdir / interpolation.video_name(run.timestring, engine, x_amount, slower, of_upscaled),
        folder=folder,
        pictures=tuple(folder / interpolation.image_name(engine, number) for number in range(count)),
        make=_interpolate,
        kept=settings.frame_interpolation_keep_imgs,
        fps=interpolation.video_fps(rendered.fps, x_amount, slower),
        quiet=slower is not None,
    )


def _fresh_folder(folder: Path, made_for: str) -> None:
    """Empty a folder that holds pictures of other settings."""
    record = folder / RECORD
    try:
        same = read_file(record, RECORD_BYTES).decode() == made_for
    except (OSError, ValueError):
        same = False
    if not same:
        shutil.rmtree(folder, ignore_errors=True)
        with disk_errors(folder.name):
            make_folder(folder)
        write_whole(record, made_for.encode())


def _make(rendered: Rendered, step: _Step, cancel: CancelToken, report: Report) -> None:
    """Make the pictures of a step and their film; the engine only rests where a network takes its place."""
    if not all(picture.exists() for picture in step.pictures):
        step.make(rendered, step, cancel, lambda share: report(PICTURES_SHARE * share))
    counted = film_of(
        step.pictures,
        step.film,
        fps=step.fps,
        options=rendered.options,
        cancel=cancel,
        report=lambda share: report(PICTURES_SHARE + (1 - PICTURES_SHARE) * share),
        settings_json=rendered.settings_json,
        audio=None if step.quiet else rendered.soundtrack,
        audio_starts_s=rendered.sound_starts_s,
        subtitles=None if step.quiet else rendered.subtitles,
    )
    if counted != len(step.pictures):
        raise VideoError(
            f"The film {step.film.name} has {counted} frames, but {len(step.pictures)} were made."
        )


def _enlarge(rendered: Rendered, step: _Step, cancel: CancelToken, report: Report) -> None:
    model, factor = rendered.settings.r_upscale_model, rendered.settings.r_upscale_factor
    with nullcontext() if model == "Lanczos" else rendered.resting():
        upscaler = make_upscaler(model, factor, rendered.device, cancel.check_cancel)
        enlarge_pictures(_frames(rendered), step.pictures, upscaler, cancel, report)


def _interpolate(rendered: Rendered, step: _Step, cancel: CancelToken, report: Report) -> None:
    settings, name = rendered.settings, rendered.settings.frame_interpolation_engine
    sources = _upscaled(rendered).pictures if interpolates_upscaled(settings) else _frames(rendered)
    with nullcontext() if name == "Flow" else rendered.resting():
        engine = make_interpolator(name, rendered.device, cancel.check_cancel)
        x_amount = settings.frame_interpolation_x_amount
        interpolate_pictures(sources, step.pictures, engine, x_amount, cancel, report)


def _frames(rendered: Rendered) -> list[Path]:
    return [rendered.run.frame_path(frame) for frame in range(rendered.frames)]


def _listed(run: Run, manifest: Manifest, step: _Step) -> Manifest:
    """Return the list of outputs with those of a step, written."""
    found: list[OutputFile] = [output_file(step.video, step.film, len(step.pictures))]
    if step.kept:
        found += [
            replace(output_file(step.picture, path, 1), name=f"{step.folder.name}/{path.name}")
            for path in step.pictures
        ]
    others = tuple(file for file in manifest.files if file.kind not in (step.video, step.picture))
    manifest = replace(manifest, files=(*others, *found))
    write_manifest(run.manifest_path, manifest)
    return manifest


def _without_frames(rendered: Rendered, manifest: Manifest) -> Manifest:
    """Strike the frames from the list of outputs, and then remove them."""
    kept = tuple(file for file in manifest.files if file.kind != "frame")
    if kept != manifest.files:
        manifest = replace(manifest, files=kept)
        write_manifest(rendered.run.manifest_path, manifest)
    for path in _frames(rendered):
        with disk_errors(path.name):
            path.unlink(missing_ok=True)
    return manifest
