"""The program that joins a Ray cluster for a server: it keeps one actor per place, and passes on what they say.

It runs in a process of its own, because Ray ends the process of a driver whose head node is gone, and cannot be
interrupted while it starts. The server writes orders to its standard input and reads what it says from its output;
when the input ends, so does this program, and Ray ends the actors that it owns.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import secrets
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deforum_api.queue.ray import messages
from deforum_api.queue.ray.settings import OWN_CLUSTER, RUNNING_CLUSTER, TOKEN_NAME, version_problem
from deforum_helpers.core.child_programs import read_message, write_message
from deforum_helpers.core.library_environment import CHOICES

LOOK_EVERY_S = 1.0
# Items that a worker may be ahead of what the server has written; then it waits.
ITEMS_AHEAD = 8
START_AGAIN_S = 20.0
PATIENCE_S = 30.0
KNOCK_S = 10.0
SHUTDOWN_S = 4.0
OBJECT_STORE_BYTES = 256 * 2**20
LOOPBACK = ("127.0.0.1:", "localhost:")


@dataclass(frozen=True)
class Node:
    """A living node of the cluster: its id and name, and how many CPUs and GPUs it has."""

    id: str
    name: str
    cpus: float
    gpus: float


def places(nodes: Sequence[Node], wanted: int, gpu_share: float) -> Counter[str]:
    """Return how many workers each node is to have, by node id.

    Args:
        nodes: of the cluster.
        wanted: number of workers; 0 = one per `gpu_share` of each GPU, without GPUs one per node.
        gpu_share: GPUs per worker; 0 = one where the cluster has GPUs, else workers on CPUs.

    Worked example: two nodes with 2 and 1 GPUs and a share of 0.5 have 4 and 2 workers, and with 3 wanted, 2 and 1.
    """
    on_gpus = needs_gpus(nodes, gpu_share)
    share = gpu_share or 1.0
    room = {
        node.id: int((node.gpus if on_gpus else node.cpus) / (share if on_gpus else 1) + 1e-6)
        for node in nodes
    }
    if not wanted:
        return Counter({name: most if on_gpus else min(most, 1) for name, most in room.items()})
    counts: Counter[str] = Counter(dict.fromkeys(room, 0))
    while sum(counts.values()) < wanted:
        free = [name for name, most in room.items() if counts[name] < most]
        if not free:
            break
        counts[min(free, key=lambda name: counts[name])] += 1
    return counts


def needs_gpus(nodes: Sequence[Node], gpu_share: float) -> bool:
    """Tell whether workers are placed on GPUs."""
    return gpu_share > 0 or any(node.gpus >= 1 for node in nodes)


def _threads(node: Node, workers: int) -> dict[str, str]:
    """Return the environment variables of a worker's threads: those of this program, else its share of the CPUs.

    They must be there before the worker's process loads torch. Ray's own choice is one thread for a worker on a GPU.
    """
    chosen = {name: os.environ[name] for name in CHOICES if name in os.environ}
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, int(node.cpus) // max(1, workers)))
    return {**chosen, "OMP_NUM_THREADS": threads}


def _knock(address: str) -> None:
    """Raise `OSError` if nothing listens at the address of a head node."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), KNOCK_S).close()


@dataclass
class _Place:
    """An actor and the node that it is bound to; `ready` once it was accepted."""

    id: str
    node: Node
    actor: Any
    token: str
    hello: Any
    ended: Any
    began: float
    ready: bool = False
    reason: str = ""
    orders: queue.SimpleQueue[tuple[Mapping[str, Any], bytes] | None] = field(
        default_factory=queue.SimpleQueue
    )
    credits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(ITEMS_AHEAD))


class Driver:
    """The actors of one server.

    Args:
        order: the server's first message: address, workers, gpu_share, files, setup (of `RenderWorker`), versions (that
            workers must have).
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._order = order
        self._setup: dict[str, Any] = dict(order["setup"])
        self._root = Path(self._setup["root"])
        self._places: dict[str, _Place] = {}
        self._refused: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self.leaving = False
        self._output = sys.stdout.buffer

    def say(self, head: Mapping[str, Any], content: bytes = b"") -> None:
        """Write a message to the server."""
        with self._writing:
            write_message(self._output, head, [content])

    def run(self) -> None:
        """Start or join the cluster, then keep its workers until the program ends."""
        if self._order["address"] == OWN_CLUSTER:
            # A token of its own for each start: no other program can join, and nothing is kept in the home folder. Ray
            # reads it when it is imported.
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        elif self._order["address"].startswith(LOOPBACK):
            # Else Ray takes it for the machine's outer address.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        # Else a call after the end of this cluster starts another one, or joins one that it finds.
        os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
        import ray

        self._ray = ray
        self._join()
        from deforum_api.queue.ray.actor import CONTROL, RENDER, SHARE, RenderWorker

        groups = {RENDER: 1, CONTROL: 3, SHARE: 1}
        self._actor_class = ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups=groups)(
            RenderWorker
        )
        while True:
            self._look()
            self._wake.wait(LOOK_EVERY_S)
            self._wake.clear()

    def _join(self) -> None:
        address = self._order["address"]
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "namespace": "deforum"}
        if address == OWN_CLUSTER:
            settings |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
            settings |= {"num_cpus": max(os.cpu_count() or 1, self._order["workers"])}
            settings |= {"_node_ip_address": "127.0.0.1"}
        elif address != RUNNING_CLUSTER:
            _knock(address)  # Ray itself would try for minutes
        self._ray.init(address=address, **settings)
        authenticated = os.environ.get("RAY_AUTH_MODE", "").lower() == "token"
        self.say({"said": "joined", "authenticated": authenticated})

    def obey(self, head: Mapping[str, Any], content: bytes) -> None:
        """Carry out an order; called on the thread that reads them."""
        if head["do"] == "ack":
            if place := self._places.get(head["worker"]):
                place.credits.release()
            return
        with self._lock:  # after it has left the table, a place serves no order any more
            place = self._places.get(head["worker"])
            if place is not None and head["do"] in ("receive", "render"):
                place.orders.put((head, content))
                return
        if place is None:
            if head["do"] in ("receive", "render"):
                self._say_ended(head["worker"], head["key"], messages.ENDED(kind="lost"))
        elif head["do"] == "stop":
            place.actor.stop.remote(head["key"], head["how"])
        elif head["do"] == "kill":
            self._end(place, messages.ABANDONED())

    def _serve(self, place: _Place) -> None:
        """Carry out the orders to one worker, one after another, until it is lost."""
        while (order := place.orders.get()) is not None:
            head, content = order
            key, lost = head["key"], None
            try:
                if head["do"] == "receive":
                    self._ray.get(place.actor.receive.remote(head["head"], content))
                    self.say({"said": "received", "worker": place.id, "key": key})
                    continue
                self._stream(place, key, head["request"])
            except Exception as error:  # every kind of lost worker, and faults of the transport
                lost = place.reason or self._reason(place, error)
                # One that only cannot be reached may still render: it must not write beside the next attempt.
                self._end(place, lost)
            self._say_ended(place.id, key, lost)

    def _stream(self, place: _Place, key: str, request: str) -> None:
        """Pass on what a worker says about one attempt, up to its end."""
        place.credits = threading.Semaphore(ITEMS_AHEAD)
        method = place.actor.render.options(
            num_returns="streaming", _generator_backpressure_num_objects=ITEMS_AHEAD
        )
        # They share the job where its frames do not depend on each other; those with jobs of their own refuse.
        others = [other.actor for other in list(self._places.values()) if other.ready and other is not place]
        for ref in method.remote(key, request, others):
            said, content = self._ray.get(ref)
            place.credits.acquire()
            self.say({"said": "item", "worker": place.id, "key": key, "item": said}, content)

    def _say_ended(self, worker: str, key: str, lost: str | None) -> None:
        self.say({"said": "ended", "worker": worker, "key": key, "lost": lost})

    def _reason(self, place: _Place, error: Exception) -> str:
        with suppress(Exception):
            if place.node.id not in {node.id for node in self._nodes()}:
                return messages.NODE_GONE()
        return messages.ENDED(kind=type(error).__name__)

    def _end(self, place: _Place, reason: str) -> None:
        """End an actor and give up its place; another one is made by the next look."""
        with self._lock:
            if self._places.get(place.id) is not place:
                return
            del self._places[place.id]
        place.reason = reason
        with suppress(Exception):
            self._ray.kill(place.actor)
        place.orders.put(None)
        if place.ready:
            self.say({"said": "lost", "worker": place.id, "reason": reason})
        self._wake.set()

    def _nodes(self) -> list[Node]:
        found = [node for node in self._ray.nodes() if node["Alive"]]
        return [
            Node(
                node["NodeID"],
                node["NodeManagerHostname"],
                node["Resources"].get("CPU", 0.0),
                node["Resources"].get("GPU", 0.0),
            )
            for node in found
        ]

    def _look(self) -> None:
        """End the places that are lost, accept those that are ready, make those that are missing; say what lacks."""
        nodes = self._nodes()
        self._end_lost(nodes)
        for place in list(self._places.values()):
            if not place.ready:
                self._accept(place)
        wanted, share = self._order["workers"], self._order["gpu_share"]
        counts = places(nodes, wanted, share)
        now = time.monotonic()
        for node in nodes:
            there = [place for place in list(self._places.values()) if place.node.id == node.id]
            for place in there[counts[node.id] :]:
                if not place.ready:
                    self._end(place, "")
            _, until = self._refused.get(node.id, ("", 0.0))
            if now >= until:
                self._refused.pop(node.id, None)
                for _ in range(counts[node.id] - len(there)):
                    self._begin(node, needs_gpus(nodes, share), threads=_threads(node, counts[node.id]))
        self.say({"said": "looked", "lacks": self._lacks(nodes, counts)})

    def _end_lost(self, nodes: Sequence[Node]) -> None:
        alive = {node.id for node in nodes}
        for place in list(self._places.values()):
            if place.node.id not in alive:
                self._end(place, messages.NODE_GONE())
                continue
            ended, _ = self._ray.wait([place.ended], timeout=0)
            if ended:
                try:
                    self._ray.get(place.ended)
                except Exception as error:
                    kind = type(error).__name__
                    if not place.ready:
                        self._refuse(place, self._not_begun(place, error), START_AGAIN_S)
                    self._end(place, messages.ENDED(kind=kind))

    def _begin(self, node: Node, on_gpu: bool, threads: Mapping[str, str]) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        used = set(self._places)
        name = next(name for number in range(1, len(used) + 2) if (name := f"ray-{number}") not in used)
        share = self._order["gpu_share"] or 1.0
        actor = self._actor_class.options(
            num_cpus=0 if on_gpu else 1,
            num_gpus=share if on_gpu else 0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
            runtime_env={"env_vars": dict(threads)},
        ).remote(json.dumps(self._setup))
        token = secrets.token_hex(8)
        hello, ended = actor.hello.remote(token), actor.until_ended.remote()
        place = _Place(name, node, actor, token, hello, ended, time.monotonic())
        with self._lock:
            self._places[name] = place
        threading.Thread(target=self._serve, args=(place,), daemon=True).start()

    def _accept(self, place: _Place) -> None:
        """Check what a worker says about itself, once it does, and let it take jobs."""
        ready, _ = self._ray.wait([place.hello], timeout=0)
        if not ready:
            return
        try:
            facts = json.loads(self._ray.get(place.hello))
        except Exception as error:
            self._refuse(place, self._not_begun(place, error), START_AGAIN_S)
            return
        shared = self._finds_token(place.token, facts["token"]) and self._order["files"] != "streamed"
        node = place.node.name
        problem = version_problem(facts["versions"], self._order["versions"], node)
        if not problem and facts["checkpoint_problem"]:
            problem = messages.CHECKPOINT_MISSING(node=node, reason=facts["checkpoint_problem"])
        if not problem and not shared and self._order["files"] == "shared":
            problem = messages.NOT_SHARED(node=node, root=self._root)
        if problem:
            self._refuse(place, problem, float("inf"))
            return
        place.ready = True
        worker = {"id": place.id, "node": node, "device": facts["device"]}
        worker |= {name: facts[name] for name in ("memory_total", "memory_used")}
        self.say({"said": "worker", "worker": worker, "shared": shared, "pid": facts["pid"]})

    def _finds_token(self, token: str, content: str) -> bool:
        """Tell whether the worker has written its token into the output folder of the server."""
        path = self._root / TOKEN_NAME.format(token=token)
        try:
            found = path.read_text(encoding="ascii")
            path.unlink()
        except (OSError, ValueError):
            return False
        return bool(content) and found == content

    def _not_begun(self, place: _Place, error: Exception) -> str:
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        return messages.NOT_BEGUN(node=place.node.name, reason=reason[0][:300], delay=START_AGAIN_S)

    def _refuse(self, place: _Place, problem: str, seconds: float) -> None:
        """End a worker that cannot be used; its node gets another one after `seconds`."""
        self._refused[place.node.id] = problem, time.monotonic() + seconds
        self._end(place, problem)

    def _lacks(self, nodes: Sequence[Node], counts: Counter[str]) -> list[str]:
        wanted, share = self._order["workers"], self._order["gpu_share"]
        found = list(dict.fromkeys(problem for problem, _ in self._refused.values()))
        if share > 0 and nodes and not any(node.gpus for node in nodes):
            found.append(messages.NO_GPU(share=share))
        elif not sum(counts.values()):
            found.append(messages.NO_NODE())
        elif sum(counts.values()) < wanted:
            found.append(messages.TOO_FEW(wanted=wanted, found=sum(counts.values())))
        now = time.monotonic()
        waiting = [place for place in list(self._places.values()) if not place.ready]
        return found + [
            messages.WAITS_FOR_NODE(node=place.node.name, seconds=now - place.began)
            for place in waiting
            if now - place.began > PATIENCE_S
        ]

    def shut_down(self) -> None:
        """Leave the cluster, which ends the actors; end this program even if that takes too long."""
        self.leaving = True
        threading.Timer(SHUTDOWN_S, _end_all).start()
        with suppress(Exception):
            self._ray.shutdown()
        _end_all()


def _end_all() -> None:
    """End this program and all that it has started: Ray leaves processes behind if it is stopped while it starts."""
    if os.name != "nt" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def main() -> None:
    """Obey the server until it ends."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no message
    sys.stdout = os.fdopen(os.dup(2), "w")
    logging.basicConfig(level="WARNING")
    first = read_message(sys.stdin.buffer)
    if first is None:
        return
    driver = Driver(first[0])
    driver._output = output
    threading.Thread(target=_listen, args=(driver,), daemon=True).start()
    try:
        driver.run()
    except BaseException as error:
        if driver.leaving:
            threading.Event().wait()  # until `shut_down` ends the program
        first_line = f"{type(error).__name__}: {error}".splitlines()[0]
        with suppress(OSError):  # the server may have ended
            driver.say({"said": "failed", "reason": first_line.rstrip(".:")[:300]})
        os._exit(1)


def _listen(driver: Driver) -> None:
    while (message := read_message(sys.stdin.buffer)) is not None:
        head, parts = message
        driver.obey(head, parts[0] if parts else b"")
    driver.shut_down()


if __name__ == "__main__":
    main()
