"""What every other package builds on: errors, messages, progress, files, network access."""
