"""Images that several workers make: the same files as by one process, whatever dies or stops on the way."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from deforum_helpers.core.child_programs import WorkerLost, WorkerUnusable
from deforum_helpers.core.errors import Cancelled, DiskFull, ProgramKilled
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.core.spread import (
    OpenPieceWorkers,
    OwnPieceWorker,
    Piece,
    PieceWorker,
    kept,
    piece_processes,
    release_kept,
    spread,
)
from deforum_helpers.output import image_steps
from deforum_helpers.settings.host_options import Options
from deforum_helpers.tools.interpolate import interpolate_image_sequence
from deforum_helpers.tools.upscale import upscale_video
from deforum_helpers.tools.vid2depth import DepthLook, video_to_depth
from deforum_helpers.tools.work import ToolResult, Work

QUICK = Options(deforum_ffmpeg_preset="ultrafast")
FRAMES = 17
# Frames that repeat the one before them, some of them at the borders of the ranges.
REPEATED = (4, 8, 9, 12, 16)
CUTS = (6, 14)
SIZE_PX = 64


class ThreadWorker:
    """Does pieces in its thread, and is lost at some of them."""

    def __init__(self, losses: list[int]) -> None:
        self._losses = losses

    def work(self, piece: Piece, done: Callable[[int], None]) -> None:
        if self._losses and self._losses.pop():
            raise WorkerLost("killed")
        module, _, name = piece.function.partition(":")
        getattr(importlib.import_module(module), name)(piece.arguments, done)

    def stop(self) -> None:
        pass


def threads(count: int, losses: Sequence[int] = ()) -> OpenPieceWorkers:
    @contextmanager
    def opened() -> Iterator[list[PieceWorker]]:
        shared = list(losses)
        yield [ThreadWorker(shared) for _ in range(count)]

    return opened


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A moving square with repeated frames and cuts."""
    folder = tmp_path_factory.mktemp("images")
    made = []
    for number in range(FRAMES):
        shown = number - (number in REPEATED)
        scene = sum(shown >= cut for cut in CUTS)
        noise = np.random.default_rng(scene).integers(0, 256, (SIZE_PX, SIZE_PX, 3), np.uint8)
        image = cv2.GaussianBlur(noise, (0, 0), 3)
        image[10:30, 2 * shown : 2 * shown + 20] = 255 - 60 * scene
        made.append(folder / f"{number:05d}.png")
        cv2.imwrite(str(made[-1]), image)
    return made


def digests(result: ToolResult) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in (*result.images, result.video)]


TOOLS: dict[str, Callable[[list[Path], Work], ToolResult]] = {
    "interpolate": lambda images, work: interpolate_image_sequence(
        images, work, fps=24, x_amount=3, keep_imgs=True
    ),
    "upscale": lambda images, work: upscale_video(images[0].parent, work, keep_imgs=True),
    "vid2depth": lambda images, work: video_to_depth(
        images[0].parent, work, DepthLook(mode="None (just grayscale)", end_blur=1.0), keep_imgs=True
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_several_workers_make_the_images_of_one(tmp_path: Path, images: list[Path], tool: str) -> None:
    one = TOOLS[tool](images, Work(tmp_path / "one", QUICK))
    shared = Work(tmp_path / "shared", QUICK, workers=threads(3, losses=[1, 0, 1, 0]))
    several = TOOLS[tool](images, shared)
    assert len(one.images) >= FRAMES
    assert digests(one) == digests(several)


def test_a_range_continues_after_its_last_image(tmp_path: Path, images: list[Path]) -> None:
    """As when post-production of a run goes on after its program was killed."""

    def made(folder: Path, workers: OpenPieceWorkers | None) -> list[bytes]:
        targets = [folder / f"{number:05d}.png" for number in range(3 * (FRAMES - 1) + 1)]
        image_steps.interpolate_by(
            workers, images, targets, 3, CancelToken(), lambda share: None, engine="Flow", device="cpu"
        )
        return [path.read_bytes() for path in targets]

    whole = made(tmp_path / "one", None)
    assert made(tmp_path / "shared", threads(2)) == whole
    for number in (0, 7, 8, 9, 30, 31, 32, 47):
        (tmp_path / "shared" / f"{number:05d}.png").unlink()
    assert made(tmp_path / "shared", threads(2)) == whole
    for number in (9, 10, 11, 40):
        (tmp_path / "shared" / f"{number:05d}.png").unlink()
    assert made(tmp_path / "shared", None) == whole


def pieces(folder: Path, **more: object) -> list[Piece]:
    return [
        Piece(
            "tests.tools.shared_pieces:write",
            {"folder": str(folder), "numbers": [begin, begin + 5], **more},
            5,
        )
        for begin in range(0, 20, 5)
    ]


def test_processes_share_pieces_and_may_die(tmp_path: Path) -> None:
    shares: list[float] = []
    with piece_processes(2)() as workers:
        spread(pieces(tmp_path, deadly=[7]), workers, CancelToken(), shares.append)
    numbers = [path for path in tmp_path.iterdir() if path.suffix == ""]
    assert len(numbers) == 20
    assert str(os.getpid()) not in {path.read_text() for path in numbers}
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_an_error_of_a_piece_ends_the_work(tmp_path: Path) -> None:
    with threads(2)() as workers, pytest.raises(DiskFull):
        spread(pieces(tmp_path, full=12), workers, CancelToken(), lambda share: None)
    with threads(1, losses=[1] * 9)() as workers, pytest.raises(ProgramKilled) as caught:
        spread(pieces(tmp_path), workers, CancelToken(), lambda share: None)
    assert caught.value.message_code == "piece_workers_lost"


def test_a_cancel_ends_the_work(tmp_path: Path, images: list[Path]) -> None:
    cancel = CancelToken()
    work = Work(tmp_path, QUICK, cancel, workers=threads(2))
    cancel.cancel()
    with pytest.raises(Cancelled):
        TOOLS["upscale"](images, replace(work))
    assert not list(tmp_path.rglob("*.png"))


class Leaving(ThreadWorker):
    """Leaves at its second piece, as a worker of a cluster that gets a job of its own."""

    def __init__(self) -> None:
        super().__init__([])
        self.pieces = 0

    def work(self, piece: Piece, done: Callable[[int], None]) -> None:
        self.pieces += 1
        if self.pieces == 2:
            raise WorkerUnusable("has a job")
        super().work(piece, done)


def test_a_worker_that_leaves_is_not_asked_again(tmp_path: Path) -> None:
    leaving = Leaving()
    with pytest.raises(ProgramKilled) as caught:
        spread(pieces(tmp_path), [leaving], CancelToken(), lambda share: None)
    assert caught.value.message_code == "piece_workers_gone"
    assert leaving.pieces == 2
    (tmp_path / "two").mkdir()
    spread(pieces(tmp_path / "two"), [Leaving(), OwnPieceWorker()], CancelToken(), lambda share: None)
    assert len(list((tmp_path / "two").iterdir())) == 20


def test_this_process_stops_at_its_next_file(tmp_path: Path) -> None:
    worker = OwnPieceWorker()
    (piece, *_) = pieces(tmp_path)
    with pytest.raises(Cancelled):
        worker.work(piece, lambda count: worker.stop())
    assert len(list(tmp_path.iterdir())) == 2


def test_only_the_newest_model_is_kept() -> None:
    made: list[str] = []

    def model(name: str) -> str:
        return kept(name, lambda: made.append(name) or name)

    assert [model("a"), model("a"), model("b"), model("a")] == ["a", "a", "b", "a"]
    release_kept()
    model("a")
    release_kept()
    assert made == ["a", "b", "a", "a"]
