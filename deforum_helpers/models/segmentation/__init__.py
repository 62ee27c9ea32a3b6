"""Masks of what is seen in a picture: of words, and of people."""
