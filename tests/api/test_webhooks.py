"""Webhooks: what a receiver on loopback gets, how it verifies it, and what is refused, retried and kept."""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import ipaddress
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fake_renderer import WAIT_S, Renderer, ended, serving
from fastapi.testclient import TestClient

from deforum_api.hosts.own_host import make_webhooks, webhook_key
from deforum_api.http.outputs import finished_files
from deforum_api.queue import deliveries
from deforum_api.queue.deliveries import Deliveries
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import SqliteStore
from deforum_api.queue.store import Delivery, JobStore, MemoryStore
from deforum_api.queue.submission import Limits
from deforum_api.queue.webhooks import Webhooks, parse_key, signed_headers
from deforum_api.tab.service import QueueService
from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.pipeline.host_facts import own_facts
from preload import preload
from tests.refusals import refuses

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@dataclass
class Receiver:
    """What came, and the statuses of the next answers (204 once they are used up)."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    came: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.gate.set()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.came.append((self.path, {name.lower(): text for name, text in self.headers.items()}, body))
            made.gate.wait(WAIT_S)
            status = made.statuses.pop(0) if made.statuses else 204
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{made.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        made.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.gate.set()
        listening.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "RETRY_AFTER_S", (0.01, 0.01))
    monkeypatch.setattr(Deliveries.__init__, "__defaults__", (time.time, 0.01))


def queue_with(renderer: Renderer, webhooks: Webhooks, store: JobStore | None = None) -> JobQueue:
    limits = Limits(queued=20, retry_after_s=())
    return JobQueue(renderer.check, renderer.render, limits=limits, webhooks=webhooks, store=store)


@pytest.fixture
def jobs(renderer: Renderer, receiver: Receiver) -> Iterator[JobQueue]:
    made = queue_with(renderer, Webhooks(parse_key(KEY), ["127.0.0.1"], finished_files))
    yield made
    assert made.close(WAIT_S)


@pytest.fixture
def client(jobs: JobQueue) -> Iterator[TestClient]:
    with serving(jobs) as made:
        yield made


def submitted(client: TestClient, url: str, **settings: Any) -> str:
    body = {"deforum_settings": settings, "webhook_url": url}
    answer = client.post("/deforum_api/batches", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_ids"][0])


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def delivery(client: TestClient, job_id: str, *states: str) -> dict[str, Any]:
    def look() -> Any:
        (found,) = client.get(f"/deforum_api/jobs/{job_id}").json()["deliveries"]
        return found if found["state"] in states else None

    return dict(until(look))


def verified(headers: dict[str, str], body: bytes) -> dict[str, Any]:
    told = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(bytes(range(32)), told, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return dict(json.loads(body))


def test_the_receiver_gets_the_end_of_the_job_signed(client: TestClient, receiver: Receiver) -> None:
    job_id = submitted(client, f"{receiver.url}/hook?token=s3cret", max_frames=2)
    job = ended(client, job_id)
    assert delivery(client, job_id, "DELIVERED") == {
        "kind": "webhook",
        "state": "DELIVERED",
        "tries": 1,
        "target": "127.0.0.1",
        "message": None,
    }
    ((path, headers, body),) = receiver.came
    assert path == "/hook?token=s3cret"
    assert headers["content-type"] == "application/json"
    told = verified(headers, body)
    assert (told["type"], told["job_id"], told["status"]) == ("job.ended", job_id, "SUCCEEDED")
    assert (told["batch_id"], told["frame"], told["message"]) == (job_id[:-2], 2, None)
    assert (told["started_at"], told["ended_at"]) == (job["started_at"], job["last_updated"])
    video = next(file for file in told["outputs"] if file["kind"] == "video")
    assert client.get(video["link"]).status_code == 200
    assert "frame" not in {file["kind"] for file in told["outputs"]}, "as many as there are frames"
    assert "s3cret" not in client.get(f"/deforum_api/jobs/{job_id}").text
    assert client.get(f"/deforum_api/batches/{job_id[:-2]}").json()[0]["deliveries"][0]["tries"] == 1
    listed = client.get("/deforum_api/jobs?summary=true").json()
    assert listed[job_id]["deliveries"][0]["state"] == "DELIVERED"


def test_the_code_of_the_documentation_verifies_what_was_sent_and_nothing_else() -> None:
    page = (Path(__file__).parents[2] / "docs" / "API.md").read_text(encoding="utf-8")
    (block,) = (
        one for one in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S) if "is_genuine" in one
    )
    code: dict[str, Any] = {}
    exec(block, code)
    is_genuine, body, now = code["is_genuine"], b'{"type": "job.ended"}', time.time()
    for key in (KEY, "a plain key of some length"):
        good = signed_headers(parse_key(key), "batch(1)-0:9", now, body)
        assert is_genuine(good, body, key)
        assert not is_genuine(good, body + b" ", key)
        assert not is_genuine({**good, "webhook-id": "batch(1)-0:8"}, body, key)
        assert not is_genuine(good, body, key[:-2] + "x=")
        assert not is_genuine(signed_headers(parse_key(key), "batch(1)-0:9", now - 400, body), body, key)
        assert not is_genuine(signed_headers(b"", "batch(1)-0:9", now, body), body, key)


def test_failures_and_cancels_are_told_and_each_end_of_a_resumed_job(
    client: TestClient, receiver: Receiver, renderer: Renderer
) -> None:
    renderer.gate.clear()
    job_id = submitted(client, receiver.url)
    client.delete(f"/deforum_api/jobs/{job_id}")
    ended(client, job_id)
    delivery(client, job_id, "DELIVERED")
    renderer.gate.set()
    client.post(f"/deforum_api/jobs/{job_id}/resume")
    until(lambda: len(receiver.came) == 2)
    told = [verified(headers, body) for _, headers, body in receiver.came]
    assert [one["status"] for one in told] == ["CANCELLED", "SUCCEEDED"]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.came}) == 2


def test_what_fails_is_tried_again_with_one_id_and_given_up_at_last(
    client: TestClient, receiver: Receiver
) -> None:
    receiver.statuses = [500, 302, 204, 503, 404, 429, 204]
    job_id = submitted(client, receiver.url)
    assert delivery(client, job_id, "DELIVERED")["tries"] == 3
    assert len({headers["webhook-id"] for _, headers, _ in receiver.came}) == 1
    assert {path for path, _, _ in receiver.came} == {"/"}, "redirects are not followed"
    other = submitted(client, receiver.url)
    given_up = delivery(client, other, "FAILED")
    assert (given_up["tries"], "429" in given_up["message"]) == (3, True)
    assert ended(client, other)["status"] == "SUCCEEDED"
    assert len(receiver.came) == 6
    receiver.statuses = [410]
    assert delivery(client, submitted(client, receiver.url), "FAILED")["tries"] == 1


def test_the_tab_shows_how_far_a_webhook_is(
    jobs: JobQueue, client: TestClient, receiver: Receiver, renderer: Renderer
) -> None:
    receiver.statuses = [410]
    job_id = submitted(client, receiver.url)
    delivery(client, job_id, "FAILED")
    service = QueueService(jobs, own_facts("null", None, renderer.root))
    (shown,) = service.job(job_id).deliveries
    assert (shown.kind, shown.state, shown.tries, shown.target) == ("webhook", "FAILED", 1, "127.0.0.1")
    assert "410" in shown.message
    assert service.jobs(10)[0].deliveries == (shown,)


def test_a_receiver_that_does_not_answer_is_in_nobodys_way(client: TestClient, receiver: Receiver) -> None:
    receiver.gate.clear()
    slow = [submitted(client, receiver.url) for _ in range(Webhooks.at_once + 1)]
    until(lambda: len(receiver.came) == Webhooks.at_once)
    assert ended(client, submitted(client, receiver.url))["status"] == "SUCCEEDED"
    assert delivery(client, slow[0], "SENDING")["tries"] == 1
    receiver.gate.set()
    for job_id in slow:
        delivery(client, job_id, "DELIVERED")


BAD = [
    *(7, [], "", "ftp://example.org/", "example.org", "http:///x", "http://a:b@example.org/"),
    *("http://example.org:99999/", "http://[::1", "https://example.org/" + "x" * 2000),
    *("http://127.0.0.1:9/", "http://10.1.2.3/", "http://[::1]/", "http://2130706433/", "http://localhost/"),
]


@pytest.mark.parametrize("url", BAD)
@pytest.mark.parametrize("path", ["/batches", "/tools/upscale"])
def test_bad_and_private_addresses_are_refused_by_the_name_of_the_field(
    renderer: Renderer, url: Any, path: str
) -> None:
    queue = queue_with(renderer, Webhooks(allow=["example.net", "127.0.0.1:1"]))
    with serving(queue) as client:
        answer = client.post(f"/deforum_api{path}", json={"deforum_settings": {}, "webhook_url": url})
        assert answer.status_code == 422
        assert [one["loc"] for one in answer.json()["detail"]] == [["body", "webhook_url"]]
        assert "webhook_url" in answer.json()["message"]
        assert client.get("/deforum_api/batches").json() == {}
    assert queue.close(WAIT_S)


def test_a_host_is_allowed_by_name_and_port_and_checked_again_when_it_is_contacted() -> None:
    private = Fetcher(look_up=lambda host, port: [ipaddress.ip_address("10.0.0.1")])
    hooks = Webhooks(allow=["Studio.LAN.", "[fd00::1]:81", "render:8080"], fetcher=private)
    allowed = ("http://studio.lan/x", "http://STUDIO.lan.:9/", "http://[fd00::1]:81/", "http://render:8080/")
    assert [hooks.refusal(url) for url in allowed] == [None] * 4
    others = (
        "http://lan/",
        "http://x.studio.lan/",
        "http://[fd00::1]/",
        "http://render/",
        "http://render:80/",
    )
    assert all(hooks.refusal(url) for url in others)
    job = replace(DONE, webhook_url="http://moved.example/")
    with pytest.raises(deliveries.NotDelivered) as caught:
        hooks.send(job, (), lambda: None)
    assert not caught.value.again


def test_an_unknown_host_is_accepted_as_it_may_be_known_later() -> None:
    def unknown(host: str, port: int) -> Any:
        raise OSError("unknown")

    assert Webhooks(fetcher=Fetcher(look_up=unknown)).refusal("https://soon.example/") is None


DONE = Job("batch(1)-0", "batch(1)", 0, "{}", "null", 1.0, 2.0, status="SUCCEEDED", phase="DONE")


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_store_keeps_deliveries_and_tells_which_are_due(kind: str, tmp_path: Path) -> None:
    store: JobStore = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "jobs.sqlite3")
    new = replace(DONE, status="ACCEPTED", phase="QUEUED", webhook_url="https://example.org/", upload=True)
    store.add([new, replace(new, id="batch(1)-1", order=1, upload=False, webhook_url="")])
    hook, upload = Delivery(new.id, "webhook"), Delivery(new.id, "upload")
    assert store.deliveries(store.page()) == {new.id: (hook, upload)}
    assert store.get(new.id) == new

    def due(now: float) -> list[tuple[str, str]]:
        kinds: tuple[Any, ...] = ("webhook", "upload")
        return [(one.job_id, one.kind) for kind in kinds for one in store.due_deliveries(kind, now, 9)]

    assert due(3.0) == []
    ended = replace(new, status="SUCCEEDED", phase="DONE", updates=1, last_updated=2.0)
    assert store.swap(new, ended)
    assert due(3.0) == [(new.id, "upload")], "the webhook carries the links of the upload"
    assert due(4000.0) == [(new.id, "webhook"), (new.id, "upload")], "but does not wait for ever"
    sending = replace(upload, state="SENDING", tries=1, not_before=60.0)
    assert store.swap_delivery(upload, sending)
    assert not store.swap_delivery(upload, sending), "a claim is taken once"
    assert due(3.0) == []
    assert due(61.0) == [(new.id, "upload")], "its server ended"
    retrying = replace(sending, state="RETRYING", not_before=100.0, message="no")
    assert store.swap_delivery(sending, retrying)
    assert due(3.0) == [(new.id, "webhook")]
    assert due(-1e6) == [(new.id, "webhook"), (new.id, "upload")], "the clock was set back"
    done = replace(retrying, state="DELIVERED", not_before=0.0, message=None, place="s3://bucket/x")
    assert store.swap_delivery(retrying, done)
    assert store.deliveries([new]) == {new.id: (hook, done)}
    failed = replace(ended, status="FAILED", updates=2)
    assert store.swap(ended, failed)
    again = replace(new, updates=3)
    assert store.swap(failed, again)
    after = (replace(hook, not_before=-3.0), replace(upload, not_before=-3.0))
    assert store.deliveries([new]) == {new.id: after}, "a resumed job has another end"
    assert not store.swap_delivery(hook, replace(hook, state="SENDING", tries=1)), (
        "it was due for the one before"
    )
    assert store.swap(again, replace(failed, updates=4))
    assert due(3.0) == [(new.id, "webhook")], "a failed job is not uploaded"
    assert store.remove(replace(failed, updates=4))
    assert store.deliveries([new]) == {}
    assert due(3.0) == []
    store.close()


def test_a_webhook_outlives_its_server_and_is_sent_once_by_several(
    renderer: Renderer, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.sqlite3"
    receiver.statuses = [500]
    monkeypatch.setattr(deliveries, "RETRY_AFTER_S", (0.5,))
    hooks = Webhooks(allow=["127.0.0.1"])
    first = queue_with(renderer, hooks, SqliteStore(path))
    with serving(first) as client:
        job_id = submitted(client, receiver.url)
        delivery(client, job_id, "RETRYING")
    assert first.close(WAIT_S)
    first.store.close()
    queues = [queue_with(renderer, hooks, SqliteStore(path)) for _ in range(3)]
    with serving(queues[0]) as client:
        assert delivery(client, job_id, "DELIVERED")["tries"] == 2
    assert len(receiver.came) == 2
    assert "webhook-signature" not in receiver.came[0][1], "there is no key"
    for queue in queues:
        assert queue.close(WAIT_S)
        queue.store.close()


def test_the_key_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEFORUM_WEBHOOK_KEY", raising=False)
    assert webhook_key("") == b""
    monkeypatch.setenv("DEFORUM_WEBHOOK_KEY", KEY)
    assert webhook_key("") == bytes(range(32))
    file = tmp_path / "key"
    file.write_text("a plain key of some length\n")
    assert webhook_key(str(file)) == b"a plain key of some length"
    for text in ("short", "whsec_AAAA", "whsec_!!!", ""):
        file.write_text(text)
        with refuses(Exception, "webhook_key_too_short"):  # type: ignore[arg-type]
            webhook_key(str(file))
    with refuses(Exception, "webhook_key_unreadable", "none"):  # type: ignore[arg-type]
        webhook_key(str(tmp_path / "none"))


def test_flags_allow_hosts() -> None:
    parser = argparse.ArgumentParser()
    preload(parser)
    flag = "--deforum-webhook-allow"
    given = vars(parser.parse_args([flag, "127.0.0.1, studio.lan", flag, "10.0.0.1:80"]))
    hooks = make_webhooks(lambda name, default: given.get(name, default), tuple)
    assert hooks.refusal("http://127.0.0.1/") is None
    assert hooks.refusal("http://10.0.0.1/") is None
    assert hooks.refusal("http://10.0.0.1:81/") is not None
