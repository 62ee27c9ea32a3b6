"""The program that made the built-in model: renderer, training, export."""
