"""Deforum: prompts and schedules become an animation."""
