"""Upscaled and interpolated frames of a finished run, and their videos.

The manifest lists each finished step before its input files are removed, so a run that is stopped or killed at any
point continues from there.
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

from deforum_helpers.core.errors import CheckpointError, MissingFeature, VideoError
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import make_folder, read_file
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.core.spread import OpenPieceWorkers
from deforum_helpers.media.containers import count_frames
from deforum_helpers.models import interpolation, upscaling
from deforum_helpers.output.frames import is_complete_png
from deforum_helpers.output.image_steps import Report, encode_video, interpolate_by, upscale_by
from deforum_helpers.output.kinds import KINDS, VIDEO
from deforum_helpers.output.manifest import Manifest, OutputFile, output_file, read_manifest, write_manifest
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.extra_outputs import (
    interpolates,
    interpolates_upscaled,
    slow_mo_amount,
    upscales,
)
from deforum_helpers.settings import Settings
from deforum_helpers.settings.host_options import Options

# Holds the digest of the settings that the images in its folder were made with.
RECORD = ".made_for"
RECORD_BYTES = 1 << 20
# Share of a step for its images; the rest is for their video.
IMAGES_SHARE = 0.8


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A run with all of its frames.

    Args:
        settings, options: settings and options of the run.
        run: paths of its files.
        fps: frame rate of the video.
        frames: number of frames.
        settings_json: settings that are embedded in videos.
        soundtrack: file with the sound of the video, or None.
        sound_starts_s: position in the soundtrack, in seconds, that plays with frame 0.
        device: device for neural networks.
        resting: context in which the engine frees its memory for them.
        workers: opens workers that share the images; None = they are made by this process.
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
    workers: OpenPieceWorkers | None = None

    @property
    def subtitles(self) -> Path | None:
        """The subtitles that are embedded in videos, or None."""
        embedded = self.options.deforum_save_gen_info_as_srt and self.options.deforum_embed_srt
        return self.run.srt_path if embedded else None


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One set of images and their video.

    Args:
        video_kind, image_kind: kinds of the files, of `kinds.KINDS`.
        video: path of the video.
        folder: folder of the images.
        images: paths of the images in order.
        make: writes the images that are missing.
        keep_images: the images are outputs and stay.
        fps: frame rate of the video.
        quiet: the video has neither sound nor subtitles.
    """

    video_kind: str
    image_kind: str
    video: Path
    folder: Path
    images: tuple[Path, ...]
    make: Callable[[Rendered, _Step, CancelToken, Report], None]
    keep_images: bool
    fps: float
    quiet: bool = False


def film_digest(saved_settings: Mapping[str, Any], options: Options, plan_digest: str) -> str:
    """Return the digest of everything that the videos of a run depend on."""
    relevant = {name: value for name, value in saved_settings.items() if not name.startswith("resume_")}
    content = json.dumps([relevant, asdict(options), plan_digest], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def finished_manifest(run: Run, digest: str) -> Manifest | None:
    """Return the manifest of a run if its main video is finished for the same settings, else None.

    Every listed file must exist with its listed size, every PNG must be complete, and every video must have its listed
    number of frames, which are counted again. Frames that the settings remove may be gone already.
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
    except (OSError, VideoError, MissingFeature):
        return False
    return path.suffix != ".png" or is_complete_png(path)


def has_extra_outputs(settings: Settings) -> bool:
    """Tell whether upscaled or interpolated videos are made from the frames."""
    return upscales(settings) or interpolates(settings)


def post_produce(rendered: Rendered, manifest: Manifest, cancel: CancelToken, report: Report) -> Manifest:
    """Make the videos that the settings ask for, remove the images that they do not keep, and return the manifest.

    Args:
        rendered: the finished run.
        manifest: its manifest; steps that it lists are not made again.
        cancel: checked before each image.
        report: called with the share that is done, 0..1.

    Raises:
        Cancelled, Parked: the job was asked to stop; finished steps stay.
        ModelError: weights have become missing or broken since the job was checked.
        VideoError, DiskFull, RenderError: a file cannot be written.
    """
    steps = _steps(rendered)
    for number, step in enumerate(steps):
        if not any(file.kind == step.video_kind and file.name == step.video.name for file in manifest.files):
            _clear_folder(step.folder, manifest.film_digest)
            _make(rendered, step, cancel, _part_of(report, number, len(steps)))
            manifest = _with_step(rendered.run, manifest, step)
    for step in steps:
        if not step.keep_images:
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
        video_kind="upscaled_video",
        image_kind="upscaled_frame",
        video=run.outdir / upscaling.video_name(run.timestring, settings.r_upscale_factor),
        folder=folder,
        images=tuple(folder / run.frame_path(frame).name for frame in range(rendered.frames)),
        make=_enlarge,
        keep_images=settings.r_upscale_keep_imgs,
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
        video_kind="interpolated_video",
        image_kind="interpolated_frame",
        video=run.outdir / interpolation.video_name(run.timestring, engine, x_amount, slower, of_upscaled),
        folder=folder,
        images=tuple(folder / interpolation.image_name(engine, number) for number in range(count)),
        make=_interpolate,
        keep_images=settings.frame_interpolation_keep_imgs,
        fps=interpolation.video_fps(rendered.fps, x_amount, slower),
        quiet=slower is not None,
    )


def _clear_folder(folder: Path, made_for: str) -> None:
    """Empty a folder with images of other settings."""
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
    """Make the images of a step and their video."""
    if not all(image.exists() for image in step.images):
        step.make(rendered, step, cancel, lambda share: report(IMAGES_SHARE * share))
    counted = encode_video(
        step.images,
        step.video,
        fps=step.fps,
        options=rendered.options,
        cancel=cancel,
        report=lambda share: report(IMAGES_SHARE + (1 - IMAGES_SHARE) * share),
        settings_json=rendered.settings_json,
        audio=None if step.quiet else rendered.soundtrack,
        audio_starts_s=rendered.sound_starts_s,
        subtitles=None if step.quiet else rendered.subtitles,
    )
    if counted != len(step.images):
        raise VideoError(
            messages.EXTRA_VIDEO_INCOMPLETE(name=step.video.name, found=counted, expected=len(step.images))
        )


def _enlarge(rendered: Rendered, step: _Step, cancel: CancelToken, report: Report) -> None:
    model, factor = rendered.settings.r_upscale_model, rendered.settings.r_upscale_factor
    with nullcontext() if model == "Lanczos" else rendered.resting():
        upscale_by(
            rendered.workers,
            _frames(rendered),
            step.images,
            cancel,
            report,
            model=model,
            factor=factor,
            device=rendered.device,
        )


def _interpolate(rendered: Rendered, step: _Step, cancel: CancelToken, report: Report) -> None:
    settings, name = rendered.settings, rendered.settings.frame_interpolation_engine
    sources = _upscaled(rendered).images if interpolates_upscaled(settings) else _frames(rendered)
    with nullcontext() if name == "Flow" else rendered.resting():
        interpolate_by(
            rendered.workers,
            sources,
            step.images,
            settings.frame_interpolation_x_amount,
            cancel,
            report,
            engine=name,
            device=rendered.device,
        )


def _frames(rendered: Rendered) -> list[Path]:
    return [rendered.run.frame_path(frame) for frame in range(rendered.frames)]


def _with_step(run: Run, manifest: Manifest, step: _Step) -> Manifest:
    """Write and return the manifest with the files of a finished step."""
    found: list[OutputFile] = [output_file(step.video_kind, step.video, len(step.images))]
    if step.keep_images:
        found += [
            replace(output_file(step.image_kind, path, 1), name=f"{step.folder.name}/{path.name}")
            for path in step.images
        ]
    others = tuple(file for file in manifest.files if file.kind not in (step.video_kind, step.image_kind))
    manifest = replace(manifest, files=(*others, *found))
    write_manifest(run.manifest_path, manifest)
    return manifest


def _without_frames(rendered: Rendered, manifest: Manifest) -> Manifest:
    """Remove the frames from the manifest, then from the disk; return the manifest."""
    kept = tuple(file for file in manifest.files if file.kind != "frame")
    if kept != manifest.files:
        manifest = replace(manifest, files=kept)
        write_manifest(rendered.run.manifest_path, manifest)
    for path in _frames(rendered):
        with disk_errors(path.name):
            path.unlink(missing_ok=True)
    return manifest
