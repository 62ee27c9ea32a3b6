"""Paths that are there and name no file of a disk, each harmless to look at and harmful to read."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

# What a message has to say of each.
WORDS = {
    "device": "a device",
    "linked device": "a device",
    "named pipe": "a named pipe",
    "linked pipe": "a named pipe",
    "socket": "a socket",
    "folder": "a folder",
    "kernel's log": "is a virtual file of the system",
    "own memory": "is a virtual file of the system",
    "kernel's memory": "is a virtual file of the system",
    "settings of the kernel": "is a virtual file of the system",
}


def odd_files(folder: Path, ending: str = "") -> dict[str, Path]:
    """Return the odd paths of this system by what they are called in `WORDS`.

    Args:
        folder: an empty one.
        ending: of the names of those that are made here, as an image's or a video's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "linked device": folder / f"zero{ending}",
        "named pipe": folder / f"pipe{ending}",
        "linked pipe": folder / f"link{ending}",
        "socket": folder / f"socket{ending}",
        "folder": folder / f"folder{ending}",
    }
    made["folder"].mkdir()
    os.mkfifo(made["named pipe"])
    made["linked device"].symlink_to("/dev/zero")
    made["linked pipe"].symlink_to(made["named pipe"])
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(folder)  # the whole path may be too long for a socket's name
        try:
            listening.bind(made["socket"].name)
        finally:
            os.chdir(here)
    of_system = {"device": Path("/dev/zero")}
    if sys.platform == "linux":
        of_system |= {
            "kernel's log": Path("/proc/kmsg"),
            "own memory": Path("/proc/self/mem"),
            "kernel's memory": Path("/proc/kcore"),
            "settings of the kernel": Path("/sys/power/state"),
        }
    return made | {name: path for name, path in of_system.items() if path.exists()}
