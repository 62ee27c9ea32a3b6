"""What settings may name: addresses, files, models. Asked for over HTTP, with the real checks."""

from __future__ import annotations

import base64
import resource
import socket
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.hosts.flags import make_parser
from deforum_api.hosts.standalone import chosen_engine
from deforum_helpers.core.errors import ModelError
from tests.api.fake_renderer import SMALL, Renderer, refused, serving, strict_queue

# (what asks for the file, the setting that names it)
NAMED: list[tuple[dict[str, Any], str]] = [
    ({"use_init": True}, "init_image"),
    ({"use_mask": True, "use_init": True}, "mask_file"),
    ({"animation_mode": "Video Input"}, "video_init_path"),
    ({"animation_mode": "Video Input", "use_mask_video": True}, "video_mask_path"),
    ({"add_soundtrack": "File"}, "soundtrack_path"),
    ({"color_coherence": "Image"}, "color_coherence_image_path"),
]


@pytest.fixture
def strict(renderer: Renderer) -> Iterator[TestClient]:
    queue = strict_queue(renderer)
    with serving(queue) as client:
        yield client
    assert queue.close(20)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        made.settimeout(0.05)
        yield made


@pytest.mark.parametrize(("asking", "setting"), NAMED, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_no_setting_opens_a_connection_to_this_machine(
    strict: TestClient, listener: socket.socket, asking: dict[str, Any], setting: str, host: str
) -> None:
    url = f"http://{host}:{listener.getsockname()[1]}/secret.png"
    assert "not on the public network" in refused(strict, {**asking, setting: url}, setting)
    with pytest.raises(TimeoutError):
        listener.accept()


@pytest.mark.parametrize(("asking", "setting"), NAMED, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://x.example/a", "concat:a|b", "subfile,,start,0,,:a"]
)
def test_no_other_protocol_is_spoken(
    strict: TestClient, asking: dict[str, Any], setting: str, address: str
) -> None:
    refused(strict, {**asking, setting: address}, setting)


@pytest.mark.parametrize(
    "content", ["#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "ffconcat version 1.0\nfile '/etc/passwd'\n"]
)
@pytest.mark.parametrize("name", ["list.mp3", "-i", "list.m3u8"])
def test_a_playlist_is_no_soundtrack_and_a_dash_no_option(
    strict: TestClient, tmp_path: Path, content: str, name: str
) -> None:
    (tmp_path / name).write_text(content)
    refused(strict, {"add_soundtrack": "File", "soundtrack_path": str(tmp_path / name)}, "soundtrack_path")


@lru_cache
def bomb() -> str:
    """A PNG of 30,000 x 30,000 pixels in 50 kB, as a data URL."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    packer = zlib.compressobj()
    pixels = b"".join(packer.compress(bytes(1_000_000)) for _ in range(40)) + packer.flush()
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(whole).decode()


def most_memory_kb() -> int:
    """The most memory that this program ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize(("asking", "setting"), [NAMED[0], NAMED[1], NAMED[5]])
def test_an_image_bomb_is_refused_before_it_is_decoded(
    strict: TestClient, asking: dict[str, Any], setting: str
) -> None:
    url = bomb()
    assert len(url) < 100_000
    before = most_memory_kb()
    assert "64 million pixels" in refused(strict, {**asking, setting: url}, setting)
    assert most_memory_kb() - before < 50_000


def test_deep_json_in_a_setting_is_refused(strict: TestClient) -> None:
    deep = "[" * 5000 + "]" * 5000
    for setting in ("prompts", "animation_prompts"):
        answer = strict.post("/deforum_api/batches", json={"deforum_settings": {**SMALL, setting: deep}})
        assert answer.status_code == 400, (setting, answer.text)
    answer = strict.post(
        "/deforum/run", json={"settings_json": f'{{"prompts": {deep}}}', "allowed_params": "prompts"}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize("end", ["ckpt", "pt", "pth", "bin", "pkl"])
def test_a_pickle_is_no_checkpoint(tmp_path: Path, end: str) -> None:
    model = tmp_path / f"model.{end}"
    model.write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    flags = make_parser().parse_args(["--ckpt", str(model)])
    with pytest.raises(ModelError, match=r"pickle.*safetensors"):
        chosen_engine(flags)


@pytest.mark.parametrize("name", ["model.ckpt", "../model.safetensors", "/etc/passwd", "owner/model"])
def test_no_job_chooses_a_file_as_its_model(strict: TestClient, name: str) -> None:
    body = {"deforum_settings": SMALL, "options_overrides": {"sd_model_checkpoint": name}}
    answer = strict.post("/deforum_api/batches", json=body)
    assert answer.status_code == 400
    refused(
        strict,
        {"enable_checkpoint_scheduling": True, "checkpoint_schedule": f'0: ("{name}")'},
        "checkpoint_schedule",
    )
