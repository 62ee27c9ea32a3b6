"""Workers that a cluster does not have, that are refused, or that cannot be reached; Ray is an object here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError

from deforum_api.queue.ray.driver import Driver
from deforum_api.queue.ray.settings import TOKEN_NAME, versions
from tests.integration.server import ROOT

WAIT_S = 60.0
ID_DIGITS = 56


class _Call:
    """A call of an actor's method: `result()` returns or raises; None = it never returns."""

    def __init__(self, result: Callable[[], Any] | None) -> None:
        self.result = result


class _Method:
    def __init__(self, call: Callable[..., Any]) -> None:
        self.remote = call

    def options(self, **options: Any) -> _Method:
        return self


class _Actor:
    """The handle of a worker on a node; `facts` replace those that it says about itself."""

    def __init__(self, node: str, root: Path, facts: Mapping[str, Any], stream: Callable[[], Any]) -> None:
        self.node = node
        self._root, self._facts = root, facts
        self.hello = _Method(self._hello)
        self.until_ended = _Method(lambda: _Call(None))
        self.render = _Method(lambda *_: stream())

    def _hello(self, token: str) -> _Call:
        (self._root / TOKEN_NAME.format(token=token)).write_text("seen")
        facts = {"node": self.node, "pid": 7, "device": "cpu", "memory_total": 2, "memory_used": 1}
        facts |= {"versions": versions(), "checkpoint_problem": "", "token": "seen", **self._facts}
        return _Call(lambda: json.dumps(facts))


class _Ray:
    """A cluster of nodes with so many GPUs each, and how the workers on them differ."""

    def __init__(self, root: Path, **gpus: float) -> None:
        self.root = root
        self.gpus = gpus
        self.facts: dict[str, Mapping[str, Any]] = {}
        self.stream: Callable[[], Any] = lambda: iter(())
        self.killed: list[str] = []
        self.environments: list[dict[str, str]] = []

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": name.encode().hex().ljust(ID_DIGITS, "0"),
                "NodeManagerHostname": name,
                "Alive": True,
                "Resources": {"CPU": 2, "GPU": gpus},
            }
            for name, gpus in self.gpus.items()
        ]

    def options(self, *, scheduling_strategy: Any, runtime_env: dict[str, Any], **resources: Any) -> _Method:
        self.environments.append(runtime_env["env_vars"])
        node = bytes.fromhex(scheduling_strategy.node_id).rstrip(b"\0").decode()
        return _Method(lambda setup: _Actor(node, self.root, self.facts.get(node, {}), self.stream))

    def wait(self, calls: list[_Call], timeout: float) -> tuple[list[_Call], list[_Call]]:
        return [call for call in calls if call.result], [call for call in calls if not call.result]

    def get(self, call: _Call) -> Any:
        assert call.result
        return call.result()

    def kill(self, actor: _Actor) -> None:
        self.killed.append(actor.node)


class _Told(Driver):
    """Keeps what it would say to the server."""

    def __init__(self, cluster: _Ray, **order: Any) -> None:
        given = {"address": "local", "workers": 0, "gpu_share": 0.0, "files": "auto", "versions": versions()}
        super().__init__({**given, "setup": {"root": str(cluster.root)}, **order})
        self._ray: Any = cluster
        self._actor_class: Any = cluster
        self.told: list[dict[str, Any]] = []
        self.heard = threading.Condition()

    def say(self, head: Mapping[str, Any], content: bytes = b"") -> None:
        with self.heard:
            self.told.append(dict(head))
            self.heard.notify_all()

    def look(self) -> list[str]:
        """Look twice, as workers answer after they were made; return the codes of what the cluster lacks."""
        self._look()
        self._look()
        return [text.code for text in self.told[-1]["lacks"]]

    def joined(self) -> list[str]:
        return [said["worker"]["node"] for said in self.told if said["said"] == "worker"]

    def until(self, said: str) -> dict[str, Any]:
        with self.heard:
            assert self.heard.wait_for(lambda: any(one["said"] == said for one in self.told), WAIT_S), (
                self.told
            )
            return next(one for one in self.told if one["said"] == said)


def close(driver: Driver) -> None:
    for place in list(driver._places.values()):
        driver._end(place, "")


@pytest.fixture
def cluster(tmp_path: Path) -> _Ray:
    return _Ray(tmp_path, left=0.0, right=0.0)


@pytest.fixture
def drivers() -> Iterator[list[Driver]]:
    made: list[Driver] = []
    yield made
    for driver in made:
        close(driver)


def test_gpus_that_no_node_has_are_said_to_be_missing(cluster: _Ray, drivers: list[Driver]) -> None:
    driver = _Told(cluster, gpu_share=1.0)
    drivers.append(driver)
    assert driver.look() == ["ray_no_gpu"]
    assert driver.joined() == []
    cluster.gpus["right"] = 1.0
    assert driver.look() == []
    assert driver.joined() == ["right"]


def test_fewer_workers_than_were_asked_for_are_said(cluster: _Ray, drivers: list[Driver]) -> None:
    driver = _Told(cluster, workers=9)
    drivers.append(driver)
    assert driver.look() == ["ray_too_few"]
    assert sorted(driver.joined()) == ["left", "left", "right", "right"]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"checkpoint_problem": "There is no checkpoint."}, "ray_checkpoint_missing"),
        ({"token": ""}, "ray_not_shared"),
        ({"versions": {**versions(), "torch": "0.1"}}, "ray_version_differs"),
    ],
)
def test_a_worker_that_cannot_be_used_is_refused_and_the_others_go_on(
    cluster: _Ray, drivers: list[Driver], facts: Mapping[str, Any], code: str
) -> None:
    cluster.facts["left"] = facts
    driver = _Told(cluster, files="shared")
    drivers.append(driver)
    assert driver.look() == [code]
    assert driver.look() == [code], "it is said as long as it lasts, and not tried again"
    assert (driver.joined(), cluster.killed) == (["right"], ["left"])


@pytest.mark.parametrize(("files", "shared"), [("auto", [False, True]), ("streamed", [False, False])])
def test_workers_that_do_not_see_the_output_folder_send_their_files(
    cluster: _Ray, drivers: list[Driver], files: str, shared: list[bool]
) -> None:
    cluster.facts["left"] = {"token": ""}
    driver = _Told(cluster, files=files)
    drivers.append(driver)
    assert driver.look() == []
    assert sorted(said["shared"] for said in driver.told if said["said"] == "worker") == shared
    assert [path for path in cluster.root.iterdir() if path.read_text() == "seen"] == []


@pytest.mark.parametrize(
    "error",
    [
        ActorUnavailableError("the connection was lost", None),
        RayActorError(),
        OutOfMemoryError("the machine's memory ran out"),
        ConnectionError("of another kind"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_worker_that_cannot_be_reached_is_ended_and_replaced(
    cluster: _Ray, drivers: list[Driver], error: Exception
) -> None:
    def stream() -> Iterator[_Call]:
        yield _Call(lambda: ('{"sign": 1}', b""))
        raise error

    del cluster.gpus["right"]
    cluster.stream = stream
    driver = _Told(cluster)
    drivers.append(driver)
    driver.look()
    driver.obey({"do": "render", "worker": "ray-1", "key": "1 job", "request": "{}"}, b"")
    ended = driver.until("ended")
    assert (ended["key"], ended["lost"].code) == ("1 job", "ray_worker_ended")
    assert type(error).__name__ in ended["lost"]
    order = [said["said"] for said in driver.told if said["said"] != "looked"]
    assert order == ["worker", "item", "lost", "ended"], "it is ended before its job goes on elsewhere"
    assert cluster.killed == ["left"]
    driver.look()
    assert driver.joined() == ["left", "left"]


@pytest.mark.parametrize(("chosen", "threads"), [("", "2"), ("3", "3")])
def test_a_worker_gets_its_share_of_the_threads_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, threads: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    cluster = _Ray(tmp_path, only=0)
    driver = _Told(cluster)
    driver.look()
    close(driver)
    assert [(one["OMP_NUM_THREADS"], one["OMP_WAIT_POLICY"]) for one in cluster.environments] == [
        (threads, "passive")
    ]


@pytest.mark.parametrize(
    ("engine", "checkpoint"), [("diffusers", "/no/such/checkpoint.safetensors"), ("null", None)]
)
def test_a_worker_says_whether_it_has_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, checkpoint: str | None
) -> None:
    pytest.importorskip("torch")
    from deforum_api.queue.ray import actor

    monkeypatch.setattr(actor.ray, "get_gpu_ids", list)
    monkeypatch.setattr(actor, "PACKAGES", ())
    setup = {"engine": engine, "checkpoint": checkpoint, "allow_download": False}
    worker = actor.RenderWorker(json.dumps({**setup, "root": str(tmp_path), "make_engine": ""}))
    facts = json.loads(worker.hello("1"))
    assert (str(checkpoint) in facts["checkpoint_problem"]) == (checkpoint is not None), facts
    assert (tmp_path / TOKEN_NAME.format(token="1")).read_text() == facts["token"] != ""


def test_ray_joins_no_cluster_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_AUTO_CONNECT"):
        monkeypatch.setenv(name, "")
    driver = _Told(_Ray(tmp_path, only=0))

    def joined() -> None:
        raise InterruptedError

    monkeypatch.setattr(driver, "_join", joined)
    with pytest.raises(InterruptedError):
        driver.run()
    assert os.environ["RAY_ENABLE_AUTO_CONNECT"] == "0"


@pytest.mark.skipif(os.name == "nt", reason="process groups are of POSIX")
def test_its_program_ends_with_all_that_it_has_started() -> None:
    """Its input ends while Ray starts, as when the server is killed; a child of it keeps the output open."""
    code = (
        "import subprocess, sys; from deforum_api.queue.ray.driver import Driver; "
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)']); "
        "Driver({'setup': {'root': '.'}}).shut_down()"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True, cwd=ROOT
    )
    assert program.stdout
    with program, program.stdout as output:
        assert output.read() == b"", "it is at its end when the child has ended as well"
