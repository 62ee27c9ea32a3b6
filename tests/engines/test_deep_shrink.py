"""Kohya's fix: where the U-Net shrinks the image, when, and that it has its old size in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import GenerateRequest, KohyaHRFix
from deforum_helpers.engines.diffusion.deep_shrink import hrfix_applied, resized
from deforum_helpers.settings.tables import RESIZE_METHODS
from tests.engines import tiny_models
from tests.refusals import refuses

FIX = KohyaHRFix(1, 2.0, 0.0, 0.5, True, "bicubic", "bicubic")


@pytest.fixture(scope="module")
def unet() -> Any:
    torch.manual_seed(3)
    return tiny_models.unet().eval()


def sizes(unet: Any, fix: KohyaHRFix | None, timestep: float = 900.0) -> list[tuple[str, int]]:
    """The height of what each layer of the way down and the middle answers, 16 cells coming in."""
    found: list[tuple[str, int]] = []
    hooks = []
    for name, layer in unet.named_modules():
        if type(layer).__name__ in ("ResnetBlock2D", "Downsample2D") and not name.startswith("up"):
            hooks.append(
                layer.register_forward_hook(lambda _l, _i, out, name=name: found.append((name, out.shape[2])))
            )
    with hrfix_applied(unet, fix), torch.no_grad():
        out = unet(
            torch.ones(1, 4, 16, 24), timestep, torch.ones(1, 7, unet.config.cross_attention_dim)
        ).sample
    for hook in hooks:
        hook.remove()
    assert out.shape == (1, 4, 16, 24)
    return found


def test_the_image_is_small_from_the_block_on(unet: Any) -> None:
    plain = sizes(unet, None)
    assert plain[0][1] == 16
    blocks = len(plain) - 2  # the middle has two layers
    for block in range(1, blocks + 1):
        fixed = sizes(unet, replace(FIX, block_number=block))
        assert fixed[:block] == plain[:block]
        assert fixed[block][1] * 2 in (plain[block][1], plain[block][1] + 1)
    with refuses(ModelError, "kohya_hrfix_block", f"1 to {blocks}"):
        sizes(unet, replace(FIX, block_number=blocks + 1))


@pytest.mark.parametrize("after", [True, False])
def test_it_holds_for_its_share_of_sampling_only(unet: Any, after: bool) -> None:
    fix = replace(FIX, start=0.2, end=0.6, downscale_after_skip=after)
    plain = sizes(unet, None)
    shrunk = {t: sizes(unet, fix, t) != plain for t in (999.0, 810.0, 790.0, 410.0, 390.0, 0.0)}
    assert shrunk == {999.0: False, 810.0: False, 790.0: True, 410.0: True, 390.0: False, 0.0: False}
    always = replace(fix, start=0.0, end=1.0)
    assert all(sizes(unet, always, t) != plain for t in (1000.0, 0.0))


def test_before_the_skip_the_skip_is_small_as_well(unet: Any) -> None:
    joined: list[int] = []
    hook = unet.up_blocks[-1].register_forward_pre_hook(
        lambda _b, _i, named: joined.extend(skip.shape[2] for skip in named["res_hidden_states_tuple"]),
        with_kwargs=True,
    )
    sizes(unet, FIX)
    sizes(unet, replace(FIX, downscale_after_skip=False))
    hook.remove()
    after, before = joined[: len(joined) // 2], joined[len(joined) // 2 :]
    assert after[:2] == [16, 16]
    assert before[:2] == [16, 8]


def test_nothing_is_left_behind(unet: Any) -> None:
    shown = torch.randn(1, 4, 16, 24), 900.0, torch.ones(1, 7, unet.config.cross_attention_dim)
    with torch.no_grad():
        plain = unet(*shown).sample
        with hrfix_applied(unet, FIX):
            assert not torch.allclose(unet(*shown).sample, plain)
        with hrfix_applied(unet, replace(FIX, downscale_factor=1.0)):
            assert torch.equal(unet(*shown).sample, plain)
        assert torch.equal(unet(*shown).sample, plain)
        with pytest.raises(RuntimeError), hrfix_applied(unet, FIX):
            raise RuntimeError
        assert torch.equal(unet(*shown).sample, plain)


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("factor", [2.0, 1.7])
def test_what_controlnets_add_is_shrunk_with_it(unet: Any, after: bool, factor: float) -> None:
    shown = torch.randn(1, 4, 18, 24), 900.0, torch.ones(1, 7, unet.config.cross_attention_dim)
    skips: list[torch.Tensor] = []

    def note(_stage: Any, _inputs: Any, named: dict[str, Any]) -> None:
        skips[:0] = named["res_hidden_states_tuple"]

    hooks = [stage.register_forward_pre_hook(note, with_kwargs=True) for stage in unet.up_blocks]
    middles: list[torch.Tensor] = []
    hooks.append(unet.mid_block.register_forward_hook(lambda _m, _i, out: middles.append(out)))
    with torch.no_grad():
        unet(*shown)
    for hook in hooks:
        hook.remove()
    for block in range(1, len(skips)):
        fix = replace(FIX, block_number=block, downscale_factor=factor, downscale_after_skip=after)
        added: dict[str, Any] = {
            "down_block_additional_residuals": tuple(torch.zeros_like(skip) for skip in skips),
            "mid_block_additional_residual": torch.zeros_like(middles[0]),
        }
        with torch.no_grad(), hrfix_applied(unet, fix):
            plain = unet(*shown).sample
            assert torch.equal(unet(*shown, **added).sample, plain)
            added["down_block_additional_residuals"] = tuple(torch.ones_like(skip) for skip in skips)
            assert not torch.equal(unet(*shown, **added).sample, plain)


@pytest.mark.parametrize("method", RESIZE_METHODS)
def test_features_are_resized_by_every_method(method: str) -> None:
    flat = torch.tensor([1.0, -2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 6, 8)
    for size in ((3, 4), (12, 16), (5, 9)):
        torch.testing.assert_close(resized(flat, size, method), flat[:, :, :1, :1].expand(1, 3, *size))
    assert resized(flat, (6, 8), method) is flat


def test_between_two_directions_the_features_turn() -> None:
    """A quarter of the way from (2, 0) to (0, 4) points to 22.5 degrees and is 2.5 long."""
    pair = torch.tensor([[2.0, 0.0], [0.0, 4.0]]).view(1, 2, 1, 2)
    quarter = resized(pair, (1, 4), "bislerp")[0, :, 0, 1]
    angle = torch.deg2rad(torch.tensor(22.5))
    torch.testing.assert_close(quarter, 2.5 * torch.stack([angle.cos(), angle.sin()]))


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_the_engine_generates_another_image_with_it(
    tiny: Callable[[str], Path], request_for: Callable[..., GenerateRequest], family: str
) -> None:
    engine = make_engine("diffusers", checkpoint=str(tiny(family)), device="cpu")
    plain, fixed, again = (
        engine.generate(request_for(kohya_hrfix=fix), CancelToken()) for fix in (None, FIX, None)
    )
    assert plain.shape == fixed.shape
    assert not torch.allclose(plain, fixed, atol=1e-3)
    assert torch.equal(plain, again)


def test_transformers_have_no_unet_and_a_warning_says_so(
    tiny: Callable[[str], Path], request_for: Callable[..., GenerateRequest]
) -> None:
    engine = make_engine("diffusers", checkpoint=str(tiny("flux")), device="cpu")
    assert [code_of(text) for text in engine.warnings(request_for(kohya_hrfix=FIX))] == ["kohya_hrfix_unused"]
