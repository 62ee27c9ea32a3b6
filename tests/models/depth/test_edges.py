"""Ramps of an estimated depth become steps."""

from __future__ import annotations

import torch

from deforum_helpers.models.depth.scene import crisp_edges

SIDE_PX = 512


def row(*values: float) -> torch.Tensor:
    """Return an image's depth whose middle columns have these values, each side going on."""
    line = torch.tensor(
        [values[0]] * 200 + list(values) + [values[-1]] * (SIDE_PX - 200 - len(values)), dtype=torch.float32
    )
    return line.expand(SIDE_PX, -1).contiguous()


def test_a_ramp_becomes_a_step_in_its_middle() -> None:
    crisp = crisp_edges(row(1, 1, 1.2, 1.5, 1.8, 2, 2))
    assert torch.equal(crisp[7, 200:207], torch.tensor([1, 1, 1, 2, 2, 2, 2.0]))


def test_steps_and_slopes_stay() -> None:
    step = row(1, 1, 1, 2, 2, 2)
    assert torch.equal(crisp_edges(step), step)
    slope = (1 + torch.arange(SIDE_PX) / SIDE_PX)[:, None].expand(-1, SIDE_PX).contiguous()
    assert torch.equal(crisp_edges(slope), slope)


def test_scales_do_not_matter() -> None:
    ramp = row(1, 1, 1.2, 1.5, 1.8, 2, 2)
    assert torch.equal(crisp_edges(ramp * 4), crisp_edges(ramp) * 4)
