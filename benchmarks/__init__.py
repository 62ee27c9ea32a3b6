"""Benchmarks: one file per row, each with a time limit. `python -m benchmarks [row ...]`."""
