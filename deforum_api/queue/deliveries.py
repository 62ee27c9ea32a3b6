"""What is sent after a job's end, in the background: retried, kept over a restart, never in the way of the queue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from deforum_api.queue import messages
from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.logs import job_in_log
from deforum_api.queue.record import DeliveryKind, Job
from deforum_api.queue.store import Delivery, JobStore

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
# Pauses after the tries that failed; one more failure is the last. Half a day in all.
RETRY_AFTER_S = (10.0, 60.0, 300.0, 1800.0, 3600.0, 3 * 3600.0, 6 * 3600.0)
# A sender that has not renewed its claim for so long has ended with its process.
CLAIM_S = 60.0
RENEW_EVERY_S = 15.0


@dataclass(frozen=True)
class FinishedFile:
    """One output of a job.

    Args:
        kind: its kind of output.
        name: path below the job's folder, with slashes.
        size: bytes.
        link: path of the route that sends it.
        path: of the file.
        numbered: it is one of a series, as a frame.
    """

    kind: str
    name: str
    size: int
    link: str
    path: Path
    numbered: bool


class NotDelivered(Exception):
    """A try failed, as the message says; `again`: a later one may succeed."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.message = message
        self.again = again


class ClaimLost(Exception):
    """Another process has taken over a delivery, or its job was resumed or forgotten."""


class Sender(Protocol):
    """Delivers one kind of thing.

    Attributes:
        at_once: number of deliveries that run at the same time.
    """

    at_once: int

    def send(self, job: Job, deliveries: Sequence[Delivery], renew: Callable[[], None]) -> str | None:
        """Deliver for a finished job.

        Args:
            job: its record.
            deliveries: all of the job.
            renew: to be called every few seconds by a sender that takes longer; raises `ClaimLost` if the try no
                longer counts.

        Returns:
            The address of what was delivered, or None.

        Raises:
            NotDelivered: this try failed.
        """
        ...


class Deliveries:
    """Tries the deliveries of a store that are due, each on a thread of its own.

    Several servers on one store share the work: a try begins with a claim, which expires if its server ends.

    Args:
        store: the jobs and their deliveries.
        senders: kind -> what delivers it; kinds without a sender wait for a server that has one.
        clock: Unix time in seconds.
        look_every_s: seconds between two looks at the store.
    """

    def __init__(
        self,
        store: JobStore,
        senders: Mapping[DeliveryKind, Sender],
        clock: Callable[[], float] = time.time,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._store = store
        self._senders = senders
        self._clock = clock
        self._look_every_s = look_every_s
        self._stopping = threading.Event()
        self._sending: dict[tuple[str, DeliveryKind], threading.Thread] = {}
        self._thread = threading.Thread(target=self._run, name="deforum-deliveries", daemon=True)
        if senders:
            self._thread.start()

    def close(self, timeout: float) -> None:
        """Begin no more tries, and wait at most `timeout` seconds for those that run; they are repeated otherwise."""
        self._stopping.set()
        deadline = time.monotonic() + timeout
        for thread in [self._thread, *self._sending.values()]:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._stopping.wait(self._look_every_s):
            self._look()

    def _look(self) -> None:
        try:
            for kind, sender in self._senders.items():
                self._begin(kind, sender)
        except StoreUnavailable as error:
            log.debug("No delivery is begun: %s", error)
        except Exception:
            log.exception("The deliveries met an unexpected error.")

    def _begin(self, kind: DeliveryKind, sender: Sender) -> None:
        """Claim as many due deliveries as there is room for, and send each on a thread of its own."""
        self._sending = {key: thread for key, thread in self._sending.items() if thread.is_alive()}
        room = sender.at_once - sum(of_kind == kind for _, of_kind in self._sending)
        for waiting in self._store.due_deliveries(kind, self._clock(), room) if room > 0 else ():
            job = self._store.get(waiting.job_id)
            claimed = replace(
                waiting, state="SENDING", tries=waiting.tries + 1, not_before=self._clock() + CLAIM_S
            )
            key = (waiting.job_id, kind)
            if job is None or key in self._sending or not self._store.swap_delivery(waiting, claimed):
                continue
            thread = threading.Thread(
                target=self._send, args=(sender, job, claimed), name=f"deforum-{kind}", daemon=True
            )
            self._sending[key] = thread
            thread.start()

    def _send(self, sender: Sender, job: Job, claimed: Delivery) -> None:
        with job_in_log(job.id):
            claim = _Claim(self._store, claimed, self._clock)
            try:
                deliveries = self._store.deliveries((job,)).get(job.id, ())
                place = sender.send(job, deliveries, claim.renew)
                ended = replace(claim.delivery, state="DELIVERED", not_before=0.0, message=None, place=place)
                log.info("%s: %s delivered at try %d.", job.id, claimed.kind, claimed.tries)
            except NotDelivered as error:
                ended = self._after_failure(claim.delivery, error)
            except (ClaimLost, StoreUnavailable) as error:
                log.warning("%s: a try of %s does not count. %s", job.id, claimed.kind, error)
                return
            except Exception as error:
                log.exception("%s: %s met an unexpected error.", job.id, claimed.kind)
                message = messages.DELIVERY_FAULT(kind=type(error).__name__)
                ended = self._after_failure(claim.delivery, NotDelivered(message, again=True))
            try:
                self._store.swap_delivery(claim.delivery, ended)
            except StoreUnavailable as error:
                log.warning("%s: the end of %s is not recorded: %s", job.id, claimed.kind, error)

    def _after_failure(self, claimed: Delivery, error: NotDelivered) -> Delivery:
        last = not error.again or claimed.tries > len(RETRY_AFTER_S)
        pause_s = 0.0 if last else RETRY_AFTER_S[claimed.tries - 1]
        until = 0.0 if last else self._clock() + pause_s
        level = logging.ERROR if last else logging.WARNING
        after = "it is not tried again" if last else f"it is tried again after {pause_s:g} s"
        log.log(
            level,
            "%s: %s failed at try %d, %s: %s",
            claimed.job_id,
            claimed.kind,
            claimed.tries,
            after,
            error,
        )
        return replace(
            claimed, state="FAILED" if last else "RETRYING", not_before=until, message=error.message
        )


class _Claim:
    """The claim of one try, which is renewed while it runs."""

    def __init__(self, store: JobStore, claimed: Delivery, clock: Callable[[], float]) -> None:
        self.delivery = claimed
        self._store = store
        self._clock = clock
        self._claimed_at = clock()

    def renew(self) -> None:
        """Extend the claim if a part of its time has passed.

        Raises:
            ClaimLost: another process has taken over, or the job was resumed or forgotten.
        """
        now = self._clock()
        if abs(now - self._claimed_at) < RENEW_EVERY_S:
            return
        renewed = replace(self.delivery, not_before=now + CLAIM_S)
        if not self._store.swap_delivery(self.delivery, renewed):
            raise ClaimLost
        self.delivery, self._claimed_at = renewed, now
