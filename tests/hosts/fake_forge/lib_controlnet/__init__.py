"""Forge's ControlNet, as far as others meet it."""
