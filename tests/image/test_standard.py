"""Colours about 0 with a deviation of about 1, with and without a batch."""

from __future__ import annotations

import torch

from deforum_helpers.image.convert import IMAGENET_DEVIATION, IMAGENET_MEAN, standardized


def test_each_colour_is_measured_by_its_own_mean_and_deviation() -> None:
    levels = torch.tensor([IMAGENET_MEAN, IMAGENET_DEVIATION])
    image = (levels[0] + 2 * levels[1])[:, None, None].expand(3, 2, 4)
    torch.testing.assert_close(standardized(image), torch.full((3, 2, 4), 2.0))
    torch.testing.assert_close(standardized(image[None])[0], standardized(image))
    assert standardized(torch.ones(3, 1, 1), (0, 0.5, 1), (0.5, 0.5, 0.5)).flatten().tolist() == [2, 1, 0]
