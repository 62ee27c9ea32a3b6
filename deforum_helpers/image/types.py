"""Types of the tensors that modules exchange.

| name  | shape     | dtype   | meaning                                                                     |
|-------|-----------|---------|-----------------------------------------------------------------------------|
| Image | (3, H, W) | float32 | RGB, 0..1, channels_last strides, so that the same buffer is an HWC array   |
| Depth | (H, W)    | float32 | scene units of the camera, larger = farther                                 |
| Flow  | (2, H, W) | float32 | pixels, (x, y), `dst_from_src`                                              |
"""

from __future__ import annotations

from typing import TypeAlias

import torch

Image: TypeAlias = torch.Tensor
Depth: TypeAlias = torch.Tensor
Flow: TypeAlias = torch.Tensor
