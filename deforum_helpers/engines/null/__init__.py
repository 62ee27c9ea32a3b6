"""The engine without a model, for tests and motion."""

NAME = "null"
