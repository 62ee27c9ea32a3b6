"""Optical flow: where every pixel of one picture went in another, behind one Protocol."""
