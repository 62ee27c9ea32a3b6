"""Fixtures of the API over a renderer that renders nothing."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "api"))

from fake_renderer import client, jobs, renderer

__all__ = ["client", "jobs", "renderer"]
