"""Another program that holds a lock, until it is told to let go or is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOLD = """
import socket, sys
from pathlib import Path
from deforum_helpers.core.files.locks import take
socket.gethostname = lambda name=sys.argv[2] or socket.gethostname(): name
lock = take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
lock.release()
"""


@contextmanager
def held_elsewhere(path: Path, host: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Let another program, on the machine `host`, hold the lock `path`; it lets go when the context ends."""
    command = [sys.executable, "-c", HOLD, str(path), host]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as program:
        assert program.stdout is not None
        assert program.stdout.readline().strip() == b"held"
        yield program
        assert program.stdin is not None
        program.stdin.close()
