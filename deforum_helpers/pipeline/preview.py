"""What goes on beside the rendering where options ask for it: films of the frames so far, a log of every step."""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.errors import RenderError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.partial_video import GrowingFilm
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.settings.host_options import PREVIEWS
from deforum_helpers.settings.modes import is_reversed

logger = logging.getLogger(__name__)

OFF, PAUSING, CONCURRENT = PREVIEWS
LOOK_EVERY_S = 0.02
LONGEST_WAIT_S = 60.0


class Aside:
    """Follows the rendering of one film; a context manager.

    Its end waits for a preview that is being made, or ends that where the rendering ended early.

    Args:
        prepared: the job.
        run: names the files.
        frames_done: frames that an earlier attempt has written.
        cancel: asked while the rendering waits for a preview.
    """

    def __init__(self, prepared: Prepared, run: Run, frames_done: int, cancel: CancelToken) -> None:
        self._prepared = prepared
        self._run = run
        self._cancel = cancel
        self._film: GrowingFilm | None = None
        self._shown = self._noted = frames_done
        self._noted_at = time.monotonic()
        self._failed = prepared.settings.store_frames_in_ram
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Aside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._film is not None:
            self._film.abort()
        if self._thread is not None:
            self._thread.join()
        if self._film is not None:
            self._film.abort()

    def note(self, frames: int) -> None:
        """Take note that the first `frames` of the film are drawn."""
        options = self._prepared.options
        if options.deforum_debug_mode_enabled:
            self._log(frames)
        self._noted, self._noted_at = frames, time.monotonic()
        due = frames - self._shown >= options.deforum_preview_interval_frames
        if options.deforum_preview == OFF or not due or frames >= self._prepared.plan.frames or self._failed:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._shown = frames
        try:
            self._film = self._film or self._begun()
        except RenderError as error:
            self._fail(error)
            return
        self._thread = threading.Thread(
            target=self._preview, args=(self._film, frames), name="deforum-preview"
        )
        self._thread.start()
        while options.deforum_preview == PAUSING and self._thread.is_alive():
            self._cancel.check()
            self._thread.join(LOOK_EVERY_S)

    def _log(self, frames: int) -> None:
        seconds = time.monotonic() - self._noted_at
        keys = self._prepared.plan.key_frames
        first, end = (bisect_left(keys.indices, frame) for frame in (self._noted, frames))
        for key in keys[first:end]:
            logger.info("%s %.2f s.", _described(key), seconds)

    def _begun(self) -> GrowingFilm:
        prepared, options = self._prepared, self._prepared.options
        return GrowingFilm(
            self._run.preview_path,
            width_px=prepared.settings.W,
            height_px=prepared.settings.H,
            fps=prepared.plan.fps,
            crf=options.deforum_ffmpeg_crf,
            ffmpeg=find_ffmpeg(options.deforum_ffmpeg_location),
            audio=prepared.inputs.soundtrack,
            audio_starts_s=prepared.inputs.sound_starts_s,
            backwards=is_reversed(prepared.settings),
        )

    def _preview(self, film: GrowingFilm, frames: int) -> None:
        """Let the film grow to the first `frames`; one that fails is the last: the film itself is what counts."""
        try:
            new = sorted(map(self._prepared.plan.video_index, range(film.frames, frames)))
            film.extend(self._frame(number) for number in new)
        except RenderError as error:
            self._fail(error)

    def _fail(self, error: RenderError) -> None:
        self._failed = True
        if self._cancel.wish == "none":
            logger.warning("No more preview films are made of this job: %s", error)

    def _frame(self, number: int) -> NDArray[np.uint8]:
        """Return a frame from its file; the thread that writes them may be a few behind."""
        path = self._run.frame_path(number)
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not path.exists():
            if self._cancel.wish != "none":
                raise RenderError("The job stops.")
            if time.monotonic() > deadline:
                raise RenderError(f"Frame {number} was not written within {LONGEST_WAIT_S:.0f} seconds.")
            time.sleep(LOOK_EVERY_S)
        return read_frame(path)


def _described(key: KeyFrame) -> str:
    request = key.request
    last = key.stop - 1
    frames = f"Frame {key.index}" if last == key.index else f"Frames {key.index} to {last}"
    return (
        f"{frames}: {', '.join(key.stages)}; seed {request.seed}, {request.steps} steps, {request.sampler} "
        f"{request.scheduler}, CFG scale {request.cfg_scale:g}, denoising strength "
        f"{request.denoising_strength:g}, prompt {request.prompt[:200]!r};"
    )
