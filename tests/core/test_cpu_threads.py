from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deforum_helpers.core.library_environment import CHOICES, OPENCV_ROUNDS, let_waiting_threads_sleep

ROOT = Path(__file__).parents[2]
PASSIVE = {"OMP_WAIT_POLICY": "passive"}
NO_ROUNDS = dict.fromkeys(OPENCV_ROUNDS, "0")


@pytest.mark.parametrize("chosen", [{}, *({name: "1"} for name in CHOICES)])
def test_a_choice_of_the_user_is_kept(chosen: dict[str, str]) -> None:
    environment = {"PATH": "/bin", **chosen}
    let_waiting_threads_sleep(environment)
    assert environment == {"PATH": "/bin", **(chosen or PASSIVE), **NO_ROUNDS}


@pytest.mark.parametrize("name", OPENCV_ROUNDS)
def test_a_number_of_rounds_of_the_user_is_kept(name: str) -> None:
    environment = {name: "500"}
    let_waiting_threads_sleep(environment)
    assert environment == {**PASSIVE, **NO_ROUNDS, name: "500"}


def output_of(code: str) -> list[str]:
    """Run `code` with none of the variables set; return the lines that it prints."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {*CHOICES, *OPENCV_ROUNDS}
    }
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, cwd=ROOT, env=environment, text=True).splitlines()


# Each program, up to the point where it would import torch.
PROGRAMS = {
    "commands": "from deforum_api import cli; cli._program = shown; cli.main(['run'])",
    "server": "from deforum_api.hosts import standalone; standalone.flag_problem = shown; standalone.serve(None)",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_set_them_before_torch_and_opencv_load(program: str) -> None:
    found = output_of(
        "import os, sys\n"
        "def shown(*_):\n"
        f"    print(os.environ.get('OMP_WAIT_POLICY'), *map(os.environ.get, {OPENCV_ROUNDS}))\n"
        "    print({'torch', 'cv2'} & set(sys.modules))\n"
        "    sys.exit()\n" + PROGRAMS[program]
    )
    assert found == ["passive 0 0", "set()"]


# What starts programs that render, also in a WebUI.
STARTS = {
    "workers of a run": ("deforum_helpers.core.child_programs", "ChildProgram('a.module')"),
    "driver of Ray": ("deforum_api.queue.ray.executor", "_Program({}, None)"),
}


@pytest.mark.parametrize("start", STARTS)
def test_child_programs_get_it_and_their_parent_does_not(start: str) -> None:
    module, call = STARTS[start]
    found = output_of(
        f"import os, subprocess, {module} as starter\n"
        "def started(command, *, env, **_):\n"
        f"    names = {('OMP_WAIT_POLICY', *OPENCV_ROUNDS)}\n"
        "    print(*(name in variables for variables in (env, os.environ) for name in names))\n"
        "    raise SystemExit\n"
        f"subprocess.Popen = started; starter.{call}"
    )
    assert found == ["True True True False False False"]
