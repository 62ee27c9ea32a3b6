"""The seeds of every key frame, known before the first one is rendered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count as counted
from itertools import islice

from deforum_helpers.errors import Problem, SettingsError


@dataclass(frozen=True)
class KeySeeds:
    """The seeds of one key frame.

    Args:
        seed: of the diffusion.
        noise_seed: of the noise that is added before it.
        frame: its number.
    """

    seed: int
    noise_seed: int
    frame: int

    def redo_seeds(self, passes: int) -> tuple[int, ...]:
        """Return the seeds of so many extra diffusion passes of this frame, 0 .. 2**32 - 1."""
        return tuple(derived_seed("redo", self.noise_seed, self.frame, number) for number in range(passes))


def derived_seed(purpose: str, *numbers: int) -> int:
    """Return a seed 0 .. 2**32 - 1 that depends on all arguments and on nothing else."""
    text = " ".join([purpose, *map(str, numbers)])
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "little")


def seed_series(
    behavior: str,
    seed: int,
    frames: Sequence[int],
    *,
    iter_n: int,
    scheduled: Sequence[int] | None = None,
) -> tuple[KeySeeds, ...]:
    """Return the seeds of each key frame.

    Args:
        behavior: "iter" (100, 101, ...), "ladder" (100, 102, 101, 103, ...), "alternate" (100, 101, 100,
            ...), "fixed", "random" or "schedule".
        seed: of the first key frame.
        frames: the number of each key frame.
        iter_n: how many key frames share a seed under "iter"; the first seed serves one only.
        scheduled: the seed schedule at each key frame, for "schedule"; below 0 means a random seed.

    Random seeds derive from `seed` and the frame's number, so equal settings give equal seeds.

    Raises:
        SettingsError: unknown `behavior`, or `iter_n` below 1.
    """
    if behavior == "random":
        seeds = [derived_seed("random", seed, frame) if n else seed for n, frame in enumerate(frames)]
        return tuple(map(KeySeeds, seeds, seeds, frames))
    if behavior == "schedule":
        return _scheduled(seed, scheduled, frames)
    if behavior not in _RUNNING:
        raise SettingsError([_unknown_behavior(behavior)])
    if iter_n < 1:
        raise SettingsError([_bad_iter_n(iter_n)])
    running = list(islice(_RUNNING[behavior](seed, iter_n), len(frames)))
    return tuple(map(KeySeeds, running, running, frames))


def _scheduled(seed: int, scheduled: Sequence[int] | None, frames: Sequence[int]) -> tuple[KeySeeds, ...]:
    if scheduled is None or len(scheduled) != len(frames):
        raise ValueError("Seed behaviour schedule needs the schedule's value at each key frame.")
    return tuple(
        KeySeeds(
            int(value) if value >= 0 else derived_seed("random", seed, frame),
            derived_seed("noise", seed, frame) if number else seed,
            frame,
        )
        for number, (frame, value) in enumerate(zip(frames, scheduled, strict=True))
    )


def _iter(seed: int, iter_n: int) -> Iterator[int]:
    for number in counted():
        yield seed + -(-number // iter_n)


def _ladder(seed: int, _: int) -> Iterator[int]:
    for number in counted():
        yield seed + number // 2 + 2 * (number % 2)


def _alternate(seed: int, _: int) -> Iterator[int]:
    for number in counted():
        yield seed + number % 2


def _fixed(seed: int, _: int) -> Iterator[int]:
    while True:
        yield seed


_RUNNING: dict[str, Callable[[int, int], Iterator[int]]] = {
    "iter": _iter,
    "ladder": _ladder,
    "alternate": _alternate,
    "fixed": _fixed,
}


def _unknown_behavior(behavior: str) -> Problem:
    allowed = ", ".join([*_RUNNING, "random", "schedule"])
    message = f"seed_behavior: found {behavior[:40]!r}, allowed is one of {allowed}."
    return Problem(message, "seed_behavior", found=behavior[:40], allowed=allowed)


def _bad_iter_n(iter_n: int) -> Problem:
    message = f"seed_iter_N: found {iter_n}, allowed is a whole number from 1."
    return Problem(message, "seed_iter_N", found=str(iter_n), allowed="a whole number from 1")
