"""Coroutines for tests that need an event loop of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def run_elsewhere(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on a new thread: a browser that a test before has driven leaves its loop running on this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
