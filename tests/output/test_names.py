from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.output.paths import Run, new_run, resolved_batch_name, resumed_run
from deforum_helpers.settings import Settings, load_settings
from tests.refusals import refuses

NOW = datetime(2024, 3, 9, 7, 5, 1)
TS = "20240309070501"
VALUES = {
    "W": 512,
    "seed": 7,
    "strength": 0,
    "border": "replicate",
    "prompts": {"0": "a castle"},
    "listed": ["first", "second"],
    "cn_1_weight": "0:(1)",
    "long": "x" * 80,
    "empty": "",
}


def settings(**values: object) -> Settings:
    return replace(load_settings({}).settings, **values)


@pytest.mark.parametrize(
    ("batch_name", "name"),
    [
        ("Deforum_{timestring}", f"Deforum_{TS}"),
        ("{date}-{time}", "20240309-070501"),
        ("{W}x{SEED}", "512x7"),
        ("{w}", "512"),
        ("{nothing_here}", "nothing_here"),
        ("{Unknown}", "unknown"),
        ("a{strength}b{empty}", "a_b_"),
        ("{prompts}", "a_castle"),
        ("{listed}", "first"),
        ("{cn_1_weight}", "0_(1)"),
        ("{long}", "x" * 50),
        ('a<b>c:d"e/f\\g|h?i*j k,l', "a_b_c_d_e_f_g_h_i_j_k_l"),
        ("{not a name}", "{not_a_name}"),
        ("../../etc", ".._.._etc"),
        ("..", "__"),
        (".", "_"),
        ("", "_"),
        ("C:\\x", "C__x"),
        ("\\\\host\\share", "__host_share"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com1", "_com1"),
        ("console", "console"),
        ("a\x00b", "a_b"),
        ("ends.", "ends_"),
        ("ä" * 300, "ä" * 127),
        ("x" * 300, "x" * 255),
        ("\ud800", "_"),
    ],
)
def test_batch_name_becomes_one_plain_name(batch_name: str, name: str) -> None:
    assert resolved_batch_name(batch_name, VALUES, NOW) == name


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=400), st.integers(1, 300))
def test_any_batch_name_is_a_folder_inside_the_output_root(batch_name: str, room: int) -> None:
    name = resolved_batch_name(batch_name, {"seed": batch_name, "prompts": {"0": batch_name}}, NOW, room)
    assert 0 < len(name) <= room
    assert len(name.encode()) <= 255
    assert not set(name) & set('<>:"/\\|?*, \x00\n\t')
    assert not name.endswith(".")
    assert Path("/out", name).resolve().parent == Path("/out").resolve()
    assert resolved_batch_name(name, {}, NOW, room) == name or "{" in name or len(name) == room


def test_names_inside_the_folder() -> None:
    run = Run(Path("/out/img2img-images/a"), TS)
    assert run.frame_path(12).name == f"{TS}_000000012.png"
    assert run.depth_path(3).name == f"{TS}_depth_000000003.png"
    names = [run.video_path, run.gif_path, run.srt_path, run.settings_path]
    assert [path.name for path in names] == [
        f"{TS}{end}" for end in (".mp4", ".gif", ".srt", "_settings.txt")
    ]
    own = [run.manifest_path, run.resume_state_path, run.lock_path]
    assert [path.name for path in own] == [
        f".{TS}{end}" for end in ("_manifest.json", ".checkpoint", ".lock")
    ]


@pytest.mark.parametrize("ending", ["_manifest.json", ".checkpoint"])
def test_a_run_of_an_earlier_version_keeps_its_names_until_it_goes_on(ending: str, tmp_path: Path) -> None:
    run = Run(tmp_path, TS)
    (tmp_path / f"{TS}{ending}").write_text("its own")

    def path() -> Path:
        return run.manifest_path if "json" in ending else run.resume_state_path

    assert path().name == f"{TS}{ending}"
    run.hide_own_files()
    run.hide_own_files()
    assert path().name == f".{TS}{ending}"
    assert path().read_text() == "its own"


def test_a_new_run_lies_in_its_folder(tmp_path: Path) -> None:
    run = new_run(tmp_path, settings(batch_name="run/{seed}", seed=42), NOW)
    assert run == Run(tmp_path / "img2img-images" / "run_42", TS)
    assert run.outdir.is_dir()
    assert json.loads(run.manifest_path.read_text())["files"] == []


def test_two_runs_of_one_second_share_nothing(tmp_path: Path) -> None:
    runs = [new_run(tmp_path, settings(batch_name="same"), NOW) for _ in range(3)]
    assert [run.timestring for run in runs] == [TS, "20240309070502", "20240309070503"]


def test_a_run_does_not_take_the_timestring_of_foreign_files(tmp_path: Path) -> None:
    folder = tmp_path / "img2img-images" / "same"
    folder.mkdir(parents=True)
    (folder / f"{TS}_000000000.png").touch()
    assert new_run(tmp_path, settings(batch_name="same"), NOW).timestring == "20240309070502"


def test_a_resumed_run_finds_its_folder_again(tmp_path: Path) -> None:
    first = new_run(tmp_path, settings(batch_name="a_{timestring}"), NOW)
    assert resumed_run(tmp_path, settings(batch_name="a_{timestring}"), first.timestring) == first


@pytest.mark.parametrize(
    "timestring", ["", "../20240309070501", "2024030907050", "20241309070501", "٢" * 14, "x\x00"]
)
def test_a_resume_timestring_is_a_time(tmp_path: Path, timestring: str) -> None:
    with refuses(SettingsError, "timestring_invalid", "resume_timestring") as caught:
        resumed_run(tmp_path, settings(), timestring)
    assert caught.value.problems[0].setting == "resume_timestring"


def test_a_link_inside_the_output_folder_is_not_written_through(tmp_path: Path) -> None:
    images = tmp_path / "img2img-images"
    (images / "other").mkdir(parents=True)
    (images / "waves").symlink_to(images / "other", target_is_directory=True)
    with refuses(SettingsError, "batch_folder_is_link", "waves"):
        new_run(tmp_path, settings(batch_name="waves"), NOW)
    assert list((images / "other").iterdir()) == []


def test_a_link_out_of_the_output_folder_is_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / "img2img-images").mkdir(parents=True)
    (root / "img2img-images" / "waves").symlink_to(outside)
    with pytest.raises(SettingsError, match="batch_name"):
        new_run(root, settings(batch_name="waves"), NOW)
    assert not list(outside.iterdir())
