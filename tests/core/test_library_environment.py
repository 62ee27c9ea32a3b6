from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deforum_helpers.core.library_environment import (
    ALLOCATOR,
    CHOICES,
    let_allocator_keep_memory,
    let_waiting_threads_sleep,
)

ROOT = Path(__file__).parents[2]
PASSIVE = {"OMP_WAIT_POLICY": "passive"}


@pytest.mark.parametrize("chosen", [{}, *({name: "1"} for name in CHOICES)])
def test_a_choice_of_the_user_is_kept(chosen: dict[str, str]) -> None:
    environment = {"PATH": "/bin", **chosen}
    let_waiting_threads_sleep(environment)
    assert environment == {"PATH": "/bin", **(chosen or PASSIVE)}


def output_of(code: str) -> list[str]:
    """Run `code` with none of the variables set; return the lines that it prints."""
    unset = {*CHOICES, *ALLOCATOR, "GLIBC_TUNABLES"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
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


# Garbage that only a collection at the end of the program would find.
GARBAGE = """
import sys
class Garbage:
    def __del__(self): print("collected")
def shown(*_):
    garbage = Garbage()
    garbage.itself = garbage
    sys.exit()
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_end_without_a_look_for_garbage(program: str) -> None:
    assert output_of(GARBAGE + "shown()") == ["collected"]
    assert output_of(GARBAGE + PROGRAMS[program]) == []


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


# Takes and frees the activations of a few layers, which the system clears anew where the allocator returns them.
LAYERS = """
import ctypes, resource
import deforum_helpers.core.library_environment as program
{change}
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
for image in range(6):
    if image == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    layers = [libc.malloc(16 << 20) for _ in range(6)]
    for layer in layers:
        libc.memset(layer, 1, 16 << 20)
    for layer in layers:
        libc.free(layer)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="another allocator"
)
def test_memory_of_layers_is_kept_for_the_next_image() -> None:
    [cleared] = output_of(LAYERS.format(change="program.let_allocator_keep_memory()"))
    assert int(cleared) < 1000, "pages; three images have 73,728 of 4 KB"


@pytest.mark.parametrize("chosen", [*ALLOCATOR, "GLIBC_TUNABLES"])
def test_an_allocator_that_the_user_has_set_up_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    def no_library(name: None) -> None:
        raise AssertionError("the allocator is changed")

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    let_allocator_keep_memory({chosen: "1"}, "linux")
    let_allocator_keep_memory({}, "darwin")
