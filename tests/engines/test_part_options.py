"""--transformer, --text-encoder and --vae reach the model from every command line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from deforum_api.hosts import standalone
from deforum_api.hosts.flags import add_flags, flag_problem
from deforum_api.queue.ray.executor import RayExecutor
from deforum_helpers.cli.rendering import prepare
from deforum_helpers.cli.run import _resume_command
from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.messages import code_of
from deforum_helpers.engines.part_options import model_parts, part_words
from deforum_helpers.models.weights.checkpoints import ModelParts
from deforum_helpers.pipeline.segment_process import EngineChoice
from tests.engines.maker_layouts import saved, transformer_of
from tests.refusals import refuses

WORDS = ["--transformer", "t.gguf", "--text-encoder", "a", "--text-encoder", "b", "--vae", "v.safetensors"]
PARTS = ModelParts("t.gguf", ("a", "b"), "v.safetensors")


def flags_of(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return parser.parse_args(words)


def test_words_become_parts_and_parts_words() -> None:
    assert model_parts(flags_of("--ckpt", "m", *WORDS)) == PARTS
    assert model_parts(flags_of(*part_words(PARTS))) == PARTS
    assert not model_parts(flags_of())


def test_the_server_renders_with_them(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tiny("z-image")
    path = saved(transformer_of(folder, "z-image"), tmp_path / "z.safetensors")
    flags = flags_of(
        "--ckpt", str(folder), "--transformer", str(path), "--deforum-outdir", str(tmp_path / "out")
    )
    assert standalone.chosen_engine(flags) == "diffusers"
    engine = standalone._engine("diffusers", flags)
    described = engine._describe(None)
    assert described.parts["transformer"].location == path
    flags.transformer = str(folder / "vae")
    with refuses(ModelError, "part_wrong", "--transformer"):
        standalone.chosen_engine(flags)


def test_without_a_checkpoint_they_replace_nothing() -> None:
    problem = flag_problem(flags_of("--vae", "v.safetensors"))
    assert problem is not None
    assert code_of(problem) == "parts_without_checkpoint"
    assert "--vae" in problem


def command(name: str, *words: str) -> tuple[Callable[[argparse.Namespace], int], argparse.Namespace]:
    parser = argparse.ArgumentParser()
    run = prepare(name, parser)
    return run, parser.parse_args(words)


def test_commands_check_them(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    run, options = command(
        "check", "film.txt", "--ckpt", str(tiny("flux")), "--vae", str(tiny("flux") / "nothing")
    )
    with refuses(ModelError, "part_not_found", "--vae"):
        run(options)
    run, options = command("check", "film.txt", "--vae", "v.safetensors")
    with refuses(ModelError, "parts_without_ckpt", "--vae", "--ckpt"):
        run(options)


def test_the_line_that_resumes_a_run_names_them() -> None:
    class Bar:
        timestring = "20260101000000"

    _, options = command("run", "film.txt", "--ckpt", "m", *WORDS)
    line = _resume_command(Path("film.txt"), Bar(), options)  # type: ignore[arg-type]
    assert all(word in line for word in WORDS)


def test_they_reach_worker_processes() -> None:
    choice = EngineChoice("diffusers", "m", parts=PARTS)
    assert EngineChoice.of(json.loads(json.dumps(asdict(choice)))) == choice
    assert ModelParts.of({}) == ModelParts()


def test_they_reach_workers_of_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    from deforum_api.queue.ray.actor import RenderWorker
    from deforum_api.queue.ray.settings import RaySettings, WorkerSetup

    executor = RayExecutor.__new__(RayExecutor)
    executor._settings, executor._expected = RaySettings("local"), {}
    executor._setup = WorkerSetup("diffusers", "m", False, tmp_path, parts=PARTS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    worker = RenderWorker(json.dumps({**executor._order()["setup"], "threads": "1"}))
    assert worker._parts == PARTS
