"""Frames between frames: networks and a way without any, behind one Protocol."""
