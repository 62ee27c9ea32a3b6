"""The built-in landscape model: a diffusers pipeline folder and its depth network."""

NAME = "demo"
