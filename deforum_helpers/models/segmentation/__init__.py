"""Segmentation: masks of words, of people and of anime figures."""
