"""The seeds of all key frames, computed before rendering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.schedule import messages


@dataclass(frozen=True, slots=True)
class KeySeeds:
    """The seeds of one key frame.

    Args:
        seed: for generating the frame.
        noise_seed: for the noise added before sampling.
        frame: number of the key frame.
    """

    seed: int
    noise_seed: int
    frame: int

    def redo_seeds(self, passes: int) -> tuple[int, ...]:
        """Return the seeds of this frame's redo passes, 0 .. 2**32 - 1."""
        return tuple(derived_seed("redo", self.noise_seed, self.frame, number) for number in range(passes))


def derived_seed(purpose: str, *numbers: int) -> int:
    """Return a seed 0 .. 2**32 - 1 that depends only on the arguments."""
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
        iter_n: number of key frames that share a seed under "iter"; the first seed is used once.
        scheduled: the seed schedule at each key frame, below 0 = a random seed; required for "schedule". With any other
            behavior (a Parseq manifest with seeds) it gives the seeds for generating, and each noise seed follows by
            that behavior from the seed of the previous key frame.

    Random seeds are derived from `seed` and the frame number, so equal settings give equal seeds.

    Worked example: scheduled seeds 55, 65, 75, 85 at seed 1 have the noise seeds 1, 56, 66, 76 with "iter" and
    1, 55, 65, 75 with "fixed".

    Raises:
        SettingsError: unknown `behavior`, or `iter_n` below 1.
    """
    if behavior == "schedule":
        return _scheduled(seed, scheduled, frames)
    if behavior != "random" and behavior not in _CHANGES:
        raise SettingsError([_unknown_behavior(behavior)])
    if iter_n < 1:
        raise SettingsError([_bad_iter_n(iter_n)])
    keys: list[KeySeeds] = []
    for number, frame in enumerate(frames):
        noise_seed = seed
        if number and behavior == "random":
            noise_seed = derived_seed("random", seed, frame)
        elif number:
            noise_seed = keys[-1].seed + _CHANGES[behavior](number - 1, iter_n)
        used = noise_seed if scheduled is None else _resolved(scheduled[number], seed, frame)
        keys.append(KeySeeds(used, noise_seed, frame))
    return tuple(keys)


def _scheduled(seed: int, scheduled: Sequence[int] | None, frames: Sequence[int]) -> tuple[KeySeeds, ...]:
    if scheduled is None or len(scheduled) != len(frames):
        raise ValueError("seed_behavior schedule requires a scheduled value for each key frame.")
    return tuple(
        KeySeeds(
            _resolved(value, seed, frame),
            derived_seed("noise", seed, frame) if number else seed,
            frame,
        )
        for number, (frame, value) in enumerate(zip(frames, scheduled, strict=True))
    )


def _resolved(value: int, seed: int, frame: int) -> int:
    return int(value) if value >= 0 else derived_seed("random", seed, frame)


# Change of the seed after key frame number n, if iter_n key frames share a seed.
_CHANGES: dict[str, Callable[[int, int], int]] = {
    "iter": lambda n, iter_n: 1 if n % iter_n == 0 else 0,
    "ladder": lambda n, _: -1 if n % 2 else 2,
    "alternate": lambda n, _: -1 if n % 2 else 1,
    "fixed": lambda n, _: 0,
}


def _unknown_behavior(behavior: str) -> Problem:
    allowed = ", ".join([*_CHANGES, "random", "schedule"])
    message = messages.UNKNOWN_SEED_BEHAVIOR(found=behavior[:40], allowed=allowed)
    return Problem(message, "seed_behavior", found=behavior[:40], allowed=allowed)


def _bad_iter_n(iter_n: int) -> Problem:
    allowed = "a whole number of at least 1"
    message = messages.SEED_ITER_N_TOO_SMALL(found=iter_n, allowed=allowed)
    return Problem(message, "seed_iter_N", found=str(iter_n), allowed=allowed)
