"""Fixtures of the API over a renderer that renders nothing."""

from tests.api.fake_renderer import client, jobs, renderer

__all__ = ["client", "jobs", "renderer"]
