"""Media files that would make ffmpeg open something else: lists, references inside containers, names that are patterns.

Each is given as a video and as sound. None is accepted, and nothing of the secret beside it reaches a video or a frame.
"""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from deforum_helpers.core.errors import DeforumError, SettingsError, VideoError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media import containers
from deforum_helpers.media.containers import CONTAINERS, user_input
from deforum_helpers.media.extraction import Selection, extract_frames, inspect_video
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output.audio import check_soundtrack

FFMPEG = find_ffmpeg(None)
# What opens other files, addresses or devices, runs something, or takes any text for images.
OPENING = (
    *("concat", "concatf", "hls", "applehttp", "dash", "imf", "webm_dash_manifest", "image2", "image2pipe"),
    *(
        "sdp",
        "rtsp",
        "rtp",
        "sap",
        "mpjpeg",
        "lavfi",
        "vobsub",
        "mlv",
        "avisynth",
        "vapoursynth",
        "ffmetadata",
    ),
    *(
        "tty",
        "bintext",
        "xbin",
        "adf",
        "idf",
        "sbg",
        "data",
        "rawvideo",
        "s16le",
        "srt",
        "ass",
        "sami",
        "realtext",
    ),
    *(
        "alsa",
        "pulse",
        "jack",
        "oss",
        "v4l2",
        "video4linux2",
        "fbdev",
        "kmsgrab",
        "x11grab",
        "gdigrab",
        "dshow",
    ),
    *("avfoundation", "libcdio", "dvdvideo", "bluray", "libgme", "libopenmpt", "codec2raw", "svg_pipe"),
)


def run(*arguments: object) -> None:
    command = [FFMPEG, "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with sound that nobody has named."""
    path = tmp_path_factory.mktemp("secret") / "secret.mp4"
    run("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=1", "-f", "lavfi", "-i", "sine=d=1", path)
    return path


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A listener that must not be called."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        made.settimeout(0.2)
        yield made


def refused(path: Path) -> None:
    """See that a file is neither video nor sound, in our own words."""
    with pytest.raises(SettingsError) as as_video:
        inspect_video(path, setting="video_init_path")
    with pytest.raises(VideoError) as as_sound:
        check_soundtrack(path, FFMPEG)
    for error in (as_video, as_sound):
        assert "ffmpeg ended" not in str(error.value)


def mpd(secret: Path, address: str) -> str:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet>'
        f'<Representation id="0" mimeType="video/mp4" bandwidth="1"><BaseURL>{address}</BaseURL>'
        f'<SegmentList><SegmentURL media="file://{secret}"/></SegmentList>'
        "</Representation></AdaptationSet></Period></MPD>"
    )


LISTS: dict[str, Callable[[Path, str], str]] = {
    "m3u8": lambda secret, address: (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"
    ),
    "remote m3u8": lambda secret, address: f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}/a.ts\n",
    "ffconcat": lambda secret, address: f"ffconcat version 1.0\nfile '{secret}'\n",
    "mpd": mpd,
    "sdp": lambda secret, address: f"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video {address[-5:]} RTP/AVP 26\n",
    "rtsp": lambda secret, address: f"[Reference]\nRef1={address}\n",
    "ffmetadata": lambda secret, address: ";FFMETADATA1\ntitle=x\n",
    "srt": lambda secret, address: "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    "sbg": lambda secret, address: "SBG script\n-SE\nts: 440+1/20\nNOW ts\n",
    "avisynth": lambda secret, address: f'FFVideoSource("{secret}")\n',
    "vobsub": lambda secret, address: (
        "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n"
    ),
    "passwords": lambda secret, address: (
        Path("/etc/passwd").read_text() if Path("/etc/passwd").exists() else "x:x\n"
    ),
}
NAMES = (
    "a.mp4",
    "a.m3u8",
    "a.mp3",
    "a.mpd",
    "a.sdp",
    "a.avs",
    "a.idx",
    "a.ans",
    "a.txt",
    "a.sbg",
    "a.yuv",
    "a.g722",
)


@pytest.mark.parametrize("kind", LISTS)
def test_no_list_is_read_whatever_it_is_called(
    tmp_path: Path, secret: Path, port: socket.socket, kind: str
) -> None:
    address = f"http://127.0.0.1:{port.getsockname()[1]}"
    for name in NAMES:
        (tmp_path / name).write_text(LISTS[kind](secret, address))
        refused(tmp_path / name)
    with pytest.raises(TimeoutError):
        port.accept()


@pytest.mark.parametrize("name", ["a%d.png", "a%03d.jpg", "a*.png", "a[12].png", "a?.png", "a{1,2}.png"])
def test_a_name_is_no_pattern_for_other_files(tmp_path: Path, name: str) -> None:
    for number in (1, 2, 3):
        run("-f", "lavfi", "-i", "testsrc=s=16x16:d=0.04:r=25", "-frames:v", 1, tmp_path / f"a{number}.png")
    (tmp_path / name).write_bytes(b"text" * 100)
    refused(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["concat:a|b", "subfile,,start,0,end,9,,:a.mp4", "-i", "pipe:0", "data:,x", "fd:0"]
)
def test_a_name_is_no_protocol(tmp_path: Path, secret: Path, name: str) -> None:
    refused(tmp_path / name)  # it is not there
    (tmp_path / name).write_bytes(secret.read_bytes())
    assert inspect_video(tmp_path / name, setting="x").frames == 10


def referring(content: bytes, path: Path) -> bytes:
    """The QuickTime file `content` whose first track's samples are said to lie in the file `path`, an alias record.

    The offsets stay, as `moov` is behind `mdat`.
    """
    name = path.name.encode()
    full = str(path).encode()
    record = bytearray(150)
    struct.pack_into(">H", record, 6, 2)
    record[10] = 4
    record[11:15] = b"disk"
    record[50] = len(name)
    record[51 : 51 + len(name)] = name[:63]
    struct.pack_into(">hh", record, 130, 1, 1)
    tags = (
        struct.pack(">hh", 2, len(full))
        + full
        + bytes(len(full) % 2)
        + struct.pack(">hh", 18, len(full))
        + full
    )
    body = bytes(record) + tags + bytes(len(full) % 2) + struct.pack(">hh", -1, 0)
    entry = struct.pack(">I4sI", 12 + len(body), b"alis", 0) + body
    dref = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    return _with_box(content, (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"), dref)


def _with_box(content: bytes, way: tuple[bytes, ...], box: bytes) -> bytes:
    """Replace the first box at `way`, and correct the sizes of those around it."""
    at = 0
    while at < len(content):
        size = struct.unpack_from(">I", content, at)[0]
        if content[at + 4 : at + 8] == way[0]:
            inside = content[at + 8 : at + size]
            new = box if len(way) == 1 else _boxed(way[0], _with_box(inside, way[1:], box))
            return content[:at] + new + content[at + size :]
        at += size
    raise AssertionError(f"there is no {way[0]!r}")


def _boxed(kind: bytes, inside: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def test_a_reference_inside_a_video_is_not_followed(
    tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain.mov"
    run("-i", secret, "-map", "0:v", "-c", "copy", plain)
    trap = tmp_path / "trap.mov"
    content = plain.read_bytes()
    # Its own samples are blanked: whatever image comes out was read elsewhere.
    mdat = content.index(b"mdat")
    size = struct.unpack_from(">I", content, mdat - 4)[0]
    blank = content[: mdat + 4] + bytes(size - 8) + content[mdat - 4 + size :]
    trap.write_bytes(referring(blank, plain))
    decode = ["-map", "0:v", "-f", "framecrc", "-"]
    followed = subprocess.run(
        [FFMPEG, "-loglevel", "error", "-enable_drefs", "1", "-use_absolute_path", "1", "-i", trap, *decode],
        capture_output=True,
        check=False,
    )
    assert b"\n0, " in followed.stdout, "the trap does not work"
    ours = subprocess.run([FFMPEG, *user_input(trap), *decode], capture_output=True, check=False)
    assert b"\n0, " not in ours.stdout
    guarded = containers._open_options

    def following(allowed: Sequence[str]) -> dict[str, Any]:
        guard = guarded(allowed)
        return guard | {"options": guard["options"] | {"enable_drefs": "1", "use_absolute_path": "1"}}

    refused(trap)
    monkeypatch.setattr(containers, "_open_options", following)  # even then libav may open no other file
    refused(trap)


def test_a_video_that_became_a_list_is_not_read(tmp_path: Path, secret: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(secret.read_bytes())
    footage = inspect_video(path, setting="video_init_path")
    path.write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    with pytest.raises(DeforumError):
        extract_frames(footage, tmp_path / "frames", Selection(), CancelToken())
    assert not list(tmp_path.rglob("*.jpg"))


def test_no_container_on_the_list_opens_anything_else() -> None:
    assert not set(CONTAINERS) & set(OPENING)
    assert len(set(CONTAINERS)) == len(CONTAINERS)
    arguments = user_input(Path("a"))
    assert arguments[arguments.index("-protocol_whitelist") + 1] == "file"
    assert "-f" not in arguments
