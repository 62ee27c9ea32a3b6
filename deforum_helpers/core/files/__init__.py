"""Files: atomic writes, locks, temporary folders, access without following links."""
