"""The maker of the built-in model: renderer, training, export."""
