"""The last errors that the host has written to its console."""

exception_records = []
