"""Upscaling and frame interpolation in ranges of images, for several workers: the same files as by one.

Upscaled images do not depend on each other. Interpolated ones depend on two sources, but a source that repeats the one
before it is replaced by an interpolation, on which the next comparison is based. So the first image of each range is
written beforehand, in order, which needs no more than the comparisons and the replacements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.core.spread import Done, OpenPieceWorkers, Piece, kept, spread
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.models.interpolation.engines import Interpolator, make_interpolator
from deforum_helpers.models.interpolation.sequence import sources_without_repetition
from deforum_helpers.models.upscaling.models import Upscaler, make_upscaler
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.image_steps import (
    Report,
    interpolate_images,
    make_folder_of,
    upscale_images,
    write_image,
)

# Enough that a worker's model is loaded only once, few enough that all workers end at about the same time.
IMAGES_PER_PIECE = 8


def upscale_by(
    workers: OpenPieceWorkers | None,
    sources: Sequence[Path],
    targets: Sequence[Path],
    cancel: CancelToken,
    report: Report,
    *,
    model: str,
    factor: str,
    device: str,
) -> None:
    """Upscale images, by this process if `workers` is None; the rest as in `upscale_images` and `make_upscaler`."""
    if workers is None:
        upscaler = make_upscaler(model, factor, device, cancel.check_cancel)
        return upscale_images(sources, targets, upscaler, cancel, report)
    make_folder_of(targets)
    common = {"model": model, "factor": factor, "device": device}
    pieces = image_pieces(f"{__name__}:upscale_range", common, sources, targets)
    with workers() as opened:
        spread(pieces, opened, cancel, report)
    return None


def image_pieces(
    function: str, common: Mapping[str, Any], sources: Sequence[Path], targets: Sequence[Path]
) -> list[Piece]:
    """Return pieces of work that make one target of each source, by a function of this project.

    Args:
        function: "module:name"; its arguments are `common`, and the paths "sources" and "targets".
        common: arguments of all pieces.
        sources, targets: image files.
    """
    return [
        Piece(
            function,
            {
                **common,
                "sources": _texts(sources[begin : begin + IMAGES_PER_PIECE]),
                "targets": _texts(targets[begin : begin + IMAGES_PER_PIECE]),
            },
            len(targets[begin : begin + IMAGES_PER_PIECE]),
        )
        for begin in range(0, len(sources), IMAGES_PER_PIECE)
    ]


def upscale_range(arguments: Mapping[str, Any], done: Done) -> None:
    """Do a piece of `upscale_by`."""
    targets = _paths(arguments["targets"])
    upscaler = _upscaler(arguments["model"], arguments["factor"], arguments["device"])
    upscale_images(_paths(arguments["sources"]), targets, upscaler, CancelToken(), _counted(done, targets))


def interpolate_by(
    workers: OpenPieceWorkers | None,
    sources: Sequence[Path],
    targets: Sequence[Path],
    x_amount: int,
    cancel: CancelToken,
    report: Report,
    *,
    engine: str,
    device: str,
) -> None:
    """Interpolate images, by this process if `workers` is None.

    The other arguments and the errors are those of `interpolate_images` and `make_interpolator`.
    """
    if workers is None:
        own = make_interpolator(engine, device, cancel.check_cancel)
        return interpolate_images(sources, targets, own, x_amount, cancel, report)
    make_folder_of(targets)
    pairs = max(1, IMAGES_PER_PIECE // x_amount)
    begins = list(range(0, len(sources) - 1, pairs))
    interpolator = lru_cache(1)(lambda: make_interpolator(engine, device, cancel.check_cancel))
    _write_beginnings(sources, targets, x_amount, frozenset(begins), interpolator, cancel)
    pieces = []
    for begin in begins:
        end = min(begin + pairs, len(sources) - 1)
        part = targets[begin * x_amount : end * x_amount + 1]
        arguments = {
            "engine": engine,
            "device": device,
            "x_amount": x_amount,
            "sources": _texts(sources[begin : end + 1]),
            "after": _texts(sources[end + 1 : end + 2]),
            "targets": _texts(part),
        }
        pieces.append(Piece(f"{__name__}:interpolate_range", arguments, len(part) - 1))
    with workers() as opened:
        spread(pieces, opened, cancel, report)
    return None


def interpolate_range(arguments: Mapping[str, Any], done: Done) -> None:
    """Do a piece of `interpolate_by`."""
    targets = _paths(arguments["targets"])
    interpolate_images(
        _paths(arguments["sources"]),
        targets,
        _interpolator(arguments["engine"], arguments["device"]),
        arguments["x_amount"],
        CancelToken(),
        _counted(done, targets[1:]),
        after=next(iter(_paths(arguments["after"])), None),
    )


def _write_beginnings(
    sources: Sequence[Path],
    targets: Sequence[Path],
    x_amount: int,
    begins: frozenset[int],
    interpolator: Callable[[], Interpolator],
    cancel: CancelToken,
) -> None:
    """Write the target of each source number in `begins`."""
    read = lru_cache(3)(lambda number: from_bytes(read_frame(sources[number])))
    for number, image in enumerate(sources_without_repetition(len(sources), read, interpolator)):
        cancel.check()
        if number in begins and not targets[number * x_amount].exists():
            write_image(targets[number * x_amount], image)


def _upscaler(model: str, factor: str, device: str) -> Upscaler:
    return kept(("upscaler", model, factor, device), lambda: make_upscaler(model, factor, device))


def _interpolator(engine: str, device: str) -> Interpolator:
    return kept(("interpolator", engine, device), lambda: make_interpolator(engine, device))


def _counted(done: Done, targets: Sequence[Path]) -> Report:
    return lambda share: done(round(share * len(targets)))


def _texts(files: Sequence[Path]) -> list[str]:
    return [str(path.absolute()) for path in files]


def _paths(texts: Sequence[str]) -> list[Path]:
    return [Path(text) for text in texts]
