"""The extension's script inside a host: what it registers, what a reload changes, what it does beside another one."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from deforum_api.hosts import in_webui
from deforum_api.hosts.messages import LOCKSTEP_IN_WEBUI
from deforum_api.queue.record import Job
from deforum_helpers.core.files.scratch import LOCK_NAME, VIDEO
from deforum_helpers.settings.host_options import PREVIEWS, Options
from deforum_helpers.webui.facts import output_folders
from deforum_helpers.webui.pages import add_options
from preload import preload

ROOT = Path(__file__).resolve().parents[2]
SHIM = ROOT / "scripts" / "deforum.py"


def load_script(path: Path = SHIM) -> ModuleType:
    """Run the script as hosts do: its module is in no list."""
    spec = importlib.util.spec_from_file_location("deforum.py", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.fixture
def loaded(host: Any) -> Iterator[Any]:
    """The host with our flags on, our script loaded and our options registered."""
    vars(host.shared.cmd_opts).update(
        deforum_api=True,
        deforum_simple_api=False,
        deforum_run_now="",
        deforum_terminate_after_run_now=False,
        api_auth=None,
    )
    in_webui.host_queue.cache_clear()
    in_webui._started_run_now.cache_clear()
    load_script()
    yield host
    if in_webui.host_queue.cache_info().currsize:
        assert in_webui.host_queue().close(10)
        in_webui.host_queue().store.close()
    in_webui.host_queue.cache_clear()


def new_app(host: Any) -> tuple[FastAPI, TestClient]:
    """A new app of the host, as it is after every reload."""
    app = FastAPI()
    host.script_callbacks.call("app_started", None, app)
    return app, TestClient(app, base_url="http://localhost")


def paths(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (route.path, method)
        for route in app.routes
        for method in sorted(getattr(route, "methods", None) or ())
    ]


def test_the_routes_are_on_every_new_app_once_and_share_one_queue(loaded: Any) -> None:
    first, client = new_app(loaded)
    loaded.script_callbacks.clear_callbacks()
    load_script()
    second, other = new_app(loaded)
    loaded.script_callbacks.call("app_started", None, second)
    assert client.get("/deforum_api/jobs").json() == other.get("/deforum_api/jobs").json() == {}
    assert len(paths(second)) == len(set(paths(second)))
    assert paths(first) == paths(second)
    assert first.state.deforum.jobs is second.state.deforum.jobs


def gradio_app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gradio's class of apps."""

    class App:
        @staticmethod
        def create_app(blocks: str, app_kwargs: Any = None) -> FastAPI:
            return FastAPI(title=blocks)

    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace(routes=SimpleNamespace(App=App)))
    monkeypatch.setitem(sys.modules, "gradio.routes", SimpleNamespace(App=App))
    return App


def test_the_routes_are_there_before_the_hosts_port_opens(
    loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    apps = gradio_app(monkeypatch)
    plain = apps.create_app
    for reload in range(2):
        loaded.script_callbacks.call("before_ui")
        app = apps.create_app("pages", app_kwargs={})
        assert app.title == "pages"
        client = TestClient(app, base_url="http://localhost")
        assert client.get("/deforum_api/jobs").json() == {}, reload
        loaded.script_callbacks.call("app_started", None, app)
        assert len(paths(app)) == len(set(paths(app)))
        assert apps.create_app is plain
        assert TestClient(apps.create_app("another's")).get("/deforum_api/jobs").status_code == 404


def test_the_pages_open_without_us_where_our_routes_cannot_be_made(
    loaded: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    apps = gradio_app(monkeypatch)
    monkeypatch.setattr(in_webui, "access_of", lambda _flags: 1 / 0)
    loaded.script_callbacks.call("before_ui")
    assert apps.create_app("pages").title == "pages"
    in_webui.stop_watching()


def test_a_host_without_our_flags_is_not_watched(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    apps = gradio_app(monkeypatch)
    plain = apps.create_app
    loaded.shared.cmd_opts.deforum_api = False
    loaded.script_callbacks.call("before_ui")
    assert apps.create_app is plain


def test_jobs_are_there_again_when_the_host_was_started_again(loaded: Any, host: Any) -> None:
    _, client = new_app(loaded)
    in_webui.host_queue().runner.begin_close()  # as if it were killed before it began the job
    answer = client.post("/deforum_api/batches", json={"deforum_settings": {"max_frames": 2}})
    assert answer.status_code == 202, answer.text
    assert in_webui.host_queue().close(10)
    in_webui.host_queue().store.close()
    in_webui.host_queue.cache_clear()
    _, client = new_app(loaded)
    assert list(client.get("/deforum_api/jobs").json()) == answer.json()["job_ids"]
    assert (host.folder / "deforum_jobs.sqlite3").exists()


def test_what_a_killed_host_left_is_removed(
    loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"{VIDEO}0000"
    folder.mkdir()
    (folder / LOCK_NAME).touch()
    new_app(loaded)
    assert not folder.exists()


def test_files_of_jobs_are_found_in_the_folder_that_the_host_has_now(loaded: Any) -> None:
    root, images_folder = output_folders()
    folder = root / (images_folder or "img2img-images") / "run"
    folder.mkdir(parents=True)
    (folder / "20260102030405_settings.txt").write_text("{}")
    job = Job("batch(1)-0", "batch(1)", 0, "{}", "null", 1.0, 1.0, timestring="20260102030405")
    moved = replace(job, outdir="/gone/outputs/of old/run")
    assert in_webui.host_queue().located(moved).outdir == str(folder)


def test_a_job_database_that_is_of_no_use_is_told_and_mended_by_a_reload(
    loaded: Any, host: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("deforum_api"), "propagate", True)
    said: list[str] = []
    gradio = SimpleNamespace(
        Blocks=lambda **_: nullcontext("blocks"), Textbox=lambda value, **_: said.append(value)
    )
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    database = host.folder / "deforum_jobs.sqlite3"
    database.write_bytes(b"not a database " * 1000)
    _, client = new_app(loaded)
    assert client.get("/deforum_api/jobs").status_code == 404
    assert [(blocks, title) for blocks, title, _ in in_webui.tabs()] == [("blocks", "Deforum")]
    for text in (said[0], caplog.messages[-1]):
        assert "is damaged" in text
        assert "move it away" in text
        assert text.endswith('Then press "Reload UI".')
    assert database.read_bytes() == b"not a database " * 1000
    database.unlink()
    _, client = new_app(loaded)
    assert client.get("/deforum_api/jobs").json() == {}


@pytest.mark.parametrize(
    ("flags", "jobs", "version"),
    [({"deforum_api": False}, 404, 404), ({"deforum_api": False, "deforum_simple_api": True}, 404, 200)],
)
def test_only_what_the_flags_ask_for_is_served(
    loaded: Any, flags: dict[str, bool], jobs: int, version: int
) -> None:
    vars(loaded.shared.cmd_opts).update(flags)
    _, client = new_app(loaded)
    assert client.get("/deforum_api/jobs").status_code == jobs
    assert client.get("/deforum/version").status_code == version


def test_the_hosts_login_guards_our_routes(loaded: Any) -> None:
    loaded.shared.cmd_opts.api_auth = "ann:pw,bob:word"
    _, client = new_app(loaded)
    assert client.get("/deforum_api/jobs").status_code == 401
    assert client.get("/deforum_api/jobs", auth=("bob", "pw")).status_code == 401
    assert client.get("/deforum_api/jobs", auth=("bob", "word")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_foreign_pages_change_nothing_in_a_host(loaded: Any, headers: dict[str, str], code: int) -> None:
    _, client = new_app(loaded)
    answer = client.post("/deforum_api/batches", content=b'{"deforum_settings": {}}', headers=headers)
    assert (answer.status_code, answer.json()["errors"]) == (code, [])
    assert client.get("/deforum_api/jobs").json() == {}


@pytest.mark.parametrize(
    ("settings", "overrides", "named"),
    [
        ({"zoom": "0:(__import__('os').system('x'))"}, None, "zoom"),
        ({"use_init": True, "init_image": "http://127.0.0.1:1/a.png"}, None, "init_image"),
        ({"use_init": True, "init_image": "file:///etc/passwd"}, None, "init_image"),
        ({"batch_name": ".."}, None, "batch_name"),
        ({"W": 100_000}, None, "W"),
        ({}, {"outdir_samples": "../x"}, "options_overrides.outdir_samples"),
        (
            {},
            {"deforum_persistent_settings_path": "/etc/x"},
            "options_overrides.deforum_persistent_settings_path",
        ),
        ({}, {"sd_checkpoint_hash": "x"}, "options_overrides.sd_checkpoint_hash"),
    ],
)
def test_attacks_in_settings_are_refused_by_a_host(
    loaded: Any, settings: dict[str, Any], overrides: dict[str, Any] | None, named: str
) -> None:
    _, client = new_app(loaded)
    body = {"deforum_settings": {"max_frames": 4, **settings}, "options_overrides": overrides}
    answer = client.post("/deforum_api/batches", json=body)
    assert answer.status_code == 400
    assert named in [error["setting"] for error in answer.json()["errors"]]
    assert client.get("/deforum_api/jobs").json() == {}


def test_the_log_of_our_modules_is_kept_where_the_videos_are(loaded: Any) -> None:
    new_app(loaded)
    root, _ = in_webui.output_folders()
    assert (root / "deforum.log").is_file()


def test_health_tells_the_host_and_its_present_model(loaded: Any) -> None:
    _, client = new_app(loaded)
    health = client.get("/deforum_api/health").json()
    assert (health["host"], health["engine"]) == ("Forge" if loaded.forge else "A1111", "webui")
    assert health["model"] == "first.safetensors"
    loaded.shared.opts.set("sd_model_checkpoint", "second.safetensors [2222222222]")
    assert client.get("/deforum_api/health").json()["model"] == "second.safetensors"


def test_a_package_of_our_name_from_elsewhere_stops_us_in_one_sentence(
    host: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ModuleType("deforum_helpers")
    other.__file__ = str(tmp_path / "other" / "deforum_helpers" / "__init__.py")
    monkeypatch.setitem(sys.modules, "deforum_helpers", other)
    load_script()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"Disable the extension in {tmp_path / 'other'}" in said
    assert not host.script_callbacks._registered


def test_one_that_comes_later_is_named_and_we_load(
    loaded: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "classic" / "scripts" / "deforum_helpers").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "classic"))
    loaded.script_callbacks.clear_callbacks()
    load_script()
    assert f"Disable the extension in {tmp_path / 'classic' / 'scripts'}" in capsys.readouterr().err
    assert len(loaded.script_callbacks._registered["app_started"]) == 1


@pytest.mark.parametrize("package", ["deforum_helpers", "deforum_api"])
def test_an_older_deforum_that_was_loaded_before_us_is_named(
    host: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    package: str,
) -> None:
    """Its folder of modules is a package without a file, its API a module."""
    other = ModuleType(package)
    if package == "deforum_helpers":
        other.__path__ = [str(tmp_path / "classic" / "scripts" / package)]
    else:
        other.__file__ = str(tmp_path / "classic" / "scripts" / f"{package}.py")
        monkeypatch.delitem(sys.modules, "deforum_helpers")
    monkeypatch.setitem(sys.modules, package, other)
    load_script()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "installed twice; this copy is not loaded" in said
    assert f"Disable the extension in {tmp_path / 'classic' / 'scripts'}" in said
    assert not host.script_callbacks._registered


def test_an_extension_that_is_not_on_the_path_yet_is_named(
    loaded: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extensions = importlib.import_module("modules.extensions")
    (tmp_path / "classic" / "scripts" / "deforum_helpers").mkdir(parents=True)
    (tmp_path / "copy" / "deforum_helpers").mkdir(parents=True)
    ours = SimpleNamespace(path=str(ROOT), enabled=True)
    for name, place in (("classic", "classic/scripts"), ("copy", "copy")):
        other = SimpleNamespace(path=str(tmp_path / name), enabled=True)
        extensions.extensions[:] = [ours, other]
        load_script()
        said = capsys.readouterr().err
        assert (
            f"installed twice; the other copy may fail to load. Disable the extension in {tmp_path / place}"
            in said
        )
        other.enabled = False
        load_script()
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("jobs", [1, 4])
def test_lockstep_is_refused_in_one_sentence(
    loaded: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    monkeypatch.setattr(logging.getLogger("deforum_api"), "propagate", True)
    monkeypatch.setattr(loaded.shared.cmd_opts, "deforum_lockstep", jobs, raising=False)
    monkeypatch.setattr(loaded.devices, "get_optimal_device", lambda: "mps")
    assert [(one.id, one.device) for one in in_webui.host_queue().workers()] == [("local", "mps")]
    assert (LOCKSTEP_IN_WEBUI() in caplog.messages) == (jobs > 1)


def test_flags_that_another_deforum_has_added_already_stand_in_nobodys_way() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--deforum-run-now", type=str, default=None)
    for _ in range(2):
        preload(parser)
    flags = parser.parse_args(["--deforum-api", "--deforum-hang-after", "9"])
    assert (flags.deforum_api, flags.deforum_hang_after, flags.deforum_run_now) == (True, 9.0, None)


def test_a_symlinked_folder_is_the_same_extension(
    loaded: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "deforum").symlink_to(ROOT)
    load_script(tmp_path / "extensions" / "deforum" / "scripts" / "deforum.py")
    assert capsys.readouterr().err == ""


def test_the_settings_page_has_our_options_and_they_are_honoured(
    loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deforum_helpers.webui.facts import host_facts

    components = ("Textbox", "Slider", "Dropdown", "Checkbox", "CheckboxGroup")
    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace(**{name: name for name in components}))
    loaded.script_callbacks.call("ui_settings")
    opts = loaded.shared.opts
    ours = {name for name in opts.data_labels if name.startswith("deforum_")}
    assert ours == {each.name for each in fields(Options) if each.name.startswith("deforum_")}
    assert {opts.data_labels[name].section for name in ours} == {("deforum", "Deforum")}
    assert all(opts.data_labels[name].default is not None for name in ours)
    asked = {name: (info.component, info.component_args) for name, info in opts.data_labels.items()}
    assert asked["deforum_ffmpeg_crf"] == ("Slider", {"minimum": 0, "maximum": 51, "step": 1})
    assert asked["deforum_preview"] == ("Dropdown", {"choices": list(PREVIEWS)})
    assert asked["deforum_save_gen_info_as_srt_params"][0] == "CheckboxGroup"
    assert asked["deforum_persistent_settings_path"] == ("Textbox", {})
    assert asked["deforum_embed_srt"] == ("Checkbox", {})
    assert all(opts.data_labels[name].label for name in ours)
    opts.set("deforum_ffmpeg_crf", 30)
    opts.set("deforum_save_gen_info_as_srt_params", ["Noise Schedule"])
    opts.set("deforum_ffmpeg_preset", "warp speed")
    opts.set("CLIP_stop_at_last_layers", 2)
    opts.set("deforum_preview", "On")
    opts.set("deforum_enable_persistent_settings", True)
    for name in ("deforum_ffmpeg_location", "deforum_persistent_settings_path"):
        assert opts.set(name, "/bin/evil", is_api=True) is False
    options = host_facts().options
    assert (options.deforum_preview, options.deforum_enable_persistent_settings) == ("On", True)
    default = loaded.shared.opts.data_labels["deforum_persistent_settings_path"].default
    assert Path(options.deforum_persistent_settings_path) == Path(os.environ["FAKE_HOST_FOLDER"], default)
    opts.set("deforum_persistent_settings_path", "/elsewhere/kept.txt")
    assert host_facts().options.deforum_persistent_settings_path == "/elsewhere/kept.txt"
    assert (options.deforum_ffmpeg_crf, options.CLIP_stop_at_last_layers) == (30, 2)
    assert options.deforum_save_gen_info_as_srt_params == ("Noise Sch",)
    assert (options.deforum_ffmpeg_preset, options.deforum_ffmpeg_location) == ("slow", "")


@pytest.mark.parametrize("name", [each.name for each in fields(Options) if each.name.startswith("deforum_")])
def test_no_option_does_nothing(name: str) -> None:
    pages = ("options.py", "pages.py")
    readers = [path for path in (ROOT / "deforum_helpers").rglob("*.py") if path.name not in pages]
    assert any(f"options.{name}" in path.read_text(encoding="utf-8") for path in readers)


def test_options_do_not_replace_what_a_config_file_has(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    components = ("Textbox", "Slider", "Dropdown", "Checkbox", "CheckboxGroup")
    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace(**dict.fromkeys(components)))
    loaded.shared.opts.data["deforum_ffmpeg_crf"] = 3
    add_options()
    assert loaded.shared.opts.deforum_ffmpeg_crf == 3


@pytest.mark.parametrize(
    ("options", "root", "inside"),
    [
        ({}, "outputs", ""),
        ({"outdir_img2img_samples": "{here}/art/img2img-images"}, "art", ""),
        ({"outdir_img2img_samples": "{here}/art/videos"}, "art", "videos"),
        ({"outdir_img2img_samples": "{here}/a/b", "outdir_samples": "{here}/all"}, "", "all"),
    ],
)
def test_videos_go_where_the_host_keeps_its_images(
    loaded: Any, options: dict[str, str], root: str, inside: str
) -> None:
    from deforum_helpers.webui.facts import output_folders

    for name, folder in options.items():
        loaded.shared.opts.set(name, folder.format(here=loaded.folder))
    assert output_folders() == (loaded.folder / root if root else loaded.folder, inside)


# What plans, renders, shows a tab or answers requests; a host's start must not wait for it.
WHEN_NEEDED = (
    *("render", "schedule", "camera", "media", "image", "controlnet", "tools", "ui", "cli"),
    *("pipeline.prepare", "pipeline.checks", "pipeline.job"),
)
NEW_MODULES = """
import fastapi, numpy, PIL.Image, uvicorn; from modules import script_callbacks, shared
import runpy, sys; before = set(sys.modules); runpy.run_path("scripts/deforum.py")
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("folders", [("fake_forge", "fake"), ("fake",)])
def test_the_script_imports_only_what_registers_the_callbacks(
    folders: tuple[str, ...], tmp_path: Path
) -> None:
    """The script imports no package that the host has not imported, and of this project neither tab nor planning."""
    path = os.pathsep.join([*(str(ROOT / "tests" / "hosts" / folder) for folder in folders), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "FAKE_HOST_FOLDER": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", NEW_MODULES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    imported = done.stdout.split()
    assert "deforum_api.hosts.in_webui" in imported
    known = {*sys.stdlib_module_names, "modules", "deforum_api", "deforum_helpers"}
    assert not {name.split(".")[0] for name in imported} - known
    late = [f"deforum_helpers.{name}" for name in WHEN_NEEDED]
    late += ["deforum_api.tab", "deforum_api.http.app", "deforum_api.http.routes"]
    assert not [name for name in imported if any(name == at or name.startswith(f"{at}.") for at in late)]
