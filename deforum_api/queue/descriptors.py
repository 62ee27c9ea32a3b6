"""Limits on open files and connections, so that file descriptors remain for jobs."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

MOST_CONNECTIONS = 512
WANTED = 4096
# Descriptors reserved for jobs and their records.
RESERVE = 96


def max_connections() -> int:
    """Return the number of connections, each with one open file, that leaves enough descriptors for jobs.

    Raises this process's descriptor limit where the system allows it.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MOST_CONNECTIONS
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if most == resource.RLIM_INFINITY else min(WANTED, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
            allowed = wanted
    if allowed == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(8, min(MOST_CONNECTIONS, (allowed - RESERVE) // 2))


def out_of_descriptors(error: BaseException | None = None) -> bool:
    """Tell whether the process has run out of file descriptors, by `error`, its causes, or an attempt to open a file.

    The attempt is needed as libraries often report only that a file cannot be opened.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as refused:
        return refused.errno in (errno.EMFILE, errno.ENFILE)
    return False
