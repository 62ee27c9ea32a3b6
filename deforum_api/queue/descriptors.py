"""How many files and connections the program may have open, and what is left of them for jobs."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

MOST_CONNECTIONS = 512
WANTED = 4096
# Kept for jobs and their records, whatever connections there are.
RESERVE = 96


def most_connections() -> int:
    """Return how many connections leave jobs their descriptors, each with a file that it is being sent.

    Where the system allows it, this program may have more descriptors from now on.
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
    """Tell whether there is no descriptor for one more file, as an error says, one behind it, or a try of our own.

    Libraries, and checks of files, say no more than that a file cannot be opened.
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
