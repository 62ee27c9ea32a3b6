"""Webhooks: what the receiver of a job's end gets, how it is signed, and which addresses may be contacted.

Headers and signature are those of the Standard Webhooks specification, so that receivers can verify them with its
libraries.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from deforum_api.queue import messages
from deforum_api.queue.deliveries import FinishedFile, NotDelivered
from deforum_api.queue.record import Job
from deforum_api.queue.store import Delivery
from deforum_helpers.core.net.fetch import Fetcher, NotSent, host_and_port

EVENT = "job.ended"
KEY_PREFIX = "whsec_"
LEAST_KEY_CHARACTERS = 16


class Webhooks:
    """Sends the end of a job to its `webhook_url`.

    Args:
        key: signs the bodies; b"" = they are not signed.
        allow: hosts, or "host:port", that may be contacted though they are not public.
        files: the outputs of a job.
        fetcher: what sends.
        clock: Unix time in seconds.
    """

    at_once = 4

    def __init__(
        self,
        key: bytes = b"",
        allow: Sequence[str] = (),
        files: Callable[[Job], Sequence[FinishedFile]] = lambda job: (),
        fetcher: Fetcher | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._allow = frozenset(name.strip().lower().rstrip(".") for name in allow)
        self._files = files
        self._fetcher = fetcher or Fetcher()
        self._clock = clock

    def refusal(self, url: str) -> str | None:
        """Return the message that says why jobs may not have this `webhook_url`, or None."""
        reason = self._fetcher_of(url).refusal(url)
        return messages.WEBHOOK_PRIVATE(reason=reason) if reason else None

    def send(self, job: Job, deliveries: Sequence[Delivery], renew: Callable[[], None]) -> str | None:
        body, now = webhook_body(job, self._files(job), deliveries), self._clock()
        headers = {
            "Content-Type": "application/json",
            **signed_headers(self._key, message_id(job), now, body),
        }
        try:
            status = self._fetcher_of(job.webhook_url).post(job.webhook_url, body, headers)
        except NotSent as error:
            raise NotDelivered(messages.WEBHOOK_NOT_SENT(reason=error), again=error.passing) from None
        if 300 <= status < 400:
            raise NotDelivered(messages.WEBHOOK_REDIRECTED(status=status), again=True)
        if not 200 <= status < 300:
            raise NotDelivered(messages.WEBHOOK_STATUS(status=status), again=status != 410)
        return None

    def _fetcher_of(self, url: str) -> Fetcher:
        """Return what sends to the host of `url`: an allowed one is contacted wherever it is."""
        host, port = host_and_port(url)
        named = f"[{host}]" if ":" in host else host
        if self._allow & {host, named, f"{named}:{port}"}:
            return replace(self._fetcher, allowed=lambda address: True)
        return self._fetcher


def message_id(job: Job) -> str:
    """Return the id of the message about a job's end, the same for each try; a resumed job's next end has another."""
    return f"{job.id}:{job.updates}"


def webhook_body(job: Job, files: Sequence[FinishedFile], deliveries: Sequence[Delivery]) -> bytes:
    """Return the body as JSON: the job's end and its outputs, without those that have a file per frame."""
    upload = next((one for one in deliveries if one.kind == "upload"), None)
    place = upload.place if upload else None
    about: dict[str, Any] = {
        "type": EVENT,
        "job_id": job.id,
        "batch_id": job.batch_id,
        "kind": job.kind,
        "status": job.status,
        "error_type": job.error_type,
        "message": job.message,
        "attempt": job.attempt,
        "frame": job.frame,
        "max_frames": job.max_frames,
        "timestring": job.timestring,
        "started_at": job.started_at,
        "ended_at": job.last_updated,
        "outputs": [
            {
                "kind": one.kind,
                "name": one.name,
                "size": one.size,
                "link": one.link,
                "url": uploaded_url(place, one.name),
            }
            for one in files
            if not one.numbered
        ],
        "upload": {"state": upload.state, "message": upload.message} if upload else None,
    }
    return json.dumps(about).encode()


def uploaded_url(place: str | None, name: str) -> str | None:
    """Return the address of an uploaded file; None if the upload is not complete."""
    return f"{place}/{name}" if place else None


def signed_headers(key: bytes, id: str, now: float, body: bytes) -> dict[str, str]:
    """Return id, time and signature of a message as headers; no signature without a key."""
    seconds = str(int(now))
    headers = {"webhook-id": id, "webhook-timestamp": seconds}
    if key:
        told = b".".join((id.encode(), seconds.encode(), body))
        signature = base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()).decode()
        headers["webhook-signature"] = f"v1,{signature}"
    return headers


def parse_key(text: str) -> bytes:
    """Return the bytes of a key: Base64 after `whsec_`, else the text itself.

    Raises:
        ValueError: the key is too short; the message says so.
    """
    text = text.strip()
    if text.startswith(KEY_PREFIX):
        try:
            key = base64.b64decode(text.removeprefix(KEY_PREFIX), validate=True)
        except binascii.Error:
            key = b""
    else:
        key = text.encode()
    if len(key) < LEAST_KEY_CHARACTERS:
        raise ValueError(messages.KEY_TOO_SHORT(least=LEAST_KEY_CHARACTERS))
    return key
