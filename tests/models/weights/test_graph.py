from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deforum_helpers.core.errors import Cancelled, ModelError
from deforum_helpers.models.weights.files import hub_file, models_folder, network_files, package_folder
from deforum_helpers.models.weights.ncnn import read_graph
from tests.models.weights.networks import enlarging, packed, write
from tests.refusals import refuses

RANDOM = np.random.default_rng(5)


def image(channels: int, height_px: int = 6, width_px: int = 8) -> torch.Tensor:
    return torch.from_numpy(RANDOM.random((1, channels, height_px, width_px), np.float32))


@pytest.mark.parametrize("half", [True, False])
def test_a_convolution_reads_its_weights_and_bends_its_answer(tmp_path: Path, half: bool) -> None:
    kernel = RANDOM.standard_normal((5, 3, 3, 3)).astype(np.float16).astype(np.float32)
    bias = RANDOM.standard_normal(5).astype(np.float32)
    line = f"Convolution c 1 1 data out 0=5 1=3 3=2 4=1 5=1 6={kernel.size} 9=2 -23310=1,2.000000e-01"
    files = write(tmp_path, "n", ["Input i 0 1 data", line], packed(kernel, half=half) + bias.tobytes())
    value = image(3)
    expected = F.leaky_relu(F.conv2d(value, torch.from_numpy(kernel), torch.from_numpy(bias), 2, 1), 0.2)
    torch.testing.assert_close(read_graph(files, "cpu")("out", data=value), expected)


def test_a_deconvolution_has_what_goes_out_first(tmp_path: Path) -> None:
    kernel = RANDOM.standard_normal((2, 3, 4, 4)).astype(np.float16).astype(np.float32)
    line = f"Deconvolution c 1 1 data out 0=2 1=4 3=2 4=1 5=0 6={kernel.size}"
    files = write(tmp_path, "n", ["Input i 0 1 data", line], packed(kernel, half=True))
    value = image(3)
    expected = F.conv_transpose2d(value, torch.from_numpy(kernel).transpose(0, 1), None, 2, 1)
    torch.testing.assert_close(read_graph(files, "cpu")("out", data=value), expected)
    assert expected.shape == (1, 2, 12, 16)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ReLU r 1 1 data out 0=0.1", lambda v: F.leaky_relu(v, 0.1)),
        ("BinaryOp b 1 1 data out 0=7 1=1 2=1.0", lambda v: 1 - v),
        ("BinaryOp b 1 1 data out 0=3 1=1 2=4.0", lambda v: v / 4),
        ("Crop c 1 1 data out -23309=1,1 -23310=1,2 -23311=1,0", lambda v: v[:, 1:2]),
        ("Crop c 1 1 data out -23309=2,1,2 -23310=2,4,2147483647 -23311=2,1,2", lambda v: v[:, :, 1:4, 2:]),
        (
            "Interp i 1 1 data out 0=1 1=2.0 2=2.0",
            lambda v: v.repeat_interleave(2, 2).repeat_interleave(2, 3),
        ),
        ("Interp i 1 1 data out 0=2 1=0.5 2=0.5", lambda v: F.avg_pool2d(v, 2)),
        ("Sigmoid s 1 1 data out", torch.sigmoid),
        ("PixelShuffle p 1 1 data out 0=2", lambda v: F.pixel_shuffle(v, 2)),
    ],
)
def test_layers_without_weights(tmp_path: Path, line: str, expected: object) -> None:
    value = image(4) - 0.5
    answer = read_graph(write(tmp_path, "n", ["Input i 0 1 data", line], b""), "cpu")("out", data=value)
    torch.testing.assert_close(answer, expected(value))  # type: ignore[operator]


def test_a_sum_has_shares_and_leaves_its_inputs_alone(tmp_path: Path) -> None:
    lines = [
        "Input i 0 1 data",
        "Input j 0 1 more",
        "Eltwise e 2 1 data more sum 0=1 -23301=2,2.0e-01,1.0",
        "Concat c 2 1 sum data out 0=0",
    ]
    one, other = image(2), image(2)
    answer = read_graph(write(tmp_path, "n", lines, b""), "cpu")("out", data=one, more=other)
    torch.testing.assert_close(answer, torch.cat([0.2 * one + other, one], 1))


def test_a_warp_fetches_from_where_the_flow_points(tmp_path: Path) -> None:
    lines = ["Input i 0 1 picture", "Input j 0 1 flow", "rife.Warp w 2 1 picture flow out"]
    network = read_graph(write(tmp_path, "n", lines, b""), "cpu")
    pixels = image(3)
    flow = torch.zeros(1, 2, 6, 8)
    flow[:, 0] = 2.0
    answer = network("out", picture=pixels, flow=flow)
    torch.testing.assert_close(answer[..., :6], pixels[..., 2:])
    torch.testing.assert_close(answer[..., 7], pixels[..., 7])


def test_a_run_can_be_ended_between_two_layers(tmp_path: Path) -> None:
    lines = ["Input i 0 1 data", *(f"ReLU r{n} 1 1 {n or 'data'} {n + 1}" for n in range(5))]
    ran: list[int] = []

    def check() -> None:
        ran.append(1)
        if len(ran) == 3:
            raise Cancelled("The job was cancelled.")

    network = read_graph(write(tmp_path, "n", lines, b""), "cpu", check)
    with pytest.raises(Cancelled):
        network("5", data=image(1))
    assert len(ran) == 3


BROKEN = {
    "no text": ("", b""),
    "another format": ("7767518\n1 1\nInput i 0 1 data\n", b""),
    "an unknown layer": ("7767517\n1 1\nInput i 0 1 data\nPython p 1 1 data out\n", b""),
    "weights too short": ("7767517\n1 1\nConvolution c 1 1 data out 0=1 1=1 5=0 6=3\n", b"\0" * 8),
    "weights too long": ("7767517\n1 1\nInput i 0 1 data\n", b"\0" * 4),
    "unknown precision": ("7767517\n1 1\nConvolution c 1 1 data out 0=1 1=1 5=0 6=1\n", b"\1\2\3\4\0\0\0\0"),
    "not finite": ("7767517\n1 1\nPReLU c 1 1 data out 0=1\n", np.float32(np.nan).tobytes()),
    "half a line": ("7767517\n1 1\nConvolution c\n", b""),
    "no numbers": ("7767517\n1 1\nConvolution c 1 1 data out 0=x\n", b""),
    "not ASCII": ("7767517\n1 1\nInput ü 0 1 data\n", b""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_one_sentence(tmp_path: Path, case: str) -> None:
    text, weights = BROKEN[case]
    (tmp_path / "n.param").write_text(text, encoding="utf-8")
    (tmp_path / "n.bin").write_bytes(weights)
    with refuses(ModelError, "ncnn_network_broken", "n.param"):
        read_graph((tmp_path / "n.param", tmp_path / "n.bin"), "cpu")


def test_files_are_found_in_the_first_folder_that_has_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enlarging(tmp_path / "b", "net", 2)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "net.param").touch()
    found = network_files([None, tmp_path / "a", tmp_path / "b"], "net")
    assert found == (tmp_path / "b" / "net.param", tmp_path / "b" / "net.bin")
    assert network_files([tmp_path / "a"], "net") is None
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path))
    assert models_folder() == tmp_path
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    file = tmp_path / "models--a--b" / "snapshots" / "123" / "in" / "x.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    assert hub_file("a/b", "in/x.safetensors") == file
    assert hub_file("a/b", "x.safetensors") is None
    assert package_folder("numpy") == Path(np.__file__).parent
    assert package_folder("no_such_package") is None
