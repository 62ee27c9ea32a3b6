"""Everything that a run writes: frames, depth maps, checkpoint, film, GIF, subtitles, manifest.

Frames come in order and leave the render thread at once: one thread writes files, another feeds the encoder.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.errors import RenderError
from deforum_helpers.core.files.atomic import disk_errors, require_space, write_whole
from deforum_helpers.core.files.no_links import make_folder
from deforum_helpers.image.convert import to_bytes
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.depth.maps import depth_bytes
from deforum_helpers.output.background import Background
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.output.manifest import Manifest, OutputFile, output_file, write_manifest
from deforum_helpers.output.metadata import frame_text
from deforum_helpers.output.paths import Run
from deforum_helpers.output.subtitles import write_subtitles
from deforum_helpers.output.video import VideoWriter, gif
from deforum_helpers.render.loop import Outcome
from deforum_helpers.render.plan import Plan
from deforum_helpers.render.resume_state import ResumeState, encode_state
from deforum_helpers.settings import Settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.modes import is_reversed

logger = logging.getLogger(__name__)

Picture = NDArray[np.uint8]
EXTRAS_FOLDER = "hybridframes"
# Enough to keep the encoder busy through a slow frame; at 1024x1024 this is 50 MB.
FRAMES_WAITING = 16
MOST_HELD_BYTES = 2 * 2**30
# A checkpoint holds colours and motion and, while a dissolve lasts, two scenes: as much as six pictures.
CHECKPOINT_PICTURES = 6


@dataclass(frozen=True)
class _Written:
    """What the file thread gets of one step."""

    frames: tuple[tuple[int, Picture, Picture | None], ...]
    extras: tuple[tuple[str, Picture], ...]
    checkpoint: ResumeState

    @property
    def bytes(self) -> int:
        pictures = [picture for _, *both in self.frames for picture in both if picture is not None]
        return sum(picture.nbytes for picture in (*pictures, *(picture for _, picture in self.extras)))


class Film:
    """Writes the files of one run; a context manager.

    With store_frames_in_ram frames stay in memory until the last one is drawn, the run ends for any other reason, or
    they take `MOST_HELD_BYTES`; only a crash then loses more than the step it is in.

    Args:
        settings: of the run.
        options: encoder and subtitles.
        plan: gives size, rate and what subtitles say.
        run: names the files; its folder exists.
        saved_settings: travel inside frames and film.
        frames_done: frames that an earlier attempt has written; they are read back for the film.
        soundtrack: local sound or video file, or None.
        sound_starts_s: second of it that is heard with the first frame.
        film_digest: of all that the film depends on, for the list of outputs.
        made_by: the engine and model, for the checkpoint.

    `frames` is the number of frames so far, and `video` the finished video, or None.

    Raises:
        MissingFeature: a film is asked for and there is no ffmpeg.
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
        made_by: str = "",
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
        self._made_by = made_by
        self._text = frame_text(saved_settings)
        self._stack = ExitStack()
        self._files = Background(self._write_files, "deforum-files", FRAMES_WAITING)
        self._video: VideoWriter | None = None
        self._encoder: Background[Picture] | None = None
        self._held: list[_Written] = []

    def __enter__(self) -> Film:
        with ExitStack() as stack:
            if not self.settings.skip_video_creation:
                self._video = stack.enter_context(self._video_writer())
                self._encoder = stack.enter_context(
                    Background(
                        self._video.write, "deforum-encoder", FRAMES_WAITING, self._feed_earlier_frames
                    )
                )
            stack.enter_context(self._files)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(RenderError):  # the file thread's own end is on its way already
            self._let_go()
        if self._video is not None:
            self._video.abort()  # does nothing to a finished film, and frees a thread that waits for the encoder
        self._stack.__exit__(kind, error, trace)

    def write(self, outcome: Outcome) -> None:
        """Queue the frames of one step, and its checkpoint behind them; frames that are there already stay.

        Raises:
            DiskFull: there is no room for the next step; these frames are written.
            DiskFull, VideoError, RenderError: what writing earlier frames met.
        """
        name = self.settings.depth_algorithm
        new = [frame for frame in outcome.frames if frame.index >= self._first]
        pictures = tuple(
            (
                frame.index,
                to_bytes(frame.image),
                depth_bytes(frame.depth, name) if frame.depth is not None else None,
            )
            for frame in new
        )
        if pictures and pictures[0][0] != self.frames:
            raise AssertionError(f"frame {pictures[0][0]} came where frame {self.frames} was due")
        self.frames += len(pictures)
        extras = tuple((name, to_bytes(image)) for frame in new for name, image in frame.extras)
        state = outcome.state
        if state.leaving is None:
            state = replace(state, last=None)  # the newest frame waits once, in 8 bits
        checkpoint = ResumeState(state, outcome.frames[-1].index + 1, self.plan.digest, self._made_by)
        self._held.append(_Written(pictures, extras, checkpoint))
        held_bytes = sum(written.bytes for written in self._held)
        if not self.settings.store_frames_in_ram or held_bytes >= MOST_HELD_BYTES:
            self._let_go()
        if self._encoder is not None and not self._backwards:
            for _, picture, _ in pictures:
                self._encoder.put(picture)
        if self.frames < self.plan.frames:  # what is drawn is kept; nothing more is drawn in vain
            require_space(self.run.outdir, held_bytes + CHECKPOINT_PICTURES * outcome.frames[0].image.numel())

    def finish(self, report: Callable[[float], None]) -> Manifest:
        """Complete all files and return their list.

        Fewer frames than planned are complete too: a cancelled run keeps what it has. A film needs two frames,
        unless it was planned with one.

        Raises:
            DiskFull, VideoError, RenderError: a file could not be written, or the film is not what was written.
        """
        self._let_go()
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

    def _let_go(self) -> None:
        """Queue the frames that are held in memory."""
        held, self._held = self._held, []
        for written in held:
            self._files.put(written)

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
            ffmpeg=find_ffmpeg(options.deforum_ffmpeg_location),
            settings_json=json.dumps(self._saved, ensure_ascii=False),
            audio=self._soundtrack,
            audio_starts_s=self._sound_starts_s,
            subtitles=self.run.srt_path if subtitles else None,
        )

    @property
    def _backwards(self) -> bool:
        """Whether frames come in another order than they are shown in; the video is then made when all are there."""
        return is_reversed(self.settings)

    @property
    def shown(self) -> list[int]:
        """The numbers of the frames that are there, in the order of the video."""
        return sorted(map(self.plan.video_index, range(self.frames)))

    def _feed_earlier_frames(self) -> None:
        if not self._backwards:
            self._feed(range(self._first))

    def _feed(self, frames: Iterable[int]) -> None:
        for frame in frames:
            if self._video is not None:
                self._video.write(read_frame(self.run.frame_path(frame)))

    def _write_files(self, written: _Written) -> None:
        for index, picture, depth in written.frames:
            number = self.plan.video_index(index)
            write_frame(self.run.frame_path(number), picture, self._text)
            if depth is not None:
                write_frame(self.run.depth_path(number), depth)
        for name, picture in written.extras:
            self._write_extra(name, picture)
        write_whole(self.run.checkpoint_path, encode_state(written.checkpoint))

    def _write_extra(self, name: str, picture: Picture) -> None:
        folder = self.run.outdir / EXTRAS_FOLDER
        with disk_errors(folder.name):
            make_folder(folder)
        _, jpeg = cv2.imencode(".jpg", picture[..., ::-1])
        write_whole(folder / f"{self.run.timestring}_{name}.jpg", jpeg.tobytes())

    def write_video(self) -> list[OutputFile]:
        """Complete the video; the writers after this one find it in `video`."""
        self.video = self._finish_video()
        return [] if self.video is None else [output_file("video", self.video, self.frames)]

    def _finish_video(self) -> Path | None:
        if self._video is None or self._encoder is None:
            return None
        if self.frames < min(2, self.plan.frames):
            return None
        self._encoder.close()
        if self._backwards:
            self._feed(self.shown)
        counted = self._video.finish()
        if counted != self.frames:
            raise RenderError(f"The film has {counted} frames, but {self.frames} were rendered.")
        return self.run.video_path


Writer = Callable[[Film], list[OutputFile]]


def _settings(film: Film) -> list[OutputFile]:
    return [output_file("settings", film.run.settings_path)]


def _subtitles(film: Film) -> list[OutputFile]:
    if not film.options.deforum_save_gen_info_as_srt:
        return []
    path = write_subtitles(film.plan, film.options, film.run, film.shown)
    return [output_file("subtitles", path, film.frames)]


def _frames(film: Film) -> list[OutputFile]:
    return [output_file("frame", film.run.frame_path(frame), 1) for frame in film.shown]


def _depth_maps(film: Film) -> list[OutputFile]:
    if not film.settings.save_depth_maps:
        return []
    return [output_file("depth", film.run.depth_path(frame), 1) for frame in film.shown]


def _preview(film: Film) -> list[OutputFile]:
    path = film.run.preview_path
    return [output_file("preview_video", path)] if path.exists() else []


def _gif(film: Film) -> list[OutputFile]:
    if film.video is None or not film.settings.make_gif:
        return []
    gif(film.video, film.run.gif_path, film.plan.fps, find_ffmpeg(film.options.deforum_ffmpeg_location))
    return [output_file("gif", film.run.gif_path, film.frames)]


# Kind of output -> what completes its files and lists them, called when all frames are on disk; in the order of the
# manifest. The video carries the subtitles, so it comes after them, and what is made of the video comes after it.
WRITERS: dict[str, Writer] = {
    "settings": _settings,
    "subtitles": _subtitles,
    "frame": _frames,
    "depth": _depth_maps,
    "preview_video": _preview,
    "video": Film.write_video,
    "gif": _gif,
}
