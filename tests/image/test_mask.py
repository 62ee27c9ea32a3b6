"""Masks: read, adjusted, put together pixel by pixel, softened, applied."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.image import mask as masks
from deforum_helpers.schedule.mask_grammar import parse_mask
from tests.image.sample_images import random_image
from tests.refusals import refuses

LEAVES = ("{everywhere}", "{init_mask}", "{video_mask}", "{human_mask}")
SIGNS = st.sampled_from(["&", "|", "^", "\\"])


def written(draw: st.DataObject, depth: int) -> tuple[str, str]:
    """A fully bracketed expression, and the same in numpy's words."""
    if depth == 0:
        leaf = draw.draw(st.sampled_from(LEAVES))
        return leaf, f"a[{leaf!r}]"
    if draw.draw(st.booleans()):
        text, plain = written(draw, depth - 1)
        return f"!({text})", f"(1 - {plain})"
    (left, one), (right, other) = written(draw, depth - 1), written(draw, depth - 1)
    sign = draw.draw(SIGNS)
    plain = {
        "&": f"np.minimum({one}, {other})",
        "|": f"np.maximum({one}, {other})",
        "\\": f"np.minimum({one}, 1 - {other})",
        "^": f"np.maximum(np.minimum({one}, 1 - {other}), np.minimum({other}, 1 - {one}))",
    }[sign]
    return f"({left}) {sign} ({right})", plain


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_composition_is_numpys(data: st.DataObject, crisp: bool) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    fields = {leaf: random.random((3, 4)).astype(np.float32) for leaf in LEAVES}
    if crisp:
        fields = {leaf: np.round(field) for leaf, field in fields.items()}
    text, plain = written(data, 3)
    found = parse_mask(text, "mask_schedule").value(
        lambda leaf: torch.from_numpy(fields[f"{{{leaf.text}}}"]), masks.inverse, masks.PAIRS
    )
    assert np.allclose(found.numpy(), eval(plain, {"np": np, "a": fields}), atol=1e-6)
    if crisp:
        assert set(np.unique(found.numpy())) <= {0.0, 1.0}


def saved_image(path: Path, mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> Path:
    levels = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size[1], size[0]) * 10
    image = Pillow.fromarray(np.stack([levels] * len(mode), -1) if len(mode) > 1 else levels, mode=None)
    image.save(path)
    return path


def test_a_mask_is_the_images_luma(tmp_path: Path) -> None:
    Pillow.new("RGB", (6, 4), (255, 0, 0)).save(tmp_path / "red.png")
    mask = masks.read_mask(tmp_path / "red.png", 12, 8, setting="mask_file")
    assert mask.shape == (8, 12)
    assert torch.allclose(mask, torch.tensor(0.299), atol=1e-5)


def test_brightness_and_contrast_are_each_their_own(tmp_path: Path) -> None:
    path = saved_image(tmp_path / "ramp.png")
    plain = masks.read_mask(path, 6, 4, setting="mask_file")
    bright = masks.read_mask(path, 6, 4, setting="mask_file", brightness=0.5)
    assert torch.allclose(bright, plain * 0.5, atol=1e-6)
    hard = masks.read_mask(path, 6, 4, setting="mask_file", contrast=0.5)
    assert torch.allclose(hard, plain.mean() + (plain - plain.mean()) * 0.5, atol=1e-5)


def test_alpha_of_a_file(tmp_path: Path) -> None:
    saved_image(tmp_path / "seen.png", "RGBA")
    alpha = masks.read_alpha(tmp_path / "seen.png", 6, 4, setting="init_image")
    assert alpha is not None
    assert torch.allclose(alpha, torch.arange(24).reshape(4, 6) * 10 / 255, atol=1e-6)


def test_alpha_of_a_palette_image(tmp_path: Path) -> None:
    image = Pillow.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, 9, 9, 9])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "p.png", transparency=1)
    alpha = masks.read_alpha(tmp_path / "p.png", 2, 1, setting="init_image")
    assert alpha is not None
    assert alpha.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("mode", "color"), [("RGB", "red"), ("RGBA", (9, 9, 9, 255)), ("RGBA", (9, 9, 9, 0))]
)
def test_an_image_that_is_opaque_or_clear_has_no_alpha(mode: str, color: object, tmp_path: Path) -> None:
    Pillow.new(mode, (4, 4), color).save(tmp_path / "plain.png")  # type: ignore[arg-type]
    assert masks.read_alpha(tmp_path / "plain.png", 4, 4, setting="init_image") is None


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(3751 * 100))), (b"IEND", b"")]
    body = [
        struct.pack(">I", len(x)) + name + x + struct.pack(">I", zlib.crc32(name + x)) for name, x in chunks
    ]
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))
    for read in (masks.read_mask, masks.read_alpha):
        with refuses(SettingsError, "image_too_many_pixels", "mask_file", "64 million"):
            read(tmp_path / "bomb.png", 64, 64, setting="mask_file")


def test_blank_is_black_with_eight_bits() -> None:
    assert masks.is_blank(torch.full((4, 4), 0.0019))
    assert not masks.is_blank(torch.full((4, 4), 0.002))


def test_blur_keeps_flat_areas_and_softens_edges() -> None:
    mask = torch.zeros(32, 32)
    mask[:, 16:] = 1
    soft = masks.blurred(mask, 2)
    assert soft[:, :8].max() < 1e-5
    assert soft[:, 24:].min() > 1 - 1e-5
    assert torch.allclose(soft[:, 15] + soft[:, 16], torch.tensor(1.0), atol=1e-5)
    assert (soft.diff(dim=1) >= -1e-6).all()
    assert torch.equal(masks.blurred(mask, 0), mask)


def test_masked_mixes_between() -> None:
    over, under = random_image(5, 7, 1), random_image(5, 7, 2)
    mask = torch.zeros(5, 7)
    mask[0], mask[1] = 1, 0.5
    mixed = masks.masked(over, under, mask)
    assert torch.equal(mixed[:, 2:], under[:, 2:])
    assert torch.allclose(mixed[:, 0], over[:, 0])
    assert torch.allclose(mixed[:, 1], (over[:, 1] + under[:, 1]) / 2)
    assert mixed.is_contiguous(memory_format=torch.channels_last) or mixed.stride(0) == 1
