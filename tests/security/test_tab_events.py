"""The tab's events as a hostile page would call them: no file's content, no error of the server, no hang.

The search of every day takes half a minute at most; DEFORUM_FUZZ_S=600 lets it look for ten minutes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.security.tab_server import SECRET, Tab, serving, told

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="gradio is not installed"),
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names"),
]
FUZZ_S = float(os.environ.get("DEFORUM_FUZZ_S", "30"))
META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with serving(tmp_path_factory.mktemp("tab")) as served:
        yield served


# An option is text or a number, so a list of texts, which other controls take, is refused by the check of its value.
REFUSED = ("tab_control_", "tab_upload_ids_expected", "invalid_option_value")
TAKES_A_LIST = "deforum_plot_names"  # of texts; those that name no schedule are ignored


def objects(path: str) -> list[Any]:
    """A path in every form in which some gradio knows a file, and in some that none does."""
    data = {"path": path, "meta": META}
    return [
        data,
        {"path": path},
        {**data, "url": f"/gradio_api/file={path}", "orig_name": "a.txt", "mime_type": "image/png"},
        {"name": path, "data": None, "is_file": True, "orig_name": "a.txt"},
        {"name": "a.txt", "data": "data:text/plain;base64,QQ=="},
        [data],
        [path],
        [[data, None]],
        {"video": data, "subtitles": None},
        {"image": data, "caption": None},
        {"background": data, "layers": [data], "composite": data},
        {"value": data},
        {"__type__": "update", "value": path},
        {"path": f"http://127.0.0.1:1/{path}", "meta": META},
        {"path": "", "url": f"file://{path}", "meta": META},
        {"a": {"b": [{"c": data}]}},
    ]


def texts(path: str) -> list[str]:
    """A path as what text may hold."""
    return [
        path,
        f"file={path}",
        f"file://{path}",
        f"../../../../..{path}",
        f"{'a' * 32}/../../../../..{path}",
        json.dumps({"act": "kept", "values": {"W": {"path": path, "meta": META}, "init_image_box": path}}),
        json.dumps({"init_image_box": path, "init_image": path, "use_init": True}),
        json.dumps({"act": "run", "name": path}),
        json.dumps({"act": "preset", "name": path}),
        json.dumps({"act": "folder", "job": path}),
    ]


def test_no_event_takes_an_object_for_any_of_its_values(tab: Tab) -> None:
    """Each value of each event once; which trap and which form it gets goes round."""
    forms = [form for trap in tab.traps for form in objects(str(trap))]
    number = 0
    for event, values in tab.events.items():
        places = range(len(values)) if len(values) < 20 else range(event % 9, len(values), 9)
        for place in places:
            number += 1
            form = forms[number % len(forms)]
            if tab.inputs[event][place] == TAKES_A_LIST and isinstance(form, list):
                form = forms[0]
            changed = [*values]
            changed[place] = form
            answer = tab.event(event, changed, session_hash="x")
            assert told(answer) is None, (event, tab.inputs[event][place], changed[place])
            said = answer.body.decode()
            assert any(code in said for code in REFUSED), said[:1500]
            assert "gradio_api/file=" not in said


@pytest.mark.parametrize("box", ["deforum_drop", "deforum_tool_film", "deforum_tool_pictures"])
def test_a_box_takes_only_what_was_uploaded(tab: Tab, box: str) -> None:
    for event in tab.numbered(box):
        for trap in tab.traps:
            for text in texts(str(trap)):
                answer = tab.event(event, [text, *tab.events[event][1:]])
                assert told(answer) is None, text
                assert "tab_upload_unknown" in answer.body.decode(), text


def test_a_file_that_was_uploaded_is_loaded_by_its_id_alone(tab: Tab) -> None:
    (load,) = tab.numbered("deforum_drop", "deforum_field_W")
    values = tab.events[load][1:]
    (upload,) = tab.upload("mine.txt", json.dumps({"W": 320}).encode()).json()
    assert tab.event(load, [upload, *values]).json()["data"][0] == 320
    folder, _, name = upload.partition("/")
    assert name == "mine.txt"
    for wrong in (
        name,
        f"{'0' * 32}/{name}",
        f"{folder}/../{upload}",
        f"/{upload}",
        f"{folder}/.mine.txt",
        folder,
    ):
        answer = tab.event(load, [wrong, *values])
        assert (told(answer), answer.json()["data"][0]) == (None, {"__type__": "update"}), wrong


@pytest.mark.parametrize(
    "name",
    ["../../x.txt", "/etc/x.txt", ".hidden", "..", "", "a\\..\\b.txt", "x" * 400 + ".txt", "CON", "ü☀.txt"],
)
def test_the_name_of_an_upload_leads_nowhere(tab: Tab, name: str) -> None:
    before = {path for path in tab.outdir.parent.rglob("*") if "deforum-dropped-" not in str(path)}
    answer = tab.upload(name, b"{}")
    assert told(answer) is None
    if answer.code == 200:
        (upload,) = answer.json()
        assert upload.count("/") == 1
        (load,) = tab.numbered("deforum_drop", "deforum_field_W")
        assert "dropped here" not in tab.event(load, [upload, *tab.events[load][1:]]).body.decode()
    after = {path for path in tab.outdir.parent.rglob("*") if "deforum-dropped-" not in str(path)}
    assert after == before


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "multipart/form-data", "multipart/form-data; boundary="]
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n\r\n\r\n--x--",
        b"\x00" * 100,
        b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--",
    ],
)
def test_a_form_that_is_none_is_refused(tab: Tab, kind: str, body: bytes) -> None:
    answer = tab.ask("POST", "/gradio_api/upload", body, **{"Content-Type": kind})
    assert (answer.code, told(answer)) == (422, None)


SPELLINGS = (
    "/gradio_api/file={}",
    "/gradio_api/file=/{}",
    "/gradio_api/file=./{}",
    "/gradio_api/file%3D{}",
    "/gradio_api/file/{}",
    "/file={}",
    "/file/{}",
    "/gradio_api//file={}",
    "/gradio_api/./file={}",
    "/assets/..{}",
    "/assets/../../../../../../../../..{}",
    "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{}",
    "/assets//{}",
    "/gradio_api/proxy=file://{}",
    "/gradio_api/proxy={}",
    "/custom_component/{}/client/a/b",
)


def test_no_spelling_of_a_file_route_gives_more_than_outputs(tab: Tab) -> None:
    server = [
        tab.outdir / "deforum.log",
        tab.outdir / "deforum_jobs.sqlite3",
        tab.outdir / "deforum_options.json",
    ]
    around = [
        tab.outdir / "folder" / "secret.txt",
        tab.outdir / "img2img-images" / ".." / "secret.log",
        tab.outdir,
    ]
    for path in (*tab.traps, *server, *around):
        for spelling in SPELLINGS:
            for written in (
                str(path),
                quote(str(path)),
                quote(str(path), safe=""),
                str(path).replace("/", "//"),
            ):
                answer = tab.ask("GET", spelling.format(written).replace(" ", "%20"))
                assert (answer.code, told(answer)) == (404, None), (spelling, written)


def test_outputs_are_served_whole_and_in_parts(tab: Tab) -> None:
    video = tab.outdir / "img2img-images" / "run" / "20260102030405.mp4"
    video.write_bytes(b"0123456789")
    path = f"/gradio_api/file={quote(video.as_posix())}"
    whole = tab.ask("GET", path)
    assert (whole.code, whole.body, whole.headers["content-type"]) == (200, b"0123456789", "video/mp4")
    part = tab.ask("GET", path, Range="bytes=2-4")
    assert (part.code, part.body) == (206, b"234")
    assert tab.ask("HEAD", path).headers["content-length"] == "10"
    assert tab.post(path, {}).code == 404


@pytest.mark.parametrize(
    "path",
    [
        "queue/join",
        "call/predict",
        "call/v2/predict",
        "api/predict",
        "run/predict/",
        "component_server",
        "stream/x",
        "reset",
        "cancel",
        "process_recording",
        "vibe-edit/",
        "deep_link",
        "file=/etc/hostname",
    ],
)
def test_what_gradio_offers_besides_is_closed(tab: Tab, path: str) -> None:
    event = next(iter(tab.events))
    body = {"data": [{"path": str(tab.traps[0]), "meta": META}], "fn_index": event, "session_hash": "x"}
    answer = tab.post(f"/gradio_api/{path}", body)
    assert answer.code in (404, 405)
    assert told(answer) is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"data": []},
        {"fn_index": 0},
        {"data": {}, "fn_index": 1},
        {"data": [], "fn_index": "1"},
        {"data": [], "fn_index": True},
        {"data": [], "fn_index": 10**30},
        {"data": [], "fn_index": [1]},
        {"data": [""] * 3, "fn_index": None, "event_id": "x", "trigger_id": {"path": "/etc/hostname"}},
    ],
)
def test_a_call_of_no_event_is_refused(tab: Tab, body: Any) -> None:
    answer = tab.post("/gradio_api/run/predict", body)
    assert answer.code == 422
    assert answer.json()["error"] == answer.json()["message"]


@pytest.mark.parametrize(
    "name", ["link.txt", "pipe.txt", "folder/secret.txt", "deforum_options.json", "config.json", "new.png"]
)
def test_settings_are_neither_saved_over_nor_loaded_from_what_is_no_settings_file(
    tab: Tab, name: str
) -> None:
    (tab.outdir / "deforum_options.json").write_text('{"deforum_ffmpeg_crf": 20}')
    was = {path: path.lstat().st_mode for path in tab.outdir.iterdir()}
    events = tab.numbered("deforum_file_name")
    assert len(events) == 3  # save, load, load the video's
    for event in events:
        answer = tab.event(event, [name, *tab.events[event][1:]])
        assert told(answer) is None
        assert "tab_settings_saved" not in answer.body.decode()
        assert "settings changed" not in answer.body.decode()
    assert {path: path.lstat().st_mode for path in tab.outdir.iterdir()} == was
    assert (tab.outdir / "deforum_options.json").read_text() == '{"deforum_ffmpeg_crf": 20}'
    assert SECRET in tab.traps[0].read_text()


def test_images_outside_the_output_folder_are_not_stitched(tab: Tab) -> None:
    shots = tab.outdir.parent / "shots"
    shots.mkdir(exist_ok=True)
    for number in range(3):
        (shots / f"{number:04d}.png").write_text(SECRET)
    (stitch,) = tab.numbered("deforum_tool_pattern")
    for path in (shots / "%04d.png", tab.outdir / "folder" / "shots" / "%04d.png", "../shots/%04d.png"):
        answer = tab.event(stitch, [str(path), *tab.events[stitch][1:]])
        assert told(answer) is None
        assert "inside the output folder" in answer.body.decode()


def odd(draw: random.Random, traps: tuple[Path, ...]) -> Any:
    """A value that a control may or may not hold."""
    trap = str(draw.choice(traps))
    plain: list[Any] = [
        None,
        True,
        False,
        0,
        -1,
        1e300,
        10**14,
        2**31,
        0.1,
        "",
        " ",
        "x" * 1000,
        "\ud800",
        "\0",
        "[" * 3000,
    ]
    plain += [
        "0:(1)",
        "{}",
        "[]",
        "null",
        '{"0": 1}',
        "9**9**9",
        "<b>",
        "\u202e",
        "%09d.png",
        "nan",
        "1" * 300,
    ]
    return draw.choice([*plain, *texts(trap), *objects(trap)])


@pytest.mark.timeout(FUZZ_S + 300)
def test_random_events_give_nothing_away_and_always_an_answer(tab: Tab) -> None:
    draw = random.Random(20260102 if FUZZ_S < 60 else time.time_ns())
    end, count = time.monotonic() + FUZZ_S, 0
    while time.monotonic() < end:
        event = draw.choice([*tab.events])
        values = [*tab.events[event]]
        for place in draw.sample(range(len(values)), min(len(values), draw.choice([1, 1, 2, 5]))):
            values[place] = odd(draw, tab.traps)
        answer = tab.event(event, values, session_hash=draw.choice(["x", "../x", None]))
        assert told(answer) is None, (event, tab.inputs[event][:3], values)
        count += 1
    assert count > 10
    assert tab.ask("GET", "/deforum_api/health").code == 200
