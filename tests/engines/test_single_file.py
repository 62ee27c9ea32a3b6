from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.diffusion.loading import _marked_config
from tests.engines.original_layout import write_single_file
from tests.refusals import refuses

RequestMaker = Callable[..., GenerateRequest]
TinyMaker = Callable[[str], Path]


@pytest.fixture
def single_file(tiny: TinyMaker, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    write_single_file(tiny("sd1"), path)
    weights = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(tiny("sd1"), tmp_path / "model", ignore=weights)
    return path


def test_a_file_generates_what_its_folder_generates(
    single_file: Path, tiny: TinyMaker, request_for: RequestMaker
) -> None:
    engines = [
        make_engine("diffusers", checkpoint=str(path), device="cpu") for path in (single_file, tiny("sd1"))
    ]
    one, other = (engine.generate(request_for(), CancelToken()) for engine in engines)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_without_its_configuration_the_file_says_what_to_do(
    single_file: Path, request_for: RequestMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(single_file.with_suffix(""))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    engine = make_engine("diffusers", checkpoint=str(single_file), device="cpu")
    with refuses(ModelError, "checkpoint_configuration_missing", "--allow-download", "'model'"):
        engine.generate(request_for(), CancelToken())


def test_a_file_that_lacks_weights_is_named(single_file: Path, request_for: RequestMaker) -> None:
    tensors = load_file(str(single_file))
    remaining = {name: tensor for name, tensor in tensors.items() if not name.startswith("first_stage_model")}
    save_file(remaining, str(single_file))
    engine = make_engine("diffusers", checkpoint=str(single_file), device="cpu")
    with refuses(ModelError, "model_damaged", "'model.safetensors'"):
        engine.generate(request_for(), CancelToken())


def test_a_vae_file_takes_the_checkpoints_configuration(
    single_file: Path, tiny: TinyMaker, tmp_path: Path, request_for: RequestMaker
) -> None:
    tensors = load_file(str(single_file))
    prefix = "first_stage_model."
    vae = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    save_file(vae, str(tmp_path / "vae.safetensors"))
    engine = make_engine("diffusers", checkpoint=str(tiny("sd1")), device="cpu")
    own = engine.generate(request_for(), CancelToken())
    other = engine.generate(request_for(vae=str(tmp_path / "vae.safetensors")), CancelToken())
    torch.testing.assert_close(own, other, atol=1e-5, rtol=0)


def test_marks_in_a_file_tell_its_prediction(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"v_pred": torch.zeros(1), "ztsnr": torch.zeros(1)}, str(path))
    assert _marked_config(path) == {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
