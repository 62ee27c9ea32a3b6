"""Which frames come out, in which order, and what happens at cuts and where nothing moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.types import Image
from deforum_helpers.models.interpolation import (
    ENGINES,
    engine_name,
    folder_name,
    frame_count,
    image_name,
    video_fps,
    video_name,
)
from deforum_helpers.models.interpolation.sequence import interpolated_sequence, similarity


class Blend:
    """Blends, and remembers what it was asked for."""

    name = "blend"

    def __init__(self) -> None:
        self.asked: list[tuple[float, ...]] = []

    def between(self, first: Image, second: Image, times: Sequence[float]) -> Iterator[Image]:
        self.asked.append(tuple(times))
        return (torch.lerp(first, second, time) for time in times)


def scene(seed: int, shift_px: int = 0) -> Image:
    """An image of large patches, moved sideways."""
    patches = torch.rand(3, 8, 12, generator=torch.Generator().manual_seed(seed))
    return on_8_bit_grid(
        patches.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :, shift_px : shift_px + 64]
    )


def row(frames: list[Image], x_amount: int, **more: object) -> list[tuple[int, Image]]:
    return list(interpolated_sequence(len(frames), frames.__getitem__, Blend(), x_amount, **more))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    frames=st.integers(1, 8),
    x_amount=st.integers(2, 12),
    seeds=st.lists(st.integers(0, 2), min_size=8, max_size=8),
)
def test_every_number_comes_once_and_in_order(frames: int, x_amount: int, seeds: list[int]) -> None:
    images = [scene(seed, 4 * place) for place, seed in enumerate(seeds[:frames])]
    numbers = [number for number, _ in row(images, x_amount)]
    assert numbers == list(range(frame_count(frames, x_amount)))
    assert len(numbers) == x_amount * (frames - 1) + 1


def test_frames_stay_and_moments_are_evenly_spaced() -> None:
    images = [scene(1, 4 * place) for place in range(3)]
    made = dict(row(images, 4))
    for place, image in enumerate(images):
        assert torch.equal(made[4 * place], image)
    torch.testing.assert_close(made[5], torch.lerp(images[1], images[2], 0.25))


def test_at_a_cut_the_scene_stays_until_the_next_begins() -> None:
    one, other = scene(1), scene(2)
    assert similarity(one, other) < 0.2
    made = row([one, other], 3)
    assert [torch.equal(image, one) for _, image in made] == [True, True, True, False]


def test_a_repeated_frame_is_interpolated_between_its_neighbours() -> None:
    one, moved = scene(1), scene(1, 3)
    made = dict(row([one, one, moved], 2))
    torch.testing.assert_close(made[2], on_8_bit_grid(torch.lerp(one, moved, 0.5)))
    assert torch.equal(made[4], moved)


@pytest.mark.parametrize("after", [None, 2])
def test_a_repeated_frame_stays_at_the_end_and_before_a_cut(after: int | None) -> None:
    one = scene(1)
    made = dict(row([one, one] + ([scene(after)] if after else []), 2))
    assert torch.equal(made[1], one)
    assert torch.equal(made[2], one)


def test_a_row_goes_on_where_it_stopped() -> None:
    images = [scene(1), scene(1), scene(1, 3), scene(2), scene(2, 4), scene(2, 8)]
    whole = row(images, 3)
    for begin in range(1, 6):
        rest = row(images, 3, begin=begin, beginning=whole[3 * begin][1])
        assert [number for number, _ in rest] == [number for number, _ in whole[3 * begin + 1 :]]
        for (_, one), (_, other) in zip(rest, whole[3 * begin + 1 :], strict=True):
            assert torch.equal(one, other)


def test_similarity_is_one_for_the_same_and_falls_with_difference() -> None:
    one = scene(3)
    assert similarity(one, one) == pytest.approx(1)
    assert 1 > similarity(one, scene(3, 1)) > similarity(one, scene(3, 6)) > similarity(one, scene(4))
    assert similarity(torch.zeros(3, 8, 8), torch.ones(3, 8, 8)) < 0.001


GOLDEN = {
    ("RIFE v4.6", 2, None, False): "20260102030405_RIFE_x2.mp4",
    ("RIFE v4.6", 10, 3, False): "20260102030405_RIFE_x10_slomo_x3.mp4",
    ("FILM", 300, None, True): "20260102030405_FILM_x300_upscaled.mp4",
    ("FILM", 3, 2, True): "20260102030405_FILM_x3_slomo_x2_upscaled.mp4",
    ("Flow", 5, None, False): "20260102030405_FLOW_x5.mp4",
}


@pytest.mark.parametrize("case", GOLDEN)
def test_names_of_videos(case: tuple[str, int, int | None, bool]) -> None:
    engine, x_amount, slower, upscaled = case
    assert video_name("20260102030405", engine_name(engine), x_amount, slower, upscaled) == GOLDEN[case]


def test_names_of_folders_and_images() -> None:
    stem = "20260102030405"
    assert [folder_name(stem, engine) for engine in ENGINES.values()] == [
        f"interpolated_frames_rife_{stem}",
        f"interpolated_frames_film_{stem}",
        f"interpolated_frames_flow_{stem}",
    ]
    names = [image_name(engine, 7) for engine in ENGINES.values()]
    assert names == ["000000007.png", "frame_000000007.png", "000000007.png"]
    assert {name: engine.most for name, engine in ENGINES.items()} == {
        "RIFE v4.6": 10,
        "FILM": 300,
        "Flow": 300,
    }


def test_rates() -> None:
    assert video_fps(15, 2, None) == 30
    assert video_fps(15, 2, 3) == 10
    assert video_fps(23.976, 4, 4) == pytest.approx(23.976)
