from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deforum_helpers.core.errors import DiskFull, MissingFeature, SettingsError, VideoError
from deforum_helpers.media import ffmpeg as programs
from deforum_helpers.media.containers import count_frames
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output import encoders
from deforum_helpers.output import video as video_module
from deforum_helpers.output.frames import write_frame
from deforum_helpers.output.metadata import SETTINGS_KEYWORD, read_settings, read_video_settings
from deforum_helpers.output.subtitles import FrameInfo, Span, Style, SubtitleWriter
from deforum_helpers.output.video import VideoWriter, write_gif
from tests.output.small_videos import FFMPEG, chart, decoded, false_ffmpeg, nvenc_ffmpeg, sound, streams
from tests.refusals import refuses


def write_video(path: Path, frames: int = 5, width: int = 32, height: int = 16, **options: object) -> int:
    options = {"fps": 10, "preset": "ultrafast", "ffmpeg": FFMPEG} | options
    with VideoWriter(path, width=width, height=height, **options) as writer:
        for frame in range(frames):
            writer.write(chart(width, height, frame * 5))
        return writer.finish()


def test_a_video_shows_the_frames(tmp_path: Path) -> None:
    path = tmp_path / "Video – 城.mp4"
    assert write_video(path, crf=0) == 5
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert count_frames(path) == 5
    shown = decoded(path, 32, 16).astype(int)
    for frame, image in enumerate(shown):
        expected = chart(32, 16, frame * 5).astype(int)
        assert np.abs(image[:, :12] - expected[:, :12]).max() <= 4
        assert np.abs(image[:, 20:] - expected[:, 20:]).max() <= 4


@pytest.mark.parametrize(("width", "height"), [(33, 16), (32, 17), (31, 15), (1, 1)])
def test_odd_sizes_are_padded_in_the_video_only(tmp_path: Path, width: int, height: int) -> None:
    assert write_video(tmp_path / "a.mp4", 3, width, height) == 3
    even = (width + width % 2, height + height % 2)
    assert f", {even[0]}x{even[1]}" in streams(tmp_path / "a.mp4")
    assert decoded(tmp_path / "a.mp4", *even).shape[0] == 3


def test_a_video_tells_its_colours_and_rate(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", fps=12.5)
    said = streams(tmp_path / "a.mp4")
    assert "yuv420p(tv, bt709" in said
    assert "12.50 fps" in said
    assert "h264" in said


@pytest.mark.parametrize(
    "settings",
    [
        {"prompts": {"0": 'a; b # c = d \\ "e"\nnew line\r\n Schloß 城 🎬'}, "W": 32},
        {"init_image": "data:" + "Aa0+/=;" * 300_000},
        {},
    ],
    ids=["odd characters", "2 MB", "empty"],
)
def test_settings_travel_in_the_video(tmp_path: Path, settings: dict[str, object]) -> None:
    write_video(tmp_path / "a.mp4", settings_json=json.dumps(settings, ensure_ascii=False))
    assert read_video_settings(tmp_path / "a.mp4") == settings


def test_settings_are_read_from_whatever_holds_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text('{"W": 8}', encoding="utf-8")
    write_frame(tmp_path / "a.PNG", chart(8, 8), {SETTINGS_KEYWORD: '{"W": 8}'})
    write_video(tmp_path / "a.mp4", settings_json='{"W": 8}')
    assert [read_settings(path) for path in sorted(tmp_path.iterdir())] == [{"W": 8}] * 3


def test_settings_outlive_sound_and_subtitles(tmp_path: Path) -> None:
    with SubtitleWriter(tmp_path / "a.srt", 10, Style()) as writer:
        for frame in range(5):
            writer.write(FrameInfo(frame, "false", 1, {}, ""), Span(frame + 1, frame, frame + 1))
        subtitles = writer.finish()
    tone = sound(tmp_path / "tone.wav", 3)
    assert write_video(tmp_path / "a.mp4", settings_json='{"W": 32}', audio=tone, subtitles=subtitles) == 5
    assert read_video_settings(tmp_path / "a.mp4") == {"W": 32}
    said = streams(tmp_path / "a.mp4")
    assert "Audio: aac" in said
    assert "mov_text" in said
    assert "Deforum Data" in said
    assert "Duration: 00:00:00.5" in said


def test_sound_shorter_than_the_video_costs_no_frame(tmp_path: Path) -> None:
    assert write_video(tmp_path / "a.mp4", 30, audio=sound(tmp_path / "tone.mp3", 0.3)) == 30


def test_a_video_without_settings_says_so(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    for path in (tmp_path / "a.mp4", tmp_path / "none.mp4"):
        with pytest.raises(SettingsError, match=path.name):
            read_video_settings(path)


@pytest.mark.parametrize(
    "name", ["playlist.mp3", "concat.wav", "text.flac", "dash.ogg", "empty.mp3", "missing.mp3"]
)
def test_only_sound_is_a_soundtrack(tmp_path: Path, name: str) -> None:
    secret = sound(tmp_path / "secret.wav", 0.2)
    content = {
        "playlist.mp3": f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "concat.wav": f"ffconcat version 1.0\nfile '{secret}'\n",
        "text.flac": "hello",
        "dash.ogg": '<?xml version="1.0"?><MPD></MPD>',
        "empty.mp3": "",
    }
    if name in content:
        (tmp_path / name).write_text(content[name])
    with pytest.raises(VideoError, match="soundtrack_path"):
        write_video(tmp_path / "a.mp4", audio=tmp_path / name)
    assert not (tmp_path / "a.mp4").exists()


def test_a_playlist_behind_a_tag_is_not_followed(tmp_path: Path) -> None:
    secret = sound(tmp_path / "secret.wav", 0.2)
    trap = tmp_path / "trap.mp3"
    trap.write_bytes(b"ID3\x04\x00\x00\x00\x00\x00\x00" + f"#EXTM3U\n#EXTINF:1,\n{secret}\n".encode())
    with pytest.raises(VideoError, match=r"trap\.mp3"):
        write_video(tmp_path / "a.mp4", audio=trap)


KINDS = (
    "mp3",
    "wav",
    "flac",
    "ogg",
    "m4a",
    "mka",
    "aac",
    "aiff",
    "ts",
    "w64",
    "caf",
    "au",
    "ac3",
    "wma",
    "flv",
)


@pytest.mark.parametrize("end", KINDS)
def test_sound_of_every_kind_is_heard(tmp_path: Path, end: str) -> None:
    path = sound(tmp_path / f"-dash {end}.{end}", 0.5)
    assert write_video(tmp_path / "a.mp4", audio=path) == 5
    assert loudness(tmp_path / "a.mp4") > 100


def tagged(content: bytes) -> bytes:
    """An ID3 tag of 2 KiB before it, as players write into any kind of file."""
    return b"ID3\x04\0\0\0\0\x10\0" + bytes(2048) + content


ODD_HEADS: dict[str, tuple[str, tuple[str, ...], Callable[[bytes], bytes]]] = {
    "a tag before FLAC": ("flac", (), tagged),
    "a tag before AAC": ("aac", (), tagged),
    "a tag before AC-3": ("ac3", (), tagged),
    "zeros before MP3": ("mp3", (), lambda content: bytes(2000) + content),
    "zeros before AAC": ("aac", (), lambda content: bytes(4096) + content),
    "64-bit WAV": ("wav", ("-rf64", "always"), lambda content: content),
    "no name that says so": ("wav", (), lambda content: content),
}


@pytest.mark.parametrize("kind", ODD_HEADS)
def test_sound_is_told_by_what_the_whole_file_is(tmp_path: Path, kind: str) -> None:
    end, codec, changed = ODD_HEADS[kind]
    path = sound(tmp_path / f"a.{end}", 1.0, *codec)
    name = "0" if kind.startswith("no name") else f"odd.{end}"
    (tmp_path / name).write_bytes(changed(path.read_bytes()))
    assert write_video(tmp_path / "a.mp4", audio=tmp_path / name) == 5
    assert loudness(tmp_path / "a.mp4") > 100


def loudness(video: Path) -> float:
    """The mean level of a video's sound, 0..32767."""
    command = [FFMPEG, "-loglevel", "error", "-i", video, "-map", "0:a:0", "-ac", "1", "-f", "s16le", "-"]
    heard = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    return float(np.abs(np.frombuffer(heard, np.int16).astype(float)).mean())


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "soundtrack_unknown_format"),
        (b"plain text " * 200, "soundtrack_unknown_format"),
        (b"\0\0\0\x18ftypM4A " + bytes(2000), "soundtrack_damaged"),
    ],
)
def test_what_is_no_sound_is_refused_in_our_own_words(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "odd.m4a").write_bytes(content)
    with refuses(VideoError, code, "soundtrack_path", "odd.m4a") as caught:
        write_video(tmp_path / "a.mp4", audio=tmp_path / "odd.m4a")
    assert "ffmpeg ended" not in str(caught.value)


def test_a_silent_video_is_no_soundtrack(tmp_path: Path) -> None:
    write_video(tmp_path / "silent.mp4")
    with refuses(VideoError, "soundtrack_silent", "soundtrack_path", "silent.mp4"):
        write_video(tmp_path / "a.mp4", audio=tmp_path / "silent.mp4")


def test_a_failing_ffmpeg_is_quoted_without_folders(tmp_path: Path) -> None:
    program = false_ffmpeg(tmp_path, "sys.stdin.buffer.read(10); sys.exit('/home/me/x.mp4: no such codec')")
    with pytest.raises(VideoError, match=r"status 1: x\.mp4: no such codec"):
        write_video(tmp_path / "a.mp4", 50, 256, 256, ffmpeg=program)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ffmpeg"]


def test_an_ffmpeg_that_fails_at_the_end_is_an_error(tmp_path: Path) -> None:
    program = false_ffmpeg(tmp_path, "sys.stdin.buffer.read(); sys.exit('Conversion failed!')")
    with pytest.raises(VideoError, match="Conversion failed!"):
        write_video(tmp_path / "a.mp4", ffmpeg=program)


def test_a_full_disk_can_be_tried_again(tmp_path: Path) -> None:
    program = false_ffmpeg(
        tmp_path, "sys.stdin.buffer.read(); sys.exit('av_interleaved_write_frame(): No space left on device')"
    )
    with pytest.raises(DiskFull):
        write_video(tmp_path / "a.mp4", ffmpeg=program)


def test_a_video_of_another_length_is_an_error(tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", 1)
    body = (
        f"import os, shutil; '-progress' not in sys.argv or os.execv({FFMPEG!r}, [{FFMPEG!r}, *sys.argv[1:]]); "
        f"sys.stdin.buffer.read(); shutil.copy({str(tmp_path / 'short.mp4')!r}, sys.argv[-1][5:])"
    )
    with refuses(VideoError, "video_frames_lost", "5", "1"):
        write_video(tmp_path / "a.mp4", ffmpeg=false_ffmpeg(tmp_path, body))
    assert not (tmp_path / "a.mp4").exists()


def test_a_hung_ffmpeg_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_module, "WRITE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(video_module, "FINISH_TIMEOUT_S", 0.2)
    program = false_ffmpeg(tmp_path, "time.sleep(60)")
    with refuses(VideoError, "video_hung", "0.2"):
        write_video(tmp_path / "a.mp4", 50, 256, 256, ffmpeg=program)
    with refuses(VideoError, "video_hung", "0.2"):
        write_video(tmp_path / "a.mp4", 1, 8, 8, ffmpeg=program)
    with pytest.raises(VideoError, match="did not end"):
        programs.run_ffmpeg(program, [], "Waiting", 0.2)


def test_one_thread_watches_a_video_and_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def counted(thread: threading.Thread) -> None:
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", counted)
    with VideoWriter(tmp_path / "a.mp4", width=32, height=16, fps=10, ffmpeg=FFMPEG) as writer:
        (watch,) = started
        for frame in range(5):
            writer.write(chart(32, 16, frame))
        assert started == [watch]
        writer.finish()
    watch.join(30)
    assert not watch.is_alive()


@pytest.mark.parametrize("location", ["/nowhere/ffmpeg", "no-such-ffmpeg"])
def test_a_wrong_location_is_named(location: str) -> None:
    with pytest.raises(MissingFeature, match=r"deforum_ffmpeg_location .* pip install imageio-ffmpeg"):
        find_ffmpeg(location)


def test_a_missing_ffmpeg_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingFeature, match="pip install imageio-ffmpeg"):
        find_ffmpeg(None)


def test_ffmpeg_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = false_ffmpeg(tmp_path, "")
    assert find_ffmpeg(program) == program
    assert Path(find_ffmpeg("")).is_file()
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg(None) == program


def test_a_program_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ffmpeg").write_text("no program")
    with pytest.raises(MissingFeature, match="cannot be started"):
        write_video(tmp_path / "a.mp4", ffmpeg=str(tmp_path / "ffmpeg"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["ffmpeg"]


class TestNvenc:
    @pytest.mark.parametrize(
        ("crf", "preset", "expected"),
        [
            (17, "slow", "-preset p6 -tune hq -rc vbr -cq 17 -b:v 0"),
            (51, "ultrafast", "-preset p1 -tune hq -rc vbr -cq 51 -b:v 0"),
            (0, "veryslow", "-preset p7 -tune lossless"),
        ],
    )
    def test_a_gpu_encodes_with_the_quality_asked_for(
        self, tmp_path: Path, crf: int, preset: str, expected: str
    ) -> None:
        program, path = nvenc_ffmpeg(tmp_path), tmp_path / "a.mp4"
        options = {"crf": crf, "preset": preset, "ffmpeg": program, "encoder": "nvenc"}
        assert write_video(path, 5, 33, 17, **options) == count_frames(path) == 5
        assert "34x18" in streams(path)
        assert "bt709" in streams(path)
        trial, encoding = (tmp_path / "calls").read_text().splitlines()
        for call in (trial, encoding):
            assert f"-c:v h264_nvenc {expected} -colorspace" in call
        assert "size=34x18" in trial
        with VideoWriter(path, width=32, height=16, fps=10, **options) as writer:
            assert writer.warnings == ()
            writer.write(chart(32, 16))

    @pytest.mark.parametrize("body", ["sys.exit('Cannot load libcuda.so.1')", "time.sleep(60)"])
    def test_without_one_x264_encodes_and_says_why(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
    ) -> None:
        monkeypatch.setattr(encoders, "TRIAL_TIMEOUT_S", 1.0)
        real = f"os.execv({FFMPEG!r}, ['ffmpeg', *sys.argv[1:]])"
        program = false_ffmpeg(tmp_path, f"if 'h264_nvenc' not in sys.argv: {real}\n{body}")
        options = {"fps": 10, "preset": "ultrafast", "ffmpeg": program, "encoder": "nvenc"}
        with VideoWriter(tmp_path / "a.mp4", width=32, height=16, **options) as writer:
            (warning,) = writer.warnings
            writer.write(chart(32, 16))
        assert warning.code == "nvenc_unusable"  # type: ignore[attr-defined]
        assert ("libcuda" in warning) == ("libcuda" in body)
        assert count_frames(tmp_path / "a.mp4") == 1

    def test_x264_is_not_tried(self, tmp_path: Path) -> None:
        write_video(tmp_path / "a.mp4", ffmpeg=nvenc_ffmpeg(tmp_path))
        assert not (tmp_path / "calls").exists()


def test_an_abort_leaves_nothing(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", width=32, height=16, fps=10, ffmpeg=FFMPEG)
    writer.write(chart(32, 16))
    writer.abort()
    writer.abort()
    with pytest.raises(VideoError):
        writer.write(chart(32, 16))
    with pytest.raises(VideoError):
        writer.finish()
    assert not list(tmp_path.iterdir())


def test_an_error_inside_the_context_aborts(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        _video_that_fails(tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def _video_that_fails(path: Path) -> None:
    with VideoWriter(path, width=32, height=16, fps=10, ffmpeg=FFMPEG) as writer:
        writer.write(chart(32, 16))
        raise KeyError


def test_leaving_the_context_finishes_the_video(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", width=32, height=16, fps=10, ffmpeg=FFMPEG) as writer:
        writer.write(chart(32, 16))
    assert count_frames(tmp_path / "a.mp4") == 1


def test_an_abort_frees_a_thread_that_writes(tmp_path: Path) -> None:
    program = false_ffmpeg(tmp_path, "time.sleep(60)")
    writer = VideoWriter(tmp_path / "a.mp4", width=512, height=512, fps=10, ffmpeg=program)
    caught: list[BaseException] = []

    def write() -> None:
        try:
            writer.write(chart(512, 512))
        except VideoError as error:
            caught.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    time.sleep(0.1)
    writer.abort()
    thread.join(30)
    assert not thread.is_alive()
    assert len(caught) == 1


def test_a_video_of_no_frames_is_an_error(tmp_path: Path) -> None:
    with refuses(VideoError, "video_without_frames"):
        write_video(tmp_path / "a.mp4", 0)


@pytest.mark.parametrize("bad", [{"width": 0}, {"fps": 0}, {"fps": float("nan")}])
def test_sizes_and_rates_are_above_zero(tmp_path: Path, bad: dict[str, float]) -> None:
    with refuses(VideoError, "video_format"):
        write_video(tmp_path / "a.mp4", **bad)


def test_frames_have_the_video_s_size(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", width=32, height=16, fps=10, ffmpeg=FFMPEG) as writer:
        for wrong in (chart(16, 16), chart(32, 16).astype(float)):
            with pytest.raises(ValueError, match="uint8"):
                writer.write(wrong)
        writer.abort()


def test_a_gif_has_the_video_s_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    write_gif(tmp_path / "a.mp4", tmp_path / "a.gif", 10, FFMPEG)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 5
        assert image.size == (32, 16)
    with pytest.raises(VideoError, match="GIF"):
        write_gif(tmp_path / "none.mp4", tmp_path / "b.gif", 10, FFMPEG)
    assert not (tmp_path / "b.gif").exists()


@pytest.mark.skipif(os.name == "nt", reason="the program is a script")
@pytest.mark.parametrize("form", ["{}", '"{}"', "'{}'", " {} ", "\u202a{}", "folder"])
def test_a_location_of_ffmpeg_may_be_pasted(form: str, tmp_path: Path) -> None:
    program = tmp_path / "a folder" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    location = str(program.parent) if form == "folder" else form.format(program)
    assert find_ffmpeg(location) == str(program)


def test_a_blank_location_of_ffmpeg_is_none() -> None:
    assert find_ffmpeg(" ") == find_ffmpeg("") == find_ffmpeg(None)
