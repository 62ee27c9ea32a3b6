"""The Python client against a server that fails in every way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deforum_api.client import Client, ClientError, JobEnded, RefusedByServer, Unreachable
from deforum_api.client.connection import Connection, HttpxTransport, PlainTransport, pauses, transport_to
from tests.clients.scripted import DROPPED, NOT_YET, Answer, Scripted, events, record, told, unknown
from tests.refusals import refuses

Make = Callable[..., Scripted]
ACCEPTED = {"message": "Job(s) accepted", "batch_id": "batch(1)", "job_ids": ["batch(1)-0"], "warnings": {}}
BUSY = told({"message": "The server is stopping."}, 503, Retry_After="1")
DONE = record(9, "SUCCEEDED", phase="DONE")


class Clock:
    """Time that passes only while something sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def client_of(server: Scripted | str, clock: Clock, **more: Any) -> Client:
    url = server if isinstance(server, str) else server.url
    return Client(url, clock=lambda: clock.now, sleep=clock.sleep, **more)


@pytest.fixture(params=["httpx", "standard library"], autouse=True)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run each test with both transports."""
    if request.param == "standard library":
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    name: str = request.param
    return name


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_retried_submission_keeps_its_key(scripted: Make, clock: Clock) -> None:
    server = scripted(DROPPED, BUSY, told(ACCEPTED, 202))
    assert client_of(server, clock).submit({"max_frames": 2})["job_ids"] == ["batch(1)-0"]
    keys = {one.headers["idempotency-key"] for one in server.asked}
    assert (len(server.asked), len(keys)) == (3, 1)
    assert {one.body for one in server.asked} == {b'{"deforum_settings": {"max_frames": 2}}'}
    assert clock.slept[1] >= 1.0, "Retry-After is kept to"


def test_a_tool_is_queued_with_its_arguments(scripted: Make, clock: Clock) -> None:
    server = scripted(DROPPED, told(ACCEPTED, 202))
    arguments = {"video": "a.mp4", "times": 4}
    told_back = client_of(server, clock).run_tool("interpolate", arguments, {"deforum_ffmpeg_crf": 20})
    assert told_back["job_ids"] == ["batch(1)-0"]
    assert {(one.method, one.path) for one in server.asked} == {("POST", "/deforum_api/tools/interpolate")}
    assert len({one.headers["idempotency-key"] for one in server.asked}) == 1
    sent = json.loads(server.asked[1].body)
    assert sent == {**arguments, "options_overrides": {"deforum_ffmpeg_crf": 20}}


def test_a_transport_is_chosen_by_what_is_installed(transport: str) -> None:
    kinds = {"httpx": HttpxTransport, "standard library": PlainTransport}
    assert type(transport_to("http://127.0.0.1:1", 1.0)) is kinds[transport]


def test_two_submissions_have_two_keys_unless_one_is_given(scripted: Make, clock: Clock) -> None:
    server = scripted(*[told(ACCEPTED, 202)] * 3)
    client = client_of(server, clock)
    client.submit([{"seed": 1}, {"seed": 2}])
    client.submit({}, {"deforum_preview": 1})
    client.submit({}, key="mine", priority=-3, webhook_url="https://a.example/")
    keys = [one.headers["idempotency-key"] for one in server.asked]
    assert (len(set(keys)), keys[2]) == (3, "mine")
    assert json.loads(server.asked[1].body)["options_overrides"] == {"deforum_preview": 1}
    terms = {"priority": -3, "webhook_url": "https://a.example/"}
    assert json.loads(server.asked[2].body) == {"deforum_settings": {}, **terms}


def test_a_rejected_request_is_not_retried(scripted: Make, clock: Clock) -> None:
    entry = {"setting": "W", "message": "W is 'wide'."}
    server = scripted(told({"message": "W is 'wide'.", "errors": [entry]}, 400))
    with pytest.raises(RefusedByServer, match="W is 'wide'") as caught:
        client_of(server, clock).submit({"W": "wide"})
    assert (caught.value.code, caught.value.errors, clock.slept) == (400, (entry,), [])


def test_retries_end_after_the_patience(scripted: Make, clock: Clock) -> None:
    with refuses(Unreachable, "server_unreachable", "http://127.0.0.1:9"):
        client_of("http://127.0.0.1:9", clock, patience_s=30).health()
    assert 15 < clock.now <= 30
    with pytest.raises(RefusedByServer, match="stopping"):
        client_of(scripted(*[BUSY] * 9), clock, patience_s=3).health()


@pytest.mark.parametrize(
    "early", [NOT_YET, Answer(404, b"<html>"), told([], 404), told({"message": "no"}, 404)]
)
def test_requests_are_retried_while_a_host_loads_deforum(
    scripted: Make, clock: Clock, early: Answer, tmp_path: Path
) -> None:
    client = client_of(scripted(DROPPED, early, early, told(DONE)), clock)
    assert client.wait("batch(1)-0") == DONE
    client = client_of(scripted(early, told(ACCEPTED, 202)), clock)
    assert client.submit({})["job_ids"]
    video = client_of(scripted(early, sent(0, 10240, '"a"', 200)), clock).download(
        "batch(1)-0", tmp_path / "a.mp4"
    )
    assert video.read_bytes() == VIDEO


def test_a_host_without_deforum_is_an_error(
    scripted: Make, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with refuses(RefusedByServer, "not_loaded_yet", "--deforum-api"):
        client_of(scripted(*[NOT_YET] * 40), clock).job("batch(1)-0")
    assert 100 < clock.now <= 120
    assert [text for text in caplog.messages if "Waiting" in text] == caplog.messages


def test_pauses_grow_and_stay_bounded() -> None:
    waits = [pause for pause, _ in zip(pauses(), range(12), strict=False)]
    assert waits[0] < 0.3
    assert waits[3] > waits[0]
    assert 6 <= waits[-1] <= 10


def test_a_download_that_advances_uses_up_no_patience(scripted: Make, clock: Clock, tmp_path: Path) -> None:
    server = scripted(sent(0, 1000, '"a"', 200), sent(1000, 1500, '"a"'), sent(1500, 10240, '"a"'))
    video = client_of(server, clock, patience_s=0).download("batch(1)-0", tmp_path / "video.mp4")
    assert (video.read_bytes(), clock.slept) == (VIDEO, [])


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:7860", "file:///etc/passwd", "", "http://", "http://[::1", "http://a:99999", "http://a:b"],
)
def test_only_http_addresses(url: str) -> None:
    with refuses(ClientError, "invalid_server_address"):
        Client(url)


@pytest.mark.parametrize(
    "added", ["/", "//", "/?__theme=dark", "#tab", "/deforum_api", "/deforum_api/", " \n"]
)
def test_an_address_may_be_copied_from_a_browser(added: str, scripted: Make, clock: Clock) -> None:
    server = scripted(told({"host": "standalone"}))
    client = client_of(server.url + added, clock, patience_s=0)
    assert client.health() == {"host": "standalone"}


def test_a_server_below_a_path_keeps_it() -> None:
    assert Connection("https://example.com/webui/deforum_api/?x=1").url == "https://example.com/webui"


def test_the_login_is_not_sent_to_a_redirect(scripted: Make, clock: Clock) -> None:
    other = scripted(told({}))
    server = scripted(told({}), Answer(302, headers={"Location": other.url}))
    client = client_of(server, clock, login="ann:secret")
    client.health()
    assert server.asked[0].headers["authorization"] == "Basic YW5uOnNlY3JldA=="
    with refuses(RefusedByServer, "http_status", "302"):
        client.health()
    assert other.asked == []


def test_a_link_to_another_host_is_refused(scripted: Make, clock: Clock, tmp_path: Path) -> None:
    link = {"kind": "frame", "name": "../0.png", "size": 1, "link": "@example.org/x"}
    with refuses(ClientError, "path_without_slash"):
        client_of(scripted(told([link])), clock).download_frames("batch(1)-0", tmp_path)


def test_another_server_than_deforum_is_an_error(scripted: Make, clock: Clock) -> None:
    with refuses(ClientError, "response_not_json"):
        client_of(scripted(Answer(body=b"<html>")), clock).health()


def test_a_job_is_followed_by_events(scripted: Make, clock: Clock) -> None:
    server = scripted(told(record(1)), events(record(2), record(3), DONE))
    jobs = list(client_of(server, clock).watch("batch(1)-0"))
    assert [job["updates"] for job in jobs] == [1, 2, 3, 9]
    assert server.asked[1].path == "/deforum_api/jobs/batch(1)-0/events"
    assert server.asked[1].headers["last-event-id"] == "1"


def test_a_broken_stream_is_resumed(scripted: Make, clock: Clock) -> None:
    server = scripted(
        told(record(1)), events(record(4)), DROPPED, BUSY, told(record(4)), events(record(5), DONE)
    )
    jobs = list(client_of(server, clock).watch("batch(1)-0"))
    assert [job["updates"] for job in jobs] == [1, 4, 5, 9]
    assert server.asked[-1].headers["last-event-id"] == "4"


def test_a_server_may_count_from_an_older_update_after_a_crash(scripted: Make, clock: Clock) -> None:
    ended = record(7, "SUCCEEDED")
    server = scripted(told(record(20)), events(), told(record(2)), events(record(3)), told(ended))
    assert [job["updates"] for job in client_of(server, clock).watch("batch(1)-0")] == [20, 2, 3, 7]
    assert server.asked[3].headers["last-event-id"] == "2"


@pytest.mark.parametrize(
    "none", [told({}, 404), told({}, 405), told({}), Answer(body=b"late", silent_s=6.0)], ids=str
)
def test_a_job_is_polled_where_there_are_no_events(scripted: Make, clock: Clock, none: Answer) -> None:
    server = scripted(told(record(1)), none, told(record(1)), told(record(2)), told(DONE))
    client = client_of(server, clock, timeout_s=3.0 if none.silent_s else 30)
    assert [job["updates"] for job in client.watch("batch(1)-0", poll_every_s=3)] == [1, 2, 9]
    assert clock.slept == [3, 3, 3]


def test_a_silent_event_stream_is_abandoned(scripted: Make, clock: Clock) -> None:
    silent = Answer(headers={"Content-Type": "text/event-stream"}, silent_s=6.0)
    server = scripted(told(record(1)), silent, told(record(2)), told(DONE))
    jobs = list(client_of(server, clock, timeout_s=3.0).watch("batch(1)-0"))
    assert [job["updates"] for job in jobs] == [1, 2, 9]
    assert sum(one.path.endswith("/events") for one in server.asked) == 1


def test_wait_raises_for_a_failed_job(scripted: Make, clock: Clock) -> None:
    failed = record(4, "FAILED", message="generation error: the disk is full.")
    with pytest.raises(JobEnded, match=r"batch\(1\)-0 FAILED: generation error") as caught:
        client_of(scripted(told(failed)), clock).wait("batch(1)-0")
    assert caught.value.job == failed
    assert client_of(scripted(told(DONE)), clock).wait("batch(1)-0") == DONE


def test_an_unknown_job_is_an_error(scripted: Make, clock: Clock) -> None:
    server = scripted(unknown("There is no job 'x'."))
    with pytest.raises(RefusedByServer, match="no job"):
        list(client_of(server, clock).watch("x/../y"))
    assert server.asked[0].path == "/deforum_api/jobs/x%2F..%2Fy"


def test_a_cancel_with_a_lost_response_is_no_error(scripted: Make, clock: Clock) -> None:
    refused = told({"message": "already finished"}, 400)
    server = scripted(DROPPED, refused, told(record(5, "CANCELLED")))
    assert client_of(server, clock).cancel("batch(1)-0") == ["batch(1)-0"]
    with pytest.raises(RefusedByServer):
        client_of(scripted(refused, told(record(5, "CANCELLED"))), clock).cancel("batch(1)-0")
    with pytest.raises(RefusedByServer):
        client_of(scripted(DROPPED, refused, told(DONE)), clock).cancel("batch(1)-0")


def test_a_resume_with_a_lost_response_is_no_error(scripted: Make, clock: Clock) -> None:
    refused = told({"message": "Only a FAILED or CANCELLED job can be resumed"}, 409)
    resumed = client_of(scripted(DROPPED, refused, told(record(6))), clock).resume("batch(1)-0")
    assert resumed["updates"] == 6
    with pytest.raises(RefusedByServer):
        client_of(scripted(refused, told(record(6))), clock).resume("batch(1)-0")


def test_a_resume_waits_for_the_end_of_a_cancel(scripted: Make, clock: Clock) -> None:
    refused = told({"message": "It is being cancelled."}, 409)
    ending, over = told(record(5, cancelling=True)), told(record(6, "CANCELLED"))
    server = scripted(refused, ending, refused, over, told(record(7), 202))
    assert client_of(server, clock).resume("batch(1)-0")["updates"] == 7
    assert [one.method for one in server.asked] == ["POST", "GET", "POST", "GET", "POST"]
    with pytest.raises(RefusedByServer, match="being cancelled"):
        client_of(scripted(*[refused, ending] * 9), clock, patience_s=1).resume("batch(1)-0")
    assert clock.now < 3


def test_a_job_is_forgotten_once(scripted: Make, clock: Clock) -> None:
    gone = unknown("There is no job.")
    server = scripted(DROPPED, gone)
    client_of(server, clock).forget("batch(1)-0")
    assert server.asked[0].path == "/deforum_api/jobs/batch(1)-0?purge=true"
    with pytest.raises(RefusedByServer):
        client_of(scripted(gone), clock).forget("batch(1)-0")
    with pytest.raises(RefusedByServer):
        client_of(scripted(told({"message": "not finished"}, 409)), clock).forget("batch(1)-0")


def test_jobs_are_listed_page_by_page(scripted: Make, clock: Clock) -> None:
    first = told({"a-0": {"id": "a-0"}}, X_Next_Cursor="17")
    server = scripted(first, DROPPED, told({"a-1": {"id": "a-1"}}))
    jobs = list(client_of(server, clock).jobs("FAILED"))
    assert [job["id"] for job in jobs] == ["a-0", "a-1"]
    assert "cursor" not in server.asked[0].path
    assert server.asked[2].path == "/deforum_api/jobs?status=FAILED&limit=200&summary=true&cursor=17"


VIDEO = bytes(range(256)) * 40


def sent(first: int, last: int, etag: str, status: int = 206) -> Answer:
    """Return a response that announces the video from byte `first` and breaks off before byte `last`."""
    return Answer(status, VIDEO[first:last], {"ETag": etag}, announced=len(VIDEO) - first)


def test_a_broken_download_continues(scripted: Make, clock: Clock, tmp_path: Path) -> None:
    server = scripted(sent(0, 1000, '"a"', 200), DROPPED, sent(1000, 1500, '"a"'), sent(1500, 10240, '"a"'))
    steps: list[tuple[int, int]] = []
    target = tmp_path / "new" / "video.mp4"
    client_of(server, clock).download(
        "batch(1)-0", target, progress=lambda got, size: steps.append((got, size))
    )
    assert target.read_bytes() == VIDEO
    assert [one.headers.get("range") for one in server.asked] == [
        None,
        "bytes=1000-",
        "bytes=1000-",
        "bytes=1500-",
    ]
    assert (steps[0], steps[-1]) == ((1000, 10240), (10240, 10240))


@pytest.mark.parametrize(
    "second", [sent(0, 10240, '"b"', 200), sent(0, 10240, '"a"', 200)], ids=["new", "whole"]
)
def test_a_video_that_has_changed_is_downloaded_again(
    scripted: Make, clock: Clock, tmp_path: Path, second: Answer
) -> None:
    server = scripted(sent(0, 1000, '"a"', 200), second)
    assert client_of(server, clock).download("j-0", tmp_path / "f.mp4").read_bytes() == VIDEO


def test_a_part_of_another_video_is_discarded(scripted: Make, clock: Clock, tmp_path: Path) -> None:
    foreign, video = Answer(206, b"x" * 9240, {"ETag": '"b"'}), b"y" * 1000 + b"x" * 9240
    server = scripted(sent(0, 1000, '"a"', 200), foreign, Answer(200, video, {"ETag": '"b"'}))
    assert client_of(server, clock).download("j-0", tmp_path / "f.mp4").read_bytes() == video
    assert [one.headers.get("range") for one in server.asked] == [None, "bytes=1000-", None]


def test_a_failed_download_leaves_no_file(scripted: Make, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "f.mp4").write_bytes(b"older")
    with pytest.raises(RefusedByServer, match="no video"):
        client_of(scripted(unknown("has no video yet")), clock).download("j-0", tmp_path / "f.mp4")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("f.mp4", b"older")]
    with refuses(ClientError, "not_a_single_file", "video, ", "gif, "):
        client_of(scripted(), clock).download("j-0", tmp_path / "f", "film")
    with refuses(ClientError, "download_not_written"):
        client_of(scripted(), clock).download("j-0", tmp_path / "f.mp4" / "g.mp4")


def test_only_missing_frames_are_fetched_and_only_into_the_folder(
    scripted: Make, clock: Clock, tmp_path: Path
) -> None:
    names = ["1_000000000.png", "../1_000000001.png", "C:\\x\\1_000000002.png", "1_depth_000000000.png"]
    files = [
        {"kind": "frame", "name": name, "size": 3, "link": f"/{number}"} for number, name in enumerate(names)
    ]
    files[3]["kind"] = "depth"
    (tmp_path / "1_000000000.png").write_bytes(b"old")
    png = Answer(body=b"new")
    server = scripted(told(files), png, png)
    paths = client_of(server, clock).download_frames("j-0", tmp_path)
    assert [path.name for path in paths] == [f"1_00000000{number}.png" for number in range(3)]
    assert [path.read_bytes() for path in paths] == [b"old", b"new", b"new"]
    assert {path.parent for path in paths} == {tmp_path}
