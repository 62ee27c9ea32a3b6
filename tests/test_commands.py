"""The command line as a person uses it: in a process of its own, with its exit codes and what it prints."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from small_runs import frame_files

from deforum_helpers.__main__ import main
from deforum_helpers.cli import messages, run
from deforum_helpers.cli.job_files import read_submitted
from deforum_helpers.core.errors import Parked
from deforum_helpers.media.containers import count_frames
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline import job
from tests.holding import held_elsewhere

ROOT = Path(__file__).parents[1]
WAIT_S = 120.0
WITHOUT_PYTHON = {**os.environ, "PATH": ""}
SETTINGS = {"W": 64, "H": 64, "max_frames": 6, "seed": 3, "prompts": {"0": "a <b> & c", "3": "d --neg e"}}


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deforum_helpers", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.txt"
    path.write_text(json.dumps(SETTINGS), encoding="utf-8")
    return path


def test_a_python_without_the_packages_is_told_where_they_are() -> None:
    bare = [sys.executable, "-I", "-S", "-c", f"import sys, runpy; sys.path.append({str(ROOT)!r}); "]
    bare[-1] += "runpy.run_module('deforum_helpers', run_name='__main__')"
    answer = subprocess.run([*bare, "check", "run.txt"], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith("The package ")
    assert "`python webui.py` makes the folder venv" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_run_prints_the_video(settings_file: Path, tmp_path: Path) -> None:
    done = command(
        "run", settings_file, "--engine", "null", "--out", tmp_path / "out", "--set", "max_frames=4"
    )
    assert done.returncode == 0, done.stderr
    assert count_frames(Path(done.stdout.strip())) == 4


def test_a_video_can_be_rendered_again_from_itself(settings_file: Path, tmp_path: Path) -> None:
    """Settings travel in the mp4 and in every frame."""
    first = Path(command("run", settings_file, "--engine", "null", "--out", tmp_path / "a").stdout.strip())
    frame = next(frame_files(first.parent))
    for source in (first, frame):
        done = command("run", source, "--engine", "null", "--out", tmp_path / source.suffix)
        assert done.returncode == 0, done.stderr
        again = Path(done.stdout.strip())
        for one, other in zip(frame_files(first.parent), frame_files(again.parent), strict=True):
            np.testing.assert_array_equal(read_frame(one), read_frame(other))


def test_check_tells_the_size_of_the_job(settings_file: Path) -> None:
    done = command("check", settings_file, "--set", "diffusion_cadence=2")
    assert done.returncode == 0
    assert "6 frames of 64x64" in done.stdout
    assert "4 key frames" in done.stdout


def test_wrong_settings_are_all_told_and_exit_with_2(settings_file: Path, tmp_path: Path) -> None:
    for name in ("check", "run"):
        done = command(name, settings_file, "--set", "zoom=0:(1+", "--set", "W=7", "--out", tmp_path / "out")
        assert done.returncode == 2
        assert "2 problems" in done.stderr
        assert "zoom" in done.stderr
        assert "W is 7" in done.stderr
    assert not (tmp_path / "out").exists()


def test_one_wrong_file_keeps_the_others_from_starting(settings_file: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.txt"
    wrong.write_text('{"max_frames": }', encoding="utf-8")
    done = command("run", settings_file, wrong, "--engine", "null", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "line 1" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [["check", "nowhere.txt"], ["run"], ["dance"], ["check", "x", "--set", "novalue"]]
)
def test_a_wrong_command_exits_with_2(arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["check", "plot", "run", "convert"])
@pytest.mark.parametrize(
    ("change", "meant"),
    [
        ("max_frame=3", "max_frames"),
        ("w=512", "W"),
        ("Zoom=1", "zoom"),
        ("deforum_embed_srt=true", "--option"),
    ],
)
def test_a_change_of_no_setting_exits_with_2_and_the_nearest_names(
    settings_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    change: str,
    meant: str,
) -> None:
    arguments = [name, str(settings_file), "--set", change, "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert change.partition("=")[0] in printed
    assert meant in printed
    assert not (tmp_path / "out").exists()


def test_a_change_may_use_the_names_of_other_years(settings_file: Path) -> None:
    changes = ["animation_prompts=a lake", "width=128", "scale=7", "use_zoe_depth=true"]
    assert read_submitted(settings_file, changes).keys() > {change.partition("=")[0] for change in changes}


@pytest.mark.parametrize("name", ["check", "plot", "run", "convert"])
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--engine", "diffusers"], "needs --ckpt"),
        (["--ckpt", "nowhere"], "'nowhere' was not found"),
        (["--ckpt", "old.ckpt"], "is a pickle"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_exits_with_2(
    settings_file: Path, capsys: pytest.CaptureFixture[str], name: str, flags: list[str], said: str
) -> None:
    assert main([name, str(settings_file), *flags]) == 2
    assert said in capsys.readouterr().err
    assert not settings_file.with_suffix(".svg").exists()


def test_plot_draws_an_escaped_svg(settings_file: Path, tmp_path: Path) -> None:
    done = command("plot", settings_file, "--out", tmp_path, "--set", "zoom=0:(1), 5:(1.2)")
    assert done.returncode == 0, done.stderr
    svg = (tmp_path / "run.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "a &lt;b&gt; &amp; c" in svg
    assert "zoom" in svg


def test_convert_prints_and_writes_the_settings_with_other_keys(
    settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["--set", "fps=10", "--set", "seed=-1", "--set", "zoom=0:(1),  -2: (1.2) ~hold"]
    assert main(["convert", str(settings_file), *changes, "--keys", "seconds"]) == 0
    converted = json.loads(capsys.readouterr().out)
    assert converted["zoom"] == "0:(1),  0.4s: (1.2) ~hold"
    assert converted["prompts"] == {"0": "a <b> & c", "0.3s": "d --neg e"}
    assert converted["seed"] == -1
    assert main(["convert", str(settings_file), *changes, "--out", str(tmp_path / "new.txt")]) == 0
    assert json.loads((tmp_path / "new.txt").read_text(encoding="utf-8"))["zoom"] == "0:(1),  4: (1.2) ~hold"
    assert main(["convert", str(settings_file), "--keys", "beats"]) == 2
    assert "bpm" in capsys.readouterr().err
    assert main(["convert", str(settings_file), "--set", "zoom=0:(1+)"]) == 2
    assert main(["convert", str(settings_file), "--out", str(tmp_path / "no" / "new.txt")]) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_parks_and_the_printed_command_finishes(settings_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    changes = ["--set", "max_frames=300", "--set", "W=256", "--set", "H=256"]
    started = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "deforum_helpers",
            "run",
            settings_file,
            "--engine",
            "null",
            "--out",
            out,
            *changes,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + WAIT_S
    while not list(out.glob("*/*/*_000000002.png")) and time.monotonic() < deadline:
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=WAIT_S)
    assert (started.returncode, "\nParked after" in said) == (1, True), said
    line = next(line for line in said.splitlines() if line.startswith("Parked after"))
    again = shlex.split(line.split("Continue with: ", 1)[1])
    done = subprocess.run(again, cwd=ROOT, capture_output=True, text=True, check=False, env=WITHOUT_PYTHON)
    assert done.returncode == 0, done.stderr
    assert count_frames(Path(done.stdout.strip())) == 300


def test_a_run_that_another_program_renders_is_refused(settings_file: Path, tmp_path: Path) -> None:
    arguments = (
        "run",
        settings_file,
        "--engine",
        "null",
        "--out",
        tmp_path / "out",
        "--set",
        "batch_name=run",
    )
    path = Path(command(*arguments).stdout.strip())
    with held_elsewhere(Run(path.parent, path.stem).lock_path) as program:
        done = command(*arguments, "--resume", path.stem)
    assert done.returncode == 1
    assert f"process {program.pid}" in done.stderr
    assert command(*arguments, "--resume", path.stem).returncode == 0


def test_ctrl_c_before_anything_is_rendered_is_no_traceback(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run", interrupted)
    assert main(["run", str(settings_file)]) == 1
    assert capsys.readouterr().err.strip() == messages.INTERRUPTED()


def test_a_run_that_is_parked_before_it_could_go_on_says_so(
    settings_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def parked(*arguments: object) -> NoReturn:
        raise Parked("The run was parked.")

    monkeypatch.setattr(job, "with_videos", parked)
    assert main(["run", str(settings_file), "--engine", "null", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.strip() == messages.STOPPED_TOO_EARLY()


def test_files_behind_one_that_is_stopped_are_named(
    settings_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [tmp_path / "second.txt", tmp_path / "the third.txt"]
    for other in others:
        other.write_text(json.dumps(SETTINGS), encoding="utf-8")
    write = job.RunWriter.write

    def parked(self: object, outcome: object) -> None:
        write(self, outcome)  # type: ignore[arg-type]
        raise Parked("The run was parked.")

    monkeypatch.setattr(job.RunWriter, "write", parked)
    assert (
        main(
            ["run", str(settings_file), *map(str, others), "--engine", "null", "--out", str(tmp_path / "out")]
        )
        == 1
    )
    parked_one, left = capsys.readouterr().err.strip().splitlines()
    assert parked_one.startswith("Parked after")
    assert left == messages.FILES_LEFT(files=shlex.join(map(str, others)))
    assert len(list((tmp_path / "out").glob("*/*"))) == 1


def test_a_reader_that_has_seen_enough_is_no_traceback(settings_file: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "deforum_helpers", "check", settings_file],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    started.stdout.close()
    assert started.stderr is not None
    assert started.stderr.read() == ""
    started.stderr.close()
    assert started.wait(timeout=WAIT_S) == 1


def test_options_of_the_host_are_given_as_over_http(settings_file: Path, tmp_path: Path) -> None:
    options = ["--option", "deforum_save_gen_info_as_srt=true", "--option", 'outdir_samples="mine"']
    done = command("run", settings_file, "--engine", "null", "--out", tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    (subtitles,) = (tmp_path / "out" / "mine").rglob("*.srt")
    assert subtitles.read_text().count("F#: ") == 6
    for name in ("check", "run"):
        refused = command(name, settings_file, "--option", "samples_save=true", "--option", "nameless")
        assert (refused.returncode, "expected NAME=VALUE" in refused.stderr) == (2, True)
        refused = command(name, settings_file, "--option", "samples_save=true", "--option", "eta_ddim=7")
        assert refused.returncode == 2
        assert "The option 'samples_save' cannot be overridden" in refused.stderr
        assert "The option 'eta_ddim' is " in refused.stderr


def test_what_libraries_failed_of_is_one_line() -> None:
    code = (
        "import logging, sys; from deforum_helpers.__main__ import main; from deforum_helpers.cli import check; "
        "log = logging.getLogger('deforum_helpers'); "
        "check.check = lambda options: log.warning('It failed.', exc_info=KeyError('x')) or 0; "
        "sys.exit(main(['check', 'a.txt']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "WARNING: It failed.\n")


@pytest.mark.parametrize("name", ["run", "check", "plot", "convert"])
def test_a_terminal_shows_life_before_a_command_loads(name: str) -> None:
    code = (
        "import io, sys\n"
        "class Terminal(io.StringIO):\n"
        "    encoding = 'utf-8'\n"
        "    def isatty(self): return True\n"
        "    def write(self, text):\n"
        "        print([text, 'deforum_helpers.pipeline.prepare' in sys.modules])\n"
        "        return len(text)\n"
        "sys.stderr = Terminal()\n"
        "from deforum_helpers.__main__ import main\n"
        f"main(['{name}', 'nowhere.txt'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    first = done.stdout.splitlines()[0]
    assert "nowhere.txt" in first
    assert first.endswith("False]")
