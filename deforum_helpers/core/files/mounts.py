"""Network file systems, recognized in the system's table of mounts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# fmt: off
# Types of file systems that several machines may have mounted, as Linux and macOS name them.
NETWORK_TYPES = frozenset({
    "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs",
    "webdav", "wekafs",
})
# Programs that serve such a file system through FUSE, whose type is then "fuse.NAME".
NETWORK_PROGRAMS = frozenset({
    "afuse", "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "cifs", "curlftpfs", "davfs", "gcsfuse",
    "glusterfs", "goofys", "httpdirfs", "juicefs", "mfs", "moosefs", "mount-s3", "mountpoint-s3",
    "orangefs", "rclone", "s3fs", "seaweedfs", "smbnetfs", "sshfs",
})
# fmt: on
TABLE = Path("/proc/self/mounts")
LISTING_S = 5.0
_REMOTE_DRIVE = 4  # of GetDriveTypeW
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mounted file system.

    Args:
        point: absolute path of the folder on which it is mounted.
        type: name of its type, as "ext4" or "fuse.sshfs".
    """

    point: str
    type: str

    @property
    def is_network(self) -> bool:
        """Whether other machines may have mounted it too.

        The file system at `/` counts as the machine's own, whatever carries it: containers and diskless machines have
        it for themselves.
        """
        kind, _, program = self.type.lower().partition(".")
        return self.point != "/" and (kind in NETWORK_TYPES or program in NETWORK_PROGRAMS)


def network_mount(path: Path, mounts: Iterable[Mount] | None = None) -> Mount | None:
    """Return the network file system that holds `path`, or None.

    Args:
        path: of a file or folder, which need not exist.
        mounts: the table of mounts in the order of mounting; by default the system's.
    """
    if mounts is None and sys.platform == "win32":
        return _network_drive(path.resolve())
    place = PurePosixPath(path.resolve().as_posix())
    inside = [mount for mount in (system_mounts() if mounts is None else mounts) if _holds(mount, place)]
    # Of mounts on one folder the last one covers the others.
    holding = max(reversed(inside), key=lambda mount: len(PurePosixPath(mount.point).parts), default=None)
    return holding if holding is not None and holding.is_network else None


def system_mounts() -> tuple[Mount, ...]:
    """Return the system's table of mounts; empty where it cannot be read."""
    with suppress(OSError, subprocess.SubprocessError):
        if sys.platform == "darwin":
            listing = subprocess.run(
                ["/sbin/mount"], capture_output=True, text=True, timeout=LISTING_S, check=False
            )
            return listed_mounts(listing.stdout)
        return table_mounts(TABLE.read_text(encoding="utf-8", errors="surrogateescape"))
    return ()


def table_mounts(text: str) -> tuple[Mount, ...]:
    """Return the mounts of a table as Linux writes it, with octal escapes in names."""
    rows = [line.split(" ") for line in text.splitlines()]
    return tuple(Mount(_unescaped(row[1]), row[2]) for row in rows if len(row) > 2)


def listed_mounts(text: str) -> tuple[Mount, ...]:
    """Return the mounts of a listing as the program `mount` of macOS prints it."""
    found = []
    for line in text.splitlines():  # as in "//ann@filer/films on /Volumes/films (smbfs, nodev)"
        point, opened, options = line.partition(" on /")[2].rpartition(" (")
        if opened:
            found.append(Mount(f"/{point}", options.partition(",")[0].rstrip(")")))
    return tuple(found)


def _holds(mount: Mount, place: PurePosixPath) -> bool:
    return mount.point.startswith("/") and place.is_relative_to(mount.point)


def _unescaped(name: str) -> str:
    return _ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), name)


def _network_drive(place: Path) -> Mount | None:
    """Return the share or mapped drive of Windows that holds an absolute path, or None."""
    if place.drive.startswith("\\\\"):
        return Mount(place.drive, "network share")
    if sys.platform == "win32":
        import ctypes

        with suppress(OSError, AttributeError):
            if ctypes.windll.kernel32.GetDriveTypeW(f"{place.drive}\\") == _REMOTE_DRIVE:
                return Mount(place.drive, "network drive")
    return None
