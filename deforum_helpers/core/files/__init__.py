"""Files: atomic writes, locks, temporary folders, and access without following links."""
