"""What is wrong with a file that a settings file names: told in a sentence before the first frame; nothing is left."""

from __future__ import annotations

import http.server
import json
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from clips import clip, levels
from small_runs import SMALL, host

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.scratch import LOCK_NAME
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.pipeline.prepare import Prepared, prepare

VIDEO_MODE = {"animation_mode": "Video Input"}
HYBRID = {"hybrid_composite": "Normal"}
SOUND = {"add_soundtrack": "File", "skip_video_creation": False}
INIT = {"use_init": True, "init_image": "<image>"}
MASKED = {"use_mask": True, "mask_file": "<image>"}
GUIDED = {"use_looper": True}
UNIT = {"cn_2_enabled": True, "cn_2_model": "a model"}


def bomb() -> bytes:
    """A PNG of 30,000 x 30,000 pixels in 50 kB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 30_000 * 1_000)[:50_000].ljust(50_000, b"\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths by the name that the tables call them <by>."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "bomb.png").write_bytes(bomb())
    (folder / "list.mp3").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/a.ts\n")
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    (folder / "text.png").write_text("no image")
    cv2.imwrite(str(folder / "image.png"), np.full((64, 64, 3), 90, np.uint8))
    cv2.imwrite(str(folder / "small.png"), np.full((30, 50), 200, np.uint8))
    return {
        "nowhere": str(folder / "nowhere.mp4"),
        "empty": str(folder / "empty.mp4"),
        "bomb": str(folder / "bomb.png"),
        "playlist": str(folder / "list.mp3"),
        "concat": str(folder / "list.mp4"),
        "text": str(folder / "text.png"),
        "image": str(folder / "image.png"),
        "small": str(folder / "small.png"),
        "video": str(clip(folder / "seven.mp4", levels(7))),
    }


class Redirecting(http.server.BaseHTTPRequestHandler):
    """Sends everybody on to a place of this machine, and remembers who came."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/secret")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def redirecting() -> Iterator[str]:
    Redirecting.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://public.example:{server.server_address[1]}/a.mp4"
        server.shutdown()
        thread.join()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of its own."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-models"))
    return folder


def named(submitted: dict[str, Any], files: dict[str, str]) -> dict[str, Any]:
    text = json.dumps(SMALL | {"skip_video_creation": True, "depth_algorithm": "Plane"} | submitted)
    for name, path in files.items():
        text = text.replace(f"<{name}>", path)
    return json.loads(text)


def problems(submitted: dict[str, Any], root: Path, fetcher: Fetcher | None = None) -> tuple[Problem, ...]:
    facts = host(root, fetcher=fetcher or Fetcher())
    with pytest.raises(SettingsError) as caught:
        prepare(submitted, facts, draw_seed=lambda: 1)
    return caught.value.problems


BAD: list[tuple[str, dict[str, Any], str, str]] = [
    # A video that is not there, holds nothing, or is none.
    *(
        ("video_init_path", switch | {"video_init_path": path}, found, "expected a video")
        for switch in (VIDEO_MODE, HYBRID, {"hybrid_motion": "Affine"})
        for path, found in (
            ("<nowhere>", "does not exist"),
            ("<empty>", "not a readable video"),
            ("<text>", "not a readable video"),
            ("<concat>", "Playlists are not"),
        )
    ),
    (
        "video_mask_path",
        {"use_mask_video": True, "video_mask_path": "<nowhere>"},
        "does not exist",
        "expected a video",
    ),
    (
        "video_mask_path",
        {"use_mask_video": True, "video_mask_path": "<empty>"},
        "not a readable video",
        "expected a video",
    ),
    ("cn_2_vid_path", UNIT | {"cn_2_vid_path": "<nowhere>"}, "does not exist", "expected"),
    ("cn_2_vid_path", UNIT | {"cn_2_vid_path": "<empty>"}, "not a readable video", "expected"),
    (
        "extract_from_frame",
        VIDEO_MODE | {"video_init_path": "<video>", "extract_from_frame": 30},
        "0 frames",
        "expected",
    ),
    # An image of far too many pixels, wherever one may be named.
    *(
        (setting, switch | {setting: value}, "far too many pixels", "at most 64 million pixels")
        for setting, switch, value in (
            ("init_image", INIT, "<bomb>"),
            ("init_image_box", INIT, "<bomb>"),
            ("mask_file", MASKED | INIT, "<bomb>"),
            ("color_coherence_image_path", {"color_coherence": "Image"}, "<bomb>"),
            ("mask_schedule", MASKED | INIT, '0: ("[<bomb>]")'),
            ("noise_mask_schedule", {"use_noise_mask": True}, '0: ("[<bomb>]")'),
            ("init_images", GUIDED, '{"0": "<image>", "3": "<bomb>"}'),
            ("cn_2_vid_path", UNIT, "<bomb>"),
        )
    ),
    ("init_image", INIT | {"init_image": "<text>"}, "not a readable image", "PNG"),
    # Sound.
    ("soundtrack_path", SOUND | {"soundtrack_path": "<playlist>"}, "neither a sound", "expected"),
    ("soundtrack_path", SOUND | {"soundtrack_path": "<nowhere>"}, "not", "expected"),
    # Manifests.
    *(
        ("parseq_manifest", {"parseq_manifest": text}, found, "expected")
        for text, found in (
            ('{"rendered_frames": [', "broken in line 1"),
            ("[1, 2]", "no JSON object"),
            ('{"keyframes": []}', "no rendered_frames"),
            ('{"rendered_frames": [{"noise": 1}]}', "no frame number"),
            ('{"rendered_frames": [{"frame": 0, "noise": "x"}]}', "noise is 'x'"),
            ('{"options": {"output_fps": -1}, "rendered_frames": [{"frame": 0}]}', "output_fps is '-1'"),
        )
    ),
    # Mask expressions: each kind of mistake.
    *(
        ("mask_schedule", MASKED | INIT | {"mask_schedule": f'0: ("{text}")'}, found, "expected")
        for text, found in (
            ("", "found the end"),
            ("{everywhere} &", "found the end"),
            ("& {everywhere}", "found '&'"),
            ("{everywhere} {init_mask}", "found '{init_mask}'"),
            ("{everywhere} + {init_mask}", "found '+'"),
            ("{sky}", "found 'sky'"),
            ("sky", "found 's'"),
            ("<>", "found nothing"),
            ("[ ]", "found nothing"),
            ("!" * 1500 + "{everywhere}", "found more"),
        )
    ),
    (
        "mask_schedule",
        MASKED | INIT | {"mask_schedule": '0: ("[nowhere.png]")'},
        "does not exist",
        "the path of an image",
    ),
    # Guided images.
    (
        "init_images",
        GUIDED | {"init_images": '{"0": "<image>", "0.0": "<image>"}'},
        "two images at frame 0",
        "one",
    ),
    (
        "init_images",
        GUIDED | {"init_images": '{"2": "<image>", "max_f/2": "<image>"}'},
        "two images",
        "one",
    ),
    ("init_images", GUIDED | {"init_images": '{"0": "<image>"'}, "not valid JSON", "line 1, column"),
    ("init_images", GUIDED, "names no image", "a.png"),
]


@pytest.mark.parametrize(
    ("setting", "submitted", "found", "remedy"),
    BAD,
    ids=[f"{n}-{row[0]}-{row[2]}" for n, row in enumerate(BAD)],
)
def test_bad_files_are_told_before_the_first_frame(
    setting: str,
    submitted: dict[str, Any],
    found: str,
    remedy: str,
    files: dict[str, str],
    scratch: Path,
    tmp_path: Path,
) -> None:
    told = [one for one in problems(named(submitted, files), tmp_path / "out") if one.setting == setting]
    assert told, "another setting is blamed"
    assert any(
        found in one.message and (remedy in one.message or remedy in (one.allowed or "")) for one in told
    ), told
    for one in told:
        assert setting in one.message
        assert one.message[-1] in ".?"
        assert one.message.isprintable()
    assert not (tmp_path / "out").exists()
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "submitted"),
    [
        ("video_init_path", VIDEO_MODE),
        ("video_mask_path", {"use_mask_video": True}),
        ("init_image", INIT),
        ("soundtrack_path", SOUND),
        ("parseq_manifest", {}),
    ],
)
def test_a_redirect_to_this_machine_is_not_followed(
    setting: str,
    submitted: dict[str, Any],
    redirecting: str,
    files: dict[str, str],
    scratch: Path,
    tmp_path: Path,
) -> None:
    fetcher = Fetcher(lambda name, port: [ip_address("127.0.0.1")], lambda address: not Redirecting.asked)
    wish = named(submitted | {setting: redirecting}, files)
    (problem,) = problems(wish, tmp_path / "out", fetcher)
    assert problem.setting == setting
    assert "not on the public network" in problem.message
    assert Redirecting.asked == ["/a.mp4"]
    assert not (tmp_path / "out").exists()
    assert not any(path.is_file() and path.name != LOCK_NAME for path in scratch.rglob("*"))


def planned(submitted: dict[str, Any], files: dict[str, str], root: Path) -> Prepared:
    return prepare(named(submitted, files), host(root), draw_seed=lambda: 1)


@pytest.mark.parametrize(
    "changes", [{"mask_file": "<small>"}, {"mask_schedule": '0: ("[<small>]")', "mask_file": ""}]
)
def test_a_mask_of_another_size_is_scaled_and_told(
    changes: dict[str, Any], files: dict[str, str], tmp_path: Path
) -> None:
    texts = planned(MASKED | INIT | changes, files, tmp_path).warnings
    (said,) = [text for text in texts if code_of(text) == "mask_is_scaled"]
    assert next(name for name, value in changes.items() if "small" in value) in said
    assert "50x30 pixels, the video 64x64" in said


def test_a_mask_of_the_right_size_or_without_use_is_no_word_worth(
    files: dict[str, str], tmp_path: Path
) -> None:
    for changes in (
        MASKED | INIT,
        {"mask_file": "<small>"},
        MASKED | INIT | {"mask_file": "<small>", "mask_schedule": '0: ("{everywhere}")'},
    ):
        assert not [text for text in planned(changes, files, tmp_path).warnings if "pixels" in text]


def test_a_video_of_another_length_than_asked_is_told(files: dict[str, str], tmp_path: Path) -> None:
    video = {"video_init_path": "<video>"}
    asked = planned(VIDEO_MODE | video | {"max_frames": 40}, files, tmp_path)
    assert asked.plan.frames == 7
    assert any("max_frames is 40, but video_init_path has 7 frames" in text for text in asked.warnings)
    cut = planned(VIDEO_MODE | video | {"max_frames": 5, "extract_to_frame": 99}, files, tmp_path)
    assert any("has only 7 frames" in text for text in cut.warnings)
    assert any("max_frames is 5, but video_init_path has 7 frames" in text for text in cut.warnings)
    hybrid = {"animation_mode": "2D", "hybrid_composite": "Normal", "hybrid_motion": "None"}
    composited = planned(VIDEO_MODE | video | hybrid | {"max_frames": 5}, files, tmp_path)
    assert composited.plan.frames == 7
    assert any("max_frames is 5, but video_init_path has 7 frames" in text for text in composited.warnings)
    for same in ({"max_frames": 7}, {"max_frames": 120}):
        agreed = planned(VIDEO_MODE | video | same, files, tmp_path)
        assert not [text for text in agreed.warnings if "max_frames" in text]
