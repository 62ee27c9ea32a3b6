"""`models install`: what is shown before a model is downloaded, what arrives, and what goes wrong."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from deforum_api.cli import main
from deforum_helpers.core.errors import DownloadFailed, ModelError
from deforum_helpers.engines.model_list import Machine, licence_words, listed_models
from deforum_helpers.models.weights.hub import find_model, install_model
from tests.models.pretend_hub import COMMIT, PretendHub, serving
from tests.refusals import refuses

constants = pytest.importorskip("huggingface_hub.constants")

ROOT = Path(__file__).parents[2]
ID = "somebody/model"
CARD = {"license": "other", "license_name": "small-house-non-commercial"}
WEIGHTS = bytes(range(256)) * 40
# A Z-Image in the form of a repository: with a variant, a pickle, a program and a part that nobody needs.
FILES = {
    "model_index.json": json.dumps(
        {
            "_class_name": "ZImagePipeline",
            "transformer": ["diffusers", "ZImageTransformer2DModel"],
            "vae": ["diffusers", "AutoencoderKL"],
            "text_encoder": ["transformers", "Qwen3Model"],
            "tokenizer": ["transformers", "Qwen2Tokenizer"],
            "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        }
    ).encode(),
    "README.md": b"---\nlicense: other\nlicense_name: small-house-non-commercial\n---\n",
    "scheduler/scheduler_config.json": b"{}",
    "transformer/config.json": b"{}",
    "transformer/diffusion_pytorch_model.safetensors": WEIGHTS,
    "transformer/diffusion_pytorch_model.fp16.safetensors": WEIGHTS[:99],
    "vae/config.json": b"{}",
    "vae/diffusion_pytorch_model.safetensors": WEIGHTS[:512],
    "text_encoder/config.json": b"{}",
    "text_encoder/model.safetensors": WEIGHTS[:300],
    "text_encoder/pytorch_model.bin": b"\x80",
    "tokenizer/tokenizer.json": b"{}",
    "safety_checker/model.safetensors": WEIGHTS,
    "pipeline.py": b"raise SystemExit",
    "../outside.json": b"{}",
    "single.safetensors": WEIGHTS[:1000],
}
NEEDED = {name for name in FILES if "/" in name and not name.endswith((".bin", ".fp16.safetensors"))} - {
    "safety_checker/model.safetensors",
    "../outside.json",
} | {"model_index.json", "README.md"}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder; the machine has no account and no cache of the hub."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "models"


@pytest.fixture
def hub(models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendHub]:
    with serving(PretendHub(dict(FILES), CARD)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_model_arrives_whole_with_nothing_that_it_does_not_need(
    hub: PretendHub, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "install", ID, "--yes"]) == 0
    shown = capsys.readouterr().out
    for word in (
        ID,
        "Z-Image",
        "small-house-non-commercial (no commercial use)",
        COMMIT,
        str(models / "model"),
    ):
        assert word in shown
    assert names(models) == {f"model/{name}" for name in NEEDED}
    assert not any(path.is_symlink() for path in models.rglob("*"))
    assert (models / "model/transformer/diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS
    assert main(["models", "install", ID, "--yes"]) == 2
    assert str(models / "model") in capsys.readouterr().err


def test_nothing_is_downloaded_before_a_person_agrees(
    hub: PretendHub, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["models", "install", ID]) == 2, "no terminal, and no --yes"
    assert "--yes" in capsys.readouterr().err
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return ""

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", answer)
    assert main(["models", "install", ID]) == 1
    assert "commercial" in asked[0]
    assert "transformer/diffusion_pytorch_model.safetensors" in capsys.readouterr().out
    assert not models.exists()
    assert {name for _, name, _ in hub.requests} == {"model_index.json"}
    monkeypatch.setattr("builtins.input", lambda question: "Y")
    assert main(["models", "install", ID]) == 0


def test_an_interrupted_download_continues_and_is_no_model_meanwhile(
    hub: PretendHub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # what is kept of a broken transfer, in bytes
    hub.broken = "transformer/diffusion_pytorch_model.safetensors"
    with refuses(DownloadFailed, "hub_unreachable"):
        install_model(find_model(ID))
    assert [path.name for path in models.iterdir()] == [".installing"]
    assert listed_models([models], Machine("cpu", None, None)) == ()
    hub.requests.clear()
    hub.broken = ""
    assert install_model(find_model(ID)) == (models / "model",)
    ranges = {name: start for method, name, start in hub.requests if method == "GET" and start}
    assert ranges == {"transformer/diffusion_pytorch_model.safetensors": f"bytes={len(WEIGHTS) // 2}-"}
    fetched = [name for method, name, _ in hub.requests if method == "GET"]
    assert "README.md" not in fetched, "what was there was not fetched again"
    assert (models / "model/transformer/diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS
    assert [path.name for path in models.iterdir()] == ["model"]


def test_what_an_earlier_download_left_is_used_or_removed(
    hub: PretendHub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.broken = "transformer/diffusion_pytorch_model.safetensors"
    with refuses(DownloadFailed, "hub_unreachable"):
        install_model(find_model(ID))
    (part,) = models.rglob("*.part")
    part.write_bytes(WEIGHTS * 2)
    hub.broken = ""
    chosen = find_model(ID, ["*.json", "transformer/*l.safetensors"])
    (folder,) = install_model(chosen)
    assert names(folder) == {file.name for file in chosen.files}
    assert (folder / "transformer/diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["vae/diffusion_pytorch_model.safetensors", "tokenizer/tokenizer.json"])
def test_a_damaged_file_is_fetched_again(name: str, hub: PretendHub, models: Path) -> None:
    hub.damaged = name
    with refuses(ModelError, "hub_file_damaged", name):
        install_model(find_model(ID))
    assert not (models / "model").exists()
    hub.damaged = ""
    (folder,) = install_model(find_model(ID))
    assert (folder / name).read_bytes() == FILES[name]


def test_single_files_are_put_where_they_are_listed(hub: PretendHub, models: Path) -> None:
    assert install_model(find_model(ID, ["single.*", "*.py"])) == (models / "single.safetensors",)
    assert names(models) == {"single.safetensors"}
    with refuses(ModelError, "hub_model_present", "single.safetensors"):
        find_model(ID, ["single.*"])
    with refuses(ModelError, "hub_files_collide", "diffusion_pytorch_model.safetensors"):
        find_model(ID, ["transformer/*l.safetensors", "vae/*.safetensors"])
    with refuses(ModelError, "hub_nothing_to_install", ".bin"):
        find_model(ID, ["*.bin", "*.json5"])
    del hub.files["model_index.json"]
    with refuses(ModelError, "hub_files_to_choose", "--include", "single.safetensors"):
        find_model(ID)


def test_a_network_of_transformers_keeps_its_configuration(hub: PretendHub, models: Path) -> None:
    hub.files = {"config.json": b"{}", "model.safetensors": WEIGHTS, "onnx/model.onnx": b"", "notes.md": b""}
    assert install_model(find_model(ID)) == (models / "model",)
    assert names(models / "model") == {"config.json", "model.safetensors"}


def test_a_family_that_is_not_supported_is_refused_before_anything_is_downloaded(hub: PretendHub) -> None:
    hub.files["model_index.json"] = b'{"_class_name": "WanPipeline"}'
    with refuses(ModelError, "pipeline_unsupported", "WanPipeline"):
        find_model(ID)
    assert {name for _, name, _ in hub.requests} == {"model_index.json"}


def test_a_part_in_pickles_alone_is_refused_before_anything_is_downloaded(hub: PretendHub) -> None:
    del hub.files["text_encoder/model.safetensors"]
    with refuses(ModelError, "component_pickled", "text_encoder", "pytorch_model.bin"):
        find_model(ID)


def test_too_little_space_is_told_before_anything_is_downloaded(
    hub: PretendHub, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**20))
    assert main(["models", "install", ID, "--yes"]) == 2
    assert "DEFORUM_MODELS" in capsys.readouterr().err
    assert {name for _, name, _ in hub.requests} == {"model_index.json"}


def test_a_gated_model_needs_a_token_that_is_never_shown(
    hub: PretendHub,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "deforum_helpers")
    hub.gated = True
    assert main(["models", "install", ID, "--yes"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{hub.url}/{ID}" in said
    assert "HF_TOKEN" in said
    assert hub.requests == []
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert main(["models", "install", ID, "--yes"]) == 2, "an account that did not accept the licence"
    assert f"{hub.url}/{ID}" in capsys.readouterr().err
    assert "hf_other" not in caplog.text
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert main(["models", "install", ID, "--yes"]) == 0
    shown = capsys.readouterr()
    assert "hf_secret" not in shown.out + shown.err + caplog.text


@pytest.mark.parametrize(
    "found", ["model", "owner/", "a/b/c", "https://hub.example/owner/name", "o wner/name"]
)
def test_what_is_no_id_names_its_form(found: str, models: Path) -> None:
    with refuses(ModelError, "hub_id_malformed", "OWNER/NAME", found):
        find_model(found)


@pytest.mark.parametrize(
    ("hub_id", "revision", "code"),
    [("somebody/modle", None, "hub_model_unknown"), (ID, "v9", "hub_revision_unknown")],
)
def test_what_the_hub_does_not_have(hub: PretendHub, hub_id: str, revision: str | None, code: str) -> None:
    with refuses(ModelError, code, hub_id):
        find_model(hub_id, revision=revision)


def test_without_a_network(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with refuses(DownloadFailed, "hub_unreachable", ID):
        find_model(ID)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with refuses(DownloadFailed, "hub_offline", "HF_HUB_OFFLINE"):
        find_model(ID)


def test_a_branch_may_be_named(hub: PretendHub) -> None:
    assert find_model(ID, revision="main").commit == COMMIT


def test_options_of_the_list_are_none_of_an_installation(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["install", ID, "--hash"], [".", "--yes"], ["install"], ["install", ID, "more/models"]):
        with pytest.raises(SystemExit) as ended:
            main(["models", *words])
        assert ended.value.code == 2
    assert "--yes" in capsys.readouterr().err


def test_the_program_by_itself(hub: PretendHub, models: Path) -> None:
    """As a person runs it: the client of the hub reads the environment when it starts."""
    command = [sys.executable, "-m", "deforum_api", "models", "install", ID, "--include", "single*", "--yes"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "HF_HOME": str(models.parent / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert names(models) == {"single.safetensors"}


@pytest.mark.parametrize(
    ("licence", "forbidden"),
    [
        ("flux-1-dev-non-commercial-license", True),
        ("cc-by-nc-4.0", True),
        ("FLUX Non-Commercial License", True),
        ("apache-2.0", False),
        ("creativeml-openrail-m", False),
        ("concise-1.0", False),
    ],
)
def test_licences_without_commercial_use_are_told(licence: str, forbidden: bool) -> None:
    assert ("no commercial use" in licence_words(licence, True)) is forbidden
