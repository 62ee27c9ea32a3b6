"""Weights of optional networks: where their files lie, and networks that are read from ncnn's two plain files."""
