"""Benchmarks: one file per row, each with a bar to meet. `python -m benchmarks [row ...]`."""
