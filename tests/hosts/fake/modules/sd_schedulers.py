"""Schedulers by name and label."""

from types import SimpleNamespace

schedulers = [
    SimpleNamespace(name=name, label=label)
    for name, label in (("automatic", "Automatic"), ("karras", "Karras"), ("sgm_uniform", "SGM Uniform"))
]
