"""Programs that made what the project ships."""
