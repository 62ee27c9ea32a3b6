from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from deforum_helpers.controlnet.openpose import (
    FROM_COCO,
    LIMBS,
    Joint,
    PoseFinder,
    make_pose_finder,
    skeleton_of,
    skeleton_pixels,
)
from deforum_helpers.controlnet.preprocessors import Preprocessors, PreprocessorSettings
from deforum_helpers.controlnet.units import JOINTS_MODEL, PEOPLE_MODEL
from deforum_helpers.core.errors import MissingFeature, ModelError
from deforum_helpers.image.convert import to_bytes
from tests.refusals import refuses


class People:
    """Is sure of one person in the right half, and not of another."""

    def __call__(self, pixel_values: torch.Tensor) -> Any:
        logits = torch.zeros(1, 3, 4)
        logits[0, 0, 1], logits[0, 1, 1], logits[0, 2, 0] = 9.0, 0.2, 9.0
        boxes = torch.tensor([[[0.75, 0.5, 0.3, 0.8]] * 3])
        return SimpleNamespace(logits=logits, pred_boxes=boxes)


class Joints:
    """Sees 17 joints in a row across the middle of the box; the last one is not seen."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, pixel_values: torch.Tensor) -> Any:
        self.seen.append(pixel_values)
        heat = torch.zeros(1, 17, 64, 48)
        for number in range(16):
            heat[0, number, 32, 3 + 2 * number] = 1.0
        return SimpleNamespace(heatmaps=heat)


def test_joints_lie_in_the_box_of_the_person() -> None:
    joints = Joints()
    finder = PoseFinder(People(), 1, joints)
    drawing = to_bytes(finder.skeletons(torch.rand(3, 200, 300)))
    assert drawing.shape == (200, 300, 3)
    assert joints.seen[0].shape == (1, 3, 256, 192)
    assert len(joints.seen) == 1
    rows, columns = np.nonzero(drawing.any(2))
    # The box is 160 high, so 200 with the room around it and 150 wide: from 150 to 300.
    assert 150 <= columns.min() < columns.max() <= 300
    assert 95 <= rows.min() < rows.max() <= 106


def test_cut_out_as_the_network_sees_it() -> None:
    """The middle of the box is the middle of what is seen; beside the image it is black."""
    joints = Joints()
    image = torch.zeros(3, 200, 300)
    image[:, 95:105, 220:230] = 1
    PoseFinder(People(), 1, joints).skeletons(image)
    seen = joints.seen[0][0, 0]
    bright = (seen == seen.max()).nonzero().float().mean(0)
    assert torch.allclose(bright, torch.tensor([127.5, 95.5]), atol=1.5)


def test_nobody_is_black() -> None:
    nobody = PoseFinder(
        lambda pixel_values: SimpleNamespace(logits=torch.zeros(1, 3, 4), pred_boxes=torch.zeros(1, 3, 4)),
        1,
        Joints(),
    )
    assert not nobody.skeletons(torch.rand(3, 64, 64)).any()


def test_the_neck_is_between_the_shoulders() -> None:
    coco: list[Joint | None] = [Joint(float(n), float(2 * n)) for n in range(17)]
    skeleton = skeleton_of(coco)
    assert len(skeleton) == len(FROM_COCO) == 18
    assert skeleton[1] == Joint(5.5, 11.0)
    assert (skeleton[2], skeleton[5], skeleton[0]) == (coco[6], coco[5], coco[0])
    assert sorted(place for place in FROM_COCO if place >= 0) == list(range(17))
    coco[5] = None
    assert skeleton_of(coco)[1] is None


def test_limbs_in_their_hues() -> None:
    joints: list[Joint | None] = [None] * 18
    joints[1], joints[2] = Joint(100, 100), Joint(200, 100)  # neck and right shoulder: the first limb, red
    image = skeleton_pixels([tuple(joints)], 512, 512)
    assert tuple(image[100, 150]) == (153, 0, 0)
    assert tuple(image[100, 100]) == (255, 85, 0)
    assert not image[120:].any()
    joints[2] = None
    alone = skeleton_pixels([tuple(joints)], 512, 512)
    assert not alone[100, 150].any()
    assert len(LIMBS) == 17


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with tiny random networks."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    torch.manual_seed(0)
    labels = {0: "cat", 1: "person"}
    people = transformers.YolosForObjectDetection(
        transformers.YolosConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            image_size=[64, 64],
            num_detection_tokens=5,
            id2label=labels,
            label2id={name: number for number, name in labels.items()},
        )
    )
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[256, 192], hidden_size=16, num_hidden_layers=1, num_attention_heads=2, out_indices=[1]
    )
    joints = transformers.VitPoseForPoseEstimation(
        transformers.VitPoseConfig(
            backbone_config=backbone, num_labels=17, id2label={n: str(n) for n in range(17)}, scale_factor=4
        )
    )
    for hub_id, network in ((PEOPLE_MODEL, people), (JOINTS_MODEL, joints)):
        folder = tmp_path / f"models--{hub_id.replace('/', '--')}" / "snapshots" / "1"
        network.save_pretrained(folder)
    return tmp_path


def test_with_the_real_networks(cache: Path) -> None:
    look = PreprocessorSettings("openpose", "Just Resize", processor_res=128)
    machine = Preprocessors(torch.device("cpu"))
    image = machine.control_image(torch.rand(3, 96, 128), look, 64, 48)
    assert image.shape == (3, 48, 64)
    finder = make_pose_finder("cpu")
    heat = finder._joints(pixel_values=torch.zeros(1, 3, 256, 192)).heatmaps
    assert heat.shape == (1, 17, 64, 48)
    answered = finder._people(pixel_values=torch.zeros(1, 3, 64, 96))
    assert answered.logits.shape[:2] == answered.pred_boxes.shape[:2] == (1, 5)


def test_a_broken_model_is_told(cache: Path) -> None:
    for path in cache.rglob("model.safetensors"):
        path.write_bytes(b"broken")
    with refuses(ModelError, "openpose_model_broken"):
        make_pose_finder("cpu")


def test_a_missing_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingFeature, match=f"hf download {PEOPLE_MODEL}"):
        make_pose_finder("cpu")
