"""HTTP: jobs, batches and their states. Knows jobs, not frames."""
