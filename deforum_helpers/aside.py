"""What goes on beside the rendering where options ask for it: films of the frames so far, a log of every step."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from deforum_helpers.errors import RenderError
from deforum_helpers.options import PREVIEWS
from deforum_helpers.output.ffmpeg import find_ffmpeg
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.names import Run
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.prepare import Prepared
from deforum_helpers.render.key_frames import KeyFrame

logger = logging.getLogger(__name__)

OFF, PAUSING, CONCURRENT = PREVIEWS
LOOK_EVERY_S = 0.02
LONGEST_WAIT_S = 60.0


class Aside:
    """Follows the rendering of one film; a context manager, whose end waits for a preview that is being made.

    Args:
        prepared: the job.
        run: names the files.
        frames_done: frames that an earlier attempt has written.
    """

    def __init__(self, prepared: Prepared, run: Run, frames_done: int) -> None:
        self._prepared = prepared
        self._run = run
        self._shown = self._noted = frames_done
        self._noted_at = time.monotonic()
        self._failed = prepared.settings.store_frames_in_ram
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Aside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.join()

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
        self._thread = threading.Thread(target=self._preview, args=(frames,), name="deforum-preview")
        self._thread.start()
        if options.deforum_preview == PAUSING:
            self._thread.join()

    def _log(self, frames: int) -> None:
        seconds = time.monotonic() - self._noted_at
        for key in self._prepared.plan.key_frames:
            if self._noted <= key.index < frames:
                logger.info("%s %.2f s.", _described(key), seconds)

    def _preview(self, frames: int) -> None:
        """Make the film of the first `frames`; one that fails is the last: the film itself is what counts."""
        prepared, run, plan = self._prepared, self._run, self._prepared.plan
        options = prepared.options
        try:
            with VideoWriter(
                run.preview_path,
                width=prepared.settings.W,
                height=prepared.settings.H,
                fps=plan.fps,
                crf=options.deforum_ffmpeg_crf,
                preset="ultrafast",
                ffmpeg=find_ffmpeg(options.deforum_ffmpeg_location),
                audio=prepared.inputs.soundtrack,
                audio_starts_s=prepared.inputs.sound_starts_s,
            ) as film:
                for frame in sorted(map(plan.shown, range(frames))):
                    self._wait_for(frame)
                    film.write(read_frame(run.frame_path(frame)))
                film.finish()
        except RenderError as error:
            self._failed = True
            logger.warning("No more preview films are made of this job: %s", error)

    def _wait_for(self, frame: int) -> None:
        """Wait for the thread that writes the frames, which may be a few behind."""
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not self._run.frame_path(frame).exists():
            if time.monotonic() > deadline:
                raise RenderError(f"Frame {frame} was not written within {LONGEST_WAIT_S:.0f} seconds.")
            time.sleep(LOOK_EVERY_S)


def _described(key: KeyFrame) -> str:
    request = key.request
    last = key.stop - 1
    frames = f"Frame {key.index}" if last == key.index else f"Frames {key.index} to {last}"
    return (
        f"{frames}: {', '.join(key.stages)}; seed {request.seed}, {request.steps} steps, {request.sampler} "
        f"{request.scheduler}, CFG scale {request.cfg_scale:g}, denoising strength "
        f"{request.denoising_strength:g}, prompt {request.prompt[:200]!r};"
    )
