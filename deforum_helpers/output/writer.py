"""Writes the outputs of a run: frames, depth maps, resume state, video, GIF, subtitles, manifest.

Frames arrive in order and leave the render thread at once: one thread writes files, another feeds the encoder.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.errors import RenderError
from deforum_helpers.core.files.atomic import disk_errors, require_space, write_whole
from deforum_helpers.core.files.no_links import make_folder
from deforum_helpers.image.transfers import HostCopy
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output import messages
from deforum_helpers.output.frames import encode_png, read_frame
from deforum_helpers.output.manifest import Manifest, OutputFile, output_file, write_manifest
from deforum_helpers.output.metadata import frame_text
from deforum_helpers.output.paths import Run
from deforum_helpers.output.step_files import StepFiles
from deforum_helpers.output.subtitles import write_subtitles
from deforum_helpers.output.video import VideoWriter, write_gif
from deforum_helpers.render.plan import Plan
from deforum_helpers.render.state import encode_state
from deforum_helpers.settings import Settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.modes import is_reversed

logger = logging.getLogger(__name__)

T = TypeVar("T")
Pixels = NDArray[np.uint8]
EXTRAS_FOLDER = "hybridframes"

# Keeps the encoder busy through a slow frame; 50 MB at 1024 x 1024 pixels.
FRAMES_WAITING = 16
MOST_HELD_BYTES = 2 * 2**30
MOST_PNG_THREADS = 6
CORES_PER_PNG_THREAD = 4
# Motion and, during a dissolve, two scenes: a resume state is at most as large as five images.
RESUME_STATE_IMAGES = 5


def png_threads(cores: int) -> int:
    """Return how many threads encode PNG files: one where the cores also render, more beside a fast GPU."""
    return max(1, min(MOST_PNG_THREADS, cores // CORES_PER_PNG_THREAD))


def _encoded(image: HostCopy, text: Mapping[str, str]) -> bytes:
    return encode_png(image.array(), text)


class RunWriter:
    """Writes the outputs of one run; a context manager.

    With store_frames_in_ram, frames stay in memory until the run ends for any reason, or until they take
    `MOST_HELD_BYTES`; only a crash then loses more than the current step.

    Args:
        settings: settings of the run.
        options: options of the encoder and the subtitles.
        plan: plan of the run.
        run: the run; its folder exists.
        saved_settings: settings to embed in the frames and the video.
        frames_done: number of frames written by earlier attempts; they are read back for the video.
        soundtrack: local sound or video file, or None.
        sound_starts_s: position in the soundtrack, in seconds, that plays with the first frame.
        film_digest: digest of everything that the video depends on, for the manifest.

    `frames` is the number of frames so far, and `video` the finished video, or None.

    Raises:
        MissingFeature: the run makes a video, and ffmpeg is not installed.
    """

    def __init__(
        self,
        settings: Settings,
        options: Options,
        plan: Plan,
        run: Run,
        *,
        saved_settings: dict[str, Any],
        frames_done: int,
        soundtrack: Path | None,
        sound_starts_s: float = 0.0,
        film_digest: str,
    ) -> None:
        self.frames = frames_done
        self.video: Path | None = None
        self.settings = settings
        self.options = options
        self.plan = plan
        self.run = run
        self._first = frames_done
        self._saved = saved_settings
        self._soundtrack = soundtrack
        self._sound_starts_s = sound_starts_s
        self._film_digest = film_digest
        self._text = frame_text(saved_settings)
        self._stack = ExitStack()
        self._files = Background(self._write_files, "deforum-files", FRAMES_WAITING)
        threads = png_threads(os.cpu_count() or 1)
        self._pngs = ThreadPoolExecutor(threads, "deforum-png") if threads > 1 else None
        self._video: VideoWriter | None = None
        self._encoder: Background[HostCopy] | None = None
        self._held: list[StepFiles] = []

    def __enter__(self) -> RunWriter:
        with ExitStack() as stack:
            if not self.settings.skip_video_creation:
                self._video = stack.enter_context(self._video_writer())
                self._encoder = stack.enter_context(
                    Background(self._encode, "deforum-encoder", FRAMES_WAITING, self._feed_earlier_frames)
                )
            if self._pngs is not None:
                stack.enter_context(self._pngs)
            stack.enter_context(self._files)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(RenderError):  # an error of the file thread has already been raised
            self._flush()
        if self._video is not None:
            self._video.abort()  # unblocks a thread that waits for ffmpeg; no effect on a finished video
        self._stack.__exit__(kind, error, trace)

    def write(self, step: StepFiles) -> None:
        """Queue the frames of one step and its resume state; frames of earlier attempts stay unchanged.

        Raises:
            DiskFull: the disk has no room for another step; this step is written.
            DiskFull, VideoError, RenderError: writing earlier frames failed.
        """
        frame_bytes = step.frames[0][1].nbytes
        images = tuple(frame for frame in step.frames if frame[0] >= self._first)
        if images and images[0][0] != self.frames:
            raise AssertionError(f"expected frame {self.frames}, got frame {images[0][0]}")
        self.frames += len(images)
        extras = step.extras if step.frames[0][0] >= self._first else ()
        self._held.append(replace(step, frames=images, extras=extras))
        held_bytes = sum(written.bytes for written in self._held)
        if not self.settings.store_frames_in_ram or held_bytes >= MOST_HELD_BYTES:
            self._flush()
        if self._encoder is not None and not self._backwards:
            for _, image, _ in images:
                self._encoder.put(image)
        if self.frames < self.plan.frames:  # fails before another frame is generated in vain
            require_space(self.run.outdir, held_bytes + RESUME_STATE_IMAGES * frame_bytes)

    def finish(self, report: Callable[[float], None]) -> Manifest:
        """Complete all outputs and return the manifest.

        A cancelled run has fewer frames than planned, and keeps them. A video needs two frames, unless one was planned.

        Raises:
            DiskFull, VideoError, RenderError: a file could not be written, or frames of the video are missing.
        """
        self._flush()
        self._files.close()
        report(0.2)
        files: list[OutputFile] = []
        for number, writer in enumerate(WRITERS.values(), start=1):
            files += writer(self)
            report(0.2 + 0.75 * number / len(WRITERS))
        manifest = Manifest(
            self.run.timestring,
            self.plan.digest,
            tuple(files),
            film_digest=self._film_digest if self.frames == self.plan.frames else "",
        )
        write_manifest(self.run.manifest_path, manifest)
        report(1.0)
        return manifest

    def _flush(self) -> None:
        """Queue the steps that are held in memory."""
        held, self._held = self._held, []
        for written in held:
            self._files.put((written, self._encoding(written)))

    def _encoding(self, step: StepFiles) -> list[tuple[Path, Callable[[], bytes]]]:
        """Return the PNG files of a step, each with what returns its content: several are encoded at a time."""
        files: list[tuple[Path, Callable[[], bytes]]] = []
        for index, image, depth in step.frames:
            number = self.plan.video_index(index)
            files.append((self.run.frame_path(number), partial(_encoded, image, self._text)))
            if depth is not None:
                files.append((self.run.depth_path(number), partial(_encoded, depth, {})))
        if self._pngs is None:
            return files
        return [(path, self._pngs.submit(encode).result) for path, encode in files]

    def _video_writer(self) -> VideoWriter:
        options, settings = self.options, self.settings
        subtitles = options.deforum_save_gen_info_as_srt and options.deforum_embed_srt
        return VideoWriter(
            self.run.video_path,
            width=settings.W,
            height=settings.H,
            fps=self.plan.fps,
            crf=options.deforum_ffmpeg_crf,
            preset=options.deforum_ffmpeg_preset,
            encoder=options.deforum_ffmpeg_encoder,
            ffmpeg=find_ffmpeg(options.deforum_ffmpeg_location),
            settings_json=json.dumps(self._saved, ensure_ascii=False),
            audio=self._soundtrack,
            audio_starts_s=self._sound_starts_s,
            subtitles=self.run.srt_path if subtitles else None,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know of the encoder of the video."""
        return () if self._video is None else self._video.warnings

    @property
    def _backwards(self) -> bool:
        """Whether frames are rendered in another order than shown; the video is then encoded after the last one."""
        return is_reversed(self.settings)

    @property
    def frame_numbers(self) -> list[int]:
        """The numbers of the frames so far, in the order of the video."""
        return sorted(map(self.plan.video_index, range(self.frames)))

    def _encode(self, image: HostCopy) -> None:
        if self._video is not None:
            self._video.write(image.array())

    def _feed_earlier_frames(self) -> None:
        if not self._backwards:
            self._feed(range(self._first))

    def _feed(self, frames: Iterable[int]) -> None:
        for frame in frames:
            if self._video is not None:
                self._video.write(read_frame(self.run.frame_path(frame)))

    def _write_files(self, item: tuple[StepFiles, list[tuple[Path, Callable[[], bytes]]]]) -> None:
        written, pngs = item
        for path, content in pngs:
            write_whole(path, content())
        for name, image in written.extras:
            self._write_extra(name, image.array())
        write_whole(self.run.resume_state_path, encode_state(written.resume_state))

    def _write_extra(self, name: str, image: Pixels) -> None:
        folder = self.run.outdir / EXTRAS_FOLDER
        with disk_errors(folder.name):
            make_folder(folder)
        _, jpeg = cv2.imencode(".jpg", image[..., ::-1])
        write_whole(folder / f"{self.run.timestring}_{name}.jpg", jpeg.tobytes())

    def write_video(self) -> list[OutputFile]:
        """Complete the video and set `video`, for the writers after this one."""
        self.video = self._finish_video()
        return [] if self.video is None else [output_file("video", self.video, self.frames)]

    def _finish_video(self) -> Path | None:
        if self._video is None or self._encoder is None:
            return None
        if self.frames < min(2, self.plan.frames):
            return None
        self._encoder.close()
        if self._backwards:
            self._feed(self.frame_numbers)
        counted = self._video.finish()
        if counted != self.frames:
            message = messages.VIDEO_FRAMES_LOST(
                work="Encoding the video", written=self.frames, counted=counted
            )
            raise RenderError(message)
        return self.run.video_path


class Background(Generic[T]):
    """A bounded queue and the thread that works it off: calls `work` with each item, in order, off the render thread.

    After an error in `work` the remaining items are dropped; the next `put` or `close` raises the error.
    Leaving the context processes all queued items and raises nothing.

    Args:
        work: called with each item.
        name: name of the thread.
        capacity: maximum number of queued items; `put` blocks while the queue is full.
        begin: called on the thread before the first item.
    """

    def __init__(
        self, work: Callable[[T], None], name: str, capacity: int, begin: Callable[[], None] | None = None
    ) -> None:
        self._work = work
        self._begin = begin
        self._items: queue.Queue[T | None] = queue.Queue(capacity)
        self._error: BaseException | None = None
        # Log lines of the thread carry the caller's context, such as the job's id.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name=name, daemon=True)

    def __enter__(self) -> Background[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._items.put(None)
            self._thread.join()

    def put(self, item: T) -> None:
        """Queue `item`; blocks while the queue is full. Raises the error of `work`, if any."""
        self._raise()
        self._items.put(item)

    def close(self) -> None:
        """Wait until all items are processed. Raises the error of `work`, if any."""
        self._items.put(None)
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            if self._begin is not None:
                self._begin()
        except BaseException as error:
            self._error = error
        while (item := self._items.get()) is not None:
            if self._error is not None:
                continue
            try:
                self._work(item)
            except BaseException as error:
                self._error = error


OutputWriter = Callable[[RunWriter], list[OutputFile]]


def _settings(writer: RunWriter) -> list[OutputFile]:
    return [output_file("settings", writer.run.settings_path)]


def _subtitles(writer: RunWriter) -> list[OutputFile]:
    if not writer.options.deforum_save_gen_info_as_srt:
        return []
    path = write_subtitles(writer.plan, writer.options, writer.run, writer.frame_numbers)
    return [output_file("subtitles", path, writer.frames)]


def _frames(writer: RunWriter) -> list[OutputFile]:
    return [output_file("frame", writer.run.frame_path(frame), 1) for frame in writer.frame_numbers]


def _depth_maps(writer: RunWriter) -> list[OutputFile]:
    if not writer.settings.save_depth_maps:
        return []
    return [output_file("depth", writer.run.depth_path(frame), 1) for frame in writer.frame_numbers]


def _preview(writer: RunWriter) -> list[OutputFile]:
    path = writer.run.preview_path
    return [output_file("preview_video", path)] if path.exists() else []


def _gif(writer: RunWriter) -> list[OutputFile]:
    if writer.video is None or not writer.settings.make_gif:
        return []
    write_gif(
        writer.video,
        writer.run.gif_path,
        writer.plan.fps,
        find_ffmpeg(writer.options.deforum_ffmpeg_location),
    )
    return [output_file("gif", writer.run.gif_path, writer.frames)]


# Kind of output -> function that completes its files and returns their entries, called when all frames are on disk.
# The order is that of the manifest. The video contains the subtitles, and the GIF is made from the video.
WRITERS: dict[str, OutputWriter] = {
    "settings": _settings,
    "subtitles": _subtitles,
    "frame": _frames,
    "depth": _depth_maps,
    "preview_video": _preview,
    "video": RunWriter.write_video,
    "gif": _gif,
}
