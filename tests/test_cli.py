"""The program `deforum`: its table of commands, what it imports, and both ways to start it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deforum_api.cli import GROUPS, main
from deforum_api.version import VERSION

ROOT = Path(__file__).parents[1]
COMMANDS = {name: line for group in GROUPS for name, line in group.commands.items()}
NOBODY = ("--url", "http://127.0.0.1:9", "--patience", "0")
HEAVY = {"torch", "diffusers", "transformers", "numpy", "cv2", "PIL", "fastapi", "uvicorn", "gradio", "mcp"}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.parametrize("start", ["deforum_helpers", "deforum_api"])
def test_help_lists_every_command_in_its_group(start: str) -> None:
    shown = python("-m", start, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0] == f"usage: python -m {start} COMMAND ..."
    listed = [line.split(maxsplit=1) for line in lines if line.startswith("  ") and line[2] not in "- "]
    assert [(name, line) for name, line in listed] == list(COMMANDS.items())
    assert [line[:-1] for line in lines if line[:-1] in {group.title for group in GROUPS}] == [
        group.title for group in GROUPS
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: deforum {name} ")


def test_no_command_shows_the_help_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "interpolate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "meant"), [("chek", "check"), ("Run", "run"), ("upscaling", "upscale"), ("zzzzz", "--help")]
)
def test_an_unknown_command_exits_with_2_and_the_nearest_names(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([word, "run.txt", "--set", "W=64"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert repr(word) in said
    assert meant in said.rpartition(";")[2]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert VERSION in capsys.readouterr().out


def test_the_address_of_a_server_means_nothing_to_other_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*NOBODY, "check", "run.txt"])
    assert ended.value.code == 2
    assert "--url" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        ([], HEAVY),
        (["--help"], HEAVY),
        (["jobs", *NOBODY], HEAVY),
        (["serve", "--help"], HEAVY),
        (["models", "--help"], HEAVY),
        (["models", "install", "no-id"], HEAVY | {"huggingface_hub"}),
        (["check", "nowhere.txt"], {"torch", "diffusers", "transformers", "fastapi", "uvicorn", "gradio"}),
    ],
)
def test_only_what_the_command_needs_is_imported(arguments: list[str], heavy: set[str]) -> None:
    code = (
        "import sys\nfrom deforum_api.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"print('imported', *sorted({heavy!r} & set(sys.modules)))"
    )
    assert python("-c", code, *arguments).stdout.splitlines()[-1] == "imported"


def test_a_server_can_be_used_without_any_package() -> None:
    """Python alone, without its site-packages."""
    code = f"import sys; sys.path.append({str(ROOT)!r}); from deforum_api.cli import main; sys.exit(main())"
    done = python("-I", "-S", "-c", code, "jobs", *NOBODY)
    assert done.returncode == 2
    assert "does not respond" in done.stderr
    refused = python("-I", "-S", "-c", code, "submit", "config/quickstart.txt", *NOBODY)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("The package ")
