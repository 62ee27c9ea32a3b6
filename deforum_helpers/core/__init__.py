"""The base of all other packages: errors, messages, progress, files, network access."""
