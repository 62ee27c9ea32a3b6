"""Messages about reading and writing files."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Writing
DISK_FULL = Message("disk_full", "The disk is full: {name} could not be written; free some space and resume.")
NOT_WRITTEN = Message(
    "file_not_written", "{name} could not be written ({reason}); check the permissions of the output folder."
)
WRITE_FAILED = Message("file_write_failed", "{name} could not be written")
DISK_NEARLY_FULL = Message(
    "disk_nearly_full",
    "The disk of the output folder has only {free} MB left, too little to continue; the frames so far are kept. Free "
    "some space and resume.",
)

# Paths that cannot be read: clauses that continue the name of a file or a setting
WRONG_KIND = Message("path_wrong_kind", "is {kind}, not a file")
NOT_REGULAR = Message("path_not_regular", "is not a file")
KERNEL_FILE = Message("path_kernel_file", "is a virtual file of the system, not a file on a disk")
TOO_LARGE = Message("file_too_large", "is larger than {limit}")
DRIVE_SILENT = Message("drive_silent", "is on a drive that does not answer")
NOT_A_PATH = Message("not_a_path", "is not a valid path")
ABSENT = Message("file_absent", "does not exist")
UNREADABLE = Message("file_unreadable", "cannot be read ({reason})")
UNUSABLE_CONTENT = Message("folder_unusable_content", "contains {name!r}, which {reason}")

# Paths in the output folder
NOT_A_NAME = Message("not_a_file_name", "not the name of a file")
NOT_ABSOLUTE = Message("path_not_absolute", "not an absolute path")
OUTSIDE_OUTPUT = Message("path_outside_output", "it is outside the output folder")
IS_A_LINK = Message("path_is_link", "{name!r} is a link")
