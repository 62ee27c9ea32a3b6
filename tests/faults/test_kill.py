"""A server that is killed, and another that is started on what it left: no frame is lost, none is different."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from deforum_helpers.media.containers import count_frames
from deforum_helpers.output.frames import read_frame
from tests.faults.serving import FRAMES, LATER_PLACES, PLACES, SETTINGS, FaultyServer

Start = Callable[..., FaultyServer]


def frames_of(job: dict[str, object]) -> list[Path]:
    return sorted(Path(str(job["outdir"])).glob(f"{job['timestring']}_[0-9]*.png"))


def check_video(job: dict[str, object], undisturbed: dict[str, object]) -> None:
    """The job's frames are those of one that was never stopped, and its video has all of them."""
    assert job["status"] == "SUCCEEDED", job["message"]
    made, wanted = frames_of(job), frames_of(undisturbed)
    assert len(made) == len(wanted) == FRAMES
    for frame, same in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(read_frame(frame), read_frame(same))
    video = Path(str(job["outdir"]), f"{job['timestring']}.mp4")
    assert count_frames(video) == FRAMES
    assert not [path for path in video.parent.iterdir() if path.name.endswith(".part")]
    assert len(list(video.parent.glob("*_settings.txt"))) == 1, "it was begun anew and left a run behind"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    server = FaultyServer(Path(tmp_path_factory.mktemp("undisturbed")) / "outputs")
    (job_id,) = server.submit({**SETTINGS, "batch_name": "undisturbed"})
    job = server.ended(job_id)
    assert server.terminate() == 0
    frames = [read_frame(path) for path in frames_of(job)]
    assert all((one != other).any() for one, other in pairwise(frames))
    return job


@pytest.mark.parametrize("place", [*PLACES, "key frame"])
def test_a_killed_job_goes_on_as_if_it_had_never_stopped(
    start: Start, undisturbed: dict[str, object], place: str
) -> None:
    killed = start(place)
    job_id, behind = killed.submit(
        {**SETTINGS, "batch_name": "a"}, {**SETTINGS, "batch_name": "b", "max_frames": 2}
    )
    killed.dies()
    again = start()
    job, next_one = again.ended(job_id), again.ended(behind)
    check_video(job, undisturbed)
    assert next_one["status"] == "SUCCEEDED"
    assert job["last_updated"] <= next_one["last_updated"]


@pytest.mark.parametrize("place", LATER_PLACES)
def test_what_is_made_of_a_video_goes_on_after_a_kill(start: Start, place: str) -> None:
    settings = {
        **SETTINGS,
        "r_upscale_video": True,
        "r_upscale_model": "Lanczos",
        "frame_interpolation_engine": "Flow",
        "delete_imgs": True,
    }
    killed = start(place)
    (job_id,) = killed.submit({**settings, "batch_name": "killed"})
    killed.dies()
    again = start()
    job = again.ended(job_id)
    assert job["status"] == "SUCCEEDED", job["message"]
    assert frames_of(job) == []
    folder, stem = Path(str(job["outdir"])), job["timestring"]
    expected = {
        f"{stem}.mp4": FRAMES,
        f"{stem}_Upscaled_x2.mp4": FRAMES,
        f"{stem}_FLOW_x2.mp4": 2 * FRAMES - 1,
    }
    assert {path.name: count_frames(path) for path in folder.glob("*.mp4")} == expected
    assert not list(folder.rglob("*.part"))
    assert len(list((folder / f"{stem}_upscaled").glob("*.png"))) == FRAMES
    assert not (folder / f"interpolated_frames_flow_{stem}").exists()


@pytest.mark.parametrize(
    "places", [("key frame", "between key frame and in-between frames"), ("in ffmpeg",)], ids=len
)
def test_the_built_in_model_goes_on_as_well(start: Start, places: tuple[str, ...]) -> None:
    settings = {**SETTINGS, "steps": 2, "sampler": "Euler a", "strength_schedule": "0: (0.3)"}
    job_id = ""
    for place in places:
        killed = start(place, engine="demo")
        job_id = job_id or killed.submit({**settings, "batch_name": "killed"})[0]
        killed.dies()
    last = start(engine="demo")
    (same,) = last.submit({**settings, "batch_name": "undisturbed"})
    check_video(last.ended(job_id), last.ended(same))


def test_jobs_that_wait_when_the_server_is_killed_follow_in_their_order(start: Start) -> None:
    killed = start("hold")
    ids = killed.submit(*({**SETTINGS, "batch_name": name} for name in "abc"))
    killed.until(ids[0], lambda job: job["frame"] == 3)
    killed.kill()
    again = start()
    ends = [again.ended(job_id) for job_id in ids]
    assert [job["status"] for job in ends] == ["SUCCEEDED"] * 3
    assert sorted(ends, key=lambda job: job["last_updated"]) == ends


def test_a_job_that_kills_every_server_is_given_up(start: Start) -> None:
    first = start("key frame")
    (job_id,) = first.submit({**SETTINGS, "diffusion_cadence": 1, "batch_name": "deadly"})
    first.dies()
    for _ in range(2):
        start("key frame").dies()
    last = start("key frame")
    job = last.ended(job_id)
    assert (job["status"], job["error_type"]) == ("FAILED", "RETRYABLE")
    assert "interrupted by restart" in job["message"]
    (other,) = last.submit({**SETTINGS, "max_frames": 1, "batch_name": "harmless"})
    assert last.ended(other)["status"] == "SUCCEEDED"


def test_a_cancelled_job_whose_video_kills_every_server_says_where_its_frames_are(start: Start) -> None:
    first = start("video")
    (job_id,) = first.submit({**SETTINGS, "batch_name": "deadly"})
    first.until(job_id, lambda job: job["frame"] == 3)
    assert first.ask("DELETE", f"/deforum_api/jobs/{job_id}")[0] == 200
    first.dies()
    for _ in range(2):
        start("video").dies()
    last = start("hold")
    job = last.ended(job_id)
    assert (job["status"], len(frames_of(job))) == ("CANCELLED", 3)
    assert "ended 3 times" in job["message"]
    assert f"3 of {FRAMES} frames" in job["message"]
    assert job["outdir"] in job["message"]
    assert last.ask("POST", f"/deforum_api/jobs/{job_id}/resume")[0] == 202
    last.until(job_id, lambda job: job["frame"] == 6)
    assert last.ask("DELETE", f"/deforum_api/jobs/{job_id}")[0] == 200
    job = last.ended(job_id)
    assert count_frames(Path(job["outdir"], f"{job['timestring']}.mp4")) == 6


def test_sigterm_parks_and_the_next_start_goes_on(start: Start, undisturbed: dict[str, object]) -> None:
    first = start("hold")
    (job_id,) = first.submit({**SETTINGS, "batch_name": "parked"})
    first.until(job_id, lambda job: job["frame"] == 3)
    first.process.terminate()
    first.go.touch()
    first.process.join(10)
    assert first.process.exitcode == 0
    again = start()
    check_video(again.ended(job_id), undisturbed)


def test_an_engine_that_hangs_keeps_no_server_from_ending(
    start: Start, undisturbed: dict[str, object]
) -> None:
    first = start("deaf")
    (job_id,) = first.submit({**SETTINGS, "batch_name": "hanging"})
    first.until(job_id, lambda job: job["frame"] == 3)
    assert first.terminate() == 0
    check_video(start().ended(job_id), undisturbed)


def test_two_servers_on_one_folder_run_each_job_once(start: Start, tmp_path: Path) -> None:
    one, other = start("hold"), start("hold")
    names = [f"job{number}" for number in range(20)]
    ids = one.submit(*({**SETTINGS, "max_frames": 4, "batch_name": name} for name in names[:10]))
    ids += other.submit(*({**SETTINGS, "max_frames": 4, "batch_name": name} for name in names[10:]))
    one.until(ids[0], lambda job: job["frame"] == 3)
    one.until(ids[1], lambda job: job["frame"] == 3)
    one.go.touch()
    assert [other.ended(job_id)["status"] for job_id in ids] == ["SUCCEEDED"] * 20
    folders = tmp_path / "outputs" / "img2img-images"
    runs = {folder.name: len(list(folder.glob("*_settings.txt"))) for folder in folders.iterdir()}
    assert runs == dict.fromkeys(names, 1)


def test_a_removed_output_folder_ends_the_job_in_plain_words(start: Start) -> None:
    server = start("hold")
    job_id, behind = server.submit({**SETTINGS, "batch_name": "gone"}, {**SETTINGS, "batch_name": "behind"})
    job = server.until(job_id, lambda job: job["frame"] == 3)
    while Path(job["outdir"]).exists():  # its last file may just be getting its name
        shutil.rmtree(job["outdir"], ignore_errors=True)
    server.go.touch()
    job = server.ended(job_id)
    assert job["status"] == "FAILED"
    assert job["message"].startswith("generation error: ")
    assert "could not be written" in job["message"]
    assert server.ended(behind)["status"] == "SUCCEEDED"


def test_out_of_memory_is_tried_again_from_the_last_frame(
    start: Start, undisturbed: dict[str, object]
) -> None:
    server = start("out of memory")
    (job_id,) = server.submit({**SETTINGS, "batch_name": "memory"})
    job = server.ended(job_id)
    check_video(job, undisturbed)
    assert job["message"] is None
