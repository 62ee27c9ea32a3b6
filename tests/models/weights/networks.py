"""Small networks in ncnn's two files, with weights of fixed random numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

HALF = 0x01306B47


def packed(values: np.ndarray, *, half: bool) -> bytes:
    """Weights as the file has them: the mark of their precision, and filled up to four bytes."""
    if not half:
        return np.uint32(0).tobytes() + values.astype(np.float32).tobytes()
    raw = values.astype(np.float16).tobytes()
    return np.uint32(HALF).tobytes() + raw + b"\0" * (-len(raw) % 4)


def write(folder: Path, name: str, lines: list[str], weights: bytes) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / f"{name}.param"
    text.write_text("\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines, ""]), encoding="ascii")
    (folder / f"{name}.bin").write_bytes(weights)
    return text, folder / f"{name}.bin"


def enlarging(folder: Path, name: str, factor: int) -> tuple[Path, Path]:
    """A network that repeats each pixel `factor` times a side: a convolution, then a shuffle."""
    kernel = np.zeros((3 * factor**2, 3, 1, 1))
    for out in range(len(kernel)):
        kernel[out, out // factor**2] = 1
    lines = [
        "Input input 0 1 data",
        f"Convolution c 1 1 data a 0={len(kernel)} 1=1 5=1 6={kernel.size}",
        f"PixelShuffle p 1 1 a output 0={factor}",
    ]
    weights = packed(kernel, half=True) + np.zeros(len(kernel), np.float32).tobytes()
    return write(folder, name, lines, weights)


def blending(folder: Path, name: str = "flownet") -> tuple[Path, Path]:
    """A network with RIFE's inputs that blends both images by the moment: in0 + in2 * (in1 - in0)."""
    lines = [
        "Input a 0 1 in0",
        "Split s0 1 2 in0 a0 a1",
        "Input b 0 1 in1",
        "Input t 0 1 in2",
        "BinaryOp d 2 1 in1 a0 change 0=1",
        "BinaryOp m 2 1 change in2 share 0=2",
        "BinaryOp p 2 1 a1 share out0 0=0",
    ]
    return write(folder, name, lines, b"")
