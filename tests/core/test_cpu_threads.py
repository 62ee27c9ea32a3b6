from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deforum_helpers.core.library_environment import CHOICES, let_waiting_threads_sleep

ROOT = Path(__file__).parents[2]
PASSIVE = {"OMP_WAIT_POLICY": "passive"}


@pytest.mark.parametrize("chosen", [{}, *({name: "1"} for name in CHOICES)])
def test_a_choice_of_the_user_is_kept(chosen: dict[str, str]) -> None:
    environment = {"PATH": "/bin", **chosen}
    let_waiting_threads_sleep(environment)
    assert environment == {"PATH": "/bin", **(chosen or PASSIVE)}


def output_of(code: str) -> list[str]:
    """Run `code` with none of the variables set; return the lines that it prints."""
    environment = {name: value for name, value in os.environ.items() if name not in CHOICES}
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, cwd=ROOT, env=environment, text=True).splitlines()


# Each program, up to the point where it would import torch.
PROGRAMS = {
    "commands": "from deforum_api import cli; cli._program = shown; cli.main(['run'])",
    "server": "from deforum_api.hosts import standalone; standalone.flag_problem = shown; standalone.serve(None)",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_set_it_before_torch_loads(program: str) -> None:
    found = output_of(
        "import os, sys\n"
        "def shown(*_):\n"
        "    print(os.environ.get('OMP_WAIT_POLICY'), 'torch' in sys.modules)\n"
        "    sys.exit()\n" + PROGRAMS[program]
    )
    assert found == ["passive False"]


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
        "    print(env['OMP_WAIT_POLICY'], 'OMP_WAIT_POLICY' in os.environ)\n"
        "    raise SystemExit\n"
        f"subprocess.Popen = started; starter.{call}"
    )
    assert found == ["passive False"]
