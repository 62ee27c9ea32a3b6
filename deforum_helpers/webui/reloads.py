""" "Reload UI": the host closes its pages, loads its scripts again and opens new ones; a running job waits for that."""

from __future__ import annotations

import logging
import threading
import time

from deforum_helpers.cancel import CancelToken

logger = logging.getLogger(__name__)

GRACE_S = 1.5
LONGEST_S = 180.0
LOOK_EVERY_S = 0.05

_over = threading.Event()
_over.set()


def began() -> None:
    """The host is about to load its scripts again."""
    _over.clear()


def ended() -> None:
    """The host has a new app."""
    _over.set()


def underway() -> bool:
    """Tell whether the host is between two apps.

    It says so itself only late: first it closes its server, and waits until its pages have let go.
    """
    from modules import shared

    server = getattr(getattr(shared, "demo", None), "server", None)
    return not _over.is_set() or bool(getattr(server, "should_exit", False))


def seen_within(seconds: float) -> bool:
    """Tell whether a reload begins in the next `seconds`; it interrupts all drawing first."""
    from modules import shared

    if getattr(shared, "demo", None) is None:  # without pages there is nothing to load again
        return False
    deadline = time.monotonic() + seconds
    while not underway():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def wait_until_over(cancel: CancelToken) -> bool:
    """Return when the host is not between two apps; tell whether it was.

    Raises:
        Cancelled, Parked: the token said so.
    """
    if not underway():
        return False
    logger.info("The WebUI reloads its pages; the job goes on afterwards.")
    deadline = time.monotonic() + LONGEST_S
    while underway() and time.monotonic() < deadline:
        cancel.check()
        time.sleep(LOOK_EVERY_S)
    return True
