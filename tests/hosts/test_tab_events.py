"""The tab's events inside the fake host's pages, as a hostile page calls them, on the gradio of the environment."""

from __future__ import annotations

import json
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.hosts.test_fake_webui import HOST_GRADIO, LOGIN, ROOT, Program

pytestmark = [
    pytest.mark.skipif(not HOST_GRADIO, reason="needs the gradio of a host"),
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names"),
]
SECRET = f"secret-{secrets.token_hex(12)}"
META = {"_type": "gradio.FileData"}
PATIENCE_S = 120


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that no host allows, with traps."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "link.txt").symlink_to(folder / "secret.txt")
    os.mkfifo(folder / "pipe.txt")
    return folder


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("host")
    kind = "a1111" if metadata.version("gradio")[0] == "3" else "forge"
    (folder / "extensions").mkdir()
    (folder / "extensions" / "deforum").symlink_to(ROOT)
    flags = ("--deforum-api", "--api-auth", LOGIN, "--kind", kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "gradio"))
        started = Program(folder, folder / "extensions" / "deforum", *flags)
    yield started
    started.stop()


def asked(url: str, body: Any = None, kind: str = "application/json") -> tuple[int, bytes]:
    """Send a request; one that is not answered in two minutes is a fault."""
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def events(host: Program) -> dict[int, tuple[list[str], list[Any]]]:
    """Our events: number -> the elements and the start values of their inputs."""
    config = json.loads(asked(f"{host.base}/config")[1])
    parts = {part["id"]: part["props"] for part in config["components"]}
    found = {}
    for place, event in enumerate(config["dependencies"]):
        names = [str(parts[one].get("elem_id")) for one in event["inputs"]]
        if event["backend_fn"] and names and all(name.startswith("deforum_") for name in names):
            found[event.get("id", place)] = (names, [parts[one].get("value") for one in event["inputs"]])
    return found


def called(host: Program, event: int, values: list[Any]) -> str:
    body = {"data": values, "fn_index": event, "session_hash": "x"}
    return asked(f"{host.base}/run/predict", body)[1].decode()


def forms(path: str) -> list[Any]:
    data = {"path": path, "meta": META}
    return [
        path,
        data,
        [data],
        {"name": path, "data": None, "is_file": True, "orig_name": "a.txt"},
        [{"name": path, "data": None, "is_file": True}],
        {"path": path, "url": f"/file={path}", "orig_name": "a.png", "meta": META},
        {"image": data, "caption": None},
    ]


def test_no_value_of_any_event_is_a_way_to_a_file(host: Program, elsewhere: Path) -> None:
    traps = [*map(str, elsewhere.iterdir()), "/etc/hostname", "/dev/zero"]
    shapes: list[Any] = []
    for trap in traps:
        shapes += forms(trap)
    hidden = Path("/etc/hostname").read_text().strip() if Path("/etc/hostname").is_file() else ""
    number = 0
    for event, (names, values) in events(host).items():
        places = range(len(values)) if len(values) < 20 else range(event % 13, len(values), 13)
        for place in places:
            number += 1
            shape = shapes[number % len(shapes)]
            if isinstance(shape, str) and names[place].startswith("deforum_field_"):
                continue  # a path in a setting is what a job may name
            changed = [*values]
            changed[place] = shape
            said = called(host, event, changed)
            assert SECRET not in said, (names[place], shape)
            assert not (len(hidden) > 8 and hidden in said), (names[place], shape)
            assert "file=" not in said, (names[place], shape, said[:500])
    assert number > 100
    assert not list((host.folder / "gradio").rglob("*secret*"))


def test_a_file_comes_by_its_upload_alone(host: Program, elsewhere: Path) -> None:
    found = events(host)
    (load,) = [
        event for event, (names, _) in found.items() if names[:2] == ["deforum_drop", "deforum_field_W"]
    ]
    values = found[load][1][1:]
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="mine.txt"\r\n\r\n{"W": 320}\r\n--x--\r\n'
    code, answer = asked(f"{host.base}/upload", form, "multipart/form-data; boundary=x")
    assert code == 200
    (path,) = json.loads(answer)
    upload = "/".join(path.replace("\\", "/").split("/")[-2:])
    assert json.loads(called(host, load, [upload, *values]))["data"][0] == 320
    for wrong in (path, str(elsewhere / "secret.txt"), f"{upload}/../../../secret.txt", "secret.txt"):
        said = called(host, load, [wrong, *values])
        assert "tab_upload_unknown" in said
        assert SECRET not in said


def test_settings_of_the_output_folder_are_no_way_out_of_it(host: Program, elsewhere: Path) -> None:
    found = events(host)
    for event, (names, values) in found.items():
        if names[0] != "deforum_file_name":
            continue
        for name in ("../secret.txt", str(elsewhere / "secret.txt"), "config.json", "ui-config.json"):
            said = called(host, event, [name, *values[1:]])
            assert SECRET not in said
            assert "tab_settings_saved" not in said


def test_what_a_page_kept_gets_no_file_into_a_component(host: Program, elsewhere: Path) -> None:
    """The host's gradio would make a component's value of what an answer holds."""
    inside = host.folder / "config_of_the_host.txt"
    inside.write_text(SECRET)
    found = events(host)
    filling = [
        event for event, (names, _) in found.items() if names[:2] == ["deforum_sent", "deforum_field_W"]
    ]
    assert filling
    for event in filling:
        for path in (inside, elsewhere / "secret.txt"):
            for shape in forms(str(path)):
                command = json.dumps({"act": "kept", "values": {"W": shape, "init_image_box": shape}})
                said = called(host, event, [command, *found[event][1][1:]])
                assert "file=" not in said
                assert SECRET not in said
    code, body = asked(f"{host.base}/file={quote(str(elsewhere / 'secret.txt'))}")
    assert (code in (403, 404), SECRET.encode() in body) == (True, False)
