"""Guarded access to http(s) addresses, and a cache of fetched files."""
