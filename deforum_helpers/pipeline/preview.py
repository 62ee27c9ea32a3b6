"""Output during a run that the options ask for: videos of the frames so far, and a log line for each key frame."""

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
from deforum_helpers.output.paths import Run
from deforum_helpers.output.video import PartialVideo
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.settings.host_options import PREVIEWS
from deforum_helpers.settings.modes import is_reversed

logger = logging.getLogger(__name__)

OFF, PAUSING, CONCURRENT = PREVIEWS
POLL_EVERY_S = 0.02
LONGEST_WAIT_S = 60.0


class RunPreview:
    """Makes preview videos of one run; a context manager.

    On exit it waits for a preview in progress, or aborts it if the run ended with an error.

    Args:
        prepared: the job.
        run: paths of the files.
        frames_done: number of frames that an earlier attempt wrote.
        cancel: checked while the run waits for a preview.
    """

    def __init__(self, prepared: Prepared, run: Run, frames_done: int, cancel: CancelToken) -> None:
        self._prepared = prepared
        self._run = run
        self._cancel = cancel
        self._video: PartialVideo | None = None
        self._shown = self._noted = frames_done
        self._noted_at = time.monotonic()
        self._failed = prepared.settings.store_frames_in_ram
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RunPreview:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._video is not None:
            self._video.abort()
        if self._thread is not None:
            self._thread.join()
        if self._video is not None:
            self._video.abort()

    def update(self, frames: int) -> None:
        """Note that the first `frames` frames are generated, and start a preview if one is due."""
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
            self._video = self._video or self._new_video()
        except RenderError as error:
            self._fail(error)
            return
        self._thread = threading.Thread(
            target=self._preview, args=(self._video, frames), name="deforum-preview"
        )
        self._thread.start()
        while options.deforum_preview == PAUSING and self._thread.is_alive():
            self._cancel.check()
            self._thread.join(POLL_EVERY_S)

    def _log(self, frames: int) -> None:
        seconds = time.monotonic() - self._noted_at
        keys = self._prepared.plan.key_frames
        first, end = (bisect_left(keys.indices, frame) for frame in (self._noted, frames))
        for key in keys[first:end]:
            logger.info("%s %.2f s.", _summary(key), seconds)

    def _new_video(self) -> PartialVideo:
        prepared, options = self._prepared, self._prepared.options
        return PartialVideo(
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

    def _preview(self, video: PartialVideo, frames: int) -> None:
        """Extend the preview video to the first `frames` frames. A failure ends the previews, never the run."""
        try:
            new = sorted(map(self._prepared.plan.video_index, range(video.frames, frames)))
            video.extend(self._frame(number) for number in new)
        except RenderError as error:
            self._fail(error)

    def _fail(self, error: RenderError) -> None:
        self._failed = True
        if self._cancel.stop_request == "none":
            logger.warning("This job gets no more preview videos: %s", error)

    def _frame(self, number: int) -> NDArray[np.uint8]:
        """Return a frame from its file, (H, W, 3) uint8; waits for the thread that writes the files."""
        path = self._run.frame_path(number)
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not path.exists():
            if self._cancel.stop_request != "none":
                raise RenderError(messages.PREVIEW_STOPPED())
            if time.monotonic() > deadline:
                raise RenderError(messages.PREVIEW_FRAME_LATE(frame=number, seconds=LONGEST_WAIT_S))
            time.sleep(POLL_EVERY_S)
        return read_frame(path)


def _summary(key: KeyFrame) -> str:
    request = key.request
    last = key.stop - 1
    frames = f"Frame {key.index}" if last == key.index else f"Frames {key.index} to {last}"
    return (
        f"{frames}: {', '.join(key.stages)}; seed {request.seed}, {request.steps} steps, {request.sampler} "
        f"{request.scheduler}, CFG scale {request.cfg_scale:g}, denoising strength "
        f"{request.denoising_strength:g}, prompt {request.prompt[:200]!r};"
    )
