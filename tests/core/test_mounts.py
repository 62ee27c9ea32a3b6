"""Network file systems in tables of mounts as systems write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deforum_helpers.core.files.mounts import Mount, listed_mounts, network_mount, system_mounts, table_mounts

TABLE = """\
overlay / overlay rw,relatime 0 0
/dev/sda1 /data ext4 rw 0 0
filer:/export/films /data/films nfs4 rw,vers=4.2 0 0
/dev/sdb1 /data/films/local xfs rw 0 0
//filer/share /mnt/a\\040share cifs rw 0 0
ann@host: /home/ann/far fuse.sshfs rw 0 0
/dev/sdc1 /mnt/stick fuseblk rw 0 0
drivers /mnt/c 9p rw 0 0
10.0.0.1@tcp:/fs /lustre lustre rw 0 0
systemd-1 /auto autofs rw 0 0
filer:/auto /auto nfs rw 0 0
/dev/sdd1 /covered nfs rw 0 0
/dev/sdd1 /covered ext4 rw 0 0
broken line
"""
LISTING = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
//ann@filer/films on /Volumes/films (smbfs, nodev, nosuid, mounted by ann)
/dev/disk4s1 on /Volumes/Stick (one) (msdos, local, nodev)
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/films/outputs/jobs.sqlite3", "nfs4"),
        ("/data/films", "nfs4"),
        ("/data/films/local/jobs.sqlite3", None),
        ("/data/films2/jobs.sqlite3", None),
        ("/data/other", None),
        ("/mnt/a share/x", "cifs"),
        ("/home/ann/far/x", "fuse.sshfs"),
        ("/mnt/stick/x", None),
        ("/mnt/c/Users/ann", "9p"),
        ("/lustre/x", "lustre"),
        ("/auto/x", "nfs"),
        ("/covered/x", None),
        ("/home/ann", None),
    ],
)
def test_the_innermost_mount_decides(path: str, kind: str | None) -> None:
    found = network_mount(Path(path), table_mounts(TABLE))
    assert (found and found.type) == kind


def test_what_carries_the_root_is_the_machines_own() -> None:
    assert network_mount(Path("/outputs"), [Mount("/", "nfs")]) is None


def test_a_link_is_followed_to_its_disk(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    mounts = [Mount(str((tmp_path / "far").resolve()), "nfs")]
    assert network_mount(tmp_path / "near" / "x", mounts) == mounts[0]
    assert network_mount(tmp_path / "x", mounts) is None


def test_a_listing_of_macos_is_read() -> None:
    mounts = listed_mounts(LISTING)
    assert [mount.point for mount in mounts] == ["/", "/Volumes/films", "/Volumes/Stick (one)"]
    assert [mount.is_network for mount in mounts] == [False, True, False]


def test_the_system_has_a_table_and_temporary_folders_are_local(tmp_path: Path) -> None:
    assert all(mount.point for mount in system_mounts())
    assert network_mount(tmp_path) is None
