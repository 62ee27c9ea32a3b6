"""`check` on the command line: the report as people read it, and as programs do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deforum_helpers.__main__ import main
from deforum_helpers.cli import check as command
from deforum_helpers.cli.check import WIDTH

FILM = {
    "W": 64,
    "H": 64,
    "max_frames": 6,
    "diffusion_cadence": 3,
    "translation_z": "0: (3)",
    "mystery": "\x1b[31mred",
    "histogram_matching": True,
    "prompts": {"0": "a lake", "3": "a wood --neg \x1b]0;title\x07 fog"},
    "legacy_colormatch": False,
}


def checked(folder: Path, *arguments: str, **changes: object) -> tuple[int, Path]:
    path = folder / "run.txt"
    path.write_text(json.dumps(FILM | changes), encoding="utf-8")
    return main(["check", str(path), *arguments, "--engine", "null", "--out", str(folder / "out")]), path


def test_the_report_is_plain_and_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, path = checked(tmp_path)
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    assert said.out.startswith(f"{path}: 6 frames of 64x64 (0.4 s at 15 fps), 2D, 3 key frames, ")
    for line in (
        "Prompts",
        "  - frame 0: a lake",
        "Kept (6)",
        "  - translation_z: animation_mode is 2D.",
        "  - 'mystery'",
    ):
        assert line in said.out.splitlines()
    assert "classic" not in said.out
    assert "\x1b" not in said.out
    assert "\x07" not in said.out
    assert max(len(line) for line in said.out.splitlines()[1:]) <= WIDTH
    assert not (tmp_path / "out").exists()


def test_what_differs_from_classic_is_said_last_and_only_if_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked(tmp_path, "--compare-classic")
    lines = capsys.readouterr().out.splitlines()
    last = lines.index("Differences from classic Deforum")
    assert [line for line in lines[last:] if line.startswith("  - diffusion_cadence: Every frame is written")]
    assert [line for line in lines[last + 1 :] if not line.startswith(" ")] == []


def test_what_may_have_to_be_changed_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.txt"
    strange = (
        '{"W": "64", "H": 64, "W": "128", "mystery": 1, "translation_x": "0: (2^t)", "prompts": {"0": "a"}}'
    )
    path.write_text(strange, encoding="utf-8")
    assert main(["check", str(path), "--engine", "null", "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    headings = [line for line in lines if line and not line.startswith(" ")][1:]
    assert headings == [
        "Warnings",
        "Unknown, without effect",
        "Prompts",
        "Kept (4)",
        "Converted from another notation",
    ]
    warnings = lines[lines.index("Warnings") : lines.index("Unknown, without effect")]
    assert any("'W' more than once" in line for line in warnings)
    assert any("^ is the exclusive or" in line for line in warnings)
    assert any("W is the text '128'" in line for line in lines[lines.index("Kept (4)") :])


def test_a_name_that_stands_twice_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.txt"
    path.write_text('{"W": 64, "H": 64, "W": 128}', encoding="utf-8")
    for more in ([], ["--set", "max_frames=3"]):
        assert main(["check", str(path), *more, "--engine", "null", "--out", str(tmp_path / "out")]) == 0
        assert "The settings contain 'W' more than once; the last value counts." in capsys.readouterr().out


def test_programs_read_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(tmp_path, "--json")[0] == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["ok"] is True
    assert (one["film"]["frames"], one["film"]["diffused_frames"], one["film"]["width"]) == (6, 3, 64)
    assert one["film"]["segments"] == 1
    assert one["settings"]["ignored"] == [
        {"names": ["translation_z"], "sentence": "animation_mode is 2D."},
        {
            "names": ["histogram_matching"],
            "sentence": "It no longer exists; color_coherence matches colors.",
        },
    ]
    assert one["warnings"] == []
    assert one["settings"]["unknown"] == ["'mystery'"]
    assert one["problems"] == []


def test_problems_come_with_what_could_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, path = checked(tmp_path, W=7, zoom="0:(1+")
    said = capsys.readouterr()
    assert code == 2
    assert said.err.splitlines()[0] == f"{path}: 2 problems"
    assert "W is 7" in said.err
    assert "Without effect on this video" in said.out
    assert "frames of" not in said.out
    checked(tmp_path, "--json", W=7)
    (one,) = json.loads(capsys.readouterr().out)
    assert one["ok"] is False
    assert one["film"] is None
    assert [problem["setting"] for problem in one["problems"]] == ["W"]


def test_a_file_that_cannot_be_read_leaves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = checked(tmp_path, str(tmp_path / "nowhere.txt"))
    said = capsys.readouterr()
    assert code == 2
    assert "nowhere.txt: 1 problem" in said.err
    assert "6 frames of 64x64" in said.out


@pytest.mark.parametrize(
    ("terminal", "no_color", "colored"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_headings_stand_out_on_a_terminal_alone(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    no_color: str,
    colored: bool,
) -> None:
    monkeypatch.setattr(command.sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    checked(tmp_path)
    assert ("\x1b[1mPrompts\x1b[0m" in capsys.readouterr().out) is colored


def test_a_run_that_is_not_there_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resumed = {"resume_from_timestring": True, "resume_timestring": "20200101000000", "batch_name": "run"}
    assert checked(tmp_path, **resumed)[0] == 2
    assert "but img2img-images/run contains neither" in capsys.readouterr().err


def test_what_is_left_out_is_a_warning_and_with_strict_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"restore_faces": True, "cn_1_enabled": True, "cn_1_vid_path": ""}
    assert checked(tmp_path, **asked)[0] == 0
    told = capsys.readouterr()
    assert "restore_faces is true" in told.out
    assert "cn_1_vid_path is empty" in told.out
    assert checked(tmp_path, "--strict", **asked)[0] == 2
    told = capsys.readouterr()
    assert "restore_faces is true" in told.err
    assert "cn_1_vid_path is empty" in told.err
    assert checked(tmp_path, "--strict")[0] == 0
