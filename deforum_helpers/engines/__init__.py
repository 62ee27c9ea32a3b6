"""Engines that turn a request into an image."""
