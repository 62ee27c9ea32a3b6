"""What engines declare of themselves: a new one is a folder and a line, and nothing asks for an engine by its name."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deforum_api.hosts.flags import flag_problem, make_parser
from deforum_api.hosts.own_host import health
from deforum_api.queue.checks.check_process import host_facts, plain_facts
from deforum_helpers.__main__ import main
from deforum_helpers.core.errors import ModelError
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.registry import ENGINES, declared, own_engines
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.ui.controls import available_controlnet, start_values, submitted_settings
from deforum_helpers.ui.formatting import model_html
from deforum_helpers.ui.messages import CONTROLNET_NEEDS_CHECKPOINT
from tests.refusals import refuses

ROOT = Path(__file__).parents[2]
DECLARATION = """
from deforum_helpers.engines.base import Abilities, DeclaredEngine

def make(checkpoint, allow_download, device):
    from toy_engine.engine import ToyEngine
    return ToyEngine()

def prompt_warnings(prompts, starts):
    if any("red" in prompt for prompt in prompts):
        yield "The toy knows no red."

TOY = DeclaredEngine(
    name="toy",
    title="the toy",
    make=make,
    abilities=Abilities(
        lacks={"freeu_enabled": "The toy has no FreeU."},
        unread={"noise_source": "The toy reads no noise_source."},
        no_controlnet="the toy has no ControlNets",
        generates="The toy generates green only.",
        vocabulary=lambda: ("green",),
        prompt_warnings=prompt_warnings,
    ),
)
"""
ENGINE = """
from contextlib import nullcontext
import torch

class ToyEngine:
    name = "toy"
    device = torch.device("cpu")

    def generate(self, request, cancel):
        image = torch.zeros(request.height_px, request.width_px, 3)
        image[..., 1] = 1.0
        return image.permute(2, 0, 1)

    def resting(self):
        return nullcontext()

    def warnings(self, request):
        return ()
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "packages" / "toy_engine"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(DECLARATION)
    (folder / "engine.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(str(folder.parent))
    from toy_engine import TOY  # type: ignore[import-not-found, unused-ignore]

    monkeypatch.setitem(ENGINES, TOY.name, TOY)  # its line of the registry
    return "toy"


def settings_file(folder: Path, **changes: object) -> Path:
    settings = {"W": 64, "H": 64, "max_frames": 2, "animation_mode": "2D", "prompts": {"0": "green"}}
    path = folder / "settings.txt"
    path.write_text(json.dumps(settings | {"skip_video_creation": True, "color_coherence": "None"} | changes))
    return path


def test_without_its_line_an_engine_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--deforum-engine", "toy"])
    assert "toy" in capsys.readouterr().err


def test_a_new_engine_is_a_choice_and_tells_of_itself(toy: str, tmp_path: Path) -> None:
    assert make_parser().parse_args(["--deforum-engine", toy]).deforum_engine == toy
    facts = own_facts(toy, None, tmp_path)
    told = health(facts)
    assert (told["engine"], told["model_draws"], told["model_words"]) == (
        "toy",
        "The toy generates green only.",
        ["green"],
    )
    assert {"feature": "freeu_enabled", "reason": "The toy has no FreeU."} in told["unavailable"]
    assert "The toy generates green only." in model_html(facts)
    assert available_controlnet(facts).missing == CONTROLNET_NEEDS_CHECKPOINT(
        reason="The toy has no ControlNets"
    )
    assert submitted_settings(start_values({}, facts))["noise_source"] == "new"
    assert host_facts(plain_facts(facts)).abilities is facts.abilities


def test_a_new_engine_is_asked_by_the_checks(
    toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(settings_file(tmp_path, prompts={"0": "red"}))
    out = ["--engine", toy, "--out", str(tmp_path / "out")]
    assert main(["check", file, *out, "--json"]) == 0
    assert "The toy knows no red." in capsys.readouterr().out
    assert main(["check", file, *out, "--set", "freeu_enabled=true"]) == 2
    assert "The toy has no FreeU." in "".join(capsys.readouterr())
    assert main(["check", file, *out, "--set", "cn_1_enabled=true", "--set", "cn_1_module=canny"]) == 2
    assert "cn_1_enabled is true, but the toy has no ControlNets" in "".join(capsys.readouterr())


def test_a_new_engine_renders(toy: str, tmp_path: Path) -> None:
    file = str(settings_file(tmp_path))
    assert main(["run", file, "--engine", toy, "--out", str(tmp_path / "out")]) == 0
    frames = sorted((tmp_path / "out").rglob("*_0*.png"))
    assert len(frames) == 2
    for frame in frames:
        image = read_frame(frame)
        assert image.shape == (64, 64, 3)
        assert np.array_equal(np.unique(image.reshape(-1, 3), axis=0), [[0, 255, 0]])


def test_an_engine_that_takes_a_checkpoint_asks_for_it(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, toy, replace(ENGINES[toy], takes_checkpoint=True))
    flags = make_parser().parse_args(["--deforum-engine", toy])
    assert flag_problem(flags) == (
        "--deforum-engine toy requires --ckpt with a model folder or a .safetensors file."
    )
    with refuses(ModelError, "checkpoint_required", "'toy'"):
        make_engine(toy)
    (tmp_path / "Lora").mkdir()
    (tmp_path / "Lora" / "ink.safetensors").touch()
    monkeypatch.setitem(
        ENGINES, toy, replace(ENGINES[toy], abilities=replace(ENGINES[toy].abilities, checks_loras=True))
    )
    loras = own_facts(toy, str(tmp_path / "a.safetensors"), tmp_path).loras
    assert loras is not None
    assert list(loras()) == ["ink"]


@pytest.mark.parametrize("name", ["null", "demo", "diffusers", "webui"])
def test_every_engine_declares_itself(name: str) -> None:
    engine = declared(name)
    assert engine.name == name
    assert engine.title
    assert all(why.endswith(".") for why in (engine.abilities.lacks | engine.abilities.unread).values())
    assert (name in own_engines()) == (name != "webui")


def test_no_engine_is_asked_for_by_name() -> None:
    asked = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("deforum_helpers", "deforum_api", "scripts")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare) and "engine" in ast.unparse(node) and _names(node) & set(ENGINES)
    ]
    assert not asked


def _names(compared: ast.Compare) -> set[object]:
    return {part.value for part in ast.walk(compared) if isinstance(part, ast.Constant)}
