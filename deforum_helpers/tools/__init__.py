"""Tools for films and pictures that are there already: in-between frames, enlarging, depth, pictures into a film."""
