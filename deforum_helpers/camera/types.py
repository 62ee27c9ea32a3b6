"""Array types of the camera."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Matrix: TypeAlias = npt.NDArray[np.float64]
Plane: TypeAlias = npt.NDArray[np.float32]
